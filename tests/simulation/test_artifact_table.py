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


def picture(size: int = 72, dims: int = 2) -> Any:
    """A round head with detail and zero background, value scale about 100."""
    axes = np.meshgrid(*[np.linspace(-1.2, 1.2, size)] * dims, indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in axes))
    detail = sum(np.sin(9 * axis + place) for place, axis in enumerate(axes))
    image = np.where(radius < 0.9, 100 + 20 * detail, 0) + np.where(np.abs(radius - 0.9) < 0.06, 80, 0)
    return torch.from_numpy(image.astype(np.float32))[None, None]


def degraded(name: str, image: Any, strength: float, seed: int = 3, spacing: tuple[float, ...] = (1.0, 1.0)) -> Any:
    artifact = ARTIFACTS[name]
    parameters = artifact.sample(torch.Generator().manual_seed(seed), [strength] * len(image), spacing)
    return artifact.apply(image, parameters)


@pytest.mark.parametrize("name", NAMES)
def test_strength_zero_is_the_same_bits(name: str) -> None:
    image = picture()
    assert torch.equal(degraded(name, image, 0.0), image)


@pytest.mark.parametrize("name", NAMES)
def test_shape_dtype_and_finite_in_two_and_three_dimensions(name: str) -> None:
    for image, spacing in ((picture(), (1.0, 1.0)), (picture(28, 3), (1.0, 1.0, 1.2))):
        result = degraded(name, image, 1.0, spacing=spacing)
        assert result.shape == image.shape
        assert result.dtype == torch.float32
        assert torch.isfinite(result).all()
        assert not torch.equal(result, image)


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_image_and_other_seed_another(name: str) -> None:
    image = picture()
    first = degraded(name, image, 0.7, seed=5)
    assert torch.equal(first, degraded(name, image, 0.7, seed=5))
    if name != "blur":  # nothing in a blur is left to chance
        assert any(not torch.equal(first, degraded(name, image, 0.7, seed=seed)) for seed in (6, 7, 8))


@pytest.mark.parametrize("name", NAMES)
def test_brightness_scale_passes_through(name: str) -> None:
    image = picture()
    scaled = degraded(name, 37.0 * image, 0.6)
    assert torch.allclose(scaled, 37.0 * degraded(name, image, 0.6), rtol=1e-3, atol=0.05)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_comes_from_nothing(name: str) -> None:
    empty = torch.zeros(1, 1, 40, 40)
    assert torch.equal(degraded(name, empty, 1.0), empty)


@pytest.mark.parametrize("name", NAMES)
def test_damage_grows_with_strength(name: str) -> None:
    image = picture()
    head = image > 10
    medians = []
    for strength in (0.0, 0.2, 0.5, 1.0):
        harms = [damage_batch(image, degraded(name, image, strength, seed=seed), head) for seed in range(9)]
        medians.append(float(np.median([float(harm["nrmse"]) for harm in harms])))
    assert medians[0] == 0
    assert all(later >= earlier - 1e-3 for earlier, later in pairwise(medians)), medians
    assert medians[-1] > 0.02


@pytest.mark.parametrize("name", NAMES)
def test_an_element_does_not_depend_on_its_batch(name: str) -> None:
    image = picture().repeat(3, 1, 1, 1) * torch.tensor([1.0, 2.0, 3.0]).reshape(3, 1, 1, 1)
    artifact = ARTIFACTS[name]
    parameters = artifact.sample(torch.Generator().manual_seed(1), [0.4, 0.0, 0.9])
    together = artifact.apply(image, parameters)
    assert torch.equal(together[1], image[1])
    alone = artifact.apply(image[2:], {key: value[2:] for key, value in parameters.items()})
    assert torch.allclose(together[2:], alone, rtol=1e-4, atol=1e-2)


def test_strength_outside_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match="strength"):
        ARTIFACTS["noise"].sample(torch.Generator(), 1.2)


def test_table_rows_are_complete() -> None:
    for name, row in ARTIFACTS.items():
        assert row.name == name
        assert row.title and row.strength_meaning and row.source
        assert row.family in (*FAMILIES, "other")


def test_paper_severities_lie_in_the_unit_range_and_grow() -> None:
    for name, row in ARTIFACTS.items():
        if row.paper_severity is None:
            continue
        values = [row.paper_severity(row.sample(torch.Generator().manual_seed(2), s)) for s in (0.1, 0.4, 0.9)]
        assert 0 <= float(values[0]) <= float(values[1]) <= float(values[2]) <= 1, name


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("name", NAMES)
def test_gpu_gives_the_same(name: str) -> None:
    image = picture()
    parameters = ARTIFACTS[name].sample(torch.Generator().manual_seed(4), 0.6)
    here = ARTIFACTS[name].apply(image, parameters)
    there = ARTIFACTS[name].apply(image.cuda(), parameters).cpu()
    assert torch.allclose(here, there, rtol=1e-4, atol=1e-2)
