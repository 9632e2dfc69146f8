# SPDX-License-Identifier: Apache-2.0
"""Natural backgrounds that are none: folded heads and filtered noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from bidsqa.anatomy import BACKGROUNDS, delineate
from bidsqa.anatomy.measured_air import field_of_view, folded_signal, is_denoised, is_wrapped
from bidsqa.image import Volume
from bidsqa.simulation import degrade_volume
from bidsqa.simulation.phantom import Phantom

Array = np.ndarray[Any, Any]
SHAPE = (60, 64, 56)


def noise(channels: int = 1, sigma: float = 20.0, seed: int = 0) -> Array:
    """Magnitude noise of root-sum-of-squares channels."""
    parts = np.random.default_rng(seed).normal(0, sigma, (2 * channels, *SHAPE))
    return np.sqrt((parts**2).sum(axis=0)).astype(np.float32)


EVERYWHERE = np.ones(SHAPE, dtype=bool)


@pytest.mark.parametrize("channels", [1, 4, 32])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_measured_noise_is_natural_in_any_unit(channels: int, scale: float) -> None:
    assert not is_denoised(noise(channels) * np.float32(scale), EVERYWHERE)


@pytest.mark.parametrize("levels", [0.7, 1.5, 3.0, 6.0])
def test_coarse_levels_are_no_filter(levels: float) -> None:
    """8-bit scans have air of a few grey levels, many of them 0."""
    assert not is_denoised(np.rint(noise(sigma=levels)), EVERYWHERE)


def test_zero_filling_is_no_filter() -> None:
    spectrum = np.fft.fftn(noise() * np.exp(2j * np.pi * np.random.default_rng(1).random(SHAPE)))
    for axis, size in enumerate(SHAPE):
        spectrum[(slice(None),) * axis + (slice(size // 4, size - size // 4),)] = 0
    assert not is_denoised(np.abs(np.fft.ifftn(spectrum)).astype(np.float32), EVERYWHERE)


@pytest.mark.parametrize(
    "filtered",
    [
        lambda data: np.maximum(data - 25, 0),
        lambda data: np.maximum(data - 15, 0),
        lambda data: np.where(data < 25, 0, data),
        lambda data: ndimage.gaussian_filter(data, 1.5),
        lambda data: ndimage.median_filter(data, 5),
        lambda data: ndimage.gaussian_filter(data, (1.8, 1.8, 0)),
    ],
    ids=["soft threshold", "noise floor subtracted", "hard threshold", "smooth", "median", "smooth in the plane"],
)
def test_filtered_noise_is_found(filtered: Any) -> None:
    assert is_denoised(filtered(noise()), EVERYWHERE)


def test_a_folded_head_goes_on_across_the_border() -> None:
    grid = np.stack(np.meshgrid(*[np.arange(size) - size / 2 for size in SHAPE], indexing="ij"))
    head = ((grid / np.array([26, 26, 24])[:, None, None, None]) ** 2).sum(axis=0) < 1
    data = np.where(head, 1000.0 + 5 * grid[1], 0) + noise()
    shares = []
    for keep in (60, 48, 40, 34):
        start = (SHAPE[0] - keep) // 2
        folded = np.zeros((keep, *SHAPE[1:]))
        np.add.at(folded, (np.arange(SHAPE[0]) - start) % keep, data)
        inside = head[start : start + keep]
        shares.append(folded_signal(folded, inside, 0, 1000.0))
        volume = Volume.from_array(folded)
        assert is_wrapped(volume, np.zeros_like(inside), inside, inside) == (keep < 60)
    assert shares[0] == 0 and shares == sorted(shares)


def test_padding_is_outside_the_field_of_view_and_blanked_air_is_not() -> None:
    head = np.zeros(SHAPE, dtype=bool)
    head[20:40, 20:40, 20:40] = True
    padding = np.zeros(SHAPE, dtype=bool)
    padding[:5] = padding[:, -3:] = True
    data = np.where(padding, 0, noise())
    assert field_of_view(data, padding, head) == (slice(5, 60), slice(0, 61), slice(0, 56))
    assert field_of_view(np.where(head, data, 0), ~head, head) == tuple(slice(0, size) for size in SHAPE)


def test_the_phantom_by_its_background(phantom: Phantom, t1w: Volume) -> None:
    smooth = Volume.from_array(np.where(phantom.truth.head, t1w.data, np.maximum(t1w.data - 15, 0)), t1w.spacing)
    found = delineate(smooth)
    assert found.background == "denoised"
    assert "filter" in found.problems["air"]
    wrapped = degrade_volume(t1w, "wrap", 1.0, 1, axis=1)[0]
    assert delineate(wrapped).background == "wrapped"
    assert set(BACKGROUNDS) > {"denoised", "wrapped", "natural"}
