# SPDX-License-Identifier: Apache-2.0
"""The interactive plots of the study's page: empty figures of Bokeh, and the numbers that the page's script puts in.

Nothing in the figures depends on the study. The script chooses what they show, so that every score and metric shares
one set of figures, and so that no text of a scan ever becomes part of a template.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from importlib import resources
from typing import Any

from bidsqa.report.study_scan import StudyScan, StudyValue
from bidsqa.verdict.reading import number as finite

VIEWS = ("groups", "pair", "drift")
HEIGHT = 460
DIGITS = 5


@lru_cache(maxsize=1)
def library() -> str:
    """BokehJS as it lies in Bokeh's own Python package."""
    return resources.files("bokeh").joinpath("server", "static", "js", "bokeh.min.js").read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def figures() -> dict[str, Any]:
    """The empty figures as Bokeh's JSON, one for each of ``VIEWS``."""
    from bokeh.embed import json_item

    return {view: json_item(_figure(view)) for view in VIEWS}


def _figure(view: str) -> Any:
    """An empty figure: boxes, points, lines and words, each with a source that has its name."""
    from bokeh.models import (
        BoxZoomTool,
        ColumnDataSource,
        HoverTool,
        PanTool,
        Range1d,
        ResetTool,
        TapTool,
        WheelZoomTool,
    )
    from bokeh.plotting import figure

    drawn = figure(
        name="figure",
        height=HEIGHT,
        sizing_mode="stretch_width",
        x_axis_type="datetime" if view == "drift" else "linear",
        x_range=Range1d(0, 1, name="x_range"),
        y_range=Range1d(0, 1, name="y_range"),
        tools=[],
        toolbar_location="above",
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=None,
        min_border_right=12,
        lod_threshold=None,
    )
    drawn.toolbar.logo = None
    drawn.yaxis.visible = view != "groups"
    drawn.ygrid.visible = view != "groups"
    boxes = ColumnDataSource({name: [] for name in ("left", "right", "top", "bottom")}, name="boxes")
    lines = ColumnDataSource({name: [] for name in ("xs", "ys", "color", "dash", "width")}, name="lines")
    words = ColumnDataSource({name: [] for name in ("x", "y", "text", "align", "baseline", "color")}, name="words")
    points = ColumnDataSource(
        {name: [] for name in ("x", "y", "scan", "color", "marker", "size", "width")}, name="points"
    )
    drawn.quad("left", "right", "top", "bottom", source=boxes, name="box", fill_alpha=0.35, line_alpha=0.7)
    look = {"size": "size", "marker": "marker", "color": "color", "line_width": "width"}
    marks = drawn.scatter("x", "y", source=points, fill_alpha=0.45, line_alpha=0.85, **look)
    drawn.multi_line("xs", "ys", source=lines, line_color="color", line_dash="dash", line_width="width")
    style = {"text_align": "align", "text_baseline": "baseline", "text_color": "color", "text_font_size": "12px"}
    drawn.text("x", "y", "text", source=words, name="word", background_fill_alpha=0.7, **style)
    marks.nonselection_glyph = marks.selection_glyph = None
    zoom = BoxZoomTool(name="zoom")
    drawn.add_tools(zoom, PanTool(), WheelZoomTool(), ResetTool())
    drawn.add_tools(
        HoverTool(renderers=[marks], tooltips=None, visible=False), TapTool(renderers=[marks], visible=False)
    )
    # dragging draws a box, and the wheel scrolls the page until it is switched on
    drawn.toolbar.active_drag, drawn.toolbar.active_scroll = zoom, None
    return drawn


def numbers(ordered: Sequence[StudyScan], values: Sequence[StudyValue]) -> dict[str, Any]:
    """The data block of the page: what its script knows of the scans beyond the table's rows.

    Parameters
    ----------
    ordered : sequence of StudyScan
        In the order of the table's rows.
    values : sequence of StudyValue
        Those of which no scan has a number are left out.

    Returns
    -------
    dict
        ``suffixes``, ``sites`` (names); ``suffix``, ``site`` (a scan's place in these), ``acquired`` (milliseconds
        since 1970 or None) and ``pictures`` (addresses, empty for none), one entry a scan each; ``reasons`` (all but
        the first) and ``outliers`` (places of the values in which a scan stands out) by a scan's place; ``values``,
        each with its words, ``limits`` and ``numbers``.
    """
    suffixes = sorted({scan.suffix for scan in ordered})
    sites = sorted({scan.site for scan in ordered})
    kept = []
    for value in values:
        column = [_short(finite(scan.values.get(value.key))) for scan in ordered]
        if any(entry is not None for entry in column):
            kept.append((value, column))
    place = {value.key: at for at, (value, _) in enumerate(kept)}
    return {
        "suffixes": suffixes,
        "sites": sites,
        "suffix": [suffixes.index(scan.suffix) for scan in ordered],
        "site": [sites.index(scan.site) for scan in ordered],
        "acquired": [milliseconds(scan.acquired) for scan in ordered],
        "pictures": [scan.picture for scan in ordered],
        "reasons": {str(at): list(map(_text, scan.reasons[1:])) for at, scan in enumerate(ordered) if scan.reasons[1:]},
        "outliers": {
            str(at): [place[key] for key in scan.outliers if key in place]
            for at, scan in enumerate(ordered)
            if scan.outliers
        },
        "values": [
            {
                "key": value.key,
                "title": value.title,
                "says": value.says,
                "direction": value.direction,
                "unit": value.unit,
                "score": value.is_score,
                "chief": value.chief,
                "bad": value.bad_side,
                "limits": [[limit.value, limit.says, limit.suffix] for limit in value.drawn_limits],
                "numbers": column,
            }
            for value, column in kept
        ],
    }


def _text(reason: tuple[str, str]) -> str:
    return reason[0]


def _short(value: float | None) -> float | None:
    """A number with as many digits as a plot can show, since each value stands here once a scan."""
    if value is None:
        return None
    rounded = float(f"{value:.{DIGITS}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def milliseconds(acquired: str) -> int | None:
    """A date, perhaps with a time, in milliseconds since 1970; None where there is no date.

    Examples
    --------
    >>> milliseconds("1970-01-02"), milliseconds("unknown")
    (86400000, None)
    """
    if not re.match(r"\d{4}-\d{2}-\d{2}", acquired):
        return None
    try:
        found = datetime.fromisoformat(acquired)
    except ValueError:
        return None
    return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)
