# SPDX-License-Identifier: Apache-2.0
"""The group level: tables, data dictionaries and the page of a study, from the records alone."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsqa.bids import names
from bidsqa.bids.scan import JUDGED_SUFFIXES
from bidsqa.bids.writing import write_atomic
from bidsqa.errors import UsageError
from bidsqa.group import dictionaries, read_rows, sites, tables
from bidsqa.group.rows import Row
from bidsqa.verdict import Rules

if TYPE_CHECKING:
    from bidsqa.report.study_scan import Limit, StudyScan, StudyValue

THUMBNAILS = 60
PAGE = "group.html"
LIMITS = ("review_above", "review_below", "fail_above", "fail_below")


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
    """Write ``group_<suffix>``, ``group_exclusions`` and ``group_sites`` (TSV and JSON), pictures and ``group.html``.

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
    sites.mark_outliers(rows)
    by_suffix: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_suffix[row.suffix].append(row)
    notes = _notes(rows, rules)
    paths: list[Path] = []
    for suffix, members in sorted(by_suffix.items()):
        paths += _write(out, f"group_{suffix}", *tables.group_table(members))
    paths += _write(out, "group_exclusions", *tables.exclusion_table(rows))
    paths += _write(out, "group_sites", *tables.site_table(rows), sites_table=True)
    _remove_stale(out, set(by_suffix))
    paths += _write_page(out, rows, notes, problems, rules)
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
    return found


def _write_page(
    out: Path, rows: Sequence[Row], notes: Sequence[str], problems: Sequence[str], rules: Rules | None
) -> list[Path]:
    """Pictures of the main plots and the page, which links them."""
    from bidsqa.report import render_study
    from bidsqa.report.study_figures import draw_study_figures
    from bidsqa.report.study_scan import worst_first

    values = _values(rows, rules)
    scans = worst_first(_scan(out, row, values) for row in rows)
    carried = [scan for scan in scans if scan.picture and scan.status == "ok"][:THUMBNAILS]
    pictures = {scan.name: _thumbnail(out / scan.picture) for scan in carried}
    scans = [replace(scan, thumbnail=pictures.get(scan.name)) for scan in scans]
    paths, addresses = [], {}
    for name, content in draw_study_figures(scans, values).items():
        path = names.study_figure_path(out, name)
        path.parent.mkdir(exist_ok=True)
        write_atomic(path, content)
        paths.append(path)
        addresses[path.name] = path.relative_to(out).as_posix()
    page = out / PAGE
    write_atomic(page, render_study(scans, values, notes=notes, problems=problems, figures=addresses))
    return [*paths, page]


def _scan(out: Path, row: Row, values: Sequence[StudyValue]) -> StudyScan:
    """A row as the page shows it."""
    from bidsqa.report.study_scan import StudyScan

    picture = names.figure_path(Path(), row.name, "thumbnail.webp")
    return StudyScan(
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
        picture=picture.as_posix() if (out / picture).is_file() else "",
        acquired=getattr(row, "acquired", ""),
    )


def _values(rows: Sequence[Row], rules: Rules | None) -> list[StudyValue]:
    """Every score and metric of the study, the chief ones first, with the limits that the decisions were made by."""
    from bidsqa.metrics import METRIC_KEYS
    from bidsqa.models import SCORES
    from bidsqa.report.study_scan import StudyValue

    chief = sites.chief_values()
    present = {key for row in rows for key, value in row.values.items() if value is not None}
    limits = _limits(rows, rules)
    found = []
    for key in [*chief, *(key for key in METRIC_KEYS if key in present and key not in chief)]:
        title, says, direction = _described(key)
        unit = SCORES[key].unit if key in SCORES else METRIC_KEYS[key].unit
        found.append(StudyValue(key, title, says, direction, unit, key in chief, limits.get(key, ())))
    return found


def _limits(rows: Sequence[Row], rules: Rules | None) -> dict[str, list[Limit]]:
    """Limits by score or metric, where all decisions were made by rules that are known here."""
    from bidsqa.report.study_scan import Limit
    from bidsqa.verdict import load_rules

    rules = rules or load_rules()
    if {row.versions.get("rules") for row in rows} != {rules.version}:
        return {}
    found: dict[str, dict[Limit, None]] = defaultdict(dict)
    suffixes = sorted({row.suffix for row in rows})
    for suffix in suffixes:
        for rule in rules.for_suffix(suffix):
            kind, _, rest = rule.reads.partition(".")
            key = rest.removesuffix(".value") if kind == "scores" else rest
            for name in LIMITS if kind in ("scores", "metrics") else ():
                limit = getattr(rule, name)
                if limit is not None:
                    found[key][Limit(float(limit), name.replace("_", " "), suffix)] = None
    return {key: _for_all(list(limits), suffixes) for key, limits in found.items()}


def _for_all(limits: Sequence[Limit], suffixes: Sequence[str]) -> list[Limit]:
    """The same limits, those of every suffix once and without its name."""
    shared = [limit for limit in limits if all(replace(limit, suffix=suffix) in limits for suffix in suffixes)]
    return [*dict.fromkeys(replace(limit, suffix="") for limit in shared), *(x for x in limits if x not in shared)]


def _described(key: str) -> tuple[str, str, str]:
    """Title, what it tells, direction."""
    from bidsqa.metrics import METRIC_KEYS
    from bidsqa.models import SCORES

    if key in SCORES:
        return SCORES[key].title, SCORES[key].says, SCORES[key].direction
    metric = METRIC_KEYS[key]
    return key, metric.keys[key], {"higher": "higher is better", "lower": "lower is better"}.get(metric.direction, "")


def _thumbnail(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
