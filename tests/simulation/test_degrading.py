# SPDX-License-Identifier: Apache-2.0
"""Degrading in one call, and severity by visible damage: monotone by construction, comparable across artifacts."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bidsqa.simulation import (  # noqa: E402
    ARTIFACTS,
    DamageCurve,
    damage,
    damage_batch,
    damage_curve,
    degrade,
    visible_severity,
)

SLICE_NAMES = sorted(name for name, row in ARTIFACTS.items() if 2 in row.dims)


def head(size: int = 56, dims: int = 2) -> Any:
    """A round head with detail as an array."""
    axes = np.meshgrid(*[np.linspace(-1.2, 1.2, size)] * dims, indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in axes))
    detail = sum(np.sin(9 * axis + place) for place, axis in enumerate(axes))
    return np.where(radius < 0.95, 100 + 20 * detail, 0).astype(np.float32)


def test_visible_severity_rises_with_damage_through_its_anchors() -> None:
    assert visible_severity([0.0, 0.15, 0.4, 1.0, 1.7]).tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1, 1])
    values = visible_severity(torch.linspace(0, 1, 101))
    assert bool((values.diff() > 0).all())
    assert float(visible_severity(0.0)) == 0


@pytest.mark.parametrize("name", SLICE_NAMES)
def test_severity_never_falls_where_strength_rises(name: str) -> None:
    image = torch.from_numpy(head(48))[None, None]
    strengths = [0.0, 0.1, 0.3, 0.4, 0.6, 0.9, 1.0]
    seen = [float(degrade(image, name, strength, seed=2).s_visible) for strength in strengths]
    assert seen[0] == 0
    assert all(later >= earlier for earlier, later in pairwise(seen)), seen
    assert seen[-1] > 0.02


def test_a_curve_whose_damage_falls_is_held_at_its_height() -> None:
    row = torch.tensor([[0.0, 0.1, 0.3, 0.2, 0.5]])
    curve = DamageCurve(torch.linspace(0, 1, 5), torch.cummax(row, dim=1).values)
    assert curve.at(0.75).tolist() == pytest.approx([0.3])
    assert curve.at(0.25).tolist() == pytest.approx([0.1])
    assert float(visible_severity(curve.at(curve.strength_for(0.5)))) == pytest.approx(0.5, abs=1e-5)
    assert curve.strength_for(0.0).tolist() == [0.0]
    assert curve.strength_for(0.99).tolist() == [1.0]


@pytest.mark.parametrize("name", ["noise", "ghosting", "blur", "motion", "wrap"])
def test_equal_severity_of_different_artifacts_is_equal_damage(name: str) -> None:
    image = head()
    strength = damage_curve(image, name, seed=4).strength_for(0.14)
    result = degrade(image, name, strength, seed=4)
    assert float(result.s_visible) == pytest.approx(0.14, abs=0.005)
    assert float(visible_severity(result.damage)) == pytest.approx(0.14, abs=0.04)


def test_a_batch_gets_strengths_of_its_own_and_all_that_is_promised() -> None:
    image = torch.from_numpy(head())[None, None].repeat(3, 1, 1, 1)
    result = degrade(image, "noise", [0.0, 0.3, 1.0], seed=1)
    assert torch.equal(result.image[0], image[0])
    assert result.ssim[0] == 1 and result.damage[0] == 0 and result.nrmse[0] == 0
    assert torch.allclose(result.ssim, 1 - result.damage)
    assert result.parameters["sigma"].tolist() == pytest.approx([0, 0.06, 0.2])
    assert result.s_paper.tolist() == pytest.approx([0, (0.06 - 0.005) / 0.195, 1])
    assert bool((result.s_visible.diff() > 0).all())
    assert torch.equal(result.target, result.s_visible)
    expected = damage_batch(image, result.image, image > 15)
    assert torch.allclose(result.damage, expected["damage"], atol=5e-3)


def test_no_paper_severity_is_not_a_number() -> None:
    assert bool(torch.isnan(degrade(head(), "spike", 0.5, seed=0, monotone=False).s_paper).all())


def test_without_the_curve_the_severity_is_that_of_this_image() -> None:
    result = degrade(head(), "motion", 0.6, seed=0, monotone=False)
    assert torch.equal(result.s_visible, visible_severity(result.damage))


def test_arrays_come_back_as_arrays_and_equal_batches() -> None:
    image = head()
    array = degrade(image, "motion", 0.5, seed=7, spacing=(1.0, 1.5))
    tensor = degrade(torch.from_numpy(image)[None, None], "motion", 0.5, seed=7, spacing=(1.0, 1.5))
    assert isinstance(array.image, np.ndarray)
    assert np.array_equal(array.image, tensor.image[0, 0].numpy())
    again = degrade(image, "motion", 0.5, seed=7, spacing=(1.0, 1.5))
    assert np.array_equal(array.image, again.image)
    assert not np.array_equal(array.image, degrade(image, "motion", 0.5, seed=8, spacing=(1.0, 1.5)).image)


@pytest.mark.parametrize("name", ["slice_motion", "anisotropy_in_plane", "noise"])
def test_volumes(name: str) -> None:
    image = head(26, 3)
    mask = image > 15
    result = degrade(image, name, 0.5, seed=3, spacing=(1.0, 1.0, 2.0), head=mask, monotone=False)
    assert result.image.shape == image.shape
    harm = damage(image, result.image, mask)
    assert float(result.damage) == pytest.approx(harm["damage"], abs=1e-6)
    assert float(result.nrmse) == pytest.approx(harm["nrmse"], abs=1e-6)


def test_double_precision_and_scale() -> None:
    image = head().astype(np.float64)
    once = degrade(image, "ghosting", 0.7, seed=1, monotone=False)
    assert once.image.dtype == np.float64
    larger = degrade(1000 * image, "ghosting", 0.7, seed=1, monotone=False)
    assert np.allclose(larger.image, 1000 * once.image, rtol=1e-3, atol=1)
    assert float(larger.damage) == pytest.approx(float(once.damage), abs=1e-4)


@pytest.mark.parametrize("name", ["coil_noise", "motion", "spike", "bias"])
@pytest.mark.parametrize("factor", [1e-20, 1e-12, 1e18])
def test_severities_do_not_depend_on_the_unit(name: str, factor: float) -> None:
    plain = degrade(head(), name, 0.6, seed=2)
    scaled = degrade(head() * np.float32(factor), name, 0.6, seed=2)
    assert np.allclose(scaled.image / np.float32(factor), plain.image, rtol=1e-4, atol=1e-3)
    for key in ("s_visible", "damage", "nrmse", "ssim"):
        assert float(getattr(scaled, key)) == pytest.approx(float(getattr(plain, key)), abs=1e-5), key
    assert float(plain.damage) > 0.01


def test_the_order_of_the_lines_can_be_chosen() -> None:
    image = head()
    results = {
        order: degrade(image, "motion", 0.8, seed=5, monotone=False, order=order, axis=0)
        for order in ("linear", "centric", "interleaved")
    }
    turns = [result.parameters["rotation"] for result in results.values()]
    assert all(torch.equal(turn, turns[0]) for turn in turns)
    pictures = [result.image for result in results.values()]
    assert all(not np.array_equal(first, second) for first, second in pairwise(pictures))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(KeyError):
        degrade(head(), "gremlins", 0.5, seed=0)
    with pytest.raises(ValueError, match="strength"):
        degrade(head(), "noise", 1.5, seed=0)
    with pytest.raises(ValueError, match="acts on images of 3 axes"):
        degrade(head(), "slice_motion", 0.5, seed=0)
    with pytest.raises(TypeError, match="floating point"):
        degrade(head().astype(np.int16), "noise", 0.5, seed=0)
    with pytest.raises(KeyError, match="did you mean 'noise'"):
        degrade(head(), "nois", 0.5, seed=0)
    with pytest.raises(ValueError, match="strength"):
        degrade(head(), "noise", float("nan"), seed=0)
    with pytest.raises(ValueError, match="strength must be one number"):
        degrade(head(), "noise", [0.1, 0.2, 0.3], seed=0)
    with pytest.raises(ValueError, match="not finite"):
        degrade(np.where(head() > 0, np.float32("nan"), head()), "noise", 0.5, seed=0)


@pytest.mark.parametrize("name", SLICE_NAMES)
def test_spacings_must_fit_the_axes(name: str) -> None:
    for wrong in ((1.0, 1.0, 1.0), (1.0,), ((1.0, 1.0, 1.0),)):
        for monotone in (False, True):
            with pytest.raises(ValueError, match="one voxel edge for each of the 2 axes"):
                degrade(head(), name, 1.0, seed=0, spacing=wrong, monotone=monotone)
    with pytest.raises(ValueError, match="one voxel edge"):
        damage_curve(head(), name, 0, spacing=(1.0, 1.0, 1.0))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("name", SLICE_NAMES)
def test_gpu_gives_the_same_numbers(name: str) -> None:
    image = torch.from_numpy(head())[None, None]
    here, there = degrade(image, name, 0.6, seed=4), degrade(image.cuda(), name, 0.6, seed=4)
    assert there.image.is_cuda
    for key in ("ssim", "nrmse", "s_visible"):
        assert torch.allclose(getattr(here, key), getattr(there, key), atol=1e-3), key
