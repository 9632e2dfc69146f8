# SPDX-License-Identifier: Apache-2.0
"""Slices on a fixed grid for a network: resampled to a set pixel size, cut or padded to a window around the head."""

from __future__ import annotations

from typing import Any

import numpy as np

from bidsqa.image import take_slice

Array = np.ndarray[Any, Any]
NEAR = 0.02
KERNEL_SUPPORT = 2.0


def cubic_kernel(distance: Array) -> Array:
    """Cubic convolution kernel with a = -1/2 (Keys 1981, doi 10.1109/TASSP.1981.1163711, Eq. 15)."""
    size = np.abs(distance)
    near = (1.5 * size - 2.5) * size**2 + 1
    far = ((-0.5 * size + 2.5) * size - 4) * size + 2
    kernel: Array = np.where(size < 1, near, np.where(size < KERNEL_SUPPORT, far, 0.0))
    return kernel


def resampling_matrix(count: int, edge: float, centre: float, window: int, target: float) -> Array:
    """Matrix that takes a line of samples to a window of another spacing.

    Where the samples are coarser than the target they are interpolated; where finer, the kernel is widened by the ratio
    so that nothing aliases. Samples outside the line count as zero. Where the spacings agree within 2 % the samples are
    copied, not interpolated.

    Parameters
    ----------
    count : int
        Samples of the line.
    edge, target : float
        Sample spacing before and after, mm.
    centre : float
        Sample position (may lie between samples) that comes to the middle of the window.
    window : int
        Samples of the window.

    Returns
    -------
    ndarray of float32, shape (window, count)
    """
    offsets = np.arange(window) - (window - 1) / 2
    if abs(edge / target - 1) < NEAR:
        chosen = _copied_middle(centre, window) + offsets
        return np.asarray(np.arange(count)[None] == chosen[:, None], dtype=np.float32)
    position = centre + offsets * target / edge
    stretch = max(1.0, target / edge)
    weights = cubic_kernel((position[:, None] - np.arange(count)[None]) / stretch) / stretch
    if stretch > 1:
        # a stretched kernel sums to one only nearly; lines that reach outside keep their smaller sum
        inside = (position > KERNEL_SUPPORT * stretch) & (position < count - 1 - KERNEL_SUPPORT * stretch)
        totals = np.where(inside, weights.sum(axis=1), 1.0)
        weights = weights / totals[:, None]
    return np.asarray(weights, dtype=np.float32)


def _copied_middle(centre: float, window: int) -> float:
    """The position nearest to ``centre`` around which a window of whole samples lies."""
    return float(np.floor(centre) + 0.5 if window % 2 == 0 else np.floor(centre + 0.5))


def plane_edges(spacing: tuple[float, float, float], axis: int) -> tuple[float, float]:
    """Pixel edges (rows, columns) in mm of a slice across ``axis``, as :func:`bidsqa.image.take_slice` lays it out."""
    first, second = (edge for place, edge in enumerate(spacing) if place != axis)
    return second, first


def cut_windows(
    data: Array, head: Array, spacing: tuple[float, float, float], axis: int, indices: Array, window: int, target: float
) -> tuple[Array, Array]:
    """Windows of slices around the head, and where the head is in them.

    The window's middle is the middle of the head's extent in the plane; where the head is taller than the window, its
    lower end (neck, in sagittal and coronal slices) is cut.

    Parameters
    ----------
    data : ndarray of float32, shape (X, Y, Z)
    head : ndarray of bool, shape (X, Y, Z)
    spacing : tuple of float
        Voxel edges, mm.
    axis : int
        Normal of the slices.
    indices : ndarray of int
        Slices.
    window : int
        Pixels a side.
    target : float
        Pixel edge of the window, mm.

    Returns
    -------
    windows : ndarray of float32, shape (N, window, window)
        In the unit of ``data``; zero outside the image.
    heads : ndarray of float32, shape (N, window, window)
        Share of head, 0-1.
    """
    edges = plane_edges(spacing, axis)
    outline = take_slice(np.asarray(head.any(axis=axis, keepdims=True)), axis, 0)
    rows, columns = (
        resampling_matrix(count, edge, _middle(outline, side, edge, window, target), window, target)
        for side, (count, edge) in enumerate(zip(outline.shape, edges, strict=True))
    )
    fractions = [_area(matrix) for matrix in (rows, columns)]
    windows = [rows @ take_slice(data, axis, int(index)) @ columns.T for index in indices]
    heads = [fractions[0] @ take_slice(head, axis, int(index)).astype(np.float32) @ fractions[1].T for index in indices]
    return np.stack(windows).astype(np.float32), np.stack(heads).astype(np.float32)


def window_place(
    head: Array, spacing: tuple[float, float, float], axis: int, window: int, target: float
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where the windows of :func:`cut_windows` lie in the slice's picture, whose pixel i reaches from i to i + 1.

    Parameters
    ----------
    head, spacing, axis, window, target
        As there.

    Returns
    -------
    start : tuple of float
        Row and column where the window begins; outside the picture where the window is larger.
    pixel : tuple of float
        Height and width of a pixel of the window, in pixels of the picture.
    """
    outline = take_slice(np.asarray(head.any(axis=axis, keepdims=True)), axis, 0)
    start, pixel = [], []
    for side, edge in enumerate(plane_edges(spacing, axis)):
        middle = _middle(outline, side, edge, window, target)
        copied = abs(edge / target - 1) < NEAR
        size = 1.0 if copied else target / edge
        if copied:
            middle = _copied_middle(middle, window)
        start.append(middle + 0.5 - 0.5 * window * size)
        pixel.append(size)
    return (start[0], start[1]), (pixel[0], pixel[1])


def _area(matrix: Array) -> Array:
    """The same resampling without negative lobes, for masks: results stay within 0-1."""
    positive = np.clip(matrix, 0, None)
    totals = positive.sum(axis=1, keepdims=True)
    share: Array = np.divide(positive, totals, out=np.zeros_like(positive), where=totals > 0) * np.minimum(
        1.0, np.maximum(matrix.sum(axis=1, keepdims=True), 0.0)
    )
    return share


def _middle(outline: Array, side: int, edge: float, window: int, target: float) -> float:
    """Position along a side of the picture that the window is centred on."""
    touched = np.flatnonzero(outline.any(axis=1 - side))
    if touched.size == 0:
        return (outline.shape[side] - 1) / 2
    low, high = float(touched[0]), float(touched[-1])
    half = 0.5 * window * target / edge
    if side == 0 and high - low + 1 > 2 * half:
        return low + 0.96 * half
    return 0.5 * (low + high)


def block_mean(images: Array, size: int) -> Array:
    """Means over blocks of ``size`` x ``size`` pixels: (N, H, W) to (N, H/size, W/size)."""
    count, rows, columns = images.shape
    means: Array = images.reshape(count, rows // size, size, columns // size, size).mean(axis=(2, 4))
    return means
