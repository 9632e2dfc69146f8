# SPDX-License-Identifier: Apache-2.0
"""Coarse grids: averages are kept, lines stay lines, flips commute."""

from __future__ import annotations

import numpy as np
import pytest

from bidsqa.anatomy.grids import bounding_box, coarsen, covering, refine, voxels_of

SPACINGS = [(1.0, 1.0, 1.0), (0.5, 0.5, 4.0), (2.5, 2.5, 2.5), (0.87, 1.3, 6.0)]


@pytest.mark.parametrize("spacing", SPACINGS)
def test_constant_stays_constant_inside(spacing: tuple[float, float, float]) -> None:
    shape = (31, 40, 22)
    grid = covering(shape, spacing, 2.5)
    coarse = coarsen(np.full(shape, 7.0, dtype=np.float32), spacing, grid)
    inner = coarse[1:-1, 1:-1, 1:-1]
    np.testing.assert_allclose(inner, 7.0, rtol=1e-5)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_ramp_survives_both_ways(spacing: tuple[float, float, float]) -> None:
    shape = (64, 50, 30)
    axes = np.meshgrid(*[np.arange(n) * e for n, e in zip(shape, spacing, strict=True)], indexing="ij")
    ramp = (axes[0] + 2 * axes[1] - axes[2]).astype(np.float32)
    grid = covering(shape, spacing, 2.5)
    whole = tuple(slice(0, n) for n in shape)
    back = refine(coarsen(ramp, spacing, grid), grid, spacing, (whole[0], whole[1], whole[2]))
    cut = tuple(slice(max(2, int(8 / e)), -max(2, int(8 / e))) for e in spacing)
    np.testing.assert_allclose(back[cut], ramp[cut], atol=0.35 * max(*spacing, 2.5))


def test_total_mass_is_kept() -> None:
    generator = np.random.default_rng(0)
    data = np.zeros((40, 40, 40), dtype=np.float32)
    data[10:30, 10:30, 10:30] = generator.random((20, 20, 20))
    grid = covering(data.shape, (1.0, 1.0, 1.0), 2.5)
    assert coarsen(data, (1.0, 1.0, 1.0), grid).sum() * 2.5**3 == pytest.approx(float(data.sum()), rel=1e-4)


def test_flips_commute() -> None:
    data = np.random.default_rng(1).random((33, 21, 17)).astype(np.float32)
    spacing = (0.9, 1.1, 3.0)
    grid = covering(data.shape, spacing, 2.5)
    for axis in range(3):
        flipped = coarsen(np.flip(data, axis).copy(), spacing, grid)
        np.testing.assert_allclose(np.flip(flipped, axis), coarsen(data, spacing, grid), atol=1e-5)


def test_boxes() -> None:
    mask = np.zeros((10, 12, 14), dtype=bool)
    assert bounding_box(mask) == (slice(0, 10), slice(0, 12), slice(0, 14))
    mask[3:5, 6, 13] = True
    assert bounding_box(mask, 1) == (slice(2, 6), slice(5, 8), slice(12, 14))
    grid = covering((20, 20, 20), (1.0, 1.0, 1.0), 2.0)
    box = voxels_of((slice(0, 2), slice(4, 6), slice(9, 10)), grid, (1.0, 1.0, 1.0), (20, 20, 20), 0.0)
    assert box[0].start == 0
    assert box[0].stop >= 4
    assert box[2].stop == 20
