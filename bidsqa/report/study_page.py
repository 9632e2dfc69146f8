# SPDX-License-Identifier: Apache-2.0
"""The page of a study: how many scans are good, which are not and why, and where each lies among the others."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import bidsqa
from bidsqa.report import charts, page, study_gallery, study_plots
from bidsqa.report.study_scan import DECISIONS, StudyProtocols, StudyScan, StudyValue, worst_first
from bidsqa.verdict.reading import number as finite
from bidsqa.verdict.reasons import plain

MOST_GROUPS = 12
# tables beside the page, with what they are for
FILES = {
    "exclusions": "which to exclude or look at, and why",
    "missing": "scans that are missing",
    "sites": "counts and medians by site",
    "site_effects": "how far sites differ",
    "protocols": "scanners and protocols",
    "scans": "columns for the dataset's scans.tsv",
}


def render_study(
    scans: Sequence[StudyScan],
    values: Sequence[StudyValue],
    *,
    notes: Sequence[str] = (),
    problems: Sequence[str] = (),
    protocols: StudyProtocols | None = None,
    figures: Mapping[str, str] | None = None,
    comparison: str = "",
) -> str:
    """The study's page: one HTML file that reads without JavaScript; with it, plots, filters and the whole gallery.

    Parameters
    ----------
    scans : sequence of StudyScan
        All texts in them are data.
    values : sequence of StudyValue
        What can be chosen in the plots, in this order; the chief ones are columns of the table and small distributions.
    notes, problems : sequence of str
        What makes scans hard to compare; records that could not be used.
    protocols : StudyProtocols, optional
        Scanners and protocols, with what deviates and what is missing.
    figures : dict of str to str, optional
        Title and relative address of pictures of the main plots for a paper.
    comparison : str
        Sentences on scans that stand out from others, and on those of which that can't be told.

    Returns
    -------
    str
    """
    ordered = worst_first(scans)
    decisions = Counter(scan.decision for scan in scans)
    chief = [value for value in values if value.chief]
    unassessed, shown = study_gallery.cards(ordered)
    return page.render(
        "study.html",
        page.static("page.css") + page.static("study.css") + page.static("study_plots.css"),
        # the table and the filters answer before the plots' library has been read
        scripts=[page.static("study.js"), study_plots.library(), page.static("study_plots.js")],
        inline_styles=True,
        pictures_beside=True,
        total=len(scans),
        decisions=[(name, decisions[name]) for name in DECISIONS],
        percent={name: _percent(decisions[name], len(scans)) for name in DECISIONS},
        by_suffix=_counts(scans, lambda scan: scan.suffix),
        by_site=_counts(scans, lambda scan: scan.site),
        rows=[_row(scan, chief) for scan in ordered],
        columns=[(value.title, f"{value.says} {value.direction}".strip()) for value in chief],
        suffixes=sorted({scan.suffix for scan in scans}),
        sites=sorted({scan.site for scan in scans}),
        unassessed=unassessed,
        unassessed_more=sum(scan.status == "failed" for scan in scans) - len(unassessed),
        gallery=shown,
        distributions=_distributions(scans, chief),
        outliers=sum(bool(scan.outliers) for scan in scans),
        data=page.data_block(study_plots.numbers(ordered, values)),
        empty_figures=page.data_block(study_plots.figures()),
        notes=notes,
        problems=problems,
        protocols=protocols,
        figures=figures or {},
        files=_files(sorted({scan.suffix for scan in scans})),
        comparison=comparison,
        pictured=any(scan.picture or scan.thumbnail for scan in scans),
        version=bidsqa.__version__,
    )


def _files(suffixes: Sequence[str]) -> list[tuple[str, str]]:
    """The tables beside the page with what they hold, the answer to the page's question first."""
    values = [(suffix, f"all values of the {suffix} scans") for suffix in suffixes]
    first, *others = FILES.items()
    return [(f"group_{name}.tsv", says) for name, says in (first, *values, *others)]


def _percent(count: int, total: int) -> str:
    """A share in whole percent that never hides a scan."""
    share = 100 * count / total if total else 0.0
    return "<1" if 0 < share < 1 else ">99" if 99 < share < 100 else f"{share:.0f}"


def _counts(scans: Sequence[StudyScan], group_of: Any) -> list[tuple[str, dict[str, int]]]:
    """Decisions by group, sorted by the group's name."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for scan in scans:
        found[group_of(scan)][scan.decision] += 1
    return [(name, {key: counts[key] for key in DECISIONS}) for name, counts in sorted(found.items())]


def _row(scan: StudyScan, values: Sequence[StudyValue]) -> dict[str, Any]:
    """One row of the table as texts."""
    cells = []
    for value in values:
        number = finite(scan.values.get(value.key))
        cells.append({"text": "–" if number is None else plain(number), "odd": value.key in scan.outliers})
    return {
        "scan": scan,
        "reason": scan.reasons[0][0] if scan.reasons else "",
        "more": len(scan.reasons) - 1,
        "cells": cells,
    }


def _distributions(scans: Sequence[StudyScan], values: Sequence[StudyValue]) -> list[dict[str, Any]]:
    """A strip chart for each value, a row for each suffix (and site, while these are few)."""
    sites = {scan.site for scan in scans}
    suffixes = {scan.suffix for scan in scans}
    many = len(suffixes) > 1
    found = []
    for value in values:
        rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        own: dict[str, list[float]] = {}
        for scan in scans:
            number = finite(scan.values.get(value.key))
            if number is None:
                continue
            parts = [scan.suffix] if many or len(sites) == 1 else []
            if len(sites) > 1 and len(sites) * len(suffixes) <= MOST_GROUPS:
                parts.append(scan.site)
            group = " · ".join(parts) or scan.suffix
            own[group] = [limit.value for limit in value.drawn_limits if limit.suffix == scan.suffix]
            rows[group].append({"value": number, "decision": scan.decision, "name": scan.name, "page": scan.page})
        if not rows:
            continue
        counted = sum(len(entries) for entries in rows.values())
        title = f"{value.title} of {counted} scans"
        limits = sorted({limit.value for limit in value.drawn_limits if not limit.suffix})
        chart = charts.strip_chart(dict(sorted(rows.items())), title, limits, own)
        found.append({"value": value, "chart": chart, "missing": len(scans) - counted})
    return found
