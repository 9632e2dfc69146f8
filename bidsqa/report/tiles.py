# SPDX-License-Identifier: Apache-2.0
"""From a volume to grey tiles with true proportions, and from tiles to mosaics."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsqa.image import PLANES, take_slice

if TYPE_CHECKING:
    from PIL import Image

Array = np.ndarray[Any, Any]
LARGEST_TILE = 224
# what lies at the left and right border of a picture (neurological convention)
SIDES = {"axial": ("L", "R"), "coronal": ("L", "R"), "sagittal": ("P", "A")}
LOSSLESS = {"lossless": True, "quality": 20, "method": 1}


@dataclass(frozen=True)
class Layout:
    """Which part of which slices becomes a mosaic, and how large.

    Parameters
    ----------
    axis : int
        Normal of the slices.
    index : tuple of int
        The slices, in reading order.
    box : tuple of slice
        The part of the grid (X, Y, Z) that is shown.
    size : tuple of int
        Width and height of a tile in pixels.
    columns : int
        Tiles in a row.
    """

    axis: int
    index: tuple[int, ...]
    box: tuple[slice, slice, slice]
    size: tuple[int, int]
    columns: int

    @property
    def plane(self) -> str:
        """``sagittal``, ``coronal`` or ``axial``."""
        return PLANES[self.axis]

    @property
    def rows(self) -> int:
        """Rows of tiles."""
        return -(-len(self.index) // self.columns)


def lay_out(
    axis: int,
    index: Sequence[int],
    box: tuple[slice, slice, slice],
    spacing: tuple[float, float, float],
    columns: int,
    largest: int = LARGEST_TILE,
) -> Layout:
    """A layout whose pixels are square in mm: the finer in-plane edge sets the pixel, thick slices are stretched.

    Parameters
    ----------
    largest : int
        Longest side of a tile, pixels; larger ones are shrunk.
    """
    across, up = (other for other in range(3) if other != axis)
    extent = [(box[other].stop - box[other].start) * spacing[other] for other in (across, up)]
    pixel = max(min(spacing[across], spacing[up]), max(extent) / largest)
    width, height = (max(round(length / pixel), 1) for length in extent)
    return Layout(axis, tuple(int(at) for at in index), box, (width, height), columns)


def crop(data: Array, layout: Layout, index: int) -> Array:
    """The shown part of one slice, top row first."""
    cut = [slice(None) if axis == layout.axis else part for axis, part in enumerate(layout.box)]
    return take_slice(data[tuple(cut)], layout.axis, index)


def grey_mosaic(data: Array, layout: Layout, window: tuple[float, float]) -> Image.Image:
    """All tiles of a layout as one 8-bit picture.

    Parameters
    ----------
    data : ndarray of float32, shape (X, Y, Z)
    layout : Layout
    window : tuple of float
        Values shown as black and white.
    """
    from PIL import Image

    low, high = window
    scale = 255.0 / max(high - low, 1e-12)
    sheet = Image.new("L", sheet_size(layout), 0)
    for place, index in enumerate(layout.index):
        grey = np.clip((crop(data, layout, index) - low) * scale, 0, 255).astype(np.uint8)
        tile = Image.fromarray(np.ascontiguousarray(grey))
        if tile.size != layout.size:
            tile = tile.resize(layout.size, Image.Resampling.BILINEAR, reducing_gap=2.0)
        sheet.paste(tile, corner(layout, place))
    return sheet


def mask_mosaic(mask: Array, layout: Layout) -> Array:
    """All tiles of a mask as one picture, True where the mask is."""
    from PIL import Image

    sheet = Image.new("L", sheet_size(layout), 0)
    for place, index in enumerate(layout.index):
        part = np.ascontiguousarray(crop(mask, layout, index) > 0).astype(np.uint8)
        tile = Image.fromarray(part * 255)
        if tile.size != layout.size:
            tile = tile.resize(layout.size, Image.Resampling.BILINEAR)
        sheet.paste(tile, corner(layout, place))
    return np.asarray(sheet) > 127


def label(sheet: Image.Image, layout: Layout) -> Image.Image:
    """Write the slice numbers, and at the ends of each row which side is which, on the picture."""
    from PIL import ImageDraw

    pen, font = ImageDraw.Draw(sheet), small_font(max(10, min(14, layout.size[1] // 14)))
    left, right = SIDES[layout.plane]
    width, height = layout.size
    for place, index in enumerate(layout.index):
        x, y = corner(layout, place)
        middle, end = y + height // 2, x + width - 3
        pen.text((x + 3, y + height - 3), str(index), fill=200, font=font, anchor="lb", stroke_width=1, stroke_fill=0)
        if place % layout.columns == 0:
            pen.text((x + 3, middle), left, fill=255, font=font, anchor="lm", stroke_width=1, stroke_fill=0)
        if place % layout.columns == layout.columns - 1 or place == len(layout.index) - 1:
            pen.text((end, middle), right, fill=255, font=font, anchor="rm", stroke_width=1, stroke_fill=0)
    return sheet


def small_font(size: int) -> Any:
    """Pillow's own font, which needs no font file of the system."""
    from PIL import ImageFont

    return ImageFont.load_default(size)


def sheet_size(layout: Layout) -> tuple[int, int]:
    """Width and height of the whole mosaic in pixels."""
    return min(layout.columns, len(layout.index)) * layout.size[0], layout.rows * layout.size[1]


def corner(layout: Layout, place: int) -> tuple[int, int]:
    """Upper left corner of a tile."""
    return place % layout.columns * layout.size[0], place // layout.columns * layout.size[1]


def encode(picture: Image.Image, *, lossless: bool, quality: int = 80, description: str = "") -> bytes:
    """The picture as WebP; lossless where noise, ghosts or fine lines must stay as they are.

    A description travels in the picture (EXIF ``ImageDescription``), where :func:`bidsqa.report.page.picture` finds it.
    """
    from PIL import ExifTags

    stream = io.BytesIO()
    more: dict[str, Any] = dict(LOSSLESS) if lossless else {"quality": quality, "method": 2}
    if description:
        notes = picture.getexif()
        notes[ExifTags.Base.ImageDescription] = description
        more["exif"] = notes.tobytes()
    picture.save(stream, "WEBP", exact=False, **more)
    return stream.getvalue()
