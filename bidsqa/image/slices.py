# SPDX-License-Identifier: Apache-2.0
"""Which slices of a scan are judged, and how a slice is laid out for the eye."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bidsqa.image.volume import Volume

PLANES = ("sagittal", "coronal", "axial")
THICK_SLICE_RATIO = 1.5
MINIMUM_SLICES = 5

Array = np.ndarray[Any, Any]


def acquisition_axis(volume: Volume) -> int:
    """Axis across the acquired slices.

    Returns
    -------
    int
        The axis of the largest voxel edge where it is at least 1.5 times the smallest (a scan with thick slices),
        else 2: near-isotropic scans are read in axial slices.
    """
    return thick_axis(volume.spacing)


def thick_axis(spacing: Sequence[float]) -> int:
    """As :func:`acquisition_axis`, from the voxel edges alone."""
    return int(np.argmax(spacing)) if max(spacing) >= THICK_SLICE_RATIO * min(spacing) else 2


def scored_axes(volume: Volume) -> tuple[int, ...]:
    """Slice axes worth judging: the acquisition axis, then the others where the voxels are near-isotropic."""
    first = acquisition_axis(volume)
    if volume.anisotropy >= THICK_SLICE_RATIO:
        return (first,)
    return (first, *(axis for axis in range(3) if axis != first))


def head_extent(mask: Array, axis: int) -> tuple[int, int]:
    """First and one-past-last slice along ``axis`` that the mask touches; the whole axis for an empty mask.

    Parameters
    ----------
    mask : ndarray of bool, shape (X, Y, Z)
    axis : int
    """
    touched = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
    if touched.size == 0:
        return 0, mask.shape[axis]
    return int(touched[0]), int(touched[-1]) + 1


def middle_indices(extent: tuple[int, int], fraction: float) -> Array:
    """Indices of the middle slices of an extent.

    Parameters
    ----------
    extent : tuple of int
        First and one-past-last slice.
    fraction : float
        Share of the extent to keep, 0 < fraction <= 1 (Hays et al. 2025 take the middle 0.6).

    Returns
    -------
    ndarray of int
        At least five slices where the extent has as many, else all.
    """
    low, high = extent
    count = high - low
    kept = max(round(fraction * count), min(MINIMUM_SLICES, count))
    start = low + (count - kept) // 2
    return np.arange(start, start + kept)


def take_slice(data: Array, axis: int, index: int) -> Array:
    """One slice of a RAS+ array as a picture: superior (or anterior, in axial slices) on top.

    Sagittal slices have anterior at the right; coronal and axial slices have the patient's left on the left
    (neurological convention).

    Parameters
    ----------
    data : ndarray, shape (X, Y, Z)
    axis : int
    index : int

    Returns
    -------
    ndarray, 2D
        A view; row 0 is the top.
    """
    plane = data[(slice(None),) * axis + (index,)]
    return plane.T[::-1]
