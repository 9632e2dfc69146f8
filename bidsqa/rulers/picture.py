# SPDX-License-Identifier: Apache-2.0
"""A ruler's versions as pictures: all in one window, not smoothed, so that noise looks as it is."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

WINDOW_PERCENTILE = 99.5
CROP, GAP = 112, 4

Array = np.ndarray[Any, Any]


def windowed(images: Array) -> Array:
    """Grey values of images (uint8, same shape): 0 is black, the last image's 99.5th percentile is white.

    Parameters
    ----------
    images : ndarray, shape (N, rows, columns)
        Versions from worst to best: one window for all, that of the best.
    """
    top = float(np.percentile(images[-1].astype(np.float32), WINDOW_PERCENTILE))
    scaled = images.astype(np.float32) * (255.0 / top if top > 0 else 1.0)
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def middle(image: Array, side: int = CROP) -> Array:
    """The middle of an image, at most ``side`` pixels wide and high."""
    parts = [
        slice(max(0, (size - side) // 2), max(0, (size - side) // 2) + min(side, size)) for size in image.shape[-2:]
    ]
    cut: Array = image[..., parts[0], parts[1]]
    return cut


def png(image: Array) -> bytes:
    """A grey picture as PNG."""
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(image, mode="L").save(content, "PNG", optimize=True)
    return content.getvalue()


def contact_sheet(versions: Array) -> bytes:
    """The middles of all versions in two rows, worst first, as PNG."""
    tiles = middle(windowed(versions))
    count, rows, columns = tiles.shape
    across = (count + 1) // 2
    sheet = np.zeros((2 * rows + GAP, across * columns + (across - 1) * GAP), dtype=np.uint8)
    for place, tile in enumerate(tiles):
        top, left = (place // across) * (rows + GAP), (place % across) * (columns + GAP)
        sheet[top : top + rows, left : left + columns] = tile
    return png(sheet)
