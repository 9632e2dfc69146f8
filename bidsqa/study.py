# SPDX-License-Identifier: Apache-2.0
"""The group level: tables, data dictionaries and the page of a study, from the records alone."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsqa.bids import names
from bidsqa.bids.participants import COPY, Participants, read_participants
from bidsqa.bids.scan import JUDGED_SUFFIXES
from bidsqa.bids.writing import write_atomic
from bidsqa.errors import UsageError
from bidsqa.group import cohort, dictionaries, participants, places, protocols, read_rows, sites, tables
from bidsqa.group.harmonise import harmonised
from bidsqa.group.rows import Row
from bidsqa.group.site_effects import effects_table, site_effects
from bidsqa.settings import RULER_MODEL
from bidsqa.verdict import Rules, load_rules
from bidsqa.verdict.rulers import BY_PERSON

if TYPE_CHECKING:
    from bidsqa.report.study_scan import Limit, StudyProtocols, StudyScan, StudyValue

THUMBNAILS = 60
# rows of the page's table of protocols, and sentences on missing scans
MOST_PROTOCOLS, FEWEST_DEVIATING, MOST_MISSING = 60, 20, 30
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


def run_group(
    out: Path,
    rules: Rules | None = None,
    *,
    strict: bool = False,
    site_column: str | None = None,
    harmonise: bool = False,
) -> GroupResult:
    """Write the study's tables (each TSV and JSON), pictures and ``group.html``.

    The scans' pages that are there are told each scan's place among the others
    (:mod:`bidsqa.report.cohort_place`).

    Parameters
    ----------
    out : Path
        Output folder with records and the copy of ``participants.tsv``; nothing else is read.
    rules : Rules, optional
        Judge every record anew by these, in the tables and on the study's page; records stay as they are, and a
        scan's page tells where the group level differs from it. By default the records' own verdicts stand, and the
        cohort rules are the package's.
    strict : bool
        Refuse scans of different versions, settings or rules instead of noting it.
    site_column : str, optional
        Column of ``participants.tsv`` that names the sites, or ``none``; by default ``site`` or the like if there is
        one, else institution and scanner name them.
    harmonise : bool
        Add columns with the metrics freed of what differs between sites.

    Returns
    -------
    GroupResult

    Raises
    ------
    UsageError
        When there is no usable record at all, no such column, or with `strict` scans that can't be compared.
    """
    from bidsqa.report.cohort_place import fill_pages

    out = Path(out)
    rows, problems = read_rows(out, rules)
    if not rows:
        told = problems[0] if problems else "run the participant level first"
        raise UsageError(f"there is no usable record in {out}", told)
    people = read_participants(out, COPY)
    participants.join(rows, people)
    column = participants.site_column(people, site_column)
    sites.name_sites(rows)
    participants.name_sites_by(rows, column)
    mixed = _mixed(rows)
    if strict and mixed:
        raise UsageError(mixed[0], "Assess them again with one version and the same settings, or leave --strict away.")
    chosen = rules or load_rules()
    cohort.judge_cohort(rows, chosen)
    notes = [*mixed, *_notes(rows, rules)]
    paths = _write_suffixes(out, rows, people, column, harmonise)
    paths += _write(out, "group_exclusions", *tables.exclusion_table(rows))
    site = {"site": _site_entry(column)}
    effects = site_effects(rows)
    paths += _write(out, "group_sites", *tables.site_table(rows, effects), extra=site, sites_table=True)
    extra = {**site, **dictionaries.EFFECTS}
    paths += _write(out, "group_site_effects", *effects_table(effects), extra=extra)
    paths += _write(out, "group_protocols", *protocols.protocol_table(rows, chosen), extra=site)
    paths += _write(out, "group_scans", *tables.scans_table(rows))
    paths += _write_page(out, rows, notes, problems, rules, _protocols(rows, chosen))
    fill_pages(zip((names.page_path(out, row.name) for row in rows), places.told_to_pages(rows), strict=True))
    return GroupResult(paths, problems, notes, len(rows))


def _write_suffixes(out: Path, rows: Sequence[Row], people: Participants, column: str, harmonise: bool) -> list[Path]:
    """``group_<suffix>`` for each suffix; those of suffixes that no record has any more go."""
    by_suffix: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_suffix[row.suffix].append(row)
    paths: list[Path] = []
    for suffix, members in sorted(by_suffix.items()):
        header, _ = tables.group_table(members[:0])
        taken = [*header, *dictionaries.known_columns(), *tables.value_columns(members)]
        joined = participants.joined_names(people.columns, taken)
        extra = {"site": _site_entry(column), **participants.joined_entries(joined, people)}
        if harmonise:
            for key, values in harmonised(members).items():
                extra[key] = dictionaries.harmonised_entry(key)
                for row, value in zip(members, values, strict=True):
                    row.harmonised[key] = value
        paths += _write(out, f"group_{suffix}", *tables.group_table(members, joined), extra=extra)
    _remove_stale(out, set(by_suffix))
    return paths


def _site_entry(column: str) -> dict[str, Any]:
    scanner = dictionaries.FIXED["site"]["Description"]
    if not column:
        return {"Description": scanner}
    return {"Description": f"Column {column} of participants.tsv; where that is missing: {scanner}"}


def _write(
    out: Path,
    stem: str,
    header: Sequence[str],
    body: Sequence[Sequence[Any]],
    *,
    extra: Mapping[str, dict[str, Any]] | None = None,
    sites_table: bool = False,
) -> list[Path]:
    """A table and its dictionary; entries in `extra` win over those that columns have by their name."""
    table, described = out / f"{stem}.tsv", out / f"{stem}.json"
    write_atomic(table, tables.tsv(header, body))
    own = extra or {}
    content = dictionaries.dictionary((name for name in header if name not in own), sites=sites_table)
    content = {name: own.get(name) or content[name] for name in header}
    write_atomic(described, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return [table, described]


def _remove_stale(out: Path, present: set[str]) -> None:
    """Tables of suffixes that no record has any more."""
    for suffix in set(JUDGED_SUFFIXES) - present:
        for extension in ("tsv", "json"):
            (out / f"group_{suffix}.{extension}").unlink(missing_ok=True)


def _mixed(rows: Sequence[Row]) -> list[str]:
    """What makes the scans hard to compare: more than one version of anything that changes numbers."""
    found = []
    kinds = dict.fromkeys(key for row in rows for key in row.versions)
    for kind in kinds:
        counts: dict[str, int] = defaultdict(int)
        for row in rows:
            if row.status == "ok" and row.versions.get(kind):
                counts[row.versions[kind]] += 1
        if len(counts) > 1:
            told = ", ".join(
                f"{version} ({count} scan{'s' if count > 1 else ''})" for version, count in sorted(counts.items())
            )
            found.append(f"The scans differ in {kind}: {told}. Assess them again before comparing them.")
    return found


def _notes(rows: Sequence[Row], rules: Rules | None) -> list[str]:
    """Where tables and page say something else than the records."""
    found = []
    anew = sum(row.judged_anew for row in rows)
    if rules is not None and anew:
        which = "Decisions here were" if anew == len(rows) else f"Decisions on {anew} of {len(rows)} scans were"
        found.append(f"{which} made anew by rules {rules.version}; a scan's own page keeps its record's verdict.")
    worse = sum(row.decision != row.record_decision for row in rows)
    if worse:
        which = "1 scan" if worse == 1 else f"{worse} scans"
        found.append(f"{which} judged worse here than on the scan's own page: unlike the other scans of the site.")
    return found


def _protocols(rows: Sequence[Row], rules: Rules) -> StudyProtocols:
    """Scanners, protocols and missing scans as the page shows them: the usual protocols and the first that deviate."""
    from bidsqa.report.study_scan import ProtocolRow, StudyProtocols

    found = protocols.protocol_rows(rows, rules)
    shown = [row for row in found if not row.deviating]
    shown += [row for row in found if row.deviating][: max(MOST_PROTOCOLS - len(shown), FEWEST_DEVIATING)]
    kept = [row for row in found if row in shown]
    columns = protocols.protocol_columns(found)
    missing = [scan.sentence() for scan in protocols.missing_scans(rows)]
    notes = [f"{len(found) - len(kept)} further rows stand in group_protocols.tsv."] if len(kept) < len(found) else []
    notes += [f"{len(missing) - MOST_MISSING} more scans are missing."] if len(missing) > MOST_MISSING else []
    return StudyProtocols(
        columns=columns,
        rows=[
            ProtocolRow(
                site=row.site,
                suffix=f"{row.suffix} {row.labels}".strip(),
                scans=row.scans,
                values=tuple(row.values.get(column, "") for column in columns),
                deviating=row.deviating,
                names=row.names if row.deviating else (),
            )
            for row in kept
        ],
        missing=[*missing[:MOST_MISSING], *notes],
    )


def _write_page(
    out: Path,
    rows: Sequence[Row],
    notes: Sequence[str],
    problems: Sequence[str],
    rules: Rules | None,
    settings: StudyProtocols,
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
    shown = render_study(scans, values, notes=notes, problems=problems, protocols=settings, figures=addresses)
    write_atomic(page, shown)
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
        acquired=row.acquired,
    )


def _values(rows: Sequence[Row], rules: Rules | None) -> list[StudyValue]:
    """Every score and metric of the study, the chief ones first, with the limits that the decisions were made by."""
    from bidsqa.metrics import METRIC_KEYS
    from bidsqa.models import SCORES
    from bidsqa.report.study_scan import StudyValue

    chief = sites.present_chief_values(rows)
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
        standard = _standard([row for row in rows if row.suffix == suffix])
        if standard is not None:
            found[RULER_MODEL][Limit(standard, "accepts from", suffix)] = None
    return {key: _for_all(list(limits), suffixes) for key, limits in found.items()}


def _standard(rows: Sequence[Row]) -> float | None:
    """The threshold that a person set on the ruler of all these scans; None where there isn't one for all."""
    told = {
        tuple(row.values.get(f"{RULER_MODEL}_ruler_{key}") for key in ("threshold", "name", "threshold_set_by"))
        for row in rows
        if row.values.get(RULER_MODEL) is not None
    }
    threshold, _, set_by = told.pop() if len(told) == 1 else (None, None, None)
    return threshold if isinstance(threshold, float) and set_by == BY_PERSON else None


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
