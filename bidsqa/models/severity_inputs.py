# SPDX-License-Identifier: Apache-2.0
"""What the severity networks are given: windows at native pixels, scalars, and the readings of the whole volume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bidsqa.image import Volume, rough_head, take_slice
from bidsqa.models.aggregation import choose_slices
from bidsqa.models.severity_volume import field_range, ghost_echo
from bidsqa.models.windows import plane_edges

Array = np.ndarray[Any, Any]
ERROR = "_error"
WINDOW = 160
HAYS_WINDOW = 224
SLICES_PER_PLANE = 10
CEILING = 6.0


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
    outline = take_slice(np.any(head, axis=axis, keepdims=True), axis, 0)
    middle = window_middle(outline, window)
    windows = [cut_native(take_slice(volume.data, axis, int(index)), middle, window) for index in indices]
    heads = [cut_native(take_slice(head, axis, int(index)), middle, window) for index in indices]
    return np.stack(windows), np.stack(heads)


def normalise(windows: Array, heads: Array) -> Array:
    """Slices in units of their head's mean, clipped at 6; negative values become their magnitude."""
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
        Logarithm of the three edges; mean and SD of the air times 5 (up to 5); share of pixels below 1 % of the head's
        mean;
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
    return np.column_stack(
        [
            np.log(edges),
            np.clip(5 * mean, 0, 5) * known,
            np.clip(5 * spread, 0, 5) * known,
            dark,
            heads.mean(axis=(1, 2)),
        ]
    ).astype(np.float32)


def network_inputs(volume: Volume, head: Array, axis: int, indices: Array) -> dict[str, Array]:
    """Inputs of the compact network for some slices of one plane.

    Returns
    -------
    dict of ndarray of float32
        ``image`` and ``head`` (N, 1, 160, 160), ``scalars`` (N, 7).
    """
    windows, heads = native_windows(volume, head, axis, indices, WINDOW)
    windows = normalise(windows, heads)
    edges = np.tile([*plane_edges(volume.spacing, axis), volume.spacing[axis]], (len(indices), 1))
    return {
        "image": windows[:, None],
        "head": heads[:, None].astype(np.float32),
        "scalars": slice_scalars(windows, heads, edges),
    }


def hays_inputs(volume: Volume, head: Array, axis: int, indices: Array) -> dict[str, Array]:
    """Input of the published network: the volume's 0.5th-99.5th percentile to 0-1, native pixels, 224 x 224.

    Returns
    -------
    dict of ndarray
        ``image``, float32, shape (N, 1, 224, 224).
    """
    low, high = np.percentile(volume.data[::2, ::2, ::2], (0.5, 99.5))
    windows, _ = native_windows(volume, head, axis, indices, HAYS_WINDOW)
    scaled = np.clip((windows - low) / (float(high - low) if high > low else 1.0), 0, 1)
    return {"image": scaled[:, None].astype(np.float32)}


@dataclass(frozen=True)
class Prepared:
    """All that the score needs of a volume.

    Parameters
    ----------
    planes : tuple of (axis, indices, inputs)
        Network inputs by plane, the acquisition plane first.
    volume : dict of float
        Readings of the whole volume: ``field``, ``echo`` and their standard errors ``field_error``, ``echo_error``
        (empty for the published network).
    """

    planes: tuple[tuple[int, Array, dict[str, Array]], ...]
    volume: dict[str, float]


def prepare(volume: Volume, slice_fraction: float = 0.6, compact: bool = True, head: Array | None = None) -> Prepared:
    """Cut the slices and take the volume's own readings.

    Parameters
    ----------
    volume : Volume
    slice_fraction : float
        Middle share of the head's slices, 0-1.
    compact : bool
        For the compact network, else for the published one.
    head : ndarray of bool, shape (X, Y, Z), optional
        ``rough_head(volume)``, where it is known already.
    """
    head = rough_head(volume) if head is None else head
    cut = network_inputs if compact else hays_inputs
    planes = tuple(
        (axis, indices, cut(volume, head, axis, indices))
        for axis, indices in choose_slices(volume, head, slice_fraction, SLICES_PER_PLANE)
    )
    if not compact:
        return Prepared(planes, {})
    field, field_error = field_range(volume, head)
    echo, echo_error = ghost_echo(volume, head)
    return Prepared(planes, {"field": field, f"field{ERROR}": field_error, "echo": echo, f"echo{ERROR}": echo_error})
