# SPDX-License-Identifier: Apache-2.0
"""Artifact severity of a scan: slices at native pixels through a small network, the field by a polynomial.

After Hays et al. (MIDL 2025): 0 is clean, 1 the review threshold. The network reads the strength of noise, motion,
ghosting, bias and blur from each slice; the field of the whole head comes from an untrained fit, since one slice can't
tell a field from anatomy. Every reading is divided by what clean scans of sites not trained on reach at most (their
95th percentile), and the scan's severity is the largest.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from bidsqa.image import Volume, rough_head, take_slice
from bidsqa.models.aggregation import choose_slices, plane_scores, standard_error
from bidsqa.models.loading import Network
from bidsqa.models.score import Score
from bidsqa.models.windows import plane_edges

Array = np.ndarray[Any, Any]
FAMILIES = ("noise", "motion", "ghosting", "bias", "blur")
WINDOW = 192
HAYS_WINDOW = 224
BATCH = 8
SLICES_PER_PLANE = 10
CEILING = 6.0
GRID = 16
POWER = 4


def window_middle(outline: Array, window: int) -> tuple[float, float]:
    """Row and column that a window is centred on: the head's middle; a head taller than the window loses its lower end.

    Parameters
    ----------
    outline : ndarray of bool, shape (rows, columns)
        Shadow of the head in the slice's plane, superior (or anterior) on top.
    window : int
        Pixels a side.
    """
    middle = []
    for side in (0, 1):
        touched = np.flatnonzero(outline.any(axis=1 - side))
        low, high = (int(touched[0]), int(touched[-1])) if touched.size else (0, outline.shape[side] - 1)
        if side == 0 and high - low + 1 > window and outline.shape[0] > 1.15 * outline.shape[1]:
            middle.append(low + 0.48 * window)
        else:
            middle.append(0.5 * (low + high))
    return middle[0], middle[1]


def cut_native(picture: Array, middle: tuple[float, float], window: int) -> Array:
    """Window of (window, window) pixels around a position, zero outside the picture; nothing is resampled."""
    result = np.zeros((window, window), dtype=picture.dtype)
    source, target = [], []
    for side in (0, 1):
        start = round(middle[side] - (window - 1) / 2)
        low, high = max(start, 0), min(start + window, picture.shape[side])
        source.append(slice(low, max(high, low)))
        target.append(slice(low - start, low - start + max(high - low, 0)))
    result[target[0], target[1]] = picture[source[0], source[1]]
    return result


def native_windows(volume: Volume, head: Array, axis: int, indices: Array, window: int) -> tuple[Array, Array]:
    """Slices and their head masks as windows at native pixels.

    Parameters
    ----------
    volume : Volume
    head : ndarray of bool, shape (X, Y, Z)
    axis : int
        Normal of the slices.
    indices : ndarray of int
    window : int

    Returns
    -------
    windows : ndarray of float32, shape (N, window, window)
    heads : ndarray of bool, shape (N, window, window)
    """
    outline = take_slice(np.moveaxis(head.any(axis=axis)[None], 0, axis), axis, 0)
    middle = window_middle(outline, window)
    windows = [cut_native(take_slice(volume.data, axis, int(index)), middle, window) for index in indices]
    heads = [cut_native(take_slice(head, axis, int(index)), middle, window) for index in indices]
    return np.stack(windows), np.stack(heads)


def normalise(windows: Array, heads: Array) -> Array:
    """Slices in units of their head's mean, clipped at 6; negative values (signed noise, phase) become their magnitude."""
    size = np.abs(windows)
    counts = np.maximum(heads.sum(axis=(1, 2)), 1)
    level = (size * heads).sum(axis=(1, 2)) / counts
    whole = size.mean(axis=(1, 2))
    level = np.where(level > 0, level, np.where(whole > 0, whole, 1.0))
    scaled: Array = np.clip(size / level[:, None, None], 0, CEILING).astype(np.float32)
    return scaled


def slice_scalars(windows: Array, heads: Array, edges: Array) -> Array:
    """Seven numbers a slice that a window can't show or a network can't count.

    Parameters
    ----------
    windows : ndarray of float32, shape (N, H, W)
        From :func:`normalise`.
    heads : ndarray of bool, shape (N, H, W)
    edges : ndarray, shape (N, 3)
        Pixel height and width, slice distance, mm.

    Returns
    -------
    ndarray of float32, shape (N, 7)
        Logarithm of the three edges; mean and SD of the air times 5 (at most 5); share of pixels below 1 % of the head's mean;
        share of head. All zero for air where the window has none.
    """
    air = ~heads
    counts = air.sum(axis=(1, 2))
    safe = np.maximum(counts, 1)
    mean = (windows * air).sum(axis=(1, 2)) / safe
    square = (windows**2 * air).sum(axis=(1, 2)) / safe
    spread = np.sqrt(np.maximum(square - mean**2, 0))
    known = counts > 50
    dark = (windows < 0.01).mean(axis=(1, 2))
    return np.column_stack([
        np.log(edges),
        np.clip(5 * mean, 0, 5) * known,
        np.clip(5 * spread, 0, 5) * known,
        dark,
        heads.mean(axis=(1, 2)),
    ]).astype(np.float32)


def field_range(volume: Volume, head: Array) -> float:
    """How uneven the head's brightness is on a large scale, untrained: p98 - p2 of a fitted log field.

    The head's box is divided in 16 x 16 x 16 cells; the fourth-power mean of each cell follows its brightest tissue;
    its logarithm is fitted by a second-order polynomial with weights that lessen outliers.

    Returns
    -------
    float
        0 and more; about 0.7 for a field that doubles the brightness across the head. 0 where the head is too small.
    """
    boxes = [np.flatnonzero(head.any(axis=tuple(other for other in range(3) if other != axis))) for axis in range(3)]
    if any(box.size < 2 for box in boxes):
        return 0.0
    strides = [max(1, box.size // 96) for box in boxes]
    cut = tuple(slice(int(box[0]), int(box[-1]) + 1, step) for box, step in zip(boxes, strides, strict=True))
    data, mask = np.abs(volume.data[cut]).astype(np.float64), head[cut]
    level = float(data[mask].mean())
    if level <= 0:
        return 0.0
    cells = [np.minimum(np.arange(size) * GRID // size, GRID - 1) for size in data.shape]
    number = (cells[0][:, None, None] * GRID + cells[1][None, :, None]) * GRID + cells[2][None, None, :]
    inside = number[mask]
    counts = np.bincount(inside, minlength=GRID**3)
    totals = np.bincount(number.ravel(), minlength=GRID**3)
    powers = np.bincount(inside, weights=(np.minimum(data[mask] / level, CEILING)) ** POWER, minlength=GRID**3)
    kept = np.flatnonzero((counts >= 4) & (counts > 0.5 * totals) & (powers > 1e-6 * counts))
    if kept.size < 60:
        return 0.0
    values = np.log(powers[kept] / counts[kept]) / POWER
    place = (np.column_stack([kept // GRID**2, kept // GRID % GRID, kept % GRID]) + 0.5) * 2 / GRID - 1
    terms = np.column_stack([
        np.ones(kept.size), place, place**2, place[:, 0] * place[:, 1], place[:, 0] * place[:, 2], place[:, 1] * place[:, 2]
    ])
    fitted = _robust_fit(terms, values)
    low, high = np.percentile(fitted, (2, 98))
    return float(high - low)


def _robust_fit(terms: Array, values: Array) -> Array:
    """Fitted values of a least-squares fit, re-weighted six times with Cauchy weights."""
    weight = np.ones(len(values))
    fitted = values
    for _ in range(6):
        root = np.sqrt(weight)[:, None]
        fitted = terms @ np.linalg.lstsq(terms * root, values * root[:, 0], rcond=None)[0]
        residual = values - fitted
        scale = max(1.4826 * float(np.median(np.abs(residual))), 1e-4)
        weight = 1 / (1 + (residual / (2 * scale)) ** 2)
    return fitted


def network_inputs(volume: Volume, head: Array, axis: int, indices: Array) -> dict[str, Array]:
    """Inputs of the compact network for some slices of one plane.

    Returns
    -------
    dict of ndarray of float32
        ``image`` and ``head`` (N, 1, 192, 192), ``scalars`` (N, 7).
    """
    windows, heads = native_windows(volume, head, axis, indices, WINDOW)
    windows = normalise(windows, heads)
    edges = np.tile([*plane_edges(volume.spacing, axis), volume.spacing[axis]], (len(indices), 1))
    return {
        "image": windows[:, None],
        "head": heads[:, None].astype(np.float32),
        "scalars": slice_scalars(windows, heads, edges),
    }
