# SPDX-License-Identifier: Apache-2.0
"""Padding is told from blanked air, and changes nothing that is measured."""

from __future__ import annotations

import numpy as np
import pytest

from bidsqa.anatomy import delineate
from bidsqa.image import Volume, measured_block
from bidsqa.metrics import measure
from bidsqa.simulation.phantom import make_phantom

SHAPE = (40, 44, 36)


def noise() -> np.ndarray:
    return np.random.default_rng(0).rayleigh(10, SHAPE).astype(np.float32)


@pytest.mark.parametrize("constant", [0.0, -7.0])
@pytest.mark.parametrize("widths", [((0, 0), (0, 0), (0, 0)), ((3, 0), (0, 25), (60, 1))])
def test_planes_of_one_value_are_left_out(widths: tuple[tuple[int, int], ...], constant: float) -> None:
    padded = np.pad(noise(), widths, constant_values=constant)
    box = measured_block(padded)
    assert np.array_equal(padded[box], noise())


def test_air_that_was_blanked_is_kept() -> None:
    axes = np.meshgrid(*[np.linspace(-1.6, 1.6, size) for size in SHAPE], indexing="ij")
    head = noise() * (sum(axis**2 for axis in axes) < 1)
    assert measured_block(head) == tuple(slice(0, size) for size in SHAPE)


def test_a_head_cut_straight_and_padded_is_still_cut() -> None:
    axes = np.meshgrid(*[np.linspace(-1.2, 1.2, size) for size in SHAPE], indexing="ij")
    head = noise() * (sum(axis**2 for axis in axes) < 1)
    head[:, :, 24:] = 0
    assert measured_block(head)[2] == slice(0, 24)


@pytest.mark.parametrize("data", [np.ones(SHAPE), np.pad(np.arange(8.0).reshape(2, 2, 2), 4)])
def test_without_an_image_nothing_is_left_out(data: np.ndarray) -> None:
    assert measured_block(data.astype(np.float32)) == tuple(slice(0, size) for size in data.shape)


def test_a_block_keeps_its_place_in_the_world() -> None:
    volume = Volume.from_array(noise(), (1.0, 2.0, 3.0))
    part = volume.part((slice(4, 20), slice(0, 44), slice(10, 30)))
    assert part.shape == part.facts.shape == (16, 44, 20)
    assert np.allclose(part.affine @ [0, 0, 0, 1], volume.affine @ [4, 0, 10, 1])


@pytest.mark.parametrize("width", [3, 30])
def test_padding_changes_no_mask_and_no_metric(width: int) -> None:
    scan = make_phantom(seed=0, spacing=(3.0, 3.0, 3.0)).image("T1w", seed=1)
    padded = Volume.from_array(np.pad(scan.data, width), scan.spacing)
    plain, anatomy = delineate(scan), delineate(padded)
    inner = (slice(width, -width),) * 3
    assert np.array_equal(anatomy.part(inner).dseg, plain.dseg)
    assert anatomy.background == plain.background
    assert anatomy.frame[0].all() and anatomy.brain.sum() == plain.brain.sum()
    expected, found = measure(scan, plain)[0], measure(padded, anatomy)[0]
    assert {key for key in expected if expected[key] != found[key]} == {"size_x", "size_y", "size_z"}
