# SPDX-License-Identifier: Apache-2.0
"""The group level: tables, data dictionaries and the page of a study, from the records alone."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bidsqa.bids import names
from bidsqa.bids.scan import JUDGED_SUFFIXES
from bidsqa.bids.writing import write_atomic
from bidsqa.errors import UsageError
from bidsqa.group import cohort, dictionaries, protocols, read_rows, sites, tables
from bidsqa.group.rows import Row
from bidsqa.verdict import Rules, load_rules

THUMBNAILS = 60
PAGE = "group.html"


@dataclass(frozen=True)
class GroupResult:
    """What the group level wrote and found.

    Parameters
    ----------
    paths : list of Path
        Files written, the page last.
    problems : list of str
        Sentences about records that could not be used; any makes the run's exit code 1.
    notes : list of str
        Sentences about what makes scans hard to compare; also on the page.
    scans : int
        Records used.
    """

    paths: list[Path]
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    scans: int = 0


def run_group(out: Path, rules: Rules | None = None) -> GroupResult:
    """Write ``group_<suffix>``, ``group_exclusions`` and ``group_sites`` (each TSV and JSON) and ``group.html``.

    Parameters
    ----------
    out : Path
        Output folder with records; nothing else is read.
    rules : Rules, optional
        Judge every record anew by these, in the tables and on the study's page; records and scan pages stay as they
        are. By default the records' own verdicts stand.

    Returns
    -------
    GroupResult

    Raises
    ------
    UsageError
        When there is no usable record at all.
    """
    out = Path(out)
    rows, problems = read_rows(out, rules)
    if not rows:
        told = problems[0] if problems else "run the participant level first"
        raise UsageError(f"there is no usable record in {out}", told)
    sites.name_sites(rows)
    chosen = rules or load_rules()
    cohort.judge_cohort(rows, chosen)
    by_suffix: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_suffix[row.suffix].append(row)
    notes = _notes(rows, rules)
    paths: list[Path] = []
    for suffix, members in sorted(by_suffix.items()):
        paths += _write(out, f"group_{suffix}", *tables.group_table(members))
    paths += _write(out, "group_exclusions", *tables.exclusion_table(rows))
    paths += _write(out, "group_sites", *tables.site_table(rows), sites_table=True)
    paths += _write(out, "group_protocols", *protocols.protocol_table(rows, chosen))
    _remove_stale(out, set(by_suffix))
    paths.append(_write_page(out, rows, notes, problems))
    return GroupResult(paths, problems, notes, len(rows))


def _write(
    out: Path, stem: str, header: Sequence[str], body: Sequence[Sequence[Any]], *, sites_table: bool = False
) -> list[Path]:
    """A table and its dictionary."""
    table, described = out / f"{stem}.tsv", out / f"{stem}.json"
    write_atomic(table, tables.tsv(header, body))
    content = dictionaries.dictionary(header, sites=sites_table)
    write_atomic(described, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return [table, described]


def _remove_stale(out: Path, present: set[str]) -> None:
    """Tables of suffixes that no record has any more."""
    for suffix in set(JUDGED_SUFFIXES) - present:
        for extension in ("tsv", "json"):
            (out / f"group_{suffix}.{extension}").unlink(missing_ok=True)


def _notes(rows: Sequence[Row], rules: Rules | None) -> list[str]:
    """What makes the scans hard to compare: more than one version of anything that changes numbers."""
    found = []
    kinds = dict.fromkeys(key for row in rows for key in row.versions)
    for kind in kinds:
        counts: dict[str, int] = defaultdict(int)
        for row in rows:
            if row.status == "ok" and row.versions.get(kind):
                counts[row.versions[kind]] += 1
        if len(counts) > 1:
            told = ", ".join(f"{version} ({count} scans)" for version, count in sorted(counts.items()))
            found.append(f"The scans differ in {kind}: {told}. Assess them again before comparing them.")
    anew = sum(row.judged_anew for row in rows)
    if rules is not None and anew:
        which = "Decisions here were" if anew == len(rows) else f"Decisions on {anew} of {len(rows)} scans were"
        found.append(f"{which} made anew by rules {rules.version}; a scan's own page keeps its record's verdict.")
    worse = sum(row.decision != row.record_decision for row in rows)
    if worse:
        which = "1 scan" if worse == 1 else f"{worse} scans"
        found.append(f"{which} judged worse here than on the scan's own page: unlike the other scans of the site.")
    return found


def _write_page(out: Path, rows: Sequence[Row], notes: Sequence[str], problems: Sequence[str]) -> Path:
    from bidsqa.report import render_study
    from bidsqa.report.study_page import StudyScan, StudyValue

    ranked = sorted((row for row in rows if row.decision != "pass"), key=_badness)
    shown = {row.name for row in ranked[:THUMBNAILS]}
    values = [StudyValue(key, *_described(key)) for key in sites.chief_values()]
    scans = [
        StudyScan(
            name=row.name,
            suffix=row.suffix,
            site=row.site,
            entities=row.entities,
            status=row.status,
            decision=row.decision,
            reasons=[(str(reason.get("text", "")), str(reason.get("advice", ""))) for reason in row.reasons],
            outliers=list(row.outliers),
            values={value.key: row.values.get(value.key) for value in values},
            page=names.page_path(Path(), row.name).as_posix(),
            thumbnail=_thumbnail(out, row) if row.name in shown else None,
        )
        for row in rows
    ]
    path = out / PAGE
    write_atomic(path, render_study(scans, values, notes=notes, problems=problems))
    return path


def _described(key: str) -> tuple[str, str, str]:
    """Title, what it tells, direction."""
    from bidsqa.metrics import METRIC_KEYS
    from bidsqa.models import SCORES

    if key in SCORES:
        return SCORES[key].title, SCORES[key].says, SCORES[key].direction
    metric = METRIC_KEYS[key]
    return key, metric.keys[key], {"higher": "higher is better", "lower": "lower is better"}.get(metric.direction, "")


def _badness(row: Row) -> tuple[int, float, str]:
    """Worst first: failures, then by predicted SSIM and severity."""
    severity, ssim = row.values.get("severity"), row.values.get("ssim")
    total = (float(severity) if severity is not None else 0.0) - (float(ssim) if ssim is not None else 0.0)
    return (0 if row.decision == "fail" else 1, -total, row.name)


def _thumbnail(out: Path, row: Row) -> bytes | None:
    try:
        return names.figure_path(out, row.name, "thumbnail.webp").read_bytes()
    except (OSError, ValueError):
        return None
