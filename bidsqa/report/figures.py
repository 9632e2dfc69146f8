# SPDX-License-Identifier: Apache-2.0
"""The pictures of a scan's page: mosaics, the stretched background, outlines of the masks, the worst slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bidsqa.anatomy import Anatomy
from bidsqa.image import PLANES, Volume, acquisition_axis, head_extent, rough_head
from bidsqa.models import SCORES, Score
from bidsqa.models.local_map import LocalMap
from bidsqa.report import tiles
from bidsqa.report.local_maps import draw_local_maps
from bidsqa.report.slice_sheets import COLUMNS, SHEET, describe_sheet, scored_planes, shown_slices
from bidsqa.report.tiles import Layout

Array = np.ndarray[Any, Any]
Box = tuple[slice, slice, slice]
MARGIN_MM = 6.0
MAIN_TILES, SIDE_TILES = 24, 12
THUMBNAIL = 112
# bytes; in the page they grow by a third, and with a page's text this stays under 2.5 MB
MOST_BYTES = 1_600_000
# mask, colour of its outline: told apart also with colour vision deficiency (Okabe and Ito 2008), and by name
OUTLINES = {
    "head": (204, 121, 167),
    "brain": (230, 159, 0),
    "white": (86, 180, 233),
    "air": (0, 158, 115),
}


@dataclass(frozen=True)
class Plan:
    """How many slices are drawn and how large, where a page's size leaves a choice.

    Parameters
    ----------
    background : tuple of int
        Slices with stretched background, in the acquisition plane and in each other plane.
    worst : int
        Slices with the worst scores, enlarged.
    local : int
        Longest side of a slice under a map, pixels.
    sheet : tuple of int
        Longest side of a slice of the viewer, pixels, in the acquisition plane and in each other plane.
    quality : int
        Of WebP where it may lose something.
    """

    background: tuple[int, int] = (6, 3)
    worst: int = 4
    local: int = 360
    sheet: tuple[int, int] = (256, 192)
    quality: int = 80


# large and noisy scans fill a page: then slices for browsing are compressed more and fewer are shown lossless
PLANS = (Plan(), Plan((4, 2), 3, 300, (224, 160), 60), Plan((3, 1), 2, 200, (160, 128), 40))


def draw_figures(
    volume: Volume,
    anatomy: Anatomy,
    scores: Mapping[str, Score],
    maps: Sequence[LocalMap] = (),
    *,
    reserved: int = 0,
) -> dict[str, bytes]:
    """Draw all pictures of a scan's page.

    Parameters
    ----------
    volume : Volume
    anatomy : Anatomy
    scores : dict of str to Score
        Their per-slice values choose the slices that are shown enlarged.
    maps : sequence of LocalMap
        Where in their worst slices the scores come from.
    reserved : int
        Bytes that further pictures of the page take.

    Returns
    -------
    dict of str to bytes
        By file name: ``mosaic-<plane>.webp`` (browsing quality), ``outline-<mask>-<plane>.png`` (transparent layers of
        the same size), ``background-<plane>.webp`` and ``worst-<plane>.webp`` (lossless), ``thumbnail.webp``,
        ``slices-<plane>.webp`` with ``slices-brain-<plane>.png`` (the viewer's sheets), and those of
        :func:`bidsqa.report.local_maps.draw_local_maps`. Together at most ``MOST_BYTES``: where a large or noisy scan
        would need more, fewer and smaller slices are drawn (``PLANS``).
    """
    head = anatomy.head > 0 if "head" not in anatomy.problems and anatomy.head.any() else rough_head(volume)
    figures: dict[str, bytes] = {}
    for plan in PLANS:
        figures = _draw(volume, anatomy, head, scores, maps, plan)
        if reserved + sum(map(len, figures.values())) <= MOST_BYTES:
            break
    return figures


def _draw(
    volume: Volume, anatomy: Anatomy, head: Array, scores: Mapping[str, Score], maps: Sequence[LocalMap], plan: Plan
) -> dict[str, bytes]:
    """All pictures after one plan."""
    window, box = _window(volume, head), _head_box(volume, head)
    main = acquisition_axis(volume)
    figures: dict[str, bytes] = {}
    for axis in (main, *(other for other in (2, 1, 0) if other != main)):
        count = MAIN_TILES if axis == main else SIDE_TILES
        layout = tiles.lay_out(axis, _spread(box[axis], count, 0.05), box, volume.spacing, columns=6)
        sheet = tiles.label(tiles.grey_mosaic(volume.data, layout, window), layout)
        figures[f"mosaic-{layout.plane}.webp"] = tiles.encode(sheet, lossless=False, quality=plan.quality)
        figures.update(_outlines(anatomy, layout, tuple(OUTLINES)))
    figures.update(_background(volume, head, window, main, plan.background))
    figures.update(_worst(volume, box, window, scores, main, plan.worst))
    figures["thumbnail.webp"] = _thumbnail(volume, box, window)
    figures.update(_sheets(volume, anatomy, box, window, scores, plan))
    figures.update(draw_local_maps(volume, head, box, window, maps, largest=plan.local, quality=plan.quality))
    return figures


def _sheets(
    volume: Volume, anatomy: Anatomy, box: Box, window: tuple[float, float], scores: Mapping[str, Score], plan: Plan
) -> dict[str, bytes]:
    """The scored slices of each plane for the page's viewer (browsing quality), and the brain's outline on them."""
    found: dict[str, bytes] = {}
    plain = {name: score.to_dict() for name, score in scores.items()}
    for place, plane in enumerate(scored_planes(plain)):
        axis = PLANES.index(plane)
        index = tuple(at for at in shown_slices(plain, plane) if at < volume.shape[axis])
        layout = tiles.lay_out(axis, index, box, volume.spacing, COLUMNS, largest=plan.sheet[min(place, 1)])
        sheet = tiles.grey_mosaic(volume.data, layout, window)
        about = describe_sheet(index, layout.size)
        found[f"{SHEET}{plane}.webp"] = tiles.encode(sheet, lossless=False, quality=plan.quality, description=about)
        outlines = _outlines(anatomy, layout, ("brain",)).items()
        found.update({name.replace("outline-", f"{SHEET}"): content for name, content in outlines})
    return found


def _window(volume: Volume, head: Array) -> tuple[float, float]:
    """Black at zero (or the lowest value, where negative values carry the image), white above the head's brightest."""
    step = tuple(slice(None, None, 2 if edge > 64 else 1) for edge in volume.shape)
    inside = volume.data[step][head[step]]
    values = inside if inside.size else volume.data[step].ravel()
    low, high = np.percentile(values, (1.0, 99.5))
    return (min(0.0, float(low)), 1.1 * float(high) if high > 0 else float(values.max()) or 1.0)


def _head_box(volume: Volume, head: Array) -> Box:
    """The head with a small margin."""
    parts = []
    for axis in range(3):
        low, high = head_extent(head, axis)
        margin = round(MARGIN_MM / volume.spacing[axis])
        parts.append(slice(max(low - margin, 0), min(high + margin, volume.shape[axis])))
    return parts[0], parts[1], parts[2]


def _spread(part: slice, count: int, skip: float) -> tuple[int, ...]:
    """At most ``count`` indices spread evenly over a part of an axis without the share ``skip`` at either end."""
    length = part.stop - part.start
    low, high = part.start + skip * length, part.stop - 1 - skip * length
    return tuple(sorted({round(at) for at in np.linspace(low, high, min(count, length))}))


def _outlines(anatomy: Anatomy, layout: Layout, wanted: Sequence[str]) -> dict[str, bytes]:
    """One transparent layer for each wanted mask: a line of one pixel just inside its border."""
    from PIL import Image

    white = anatomy.dseg == 2
    masks = {"head": anatomy.head, "brain": anatomy.brain, "white": white, "air": anatomy.air}
    found = {}
    for name in wanted:
        line = _border(tiles.mask_mosaic(masks[name], layout), layout)
        if not line.any():
            continue
        picture = Image.fromarray(line.astype(np.uint8), mode="P")
        picture.putpalette([0, 0, 0, *OUTLINES[name]])
        found[f"outline-{name}-{layout.plane}.png"] = _palette_png(picture)
    return found


def _border(mask: Array, layout: Layout) -> Array:
    """Pixels of the mask with a neighbour outside it; the border between two tiles is no neighbour."""
    rows, width, height = layout.rows, *layout.size
    columns = mask.shape[1] // width
    each = mask.reshape(rows, height, columns, width)
    inside = each.copy()
    inside[:, 1:] &= each[:, :-1]
    inside[:, :-1] &= each[:, 1:]
    inside[..., 1:] &= each[..., :-1]
    inside[..., :-1] &= each[..., 1:]
    border: Array = (each & ~inside).reshape(mask.shape)
    return border


def _palette_png(picture: Any) -> bytes:
    """A two-colour picture whose first colour is transparent; a tenth of the time of lossless WebP at its size."""
    import io

    stream = io.BytesIO()
    picture.save(stream, "PNG", transparency=0, bits=1, compress_level=6)
    return stream.getvalue()


def _background(
    volume: Volume, head: Array, window: tuple[float, float], main: int, counts: tuple[int, int]
) -> dict[str, bytes]:
    """The whole field of view with the window stretched until the air's noise is visible; lossless."""
    step = tuple(slice(None, None, 2 if edge > 64 else 1) for edge in volume.shape)
    outside = np.abs(volume.data[step][~head[step]])
    outside = outside[outside > 0]
    level = float(np.percentile(outside, 90)) * 2 if outside.size > 100 else 0.0
    stretched = (0.0, float(np.clip(level, 0.02 * window[1], 0.25 * window[1])))
    box: Box = (slice(0, volume.shape[0]), slice(0, volume.shape[1]), slice(0, volume.shape[2]))
    found = {}
    for axis in (main, *(other for other in (2, 1, 0) if other != main)):
        index = _spread(slice(*head_extent(head, axis)), counts[0] if axis == main else counts[1], 0.12)
        layout = tiles.lay_out(axis, index, box, volume.spacing, columns=3, largest=320)
        sheet = tiles.label(tiles.grey_mosaic(volume.data, layout, stretched), layout)
        found[f"background-{layout.plane}.webp"] = tiles.encode(sheet, lossless=True)
    return found


def _worst(
    volume: Volume, box: Box, window: tuple[float, float], scores: Mapping[str, Score], main: int, count: int
) -> dict[str, bytes]:
    """The slices with the worst score of the acquisition plane, larger and lossless; the middle ones without scores."""
    index = worst_slices(scores, PLANES[main], count)
    if not index:
        index = _spread(box[main], count, 0.3)
    index = tuple(at for at in index if 0 <= at < volume.shape[main])
    layout = tiles.lay_out(main, index, box, volume.spacing, columns=2, largest=420)
    sheet = tiles.label(tiles.grey_mosaic(volume.data, layout, window), layout)
    return {f"worst-{layout.plane}.webp": tiles.encode(sheet, lossless=True)}


def worst_slices(scores: Mapping[str, Score], plane: str, count: int) -> tuple[int, ...]:
    """The slices with the worst scores, each model naming its own in turn, no two of them close; ascending."""
    ranked = []
    for name, score in scores.items():
        sign = 1 if name in SCORES and SCORES[name].direction.startswith("higher") else -1
        for part in score.slices:
            if part.plane == plane:
                pairs = sorted((sign * value, at) for at, value in zip(part.index, part.value, strict=True))
                ranked.append([at for _, at in pairs])
    every = [at for order in ranked for at in order]
    apart = max((max(every) - min(every)) // 20, 1) if every else 1
    chosen: list[int] = []
    for place in range(max(map(len, ranked), default=0)):
        for order in ranked:
            candidate = order[place] if place < len(order) else None
            if candidate is None or len(chosen) >= count or any(abs(candidate - at) < apart for at in chosen):
                continue
            chosen.append(candidate)
    return tuple(sorted(chosen))


def _thumbnail(volume: Volume, box: Box, window: tuple[float, float]) -> bytes:
    """The middle slices of the three planes side by side, small."""
    from PIL import Image

    pictures = []
    for axis in (2, 1, 0):
        middle = (box[axis].start + box[axis].stop) // 2
        layout = tiles.lay_out(axis, (middle,), box, volume.spacing, columns=1, largest=THUMBNAIL)
        pictures.append(tiles.grey_mosaic(volume.data, layout, window))
    sheet = Image.new("L", (3 * THUMBNAIL, THUMBNAIL), 0)
    for place, picture in enumerate(pictures):
        x = place * THUMBNAIL + (THUMBNAIL - picture.width) // 2
        sheet.paste(picture, (x, (THUMBNAIL - picture.height) // 2))
    return tiles.encode(sheet, lossless=False, quality=70)
