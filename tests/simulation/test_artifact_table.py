# SPDX-License-Identifier: Apache-2.0
"""Laws that hold for every simulator in the artifact table."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bidsqa.simulation import ARTIFACTS, FAMILIES, damage_batch  # noqa: E402

NAMES = sorted(ARTIFACTS)
# nothing is left to chance in these, at least in two dimensions
CERTAIN = {"blur", "log", "anisotropy_in_plane"}


def picture(size: int = 72, dims: int = 2) -> Any:
    """A round head with detail and zero background, value scale about 100."""
    axes = np.meshgrid(*[np.linspace(-1.2, 1.2, size)] * dims, indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in axes))
    detail = sum(np.sin(9 * axis + place) for place, axis in enumerate(axes))
    image = np.where(radius < 0.9, 100 + 20 * detail, 0) + np.where(np.abs(radius - 0.9) < 0.06, 80, 0)
    return torch.from_numpy(image.astype(np.float32))[None, None]


def fitting(name: str, size: int = 72) -> Any:
    """A slice, or a volume for what acts on volumes only."""
    return picture(size) if 2 in ARTIFACTS[name].dims else picture(size // 3, 3)


def drawn(name: str, image: Any, strength: Any, seed: int = 3, spacing: tuple[float, ...] | None = None) -> Any:
    edges = spacing or (1.0,) * (image.ndim - 2)
    return ARTIFACTS[name].sample(torch.Generator().manual_seed(seed), strength, edges)


def degraded(name: str, image: Any, strength: float, seed: int = 3, spacing: tuple[float, ...] | None = None) -> Any:
    return ARTIFACTS[name].apply(image, drawn(name, image, [strength] * len(image), seed, spacing))


def planes(image: Any) -> Any:
    """Slices of a batch, so that the damage of volumes can be measured as well."""
    return image if image.ndim == 4 else image[0, 0][:, None]


@pytest.mark.parametrize("name", NAMES)
def test_strength_zero_is_the_same_bits(name: str) -> None:
    image = fitting(name)
    assert torch.equal(degraded(name, image, 0.0), image)


@pytest.mark.parametrize("name", NAMES)
def test_shape_dtype_and_finite_in_two_and_three_dimensions(name: str) -> None:
    for image, spacing in ((picture(), (1.0, 1.0)), (picture(28, 3), (1.0, 1.0, 1.2))):
        if len(spacing) not in ARTIFACTS[name].dims:
            with pytest.raises(ValueError, match="acts on images of"):
                degraded(name, image, 1.0, spacing=spacing)
            continue
        result = degraded(name, image, 1.0, spacing=spacing)
        assert result.shape == image.shape
        assert result.dtype == torch.float32
        assert torch.isfinite(result).all()
        assert not torch.equal(result, image)


@pytest.mark.parametrize("name", NAMES)
def test_other_floating_types_are_kept_and_whole_numbers_refused(name: str) -> None:
    image = fitting(name, 60)
    parameters = drawn(name, image, 0.5)
    reference = ARTIFACTS[name].apply(image, parameters)
    for dtype, tolerance in ((torch.float64, 1e-2), (torch.float16, 0.3)):
        result = ARTIFACTS[name].apply(image.to(dtype), parameters)
        assert result.dtype == dtype
        assert float((result.float() - reference).abs().median()) < tolerance
        nothing = drawn(name, image, 0.0)
        assert torch.equal(ARTIFACTS[name].apply(image.to(dtype), nothing), image.to(dtype))
    with pytest.raises(TypeError, match="floating point"):
        ARTIFACTS[name].apply(image.short(), parameters)


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_image_and_other_seed_another(name: str) -> None:
    image = fitting(name)
    first = degraded(name, image, 0.7, seed=5)
    assert torch.equal(first, degraded(name, image, 0.7, seed=5))
    others = [not torch.equal(first, degraded(name, image, 0.7, seed=seed)) for seed in (6, 7, 8)]
    assert any(others) == (name not in CERTAIN)


@pytest.mark.parametrize("name", NAMES)
def test_one_seed_is_the_same_artifact_at_every_strength(name: str) -> None:
    """As many draws at each strength: the generator ends in the same state, and what is no size stays."""
    image, states, parameters = fitting(name), [], []
    for strength in (0.0, 0.3, 1.0):
        generator = torch.Generator().manual_seed(11)
        parameters.append(ARTIFACTS[name].sample(generator, [strength] * 2, (1.0,) * (image.ndim - 2)))
        states.append(generator.get_state())
    assert all(torch.equal(state, states[0]) for state in states)
    for key, value in parameters[0].items():
        if not value.is_floating_point():
            assert torch.equal(value, parameters[1][key]) and torch.equal(value, parameters[2][key]), key


@pytest.mark.parametrize("name", NAMES)
def test_brightness_scale_passes_through(name: str) -> None:
    image = fitting(name)
    scaled = degraded(name, 37.0 * image, 0.6)
    assert torch.allclose(scaled, 37.0 * degraded(name, image, 0.6), rtol=1e-3, atol=0.05)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("factor", [1e-20, 1e-12, 1e-6, 1e6, 1e12, 1e18, 1e20])
def test_no_unit_is_too_small_or_too_large(name: str, factor: float) -> None:
    image = fitting(name, 48)
    plain, scaled = degraded(name, image, 0.7), degraded(name, image * factor, 0.7)
    assert torch.allclose(scaled / factor, plain, rtol=1e-4, atol=1e-4)
    assert not torch.equal(plain, image)


@pytest.mark.parametrize("name", NAMES)
def test_powers_of_two_change_no_digit_and_elements_have_units_of_their_own(name: str) -> None:
    image = fitting(name, 48)
    units = torch.tensor([1.0, 2.0**-60, 2.0**70]).reshape(-1, *[1] * (image.ndim - 1))
    batch = torch.cat([image] * 3)
    parameters = drawn(name, batch, [0.7] * 3)
    same = {key: value[:1].expand_as(value) for key, value in parameters.items()}
    made = ARTIFACTS[name].apply(batch * units, same) / units
    assert torch.equal(made[1], made[0]) and torch.equal(made[2], made[0])


@pytest.mark.parametrize("name", NAMES)
def test_nothing_comes_from_nothing(name: str) -> None:
    empty = torch.zeros_like(fitting(name, 40))
    assert torch.equal(degraded(name, empty, 1.0), empty)


@pytest.mark.parametrize("name", NAMES)
def test_damage_grows_with_strength(name: str) -> None:
    image = fitting(name)
    head = planes(image > 10)
    errors, harms = [], []
    for strength in (0.0, 0.2, 0.5, 1.0):
        each = [damage_batch(planes(image), planes(degraded(name, image, strength, seed)), head) for seed in range(9)]
        errors.append(float(np.median([float(harm["nrmse"].mean()) for harm in each])))
        harms.append(float(np.median([float(harm["damage"].mean()) for harm in each])))
    assert errors[0] == 0
    for medians in (errors, harms):
        assert all(later >= earlier - 1e-3 for earlier, later in pairwise(medians)), medians
    assert errors[-1] > 0.02


@pytest.mark.parametrize("name", NAMES)
def test_an_element_does_not_depend_on_its_batch(name: str) -> None:
    image = fitting(name)
    image = torch.cat([image, 2 * image, 3 * image])
    artifact = ARTIFACTS[name]
    parameters = drawn(name, image, [0.4, 0.0, 0.9], seed=1)
    together = artifact.apply(image, parameters)
    assert torch.equal(together[1], image[1])
    alone = artifact.apply(image[2:], {key: value[2:] for key, value in parameters.items()})
    assert torch.allclose(together[2:], alone, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_made_on_the_way_lies_where_the_image_lies(name: str) -> None:
    """On another default device every tensor made without naming one would clash with the image."""
    image = fitting(name, 45)
    for seed in range(4):
        parameters = drawn(name, image, 0.7, seed)
        reference = ARTIFACTS[name].apply(image, parameters)
        with torch.device("meta"):
            result = ARTIFACTS[name].apply(image, parameters)
        assert torch.equal(result, reference)


@pytest.mark.parametrize("name", [name for name in NAMES if ARTIFACTS[name].choices])
def test_ways_can_be_chosen_by_name_and_change_nothing_else(name: str) -> None:
    row, spacing = ARTIFACTS[name], (1.0,) * min(ARTIFACTS[name].dims)
    plain = row.sample(torch.Generator().manual_seed(3), [0.5] * 3, spacing)
    for key, names in row.choices.items():
        for number, word in enumerate(names):
            chosen = row.sample(torch.Generator().manual_seed(3), [0.5] * 3, spacing, **{key: word})
            assert chosen[key].tolist() == [number] * 3
            assert all(torch.equal(chosen[other], plain[other]) for other in plain if other != key)
        with pytest.raises(ValueError, match="can't be 'sideways'; there are"):
            row.sample(torch.Generator(), 0.5, spacing, **{key: "sideways"})


def test_parameters_can_be_set_and_unknown_ones_are_refused() -> None:
    row = ARTIFACTS["ghosting"]
    plain = row.sample(torch.Generator().manual_seed(0), [0.5, 0.5])
    chosen = row.sample(torch.Generator().manual_seed(0), [0.5, 0.5], axis=1, period=[3.0, 4.0])
    assert chosen["axis"].tolist() == [1, 1] and chosen["period"].tolist() == [3.0, 4.0]
    assert torch.equal(chosen["phase"], plain["phase"])
    with pytest.raises(ValueError, match="no parameter 'colour'"):
        row.sample(torch.Generator(), 0.5, colour=1)
    with pytest.raises(ValueError, match="only numbers"):
        row.sample(torch.Generator(), 0.5, axis="phase")


def test_strength_outside_its_range_is_refused() -> None:
    for wrong in (1.2, -0.1, float("nan"), [0.5, float("nan")]):
        with pytest.raises(ValueError, match="strength"):
            ARTIFACTS["noise"].sample(torch.Generator(), wrong)


@pytest.mark.parametrize("edges", [(0.0, 1.0), (-1.0, 1.0), (float("nan"), 1.0), (1.0, float("inf"))])
def test_voxel_edges_that_are_no_lengths_are_refused(edges: tuple[float, float]) -> None:
    for name in ("blur", "motion", "noise"):
        with pytest.raises(ValueError, match="voxel edges must be finite and above 0"):
            ARTIFACTS[name].sample(torch.Generator(), 0.5, edges)
    with pytest.raises(ValueError, match="each of the 2 strengths"):
        ARTIFACTS["blur"].sample(torch.Generator(), [0.5, 0.5], [[1.0, 1.0]] * 3)


@pytest.mark.parametrize("name", [name for name in NAMES if 2 in ARTIFACTS[name].dims])
def test_parameters_of_fewer_images_or_other_axes_are_refused(name: str) -> None:
    image = torch.cat([picture(), 2 * picture(), 3 * picture()])
    with pytest.raises(ValueError, match="one row an image"):
        ARTIFACTS[name].apply(image, drawn(name, image, 0.5))
    if 3 in ARTIFACTS[name].dims:
        with pytest.raises(ValueError, match="drawn for 3 axes, but the images have 2"):
            ARTIFACTS[name].apply(picture(), drawn(name, picture(), 0.5, spacing=(1.0, 1.0, 1.0)))


@pytest.mark.parametrize("name", NAMES)
def test_values_that_are_not_finite_are_refused(name: str) -> None:
    for wrong in (float("nan"), float("inf")):
        image = fitting(name).clone()
        image.view(-1)[image.numel() // 2] = wrong
        with pytest.raises(ValueError, match="not finite"):
            ARTIFACTS[name].apply(image, drawn(name, image, 0.5))


def test_images_of_other_shapes_are_refused() -> None:
    row, image = ARTIFACTS["noise"], picture()
    one = drawn("noise", image, 0.5)
    for wrong in (image[0, 0], image.repeat(1, 2, 1, 1), image[0]):
        with pytest.raises(ValueError, match="one channel"):
            row.apply(wrong, one)
    with pytest.raises(ValueError, match="head has the shape"):
        row.apply(image, one, torch.ones(1, 1, 5, 5, dtype=torch.bool))
    ghost = drawn("ghosting", image, 0.5)
    with pytest.raises(ValueError, match="an axis of 0-1 is needed"):
        ARTIFACTS["ghosting"].apply(image, {**ghost, "axis": torch.tensor([2])})


def test_table_rows_are_complete() -> None:
    for name, row in ARTIFACTS.items():
        assert row.name == name
        assert row.title and row.strength_meaning and row.source
        assert row.family in (*FAMILIES, "other", "contrast")
        assert row.nuisance == (row.family == "contrast")
        assert row.dims in ((2, 3), (3,))


def test_the_families_that_networks_learn_are_five() -> None:
    assert FAMILIES == ("noise", "motion", "ghosting", "bias", "blur")


def test_paper_severities_lie_in_the_unit_range_and_grow() -> None:
    for name, row in ARTIFACTS.items():
        if row.paper_severity is None:
            continue
        values = [row.paper_severity(row.sample(torch.Generator().manual_seed(2), s)) for s in (0.1, 0.4, 0.9)]
        assert 0 <= float(values[0]) <= float(values[1]) <= float(values[2]) <= 1, name


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("name", NAMES)
def test_gpu_gives_the_same(name: str) -> None:
    image = fitting(name)
    parameters = drawn(name, image, 0.6, seed=4)
    here = ARTIFACTS[name].apply(image, parameters)
    there = ARTIFACTS[name].apply(image.cuda(), parameters).cpu()
    assert torch.allclose(here, there, rtol=1e-4, atol=1e-2)
