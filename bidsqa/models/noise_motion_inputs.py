# SPDX-License-Identifier: Apache-2.0
"""What the noise and motion network is given: slices at native pixels in windows of 256, mean 0, variance 1.

Interpolation averages neighbouring pixels and would take noise out of a slice, by an amount that depends on the ratio
of the grids. So nothing is resampled: slices are cut around the head, or padded with 0, to the size that the weights
were exported for.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bidsqa.image import Volume
from bidsqa.models.severity_inputs import cut_native, native_windows, window_middle

Array = np.ndarray[Any, Any]
WINDOW = 256
# of the 99th percentile of the mean image: what counts as head when a window is placed on plain images
HEAD_LEVEL = 0.15


def standardise(windows: Array) -> Array:
    """Magnitudes of each window to mean 0 and variance 1, float32; constant windows become 0.

    Parameters
    ----------
    windows : ndarray, shape (N, H, W)
    """
    size = np.abs(np.asarray(windows, dtype=np.float32))
    centred = size - size.mean(axis=(1, 2), keepdims=True, dtype=np.float64).astype(np.float32)
    spread = np.sqrt(np.mean(np.square(centred, dtype=np.float64), axis=(1, 2), keepdims=True))
    level = np.abs(size).max(axis=(1, 2), keepdims=True)
    safe = np.where(spread > 1e-6 * level, spread, np.inf).astype(np.float32)
    result: Array = centred / safe
    return result


def prepare(volume: Volume, head: Array, axis: int, indices: Array) -> Array:
    """Input of the network for some slices of one plane.

    Parameters
    ----------
    volume : Volume
    head : ndarray of bool, shape (X, Y, Z)
        Places the windows.
    axis : int
        Normal of the slices.
    indices : ndarray of int

    Returns
    -------
    ndarray of float32, shape (N, 1, 256, 256)
    """
    windows, _ = native_windows(volume, head, axis, indices, WINDOW)
    return standardise(windows)[:, None]


def prepare_images(images: Array) -> Array:
    """Input of the network for plain images, e.g. those of a ruler.

    All share one window, around what is bright in their mean, so that versions of one slice are cut alike.

    Parameters
    ----------
    images : ndarray, shape (N, H, W)
        Magnitudes at native pixels, rows from the top as :func:`bidsqa.image.take_slice` lays them out.

    Returns
    -------
    ndarray of float32, shape (N, 1, 256, 256)
    """
    stack = np.abs(np.asarray(images, dtype=np.float32))
    mean = stack.mean(axis=0)
    middle = window_middle(mean > HEAD_LEVEL * np.percentile(mean, 99), WINDOW)
    return standardise(np.stack([cut_native(image, middle, WINDOW) for image in stack]))[:, None]
