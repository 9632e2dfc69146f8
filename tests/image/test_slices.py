# SPDX-License-Identifier: Apache-2.0
"""Slices and rough masks."""

from __future__ import annotations

import numpy as np
import pytest

from bidsqa.image import (
    Volume,
    acquisition_axis,
    head_extent,
    middle_indices,
    robust_range,
    rough_head,
    scored_axes,
    take_slice,
)
from bidsqa.image.intensity import otsu_threshold


def _volume(spacing: tuple[float, float, float]) -> Volume:
    return Volume.from_array(np.random.default_rng(0).random((20, 22, 24)), spacing)


def test_thick_slices_are_read_in_their_plane() -> None:
    assert acquisition_axis(_volume((4, 0.5, 0.5))) == 0
    assert scored_axes(_volume((0.5, 4, 0.5))) == (1,)


def test_near_isotropic_scans_are_read_in_all_planes_axial_first() -> None:
    assert scored_axes(_volume((1, 1, 1.2))) == (2, 0, 1)


@pytest.mark.parametrize(("extent", "fraction"), [((0, 100), 0.6), ((13, 60), 0.6), ((3, 9), 0.2), ((0, 3), 0.6)])
def test_middle_slices_are_centred_and_inside(extent: tuple[int, int], fraction: float) -> None:
    chosen = middle_indices(extent, fraction)
    assert extent[0] <= chosen[0] <= chosen[-1] < extent[1]
    assert len(chosen) >= min(5, extent[1] - extent[0])
    before, after = chosen[0] - extent[0], extent[1] - 1 - chosen[-1]
    assert abs(before - after) <= 1


def test_pictures_have_superior_or_anterior_on_top_and_left_on_the_left() -> None:
    data = np.zeros((5, 6, 7))
    data[0, 5, 6] = 1  # left, anterior, superior
    assert take_slice(data, 2, 6)[0, 0] == 1
    assert take_slice(data, 1, 5)[0, 0] == 1
    assert take_slice(data, 0, 0)[0, -1] == 1


def test_head_extent_of_a_box() -> None:
    mask = np.zeros((10, 11, 12), dtype=bool)
    mask[2:5, 3:9, 4] = True
    assert [head_extent(mask, axis) for axis in range(3)] == [(2, 5), (3, 9), (4, 5)]
    assert head_extent(np.zeros_like(mask), 1) == (0, 11)


def test_otsu_parts_two_classes() -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(10, 1, 5000), rng.normal(50, 3, 5000)])
    assert 15 < otsu_threshold(values) < 42


def test_rough_head_finds_a_noisy_ball_at_any_scale() -> None:
    grid = np.indices((60, 64, 56)) - 30
    ball = (grid**2).sum(axis=0) < 22**2
    noise = np.abs(np.random.default_rng(2).normal(0, 5, ball.shape))
    for scale in (1e-3, 1.0, 1e4):
        mask = rough_head(Volume.from_array(scale * (100 * ball + noise), (3, 3, 3)))
        overlap = 2 * (mask & ball).sum() / (mask.sum() + ball.sum())
        assert overlap > 0.95


def test_robust_range_never_collapses_on_sparse_images() -> None:
    sparse = np.zeros(10_000)
    sparse[:5] = 3
    low, high = robust_range(sparse)
    assert (low, high) == (0, 3)
