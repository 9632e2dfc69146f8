# SPDX-License-Identifier: Apache-2.0
"""The main plots of a study as PNG and SVG, for papers and talks: the same bytes for the same scans and versions."""

from __future__ import annotations

import io
import logging
import os
import sys
import tempfile
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bidsqa.report.study_scan import DECISIONS, StudyScan, StudyValue
from bidsqa.verdict.reading import number as finite

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# dark, middle and light, blue to orange: told apart by colour-blind readers and in grey; the shape tells the same
COLOURS = {"pass": "#56b4e9", "review": "#b07800", "fail": "#a8281a"}
MARKERS = {"pass": ".", "review": "^", "fail": "x"}
HATCHES = {"pass": "", "review": "///", "fail": "xxx"}
MOST_ROWS, LONGEST_NAME = 60, 48
ROW_INCHES, WIDTH_INCHES = 0.34, 7.0
MANY_POINTS = 4000  # from here on points are pixels in the SVG as well
DPI = 200
SETTINGS = {
    "svg.hashsalt": "bidsqa",
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "text.parse_math": False,  # a site's name may have dollar signs
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.linewidth": 0.6,
}


def draw_study_figures(scans: Sequence[StudyScan], values: Sequence[StudyValue]) -> dict[str, bytes]:
    """Decisions by site, each score by site, and the chief metrics by suffix.

    Parameters
    ----------
    scans : sequence of StudyScan
    values : sequence of StudyValue
        Each score among the chief values gets a picture of its own; the chief metrics share one.

    Returns
    -------
    dict
        Name with extension to content, e.g. ``severity.svg``; a value that no scan has is left out.
    """
    with _matplotlib():
        drawn = {"decisions": _decisions(scans)}
        known = [value for value in values if value.chief and _numbers(scans, value)]
        metrics = [value for value in known if not value.is_score]
        for value in known:
            if value.is_score:
                drawn[value.key] = _by_rows(scans, [value])
        if metrics:
            drawn["metrics"] = _by_rows(scans, metrics)
        return {f"{name}.{kind}": _content(figure, kind) for name, figure in drawn.items() for kind in ("png", "svg")}


@contextmanager
def _matplotlib() -> Iterator[None]:
    """Matplotlib with its own defaults: no settings of the user, no cache in a home that may be read-only or shared."""
    if "matplotlib.font_manager" not in sys.modules and "MPLCONFIGDIR" not in os.environ:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["MPLCONFIGDIR"] = folder
            try:
                import matplotlib.font_manager
            finally:
                del os.environ["MPLCONFIGDIR"]
    import matplotlib

    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), matplotlib.rc_context(matplotlib.rcParamsDefault.copy() | SETTINGS):
            warnings.filterwarnings("ignore", message="Glyph .* missing")
            yield
    finally:
        logger.setLevel(level)


def _content(figure: Figure, kind: str) -> bytes:
    memory = io.BytesIO()
    metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
    figure.savefig(memory, format=kind, dpi=DPI, metadata=metadata)
    return memory.getvalue()


def _figure(rows: int, panels: int) -> tuple[Figure, list[Axes]]:
    """A figure with its panels side by side, two in a line, each as high as its rows need."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(panels, 2)
    lines = -(-panels // columns)
    height = lines * (1.0 + ROW_INCHES * max(rows, 2))
    figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(lines, columns, squeeze=False, sharey=True).flat)
    for unused in axes[panels:]:
        unused.remove()
    return figure, axes[:panels]


def _numbers(scans: Sequence[StudyScan], value: StudyValue) -> list[tuple[StudyScan, float]]:
    found = [(scan, finite(scan.values.get(value.key))) for scan in scans]
    return [(scan, number) for scan, number in found if number is not None]


def _rows(scans: Sequence[StudyScan]) -> dict[str, list[StudyScan]]:
    """Scans by suffix and site, or by suffix alone where there are too many sites for one picture."""
    suffixes, sites = {scan.suffix for scan in scans}, {scan.site for scan in scans}
    by_site = len(sites) > 1 and len({(scan.suffix, scan.site) for scan in scans}) <= MOST_ROWS
    found: dict[str, list[StudyScan]] = defaultdict(list)
    for scan in scans:
        parts = [scan.suffix] if len(suffixes) > 1 or not by_site else []
        found[" · ".join([*parts, *([scan.site] if by_site else [])])].append(scan)
    return dict(sorted(found.items()))


def _name_rows(axis: Axes, names: Sequence[str]) -> None:
    short = [name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…" for name in names]
    axis.set_yticks(range(len(names)), short)
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.tick_params(axis="y", length=0)


def _decisions(scans: Sequence[StudyScan]) -> Figure:
    """Bars of counts, one for each row."""
    from matplotlib.ticker import MaxNLocator

    rows = _rows(scans)
    figure, (axis,) = _figure(len(rows), 1)
    starts = [0] * len(rows)
    for decision in DECISIONS:
        counts = [Counter(scan.decision for scan in members)[decision] for members in rows.values()]
        axis.barh(
            range(len(rows)),
            counts,
            left=starts,
            height=0.7,
            color=COLOURS[decision],
            hatch=HATCHES[decision],
            edgecolor="white",
            linewidth=0.5,
            label=f"{decision} ({sum(counts)})",
        )
        starts = [start + count for start, count in zip(starts, counts, strict=True)]
    axis.set_xlabel("scans")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    _name_rows(axis, list(rows))
    figure.legend(loc="outside upper center", ncols=len(DECISIONS), frameon=False)
    return figure


def _by_rows(scans: Sequence[StudyScan], values: Sequence[StudyValue]) -> Figure:
    """One panel for each value: every scan a point, the median a bar, the limits dashed."""
    rows = _rows([scan for scan in scans if any(finite(scan.values.get(value.key)) is not None for value in values)])
    figure, axes = _figure(len(rows), len(values))
    for axis, value in zip(axes, values, strict=True):
        _points(axis, rows, value, len(scans) > MANY_POINTS)
        for limit in value.drawn_limits:
            places = [at for at, own in enumerate(rows.values()) if limit.suffix in ("", own[0].suffix)]
            edges = [(at - 0.5, at + 0.5) for at in places] if limit.suffix else [(-0.5, len(rows) - 0.5)]
            for edge in edges:
                axis.plot([limit.value] * 2, edge, color="0.35", linewidth=0.7, linestyle=(0, (4, 3)), zorder=0)
        unit = f" ({value.unit})" if value.unit else ""
        axis.set_xlabel("\n".join(part for part in (f"{value.title}{unit}", value.direction) if part))
        _name_rows(axis, list(rows))
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(DECISIONS) + 1, frameon=False)
    return figure


def _points(axis: Axes, rows: dict[str, list[StudyScan]], value: StudyValue, many: bool) -> None:
    import statistics

    points: dict[str, list[tuple[float, float]]] = {decision: [] for decision in reversed(DECISIONS)}
    medians: list[tuple[float, float]] = []
    for row, members in enumerate(rows.values()):
        known = _numbers(members, value)
        for place, (scan, number) in enumerate(known):
            jitter = ((place + 0.5) * 0.618034 % 1.0 - 0.5) * 0.6 if len(known) > 1 else 0.0
            points[scan.decision].append((number, row + jitter))
        if len(known) > 1:
            medians.append((statistics.median(number for _, number in known), float(row)))
    for decision, found in points.items():
        style: dict[str, Any] = {"c": COLOURS[decision], "marker": MARKERS[decision], "label": decision}
        xs, ys = zip(*found, strict=True) if found else ((), ())
        axis.scatter(xs, ys, s=14, linewidths=0.9, alpha=0.75, rasterized=many, **style)
    xs, ys = zip(*medians, strict=True) if medians else ((), ())
    axis.scatter(xs, ys, s=160, c="black", marker="|", linewidths=1.6, label="median", zorder=3)
