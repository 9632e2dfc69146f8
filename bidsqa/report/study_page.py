# SPDX-License-Identifier: Apache-2.0
"""The page of a study: how many scans are good, which are not and why, and where each lies among the others."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import bidsqa
from bidsqa.models import SCORES
from bidsqa.report import charts, page
from bidsqa.verdict.reading import number as finite
from bidsqa.verdict.reasons import plain

DECISIONS = ("fail", "review", "pass")
MOST_GROUPS = 12
MOST_CARDS = 60
LONGEST_CHIP = 40
FILES = ("group_exclusions.tsv", "group_sites.tsv")


@dataclass(frozen=True)
class StudyValue:
    """A score or metric that is compared between scans.

    Parameters
    ----------
    key : str
        Its name in :attr:`StudyScan.values`.
    title, says, direction : str
        For the reader; ``direction`` in words, e.g. ``higher is better``.
    """

    key: str
    title: str
    says: str
    direction: str


@dataclass(frozen=True)
class StudyScan:
    """What the study's page shows of one scan.

    Parameters
    ----------
    name, suffix, site, status, decision : str
    entities : dict of str to str
        BIDS key to label.
    reasons : list of (text, advice)
        The gravest first.
    outliers : list of str
        Keys of the values in which the scan stands out.
    values : dict of str to (float or None)
    page : str
        Relative address of the scan's page.
    thumbnail : bytes or None
        A small picture.
    """

    name: str
    suffix: str
    site: str
    entities: Mapping[str, str]
    status: str
    decision: str
    reasons: Sequence[tuple[str, str]]
    outliers: Sequence[str]
    values: Mapping[str, Any]
    page: str
    thumbnail: bytes | None = None


@dataclass(frozen=True)
class _Card:
    """A scan in the gallery: what is wrong in a word each, the gravest reason and what to do."""

    scan: StudyScan
    picture: dict[str, Any] | None = None
    chips: Sequence[str] = ()
    reason: str = ""
    advice: str = ""


def render_study(
    scans: Sequence[StudyScan], values: Sequence[StudyValue], *, notes: Sequence[str] = (), problems: Sequence[str] = ()
) -> str:
    """The study's page: one HTML file; sorting and filtering the table need JavaScript, reading it does not.

    Parameters
    ----------
    scans : sequence of StudyScan
        All texts in them are data.
    values : sequence of StudyValue
        Columns of the table and distributions, in this order.
    notes, problems : sequence of str
        What makes scans hard to compare; records that could not be used.

    Returns
    -------
    str
    """
    ordered = sorted(scans, key=lambda scan: (DECISIONS.index(scan.decision), scan.name))
    failed = [scan for scan in ordered if scan.status == "failed"]
    decisions = Counter(scan.decision for scan in scans)
    return page.render(
        "study.html",
        page.static("page.css") + page.static("study.css"),
        page.static("study.js"),
        total=len(scans),
        decisions=[(name, decisions[name]) for name in DECISIONS],
        percent={name: _percent(decisions[name], len(scans)) for name in DECISIONS},
        by_suffix=_counts(scans, lambda scan: scan.suffix),
        by_site=_counts(scans, lambda scan: scan.site),
        rows=[_row(scan, values) for scan in ordered],
        columns=[(value.key, value.title, f"{value.says} {value.direction}".strip()) for value in values],
        suffixes=sorted({scan.suffix for scan in scans}),
        sites=sorted({scan.site for scan in scans}),
        unassessed=[_card(scan) for scan in failed[:MOST_CARDS]],
        unassessed_more=len(failed) - len(failed[:MOST_CARDS]),
        flagged=_gallery(ordered),
        distributions=_distributions(scans, values),
        outliers=sum(bool(scan.outliers) for scan in scans),
        notes=notes,
        problems=problems,
        files=[*(f"group_{suffix}.tsv" for suffix in sorted({scan.suffix for scan in scans})), *FILES],
        version=bidsqa.__version__,
    )


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
    """One row of the table as texts and sort keys."""
    cells = []
    for value in values:
        number = finite(scan.values.get(value.key))
        text, sort = (plain(number), f"{number:.6g}") if number is not None else ("–", "")
        cells.append({"text": text, "sort": sort, "odd": value.key in scan.outliers})
    return {
        "scan": scan,
        "rank": DECISIONS.index(scan.decision),
        "reason": scan.reasons[0][0] if scan.reasons else "",
        "more": len(scan.reasons) - 1,
        "cells": cells,
    }


def _gallery(ordered: Sequence[StudyScan]) -> list[_Card]:
    """Pictures of the assessed scans that have one, worst first."""
    found = []
    for scan in ordered:
        if scan.thumbnail is None or scan.status == "failed":
            continue
        try:
            picture = page.picture(scan.thumbnail)
        except ValueError:
            continue
        found.append(_card(scan, picture))
    return found


def _card(scan: StudyScan, picture: dict[str, Any] | None = None) -> _Card:
    """A scan's card; a chip is what stands before the colon of a reason."""
    reason, advice = scan.reasons[0] if scan.reasons else ("", "")
    if scan.status == "failed":
        told = reason.removeprefix("not assessed:").strip() or "the cause was not recorded"
        return _Card(scan, None, ("not assessed",), told, advice)
    words = dict.fromkeys(text.partition(":")[0].strip() for text, _ in scan.reasons if ":" in text)
    return _Card(scan, picture, [word for word in words if len(word) <= LONGEST_CHIP], reason, advice)


def _distributions(scans: Sequence[StudyScan], values: Sequence[StudyValue]) -> list[dict[str, Any]]:
    """A strip chart for each value, a row for each suffix (and site, while these are few)."""
    sites = {scan.site for scan in scans}
    suffixes = {scan.suffix for scan in scans}
    many = len(suffixes) > 1
    found = []
    for value in values:
        rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for scan in scans:
            number = finite(scan.values.get(value.key))
            if number is None:
                continue
            parts = [scan.suffix] if many or len(sites) == 1 else []
            if len(sites) > 1 and len(sites) * len(suffixes) <= MOST_GROUPS:
                parts.append(scan.site)
            group = " · ".join(parts) or scan.suffix
            rows[group].append({"value": number, "decision": scan.decision, "name": scan.name, "page": scan.page})
        if not rows:
            continue
        counted = sum(len(entries) for entries in rows.values())
        title = f"{value.title} of {counted} scans"
        chart = charts.strip_chart(dict(sorted(rows.items())), title, _limits(value.key))
        found.append({"value": value, "chart": chart, "missing": len(scans) - counted})
    return found


def _limits(key: str) -> list[float]:
    """Where one reading of a score ends and the next begins."""
    if key not in SCORES:
        return []
    low, high = SCORES[key].bounds
    edges = {edge for reading in SCORES[key].readings for edge in (reading.low, reading.high)}
    return sorted(edge for edge in edges if low < edge < high)
