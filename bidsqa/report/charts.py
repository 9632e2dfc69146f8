# SPDX-License-Identifier: Apache-2.0
"""Charts as inline SVG: scores slice by slice, and distributions over a study.

Colours come from the page's style sheet by class; a mark's shape tells the same as its colour.
"""

from __future__ import annotations

import statistics
import textwrap
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from bidsqa.verdict.reading import entries, number
from bidsqa.verdict.reasons import plain

if TYPE_CHECKING:
    from markupsafe import Markup

WIDTH, HEIGHT = 360, 150
LEFT, RIGHT, TOP, BOTTOM = 34, 62, 8, 26
# of a band's name in the margin at the right
NAME_LETTERS, LINE_HEIGHT = 10, 12
STRIP_WIDTH, ROW_HEIGHT = 460, 26
# longer names of groups get a line of their own above their row
SIDE_NAME, SIDE_WIDTH, NAME_HEIGHT = 14, 96, 18
LETTERS = (6.3, 8.5)  # small, capital
TICK_ROOM = 48  # between two numbers under a strip
# shapes around (0, 0): dot, triangle, cross
MARKS = {
    "pass": "M-2.6 0a2.6 2.6 0 1 0 5.2 0a2.6 2.6 0 1 0-5.2 0z",
    "review": "M0-4L3.8 3H-3.8z",
    "fail": "M-3.4-3.4L3.4 3.4M-3.4 3.4L3.4-3.4",
}
# the same where many are one path: relative to the point that the path has moved to
SMALL_MARKS = {"review": "m0-4l4 7h-8z", "fail": "m-3-3l6 6m0-6l-6 6"}
MOST_LINKS = 20  # in a group
NO_LIMITS: Mapping[str, Sequence[float]] = {}
WILD_SHARE = 0.02  # not more may be drawn at the border


def slice_chart(
    plane: str,
    index: Sequence[float],
    values: Sequence[float],
    readings: Sequence[tuple[str, float, float]],
    title: str,
) -> Markup:
    """Scores of one plane, slice by slice.

    Parameters
    ----------
    plane : str
    index, values : sequence of float
        Slice numbers and their scores, equally long, not empty.
    readings : sequence of (name, low, high)
        Ranges with a meaning, best first: drawn as bands, and choosing the marks (first: pass, last: fail).
    title : str
        What the picture shows, for screen readers.
    """
    from markupsafe import Markup

    first, last = min(index), max(index)

    def x(at: float) -> float:
        return LEFT + (at - first) / ((last - first) or 1) * (WIDTH - LEFT - RIGHT)

    parts = [lane(index, values, readings, x, (TOP, HEIGHT - BOTTOM)), slice_axis(plane, first, last, HEIGHT - 10)]
    label = escape(title)
    head = f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
    return Markup(head + "".join(parts) + "</svg>")


def slice_pairs(part: Any) -> list[tuple[float, float]]:
    """Slice numbers with their values, of a plane's part of a record's score; of any content."""
    index, values = (entries(part.get(key)) for key in ("index", "value")) if isinstance(part, dict) else ([], [])
    both = zip(map(number, index), map(number, values), strict=False)
    return [(at, value) for at, value in both if at is not None and value is not None]


def lane(
    index: Sequence[float],
    values: Sequence[float],
    readings: Sequence[tuple[str, float, float]],
    x: Callable[[float], float],
    reach: tuple[float, float],
) -> str:
    """Scores of one plane between two heights of a chart: bands with names and limits, a trace, and marks.

    Parameters
    ----------
    index, values, readings
        As :func:`slice_chart` takes them.
    x : callable
        From a slice's number to its place on the chart.
    reach : tuple of float
        Upper and lower end on the chart.
    """
    inner = [low for _, low, _ in readings] + [high for _, _, high in readings]
    inner = [edge for edge in inner if inner.count(edge) > 1]  # where one reading ends and the next begins
    bottom, top = min([*values, *inner]), max([*values, *inner])
    pad = 0.08 * (top - bottom or 1.0)
    bottom, top = bottom - pad, top + pad

    def y(value: float) -> float:
        return reach[0] + (top - value) / (top - bottom) * (reach[1] - reach[0])

    parts = [_bands(readings, bottom, top, y)]
    path = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in zip(index, values, strict=True))
    parts.append(f'<polyline class="trace" points="{path}"/>')
    for at, value in zip(index, values, strict=True):
        kind = kind_of(value, readings)
        parts.append(
            f'<path class="mark {kind}" transform="translate({x(at):.1f} {y(value):.1f})" d="{MARKS[kind]}">'
            f"<title>slice {at:g}: {plain(value)}</title></path>"
        )
    return "".join(parts)


def slice_axis(plane: str, first: float, last: float, y: float) -> str:
    """The first and last slice's number and the plane's name under a chart of slices."""
    places = [(LEFT, f"{first:g}"), ((LEFT + WIDTH - RIGHT) / 2, f"{escape(plane)} slice")]
    places += [(WIDTH - RIGHT, f"{last:g}")] if last > first else []
    return "".join(f'<text class="tick" x="{at:.0f}" y="{y}" text-anchor="middle">{text}</text>' for at, text in places)


def _bands(readings: Sequence[tuple[str, float, float]], bottom: float, top: float, y: Any) -> str:
    """A band for each reading within the drawn range, with its name at the right and its limit at the left."""
    parts = []
    for place, (name, low, high) in enumerate(readings):
        upper, lower = min(high, top), max(low, bottom)
        if upper <= lower:
            continue
        kind = _grade(place, len(readings))
        span = y(lower) - y(upper)
        parts.append(
            f'<rect class="band {kind}" x="{LEFT}" y="{y(upper):.1f}" '
            f'width="{WIDTH - LEFT - RIGHT}" height="{span:.1f}"/>'
        )
        if span > 9:
            parts += _band_name(name, y(upper) + span / 2, span)
        if bottom < low < top:
            parts.append(f'<text class="tick" x="{LEFT - 4}" y="{y(low) + 4:.1f}" text-anchor="end">{low:g}</text>')
    return "".join(parts)


def _band_name(name: str, middle: float, span: float) -> list[str]:
    """A band's name at the right, in as many lines as the margin and the band's height ask for."""
    lines = textwrap.wrap(name, NAME_LETTERS, break_long_words=False) or [""]
    room = max(int(span // LINE_HEIGHT), 1)
    shown = [*lines[: room - 1], f"{lines[room - 1]}…"] if len(lines) > room else lines
    first = middle + 4 - LINE_HEIGHT * (len(shown) - 1) / 2
    return [
        f'<text class="tick" x="{WIDTH - RIGHT + 5}" y="{first + LINE_HEIGHT * at:.1f}">{escape(line)}</text>'
        for at, line in enumerate(shown)
    ]


def _grade(place: int, count: int) -> str:
    return "pass" if place == 0 else "fail" if place == count - 1 else "review"


def kind_of(value: float, readings: Sequence[tuple[str, float, float]]) -> str:
    """The mark for a value: a value at the upper bound belongs to the reading that ends there."""
    for place, (_, low, high) in enumerate(readings):
        if low <= value < high:
            return _grade(place, len(readings))
    return next((_grade(place, len(readings)) for place, row in enumerate(readings) if value == row[2]), "pass")


def strip_chart(
    rows: Mapping[str, Sequence[Mapping[str, Any]]],
    title: str,
    limits: Sequence[float] = (),
    own: Mapping[str, Sequence[float]] = NO_LIMITS,
) -> Markup:
    """Every scan of a study as one mark, a row for each group.

    Parameters
    ----------
    rows : dict
        A group's name to its scans: ``{value, decision, name, page}`` each; ``value`` is a finite number.
    title : str
        For screen readers.
    limits : sequence of float
        Drawn as upright lines.
    own : mapping of str to sequence of float
        Limits of one group, drawn in its row alone.

    Notes
    -----
    Passing scans are one path without links, so that thousands stay light; the others are links to their pages, unless
    there are too many of them in a group.
    Groups of two and more have their median as an upright bar.
    """
    from markupsafe import Markup

    values = sorted(float(scan["value"]) for scans in rows.values() for scan in scans)
    if not values:
        return Markup("")
    low, high = _view(values)
    told = sorted({*limits, *(limit for name in rows for limit in own.get(name, ()))})
    low, high = min(low, *told, high), max(high, *told, low)
    pad = 0.03 * ((high - low) or 1.0)
    low, high = low - pad, high + pad
    above = NAME_HEIGHT if any(len(name) > SIDE_NAME for name in rows) else 0
    left, right = 12 if above else SIDE_WIDTH, 12

    def x(value: float) -> float:
        return left + (min(max(value, low), high) - low) / (high - low) * (STRIP_WIDTH - left - right)

    height = (above + ROW_HEIGHT) * len(rows) + 24
    parts = [f'<svg class="chart strip" viewBox="0 0 {STRIP_WIDTH} {height}" role="img" aria-label="{escape(title)}">']

    def draw(limit: float, top: float, bottom: float) -> None:
        shape = f"M{x(limit):.1f} {top:g}V{bottom:g}"
        parts.append(f'<path class="limit" d="{shape}"><title>limit {limit:g}</title></path>')

    for limit in limits:
        draw(limit, 0, height - 20)
    for place, (name, scans) in enumerate(rows.items()):
        y = (above + ROW_HEIGHT) * place + above + ROW_HEIGHT / 2
        if above and place:
            parts.append(f'<path class="rule" d="M0 {y - ROW_HEIGHT / 2 - above:.1f}H{STRIP_WIDTH}"/>')
        at = f'x="0" y="{y - ROW_HEIGHT / 2 - 4:.1f}"' if above else f'x="{left - 8}" y="{y + 4:.1f}" text-anchor="end"'
        short = _shortened(name, STRIP_WIDTH if above else left - 8)
        parts.append(f'<text class="tick group" {at}>{escape(short)}<title>{escape(name)}</title></text>')
        for limit in own.get(name, ()):
            draw(limit, y - ROW_HEIGHT / 2, y + ROW_HEIGHT / 2)
        parts.append(_strip_row(scans, y, x))
    ends = [(low + pad, "start"), (high - pad, "end")]
    room = (x(low + pad) + TICK_ROOM, x(high - pad) - TICK_ROOM)
    for value, anchor in [*ends, *((limit, "middle") for limit in told if room[0] < x(limit) < room[1])]:
        parts.append(
            f'<text class="tick" x="{x(value):.0f}" y="{height - 6}" text-anchor="{anchor}">{plain(value)}</text>'
        )
    return Markup("".join(parts) + "</svg>")


def _shortened(name: str, room: float) -> str:
    """A name cut off where its letters, as wide as they may be in a system's font, would leave its room."""
    taken = 0.0
    for place, letter in enumerate(name):
        taken += 11.5 if letter in "WM@%" or unicodedata.east_asian_width(letter) in "WF" else LETTERS[letter.isupper()]
        if taken > room:
            return name[: max(place - 2, 1)] + "…"
    return name


def _strip_row(scans: Sequence[Mapping[str, Any]], y: float, x: Any) -> str:
    """One group: its median, passing scans as one path, the others as links while they are few."""
    passing, links = [], []
    merged: dict[str, list[str]] = {"review": [], "fail": []}
    many = sum(scan["decision"] != "pass" for scan in scans) > MOST_LINKS
    for place, scan in enumerate(scans):
        at, jitter = x(float(scan["value"])), ((place + 0.5) * 0.618034 % 1.0 - 0.5) * 14 if len(scans) > 1 else 0.0
        if scan["decision"] == "pass":
            passing.append(f"M{at:.1f} {y + jitter:.1f}h0")
        else:
            kind = scan["decision"] if scan["decision"] in MARKS else "review"
            if many:
                merged[kind].append(f"M{at:.0f} {y + jitter:.0f}{SMALL_MARKS[kind]}")
                continue
            told = escape(f"{scan['name']}: {plain(float(scan['value']))} ({kind})")
            links.append(
                f'<a href="{escape(scan["page"], quote=True)}"><path class="mark {kind}" '
                f'transform="translate({at:.1f} {y + jitter:.1f})" d="{MARKS[kind]}"><title>{told}</title></path></a>'
            )
    bar = ""
    if len(scans) > 1:  # under the marks, or it would hide the one or two of a small group
        middle = statistics.median(float(scan["value"]) for scan in scans)
        bar = f'<path class="median" d="M{x(middle):.1f} {y - 10:.1f}v20"><title>median {plain(middle)}</title></path>'
    dots = f'<path class="dots" d="{"".join(passing)}"/>' if passing else ""
    paths = [f'<path class="mark {kind}" d="{"".join(parts)}"/>' for kind, parts in merged.items() if parts]
    return "".join([bar, dots, *paths, *links])


def _view(ordered: Sequence[float]) -> tuple[float, float]:
    """Where the axis begins and ends: all values, or without the wildest where they would squeeze the rest."""
    low, high = ordered[0], ordered[-1]
    quarter, three = ordered[len(ordered) // 4], ordered[(3 * len(ordered)) // 4]
    reach = 20 * (three - quarter)
    wild = sum(not quarter - reach <= value <= three + reach for value in ordered)
    if len(ordered) >= 20 and reach > 0 and wild <= max(2, WILD_SHARE * len(ordered)):
        low, high = max(low, quarter - reach), min(high, three + reach)
    return low, high
