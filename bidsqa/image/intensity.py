# SPDX-License-Identifier: Apache-2.0
"""Intensity ranges and a quick look at where the head is, for any contrast."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from bidsqa.image.volume import Volume

Array = np.ndarray[Any, Any]
COARSE_MM = 3.0


def robust_range(values: Array, low: float = 0.5, high: float = 99.5) -> tuple[float, float]:
    """Two percentiles of the values.

    Parameters
    ----------
    values : ndarray
        Not empty, finite.
    low, high : float
        Percentiles, 0-100.

    Returns
    -------
    tuple of float
        Lower and upper bound in the unit of the values; the upper is above the lower unless the values are constant.
    """
    bottom, top = np.percentile(values, (low, high))
    if top <= bottom:
        bottom, top = values.min(), values.max()
    return float(bottom), float(top)


def clipped_fraction(values: Array) -> float:
    """Share of the brighter half of the positive values that sit at the very maximum, 0-2 (2: all of them)."""
    highest = values.max(initial=0)
    positive = np.count_nonzero(values > 0)
    return float(np.count_nonzero(values == highest) / (0.5 * positive)) if highest > 0 else 0.0


def otsu_threshold(values: Array, bins: int = 256) -> float:
    """Threshold that best parts the values in two classes (Otsu 1979, doi 10.1109/TSMC.1979.4310076, Eq. 12)."""
    counts, edges = np.histogram(values, bins=bins)
    centres = 0.5 * (edges[:-1] + edges[1:])
    below = np.cumsum(counts, dtype=np.float64)
    above = below[-1] - below
    sums = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    between = np.nan_to_num(between[:-1])
    # well separated classes leave a plateau of equal thresholds; its middle is the safest
    return float(centres[np.flatnonzero(between >= between.max() * (1 - 1e-9))].mean())


def rough_head(volume: Volume) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """A cheap mask of the head (or of the stripped brain), good enough to place windows and slices.

    The image is averaged to about 3 mm, its square root parted by Otsu's threshold (the square root keeps dark
    tissue with the head), opened, the largest piece filled and brought back to the scan's grid.

    Returns
    -------
    ndarray of bool, shape (X, Y, Z)
        All True where nothing could be told apart.
    """
    factors = [max(1, round(COARSE_MM / edge)) for edge in volume.spacing]
    coarse = _block_mean(np.clip(volume.data, 0, None), factors)
    top = float(np.percentile(coarse, 99))
    if top <= 0:
        return np.ones(volume.shape, dtype=bool)
    scaled = np.sqrt(np.clip(coarse / top, 0, 1))
    mask = scaled > 0.8 * otsu_threshold(scaled)
    opened = ndimage.binary_opening(mask)
    labels, count = ndimage.label(opened if opened.any() else mask)
    if count == 0:
        return np.ones(volume.shape, dtype=bool)
    sizes = np.bincount(labels.ravel())[1:]
    piece = ndimage.binary_closing(labels == 1 + int(np.argmax(sizes)), iterations=2) | (
        labels == 1 + int(np.argmax(sizes))
    )
    filled = ndimage.binary_fill_holes(piece)
    fine = filled
    for axis, factor in enumerate(factors):
        fine = np.repeat(fine, factor, axis=axis)
        short = volume.shape[axis] - fine.shape[axis]
        if short > 0:
            pad = [(0, short if other == axis else 0) for other in range(3)]
            fine = np.pad(fine, pad, mode="edge")
    return np.asarray(fine[: volume.shape[0], : volume.shape[1], : volume.shape[2]])


def _block_mean(data: Array, factors: list[int]) -> Array:
    """Mean over blocks; the incomplete blocks at the far border are left out."""
    kept = [size // factor for size, factor in zip(data.shape, factors, strict=True)]
    cut = data[tuple(slice(0, count * factor) for count, factor in zip(kept, factors, strict=True))]
    for axis in (2, 1, 0):
        shape = (*cut.shape[:axis], kept[axis], factors[axis], *cut.shape[axis + 1 :])
        cut = cut.reshape(shape).mean(axis=axis + 1)
    return cut
