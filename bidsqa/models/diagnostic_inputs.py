# SPDX-License-Identifier: Apache-2.0
"""Slices as the diagnostic networks take them: their own pixels, in the middle of 512 x 512."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
# the ConvNet's input; as in networks_diagnostic, which can't be imported without torch
SIZE = 512


def fitted(plane: Array, size: int = SIZE) -> Array:
    """A slice in the middle of a square of so many pixels, its own pixels kept, what doesn't fit cut off.

    Parameters
    ----------
    plane : ndarray, shape (H, W)
    size : int

    Returns
    -------
    ndarray of float32, shape (size, size)
    """
    square = np.zeros((size, size), dtype=np.float32)
    cuts, places = [], []
    for length in plane.shape:
        start = max(0, (length - size) // 2)
        kept = min(length, size)
        cuts.append(slice(start, start + kept))
        places.append(slice((size - kept) // 2, (size - kept) // 2 + kept))
    square[places[0], places[1]] = plane[cuts[0], cuts[1]]
    return square


def corner(shape: tuple[int, ...], size: int = SIZE) -> tuple[int, int]:
    """Row and column of a picture of this shape where the square of :func:`fitted` begins; below 0 if it is larger."""
    rows, columns = (max(0, (length - size) // 2) - (size - min(length, size)) // 2 for length in shape)
    return rows, columns


def prepare(pictures: Sequence[Array]) -> Array:
    """Slices as the networks take them: native pixels in 512 x 512, each slice's 99.9th percentile at 1.

    Parameters
    ----------
    pictures : sequence of ndarray, shape (H, W)

    Returns
    -------
    ndarray of float32, shape (N, 1, 512, 512)
        From 0 to 1.
    """
    scaled = [picture / max(float(np.percentile(picture, 99.9)), 1e-20) for picture in pictures]
    return np.stack([np.clip(fitted(picture), 0, 1) for picture in scaled])[:, None]
