# SPDX-License-Identifier: Apache-2.0
"""Where the networks look: their maps over the worst slices, drawn, and put on the page with a legend."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from bidsqa.image import Volume, take_slice
from bidsqa.models import SCORES
from bidsqa.models.local_map import LocalMap
from bidsqa.report import tiles
from bidsqa.report.tiles import Layout
from bidsqa.verdict.reading import entries, number
from bidsqa.verdict.reasons import plain

if TYPE_CHECKING:
    from markupsafe import Markup

Array = np.ndarray[Any, Any]
LOCAL_MAP = "local-"
"""How the names of these pictures begin."""
_NAME = re.compile(
    rf"{LOCAL_MAP}(?P<shown>(?P<model>[a-z_]+)(?:-(?P<part>[a-z_]+))?)-(?P<plane>axial|coronal|sagittal)"
    r"-(?P<index>\d+)\.webp"
)
LARGEST = 360
LEVELS = 32
# farther than so many cells from one that was read there is no colour
REACH = 1.6
# good, middle, bad; blue, yellow and vermilion are told apart with any colour vision, and the good is covered least
COLOURS = ((0, 114, 178), (240, 228, 150), (213, 70, 0))
OPACITY = (0.30, 0.45, 0.70)
GREY = 110


@dataclass(frozen=True)
class Shown:
    """How a model's maps are shown.

    Parameters
    ----------
    what : str
        The quantity and its unit, for the legend.
    says : str
        What the map tells, for the page.
    good, bad : float
        Values at the two ends of the colours.
    ticks : tuple of (float, str)
        Marked values of the legend.
    title : str
        Heading on the page; the model's by default.
    slices : str
        Where the record's score has the slices' values.
    """

    what: str
    says: str
    good: float
    bad: float
    ticks: tuple[tuple[float, str], ...]
    title: str = ""
    slices: str = "slices"

    def badness(self, values: Array) -> Array:
        """Place of values on the colours, 0 (good) to 1 (bad)."""
        placed: Array = np.clip((values - self.good) / (self.bad - self.good), 0, 1)
        return placed


SHOWN = {
    "severity": Shown(
        "Local severity (1 = review threshold of a whole slice)",
        "How the slice's severity is shared out among its parts: each part is read by itself, and the mean over the "
        "head is about the slice's severity. Fine detail reads a little higher than smooth tissue, and what covers the "
        "whole slice has no place in it: orange is where to look first.",
        0.0,
        3.0,
        ((0.0, "0"), (1.0, "1"), (2.0, "2"), (3.0, "3 and above")),
    ),
    "ssim": Shown(
        "Predicted local SSIM (no unit, 1 = as without motion)",
        "The similarity to the motion-free image that the network predicts for blocks of 8 x 8 mm, smoothed over their "
        "neighbours; the mean over the head is about the slice's score. Noise and blur are not meant to show.",
        1.0,
        0.5,
        ((1.0, "1"), (0.85, "0.85"), (0.7, "0.7"), (0.5, "0.5 and below")),
    ),
    "noise_motion": Shown(
        "Local noise output of the network (about dB, higher is less noise)",
        "What the slice would read if all of the head were like this part: the mean over the head is what the network "
        "says of the slice, before it is read against the ruler. The value above each slice is its place on the ruler.",
        34.0,
        16.0,
        ((34.0, "34"), (28.0, "28"), (22.0, "22"), (16.0, "16 and below")),
        "Noise",
    ),
    "noise_motion-motion": Shown(
        "Local probability of motion (no unit, 1 = surely moved)",
        "What the slice would read if all of the head were like this part. Motion spoils the whole slice, so the parts "
        "differ by how well its traces show, at edges above all.",
        0.0,
        1.0,
        ((0.0, "0"), (0.5, "0.5"), (1.0, "1")),
        "Motion (probability)",
        "p_motion_slices",
    ),
    "diagnostic": Shown(
        "Local chance of serving a diagnosis (no unit, 0 = surely non-diagnostic)",
        "What chance of any class but non-diagnostic the slice would have if all of the head were like this part: "
        "orange is where non-diagnostic comes from. The value above each slice is its expected class. Parts are "
        "smoothed over their neighbours and can't lie farther from the slice than a factor of 400 in the odds.",
        1.0,
        0.0,
        ((1.0, "1"), (0.5, "0.5"), (0.0, "0")),
    ),
}


def draw_local_maps(
    volume: Volume,
    head: Array,
    box: tuple[slice, slice, slice],
    window: tuple[float, float],
    maps: Sequence[LocalMap],
    *,
    largest: int = LARGEST,
    quality: int = 80,
) -> dict[str, bytes]:
    """Draw each mapped slice.

    Parameters
    ----------
    volume : Volume
    head : ndarray of bool, shape (X, Y, Z)
        Where the map may have colour.
    box : tuple of slice
        The part of the grid that is shown.
    window : tuple of float
        Values shown as black and white.
    maps : sequence of LocalMap
        Those of models or slices that are unknown here are left out.
    largest : int
        Longest side of a picture, pixels.
    quality : int
        Of the picture that lies under a map.

    Returns
    -------
    dict of str to bytes
        ``local-<model>-<plane>-<slice>.webp`` (lossless; ``<model>-<part>`` for a part of a model), the same with
        ``-under.webp`` (browsing quality, to lie under the map) and ``-map.png`` (the map, a transparent layer of the
        same size).
    """
    figures: dict[str, bytes] = {}
    for one in maps:
        if shown_as(one) not in SHOWN or not 0 <= one.index < volume.shape[one.axis]:
            continue
        layout = tiles.lay_out(one.axis, (one.index,), box, volume.spacing, columns=1, largest=largest)
        name = f"{LOCAL_MAP}{shown_as(one)}-{one.plane}-{one.index:03d}"
        sheet = tiles.label(tiles.grey_mosaic(volume.data, layout, window), layout)
        figures[f"{name}.webp"] = tiles.encode(sheet, lossless=True)
        figures[f"{name}-under.webp"] = tiles.encode(sheet, lossless=False, quality=quality)
        figures[f"{name}-map.png"] = _layer(overlay(one, layout, head))
    return figures


def shown_as(one: LocalMap) -> str:
    """The key of ``SHOWN`` for a map."""
    return f"{one.model}-{one.part}" if one.part else one.model


def overlay(one: LocalMap, layout: Layout, head: Array) -> Array:
    """The map on the pixels of its slice's tile.

    Parameters
    ----------
    one : LocalMap
    layout : Layout
        Of this slice alone.
    head : ndarray of bool, shape (X, Y, Z)

    Returns
    -------
    ndarray of uint8, shape (height, width)
        0 without colour, 1 (good) to ``LEVELS`` (bad).
    """
    picture = take_slice(head, layout.axis, one.index)
    across, up = (layout.box[other] for other in range(3) if other != layout.axis)
    # rows count from the top, the grid's second axis from below
    shown = ((picture.shape[0] - up.stop, up.stop - up.start), (across.start, across.stop - across.start))
    places = [
        ((np.arange(size) + 0.5) * length / size + first - begin) / step - 0.5
        for size, (first, length), begin, step in zip(layout.size[::-1], shown, one.start, one.step, strict=True)
    ]
    grid = one.grid.astype(np.float64)
    known = np.isfinite(grid)
    distance, nearest = ndimage.distance_transform_edt(~known, return_indices=True)
    mesh = np.meshgrid(*places, indexing="ij")
    values = ndimage.map_coordinates(grid[tuple(nearest)], mesh, order=1, mode="nearest")
    far = ndimage.map_coordinates(distance, mesh, order=1, mode="nearest") > REACH
    outside = np.logical_or.reduce([(at < -0.5) | (at > size - 0.5) for at, size in zip(mesh, grid.shape, strict=True)])
    levels = 1 + np.rint(SHOWN[shown_as(one)].badness(values) * (LEVELS - 1)).astype(np.uint8)
    kept = tiles.mask_mosaic(head, layout) & ~far & ~outside
    return np.where(kept, levels, 0).astype(np.uint8)


def _colour(place: float) -> tuple[int, int, int, float]:
    """Red, green, blue (0-255) and opacity (0-1) of a place on the colours."""
    ends = (0.0, 0.5, 1.0)
    red, green, blue = (round(float(np.interp(place, ends, part))) for part in zip(*COLOURS, strict=True))
    return red, green, blue, float(np.interp(place, ends, OPACITY))


def _layer(levels: Array) -> bytes:
    """A palette picture with an opacity for each colour; the first is transparent."""
    from PIL import Image

    colours = [_colour(number / (LEVELS - 1)) for number in range(LEVELS)]
    picture = Image.fromarray(levels, mode="P")
    picture.putpalette([0, 0, 0, *(part for colour in colours for part in colour[:3])])
    stream = io.BytesIO()
    opacities = bytes([0, *(round(255 * colour[3]) for colour in colours)])
    picture.save(stream, "PNG", transparency=opacities, compress_level=9)
    return stream.getvalue()


def legend(name: str) -> Markup:
    """The colours of a model's maps over a middle grey, with values, as inline SVG."""
    from markupsafe import Markup

    shown = SHOWN[name]
    width, left, height = 300, 12, 14
    parts = [f'<rect x="{left}" y="0" width="{width}" height="{height}" fill="rgb({GREY},{GREY},{GREY})"/>']
    for level in range(LEVELS):
        red, green, blue, opacity = _colour(level / (LEVELS - 1))
        parts.append(
            f'<rect x="{left + level * width / LEVELS:.2f}" y="0" width="{width / LEVELS:.2f}" height="{height}" '
            f'fill="rgb({red},{green},{blue})" fill-opacity="{opacity:.2f}" shape-rendering="crispEdges"/>'
        )
    for value, text in shown.ticks:
        x = left + float(shown.badness(np.array(value))) * width
        parts.append(f'<path d="M{x:.1f} {height}v4" stroke="currentColor"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{height + 16}" text-anchor="middle">{escape(text)}</text>')
    label = escape(f"Colours from {shown.good:g} to {shown.bad:g}: {shown.what}")
    head = f'<svg class="legend" viewBox="0 0 {width + 6 * left} {height + 20}" role="img" aria-label="{label}">'
    return Markup(head + "".join(parts) + "</svg>")


def local_maps(
    ready: Mapping[str, dict[str, Any]], scores: Mapping[str, Any], planes: Sequence[str]
) -> list[dict[str, Any]]:
    """What the page shows of the maps, one entry for each model that has some.

    Parameters
    ----------
    ready : dict of str to dict
        Pictures for the page by file name.
    scores : dict
        The record's, for the slices' values.
    planes : sequence of str
        In the order in which they are shown.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for name, image in ready.items():
        match = _NAME.fullmatch(name)
        under, layer = (ready.get(name.replace(".webp", end)) for end in ("-under.webp", "-map.png"))
        if match is None or under is None or layer is None or match["shown"] not in SHOWN:
            continue
        plane, index = match["plane"], int(match["index"])
        value = _slice_value(scores.get(match["model"]), plane, index, SHOWN[match["shown"]].slices)
        entry = {"plane": plane, "index": index, "image": image, "under": under, "layer": layer}
        found.setdefault(match["shown"], []).append({**entry, "value": None if value is None else plain(value)})
    return [
        {
            "name": name,
            "title": SHOWN[name].title or SCORES[name].title,
            "what": SHOWN[name].what,
            "says": SHOWN[name].says,
            "legend": legend(name),
            "maps": sorted(found[name], key=lambda entry: (planes.index(entry["plane"]), entry["index"])),
        }
        for name in SHOWN
        if name in found
    ]


def _slice_value(score: Any, plane: str, index: int, key: str) -> float | None:
    """A slice's value in a record's score; None where the record has none."""
    for part in entries(score.get(key)) if isinstance(score, dict) else []:
        if isinstance(part, dict) and part.get("plane") == plane:
            for at, value in zip(entries(part.get("index")), entries(part.get("value")), strict=False):
                if number(at) == index:
                    return number(value)
    return None
