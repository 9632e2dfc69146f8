# SPDX-License-Identifier: Apache-2.0
"""Between the scan's grid and a coarse isotropic one, by one small matrix an axis.

Area averages and linear interpolation are separable, so each is three matrix products: exact for any voxel size,
without a resampling library, and as fast as the memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

Array = np.ndarray[Any, Any]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Grid:
    """An isotropic grid over a scan, axes parallel to the scan's.

    Parameters
    ----------
    step : float
        Voxel edge in mm.
    origin : tuple of float
        Centre of the first voxel in mm from the centre of the scan's first voxel.
    shape : tuple of int
    """

    step: float
    origin: tuple[float, float, float]
    shape: tuple[int, int, int]

    def part(self, box: Box) -> Grid:
        """The grid of a block of this one."""
        starts = [window.start for window in box]
        shape = tuple(window.stop - window.start for window in box)
        origin = tuple(first + self.step * start for first, start in zip(self.origin, starts, strict=True))
        return Grid(self.step, (origin[0], origin[1], origin[2]), (shape[0], shape[1], shape[2]))


def covering(shape: tuple[int, int, int], spacing: tuple[float, float, float], step: float) -> Grid:
    """The grid that covers a scan, centred on it (so that flips of the scan flip the grid)."""
    sizes, origins = [], []
    for count, edge in zip(shape, spacing, strict=True):
        size = max(1, int(np.ceil(count * edge / step)))
        sizes.append(size)
        origins.append(0.5 * (count - 1) * edge - 0.5 * (size - 1) * step)
    return Grid(step, (origins[0], origins[1], origins[2]), (sizes[0], sizes[1], sizes[2]))


def coarsen(data: Array, spacing: tuple[float, float, float], grid: Grid) -> Array:
    """Average the scan onto the coarse grid; parts of the grid outside the scan become 0.

    Parameters
    ----------
    data : ndarray, shape (X, Y, Z)
    spacing : tuple of float
        Voxel edges in mm. Axes coarser than the grid are interpolated linearly.
    grid : Grid

    Returns
    -------
    ndarray of float32
    """
    result = data
    for axis in (2, 1, 0):
        positions = grid.origin[axis] + grid.step * np.arange(grid.shape[axis])
        result = _along(result, _averaging(positions, grid.step, data.shape[axis], spacing[axis]), axis)
    return np.ascontiguousarray(result, dtype=np.float32)


def refine(coarse: Array, grid: Grid, spacing: tuple[float, float, float], box: Box) -> Array:
    """Linear interpolation of a coarse map at the voxels of a block of the scan; constant beyond the coarse grid.

    Parameters
    ----------
    coarse : ndarray of float, shape ``grid.shape``
    grid : Grid
    spacing : tuple of float
        Of the scan, mm.
    box : tuple of slice
        Block of the scan.

    Returns
    -------
    ndarray of float32, shape of the block
    """
    result = coarse.astype(np.float32, copy=False)
    for axis in (0, 1, 2):
        centres = spacing[axis] * np.arange(box[axis].start, box[axis].stop)
        places = np.clip((centres - grid.origin[axis]) / grid.step, 0, grid.shape[axis] - 1)
        result = _along(result, _hats(places, grid.shape[axis]), axis)
    return np.ascontiguousarray(result)


def voxels_of(
    box: Box, grid: Grid, spacing: tuple[float, float, float], shape: tuple[int, int, int], margin: float
) -> Box:
    """The block of the scan that holds a block of the coarse grid and ``margin`` mm around it."""
    windows = []
    for axis in range(3):
        low = grid.origin[axis] + grid.step * (box[axis].start - 0.5) - margin
        high = grid.origin[axis] + grid.step * (box[axis].stop - 0.5) + margin
        start = int(np.clip(np.floor(low / spacing[axis]), 0, shape[axis] - 1))
        stop = int(np.clip(np.ceil(high / spacing[axis]) + 1, start + 1, shape[axis]))
        windows.append(slice(start, stop))
    return windows[0], windows[1], windows[2]


def bounding_box(mask: Array, margin: int = 0) -> Box:
    """The smallest block with all voxels of a mask and a margin in voxels; the whole grid for an empty mask."""
    windows = []
    for axis in range(3):
        touched = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        if touched.size == 0:
            windows.append(slice(0, mask.shape[axis]))
        else:
            windows.append(
                slice(max(0, int(touched[0]) - margin), min(mask.shape[axis], int(touched[-1]) + 1 + margin))
            )
    return windows[0], windows[1], windows[2]


def largest_piece(mask: Array) -> Array:
    """The largest connected piece (faces), all False for an empty mask."""
    labels, count = ndimage.label(mask)
    if count == 0:
        return np.zeros(mask.shape, dtype=bool)
    return np.asarray(labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:])))


def _along(data: Array, matrix: Array, axis: int) -> Array:
    """Matrix (m, n) applied to the lines of one axis of length n."""
    x, y, z = data.shape
    if axis == 0:
        return (matrix @ data.reshape(x, y * z)).reshape(matrix.shape[0], y, z)
    if axis == 1:
        return np.matmul(matrix, data)
    return (data.reshape(x * y, z) @ matrix.T).reshape(x, y, matrix.shape[0])


def _averaging(positions: Array, step: float, count: int, edge: float) -> Array:
    """Shares of the scan's voxels in coarse voxels (area overlap), or linear weights where the scan is coarser."""
    if edge > 0.75 * step:
        places = positions / edge
        weights = _hats(np.clip(places, 0, count - 1), count)
        weights[(places < -0.5 - 1e-6) | (places > count - 0.5 + 1e-6)] = 0
        return weights
    centres = edge * np.arange(count)
    overlap = 0.5 * (step + edge) - np.abs(positions[:, None] - centres[None])
    weights = np.clip(np.minimum(overlap, edge), 0, None)
    return (weights / step).astype(np.float32)


def _hats(places: Array, count: int) -> Array:
    """Linear interpolation weights at fractional indices, shape (len(places), count)."""
    return np.clip(1 - np.abs(places[:, None] - np.arange(count)[None]), 0, None).astype(np.float32)
