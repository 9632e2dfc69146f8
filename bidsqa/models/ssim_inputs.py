# SPDX-License-Identifier: Apache-2.0
"""What the SSIM networks are given: slices at 1 mm in windows around the head, on the head's scale."""

from __future__ import annotations

from typing import Any

import numpy as np

from bidsqa.image import Volume
from bidsqa.models.windows import block_mean, cut_windows

Array = np.ndarray[Any, Any]
WINDOW = 224
PIXEL_MM = 1.0
BLOCK = 8
CEILING = 3.0


def head_scale(volume: Volume, head: Array) -> tuple[float, float]:
    """Offset and scale that bring the head's 99th percentile to 1.

    Returns
    -------
    tuple of float
        Offset: 0 for magnitude images, the volume's 0.5th percentile where values are negative. Scale: above 0.
    """
    low = float(np.percentile(volume.data[::2, ::2, ::2], 0.5)) if volume.facts.minimum < 0 else 0.0
    inside = volume.data[head]
    high = float(np.percentile(inside[:: max(1, inside.size // 500_000)], 99)) if inside.size else 0.0
    low = min(low, 0.0)
    # an empty head has no scale; any other, however small its unit
    return low, high - low if high > low else 1.0


def prepare(volume: Volume, head: Array, axis: int, indices: Array) -> tuple[Array, Array]:
    """Input of the network for some slices of one plane.

    Parameters
    ----------
    volume : Volume
    head : ndarray of bool, shape (X, Y, Z)
    axis : int
    indices : ndarray of int

    Returns
    -------
    slices : ndarray of float32, shape (N, 1, 224, 224)
        At 1 mm, head's 99th percentile near 1, at most 3.
    head : ndarray of float32, shape (N, 1, 28, 28)
        Share of head in blocks of 8 x 8.
    """
    low, scale = head_scale(volume, head)
    windows, heads = cut_windows(volume.data, head, volume.spacing, axis, indices, WINDOW, PIXEL_MM)
    if low < 0:
        windows = windows - np.float32(low) * (windows != 0)
    slices = np.clip(windows / np.float32(scale), 0, CEILING)
    return slices[:, None].astype(np.float32), block_mean(heads, BLOCK)[:, None]
