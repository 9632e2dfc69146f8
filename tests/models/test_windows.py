# SPDX-License-Identifier: Apache-2.0
"""Slices on a network's grid: resampling keeps what it should, the window sits on the head."""

from __future__ import annotations

import numpy as np
import pytest

from bidsqa.image import take_slice
from bidsqa.models.windows import block_mean, cut_windows, plane_edges, resampling_matrix


def test_the_target_spacing_copies_pixels_untouched() -> None:
    line = np.random.default_rng(0).random(100).astype(np.float32)
    result = resampling_matrix(100, 1.0, 49.5, 64, 1.0) @ line
    np.testing.assert_array_equal(result, line[18:82])


def test_what_lies_outside_is_zero() -> None:
    result = resampling_matrix(10, 1.0, 4.5, 20, 1.0) @ np.ones(10, dtype=np.float32)
    np.testing.assert_array_equal(result, np.r_[np.zeros(5), np.ones(10), np.zeros(5)])


@pytest.mark.parametrize("edge", [0.4, 0.72, 0.9, 1.15, 1.5, 2.0])
def test_constants_and_lines_survive_any_spacing(edge: float) -> None:
    count = round(300 / edge)
    matrix = resampling_matrix(count, edge, (count - 1) / 2, 100, 1.0)
    np.testing.assert_allclose(matrix @ np.ones(count), 1, atol=2e-3)
    position = (np.arange(count) - (count - 1) / 2) * edge
    np.testing.assert_allclose(matrix @ position, np.arange(100) - 49.5, atol=0.03)


def test_finer_detail_than_the_target_does_not_alias() -> None:
    # 0.8 cycles a mm: above what 1 mm pixels can hold
    edge, count = 0.4, 600
    wave = np.cos(2 * np.pi * 0.8 * np.arange(count) * edge)
    result = resampling_matrix(count, edge, (count - 1) / 2, 200, 1.0) @ wave
    assert np.abs(result[5:-5]).max() < 0.12


def test_the_same_head_fills_the_same_window_at_any_voxel_size() -> None:
    windows = []
    for edge in (0.6, 0.8, 1.0):
        count = round(240 / edge)
        axis = (np.arange(count) - (count - 1) / 2) * edge
        disc = 1 / (1 + np.exp((np.hypot(axis[:, None], axis[None]) - 70) / 1.5))
        data = np.repeat(disc[:, :, None], 3, axis=2).astype(np.float32)
        image, head = cut_windows(data, data > 0.5, (edge, edge, 1.0), 2, np.array([1]), 160, 1.0)
        assert head.min() >= 0
        assert head.max() <= 1 + 1e-6
        windows.append(image[0])
    for other in windows[:2]:
        assert np.abs(other - windows[2]).max() < 0.25  # half a pixel's shift at the edge
        assert np.abs(other - windows[2]).mean() < 0.004


def test_rows_and_columns_have_their_own_edges() -> None:
    assert plane_edges((1.0, 2.0, 3.0), 0) == (3.0, 2.0)
    assert plane_edges((1.0, 2.0, 3.0), 1) == (3.0, 1.0)
    assert plane_edges((1.0, 2.0, 3.0), 2) == (2.0, 1.0)
    data = np.zeros((10, 20, 30))
    for axis in range(3):
        edges = plane_edges((10.0, 20.0, 30.0), axis)
        assert tuple(int(edge) for edge in edges) == take_slice(data, axis, 0).shape


def test_a_head_taller_than_the_window_keeps_its_top() -> None:
    data = np.zeros((40, 60, 400), dtype=np.float32)
    data[10:30, 10:50, 20:390] = 1
    data[10:30, 10:50, 385:390] = 2  # the vertex
    image, _ = cut_windows(data, data > 0, (1.0, 1.0, 1.0), 0, np.array([20]), 224, 1.0)
    assert image[0, :12].max() == 2
    assert image[0, -1].max() == 1


def test_shifting_the_head_in_its_frame_changes_nothing() -> None:
    generator = np.random.default_rng(3)
    small = np.zeros((120, 120, 5), dtype=np.float32)
    small[20:101, 30:91] = generator.random((81, 61, 5)) + 1
    moved = np.roll(np.pad(small, ((17, 40), (9, 3), (0, 0))), (4, -2), (0, 1))
    first = cut_windows(small, small > 0, (1.0, 1.0, 1.0), 2, np.array([2]), 128, 1.0)
    second = cut_windows(moved, moved > 0, (1.0, 1.0, 1.0), 2, np.array([2]), 128, 1.0)
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_block_means() -> None:
    image = np.arange(16.0).reshape(1, 4, 4)
    np.testing.assert_allclose(block_mean(image, 2)[0], [[2.5, 4.5], [10.5, 12.5]])
