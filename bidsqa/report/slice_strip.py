# SPDX-License-Identifier: Apache-2.0
"""One strip of the scores of a plane's slices: the networks above each other over the same axis of slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from bidsqa.report.charts import LEFT, RIGHT, TOP, WIDTH, lane, slice_axis

if TYPE_CHECKING:
    from markupsafe import Markup

NAME_HEIGHT, LANE_HEIGHT, AXIS_HEIGHT = 16, 96, 24


@dataclass(frozen=True)
class Lane:
    """The scores that one network gave to a plane's slices.

    Parameters
    ----------
    title : str
        The network's, for the reader.
    index, values : sequence
        Slice numbers and scores, equally long, not empty.
    readings : sequence of (name, low, high)
        Ranges with a meaning, best first.
    """

    title: str
    index: Sequence[int]
    values: Sequence[float]
    readings: Sequence[tuple[str, float, float]]


def slice_strip(plane: str, lanes: Sequence[Lane]) -> Markup:
    """All lanes as inline SVG, with an upright line that the page's script moves to the shown slice.

    The picture is told to be decoration: the viewer around it says in words what is shown.
    """
    from markupsafe import Markup

    every = [at for one in lanes for at in one.index]
    first, last = min(every), max(every)

    def x(at: float) -> float:
        return LEFT + (at - first) / ((last - first) or 1) * (WIDTH - LEFT - RIGHT)

    parts, cursor = [], ""
    for place, one in enumerate(lanes):
        top = TOP + place * (NAME_HEIGHT + LANE_HEIGHT)
        parts.append(f'<text class="tick name" x="{LEFT}" y="{top + 10}">{escape(one.title)}</text>')
        parts.append(lane(one.index, one.values, one.readings, x, (top + NAME_HEIGHT, top + NAME_HEIGHT + LANE_HEIGHT)))
        cursor += f"M{LEFT} {top + NAME_HEIGHT}v{LANE_HEIGHT}"
    end = TOP + len(lanes) * (NAME_HEIGHT + LANE_HEIGHT)
    parts.append(slice_axis(plane, first, last, end + 16))
    parts.append(f'<path class="cursor" d="{cursor}"/>')
    head = (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {end + AXIS_HEIGHT}" aria-hidden="true" '
        f'data-left="{LEFT}" data-right="{WIDTH - RIGHT}" data-first="{first}" data-last="{last}">'
    )
    return Markup(head + "".join(parts) + "</svg>")
