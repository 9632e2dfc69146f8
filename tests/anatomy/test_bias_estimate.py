# SPDX-License-Identifier: Apache-2.0
"""The bias field against a planted one."""

from __future__ import annotations

import numpy as np
import pytest

from bidsqa.anatomy.bias_field import estimate, strong_shading
from bidsqa.anatomy.grids import coarsen, covering
from bidsqa.errors import NotComputable
from bidsqa.image import Volume


def shaded_ball(strength: float) -> tuple[Volume, np.ndarray, np.ndarray]:
    """A two-tissue ball of 120 mm under a smooth field along y."""
    shape = (76, 80, 74)
    axes = np.meshgrid(*[(np.arange(n) - (n - 1) / 2) * 2.0 for n in shape], indexing="ij")
    radius = np.sqrt(sum(a**2 for a in axes))
    inside = radius < 62
    tissue = np.where(np.sin(axes[0] / 6) * np.sin(axes[1] / 6) * np.sin(axes[2] / 6) > 0, 100.0, 60.0)
    field = np.exp(strength * axes[1] / 62)
    field /= field[inside].mean()
    noise = np.random.default_rng(0).normal(0, 2, shape)
    data = np.where(inside, tissue * field, 0) + np.abs(noise)
    return Volume.from_array(data.astype(np.float32), (2.0, 2.0, 2.0)), inside, field


def run(volume: Volume, inside: np.ndarray) -> np.ndarray:
    grid = covering(volume.shape, volume.spacing, 2.5)
    coarse = coarsen(volume.data, volume.spacing, grid)
    brain = coarsen(inside.astype(np.float32), volume.spacing, grid) > 0.5
    return estimate(volume, coarse, grid, brain)


def test_recovers_a_planted_field_with_mean_one() -> None:
    volume, inside, field = shaded_ball(0.3)
    found = run(volume, inside)
    assert found.shape == volume.shape
    assert found.dtype == np.float32
    assert float(found[inside].mean()) == pytest.approx(1.0, abs=0.01)
    assert np.corrcoef(found[inside], field[inside])[0, 1] > 0.95
    assert np.std(found[inside] / field[inside]) < 0.5 * np.std(field[inside])


def test_scale_does_not_matter() -> None:
    volume, inside, _ = shaded_ball(0.2)
    scaled = Volume.from_array(volume.data * 37.0, volume.spacing)
    np.testing.assert_allclose(run(scaled, inside), run(volume, inside), rtol=2e-3)


def test_strong_shading_is_found_without_a_classification() -> None:
    shape = (60, 70, 64)
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    planted = np.exp(0.5 * axes[1] - 0.3 * axes[2] ** 2)
    blocks = (np.indices(shape).sum(axis=0) // 6) % 2
    tissues = np.stack([np.zeros(shape), blocks == 0, blocks == 1]).astype(np.float32)
    noise = np.random.default_rng(0).normal(1, 0.05, shape)
    image = (np.where(blocks == 0, 100.0, 160.0) * planted * noise).astype(np.float32)
    found = strong_shading(image, tissues)
    assert np.std(np.log(found / planted)) < 0.02
    assert (strong_shading(image * 0, tissues) == 1).all()


def test_nothing_to_fit() -> None:
    volume, inside, _ = shaded_ball(0.2)
    with pytest.raises(NotComputable):
        run(volume, np.zeros_like(inside))
