# SPDX-License-Identifier: Apache-2.0
"""A scan beside its ruler: the eight versions in a row, the scan's own slice, and where it lies between them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsqa.image import PLANES, Volume, take_slice
from bidsqa.models import Score
from bidsqa.report.charts import slice_chart, slice_pairs
from bidsqa.rulers.building import slice_index
from bidsqa.rulers.picture import png, windowed
from bidsqa.rulers.ruler import PERSON, Ruler
from bidsqa.rulers.scale import VERSIONS
from bidsqa.verdict.reading import entries, number

if TYPE_CHECKING:
    from markupsafe import Markup

BESIDE_RULER = "ruler-"
"""How the names of these pictures begin."""
STRIP, SCAN = f"{BESIDE_RULER}strip.png", f"{BESIDE_RULER}scan-"
_SCAN = re.compile(rf"{SCAN}(?P<plane>axial|coronal|sagittal)-(?P<index>\d{{1,5}})\.png")
SIDE, GAP = 104, 2
# of the 99th percentile of an image: what counts as head when a tile is cut
HEAD_LEVEL = 0.15
UNIT, HEIGHT, AXIS = 100, 74, 30
MOTION = (("still", 0.0, 0.5), ("moved", 0.5, 1.0))
WIDTH = UNIT * VERSIONS

Array = np.ndarray[Any, Any]


def draw_ruler_strip(volume: Volume, score: Score, rulers: Sequence[Ruler]) -> dict[str, bytes]:
    """Pictures for the page: the middles of the ruler's versions, worst first, and of the scan's slice at their height.

    Parameters
    ----------
    volume : Volume
    score : Score
        With its place on one of the rulers.
    rulers : sequence of Ruler
        Those at hand.

    Returns
    -------
    dict of str to bytes
        ``ruler-strip.png`` and ``ruler-scan-<plane>-<slice>.png``, not smoothed, not compressed; empty where the ruler
        isn't at hand.
    """
    said = score.extra.get("ruler", {})
    found = [ruler for ruler in rulers if (ruler.name, ruler.sha256) == (said.get("name"), said.get("sha256"))]
    if not found or not score.slices:
        return {}
    versions = windowed(found[0].versions)
    row, column = _head_middle(found[0].versions[-1])
    tiles = [_tile(version, row, column) for version in versions]
    for tile in tiles:
        tile[:, :GAP] = tile[:, -GAP:] = 0
    part = score.slices[0]
    axis = PLANES.index(part.plane)
    wanted = slice_index(volume, axis)
    index = min(part.index, key=lambda at: abs(at - wanted))
    image = np.clip(take_slice(volume.data, axis, index), 0, None)
    own = _tile(windowed(image[None])[0], *_head_middle(image))
    return {STRIP: png(np.concatenate(tiles, axis=1)), f"{SCAN}{part.plane}-{index:03d}.png": png(own)}


def _head_middle(image: Array) -> tuple[int, int]:
    """Middle of what is bright."""
    values = image.astype(np.float32)
    bright = values > HEAD_LEVEL * np.percentile(values, 99)
    rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
    if not rows.size:
        return image.shape[0] // 2, image.shape[1] // 2
    return int(rows[0] + rows[-1]) // 2, int(columns[0] + columns[-1]) // 2


def _tile(image: Array, row: int, column: int) -> Array:
    """A square of the image, black where it reaches beyond."""
    tile = np.zeros((SIDE, SIDE), dtype=np.uint8)
    top, left = row - SIDE // 2, column - SIDE // 2
    rows = slice(max(top, 0), min(top + SIDE, image.shape[0]))
    columns = slice(max(left, 0), min(left + SIDE, image.shape[1]))
    tile[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = image[rows, columns]
    return tile


def ruler_view(score: Mapping[str, Any], ready: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the page shows of a scan's place on its ruler; None where the score has none.

    Parameters
    ----------
    score : mapping
        As the record holds it; of any content.
    ready : mapping
        The page's pictures by file name.
    """
    ruler = score.get("ruler")
    value = number(score.get("value"))
    if not isinstance(ruler, dict) or value is None:
        return None
    told = _words(ruler, value)
    why = [reason for reason in entries(ruler.get("why")) if isinstance(reason, str)]
    return {
        **told,
        "name": str(ruler.get("name", "")),
        "why": "; ".join(why),
        "strip": ready.get(STRIP),
        "scan": _own(ready),
        "axis": _axis(ruler, value, number(score.get("uncertainty")) or 0.0, f"{told['told']} {told['accepts']}"),
        "motion": _motion(score),
        "motion_charts": _motion_charts(score),
    }


def _own(ready: Mapping[str, Any]) -> dict[str, Any] | None:
    """The picture of the scan with the name of its slice."""
    for name in sorted(ready):
        match = _SCAN.fullmatch(name)
        if match:
            return {**ready[name], "slice": f"{match['plane']} slice {int(match['index'])}"}
    return None


def ruler_readings(score: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """What a threshold that a person has set accepts, and what it doesn't, as ranges of the score; else none."""
    ruler = score.get("ruler")
    if not isinstance(ruler, dict) or ruler.get("threshold_set_by") != PERSON:
        return []
    threshold = number(ruler.get("threshold"))
    if threshold is None or not 0 < threshold < VERSIONS - 1:
        return []
    return [("accepted", threshold, float(VERSIONS - 1)), ("noisier", 0.0, threshold)]


def _words(ruler: Mapping[str, Any], value: float) -> dict[str, str]:
    """The place and what the threshold says of it, as sentences, and the decision as one word."""
    version, threshold = number(ruler.get("version_score")), number(ruler.get("threshold"))
    name, passes = str(ruler.get("name", "")), ruler.get("passes")
    places = {
        "below": f"Noisier than the worst version of ruler {name}.",
        "above": f"Less noisy than the original of ruler {name}.",
    }
    shown = "?" if version is None else f"{version:g}"
    told = places.get(str(ruler.get("outside")), f"As noisy as version {shown} of ruler {name} ({value:.1f} of 7).")
    limit = "?" if threshold is None else f"{threshold:g}"
    if ruler.get("threshold_set_by") == PERSON:
        decided = "accepted" if passes is True else "not accepted"
        return {"told": told, "accepts": f"This study accepts from {limit}: {decided}.", "word": decided}
    decided = "would be" if passes is True else "would not be"
    accepts = f"No person has set a standard on this ruler; by the default of {limit} the scan {decided} accepted."
    return {"told": told, "accepts": accepts, "word": "no standard set"}


def _motion(score: Mapping[str, Any]) -> str:
    probability = number(score.get("p_motion"))
    return "" if probability is None else f"Motion: probability {probability:.2f}."


def _motion_charts(score: Mapping[str, Any]) -> list[Markup]:
    """The probability of motion slice by slice, a chart for each plane."""
    drawn = []
    for part in entries(score.get("p_motion_slices")):
        pairs = slice_pairs(part)
        if pairs:
            index, values = [at for at, _ in pairs], [value for _, value in pairs]
            plane, highest = str(part.get("plane", "")), max(values)
            where = f"highest {highest:.2f} at slice {index[values.index(highest)]:g}"
            title = f"Probability of motion of {len(values)} {plane} slices, {where}"
            drawn.append(slice_chart(plane, index, values, MOTION, title))
    return drawn


def _axis(ruler: Mapping[str, Any], value: float, error: float, label: str) -> Markup:
    """The scale under the versions: their numbers, what is accepted, the threshold, and the scan's place."""
    from markupsafe import Markup

    def x(version: float) -> float:
        return (min(max(version, -0.4), VERSIONS - 0.6) + 0.5) * UNIT

    parts = []
    threshold = number(ruler.get("threshold"))
    if threshold is not None:
        at = x(threshold)
        kind = "set" if ruler.get("threshold_set_by") == PERSON else "default"
        if kind == "set":
            parts.append(f'<rect class="band fail" x="0" y="{AXIS - 8}" width="{at:.0f}" height="8"/>')
            parts.append(f'<rect class="band pass" x="{at:.0f}" y="{AXIS - 8}" width="{WIDTH - at:.0f}" height="8"/>')
        side, anchor = (-6, "end") if at > WIDTH / 2 else (6, "start")
        words = f"accepts from {threshold:g}" if kind == "set" else f"default {threshold:g}"
        parts.append(f'<path class="limit {kind}" d="M{at:.0f} 0V{AXIS}"/>')
        parts.append(f'<text class="tick" x="{at + side:.0f}" y="12" text-anchor="{anchor}">{words}</text>')
    parts.append(f'<path class="notch" d="M0 {AXIS}H{WIDTH}"/>')
    for version in range(VERSIONS):
        parts.append(f'<path class="notch" d="M{x(version):.0f} {AXIS}v6"/>')
        parts.append(f'<text class="tick" x="{x(version):.0f}" y="{AXIS + 20}" text-anchor="middle">{version}</text>')
    place = number(ruler.get("place"))
    place = value if place is None else place
    low, high, at = x(place - error), x(place + error), x(place)
    parts.append(f'<path class="spread" d="M{low:.0f} {AXIS}H{high:.0f}"/>')
    parts.append(f'<path class="here" d="M{at:.0f} {AXIS + 25}l9 16h-18z"/>')
    shift, anchor = (15, "start") if at < WIDTH - 130 else (-15, "end")
    text = f"this scan: {value:.1f}"
    parts.append(
        f'<text class="tick here-name" x="{at + shift:.0f}" y="{AXIS + 40}" text-anchor="{anchor}">{text}</text>'
    )
    head = f'<svg class="chart ruler-axis" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">'
    return Markup(head + "".join(parts) + "</svg>")
