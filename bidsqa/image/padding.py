# SPDX-License-Identifier: Apache-2.0
"""Planes that were added to a scan: told from air that was blanked, and left out of what is measured."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Box = tuple[slice, slice, slice]
# of the first plane after padding: measured air or a head cut straight fills it; in blanked air a head ends round
STRAIGHT = 0.25
THINNEST = 3


def measured_block(data: Array) -> Box:
    """The block of the grid without the planes of one value that pad it.

    Whatever is measured in this block alone doesn't depend on how a scan was padded. Where the air was blanked the
    planes beyond the head stay: they are part of the field of view.

    Parameters
    ----------
    data : ndarray of float32, shape (X, Y, Z)

    Returns
    -------
    tuple of slice
        The whole grid where there is no padding.
    """
    whole = [(0, size) for size in data.shape]
    spans = [trimmed(data, axis, 0, size) for axis, size in enumerate(data.shape)]
    if any(high - low < THINNEST for low, high in spans):
        spans = whole
    block = data[tuple(slice(*span) for span in spans)]
    kept = []
    for axis, ((low, high), (_, size)) in enumerate(zip(spans, whole, strict=True)):
        first, last = block.take(0, axis), block.take(-1, axis)
        if low and np.mean(first != data.take(0, axis).flat[0]) < STRAIGHT:
            low = 0
        if high < size and np.mean(last != data.take(-1, axis).flat[0]) < STRAIGHT:
            high = size
        kept.append(slice(low, high))
    return kept[0], kept[1], kept[2]


def trimmed(data: Array, axis: int, low: int, high: int, least: int = 0) -> tuple[int, int]:
    """The span of planes along an axis without those of one value at its ends, at least ``least`` planes long."""
    while high - low > least and np.ptp(data.take(low, axis)) == 0:
        low += 1
    while high - low > least and np.ptp(data.take(high - 1, axis)) == 0:
        high -= 1
    return low, high
