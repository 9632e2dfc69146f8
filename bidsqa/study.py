# SPDX-License-Identifier: Apache-2.0
"""The group level: rows of all records, compared, and the tables with their dictionaries; the page shows the same."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bidsqa.bids import names
from bidsqa.bids.participants import COPY, Participants, read_participants
from bidsqa.bids.scan import JUDGED_SUFFIXES
from bidsqa.bids.writing import write_atomic
from bidsqa.errors import UsageError
from bidsqa.group import cohort, dictionaries, participants, places, preferred, protocols, read_rows, sites, tables
from bidsqa.group.harmonise import SMALLEST_SITE, harmonised
from bidsqa.group.rows import Row
from bidsqa.group.site_effects import effects_table, site_effects
from bidsqa.study_view import write_page
from bidsqa.verdict import Rules, load_rules

MISSING_KIND = {
    "Description": "BIDS suffix that most visits have and this one lacks; n/a where participants.tsv lists somebody of "
    "whom there is no scan at all"
}
FEW = 3  # scans named in a note


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
        raise UsageError(" ".join(mixed), "Without --strict they are compared all the same, and page and run say so.")
    chosen = rules or load_rules()
    preferred.add_preference(rows)
    cohort.judge_cohort(rows, chosen)
    notes = [*mixed, *_notes(rows, rules)]
    paths = _write_suffixes(out, rows, people, column, harmonise)
    if harmonise and not any(value is not None for row in rows for value in row.harmonised.values()):
        notes.append(f"Nothing was harmonised: that takes two sites with {SMALLEST_SITE} scans or more of a suffix.")
    paths += _write(out, "group_exclusions", *tables.exclusion_table(rows))
    site = {"site": _site_entry(column)}
    effects = site_effects(rows)
    paths += _write(out, "group_sites", *tables.site_table(rows, effects), extra=site, sites_table=True)
    extra = {**site, **dictionaries.EFFECTS}
    paths += _write(out, "group_site_effects", *effects_table(effects), extra=extra)
    paths += _write(out, "group_protocols", *protocols.protocol_table(rows, chosen), extra=site)
    missing = protocols.missing_scans(rows, people.rows)
    paths += _write(out, "group_missing", *protocols.missing_table(missing), extra={"modality": MISSING_KIND})
    paths += _write(out, "group_scans", *tables.scans_table(rows))
    paths += write_page(out, rows, rules, missing=missing, notes=notes, problems=problems)
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
            found.append(f"The scans differ in {kind}: {told}. {_remedy(kind)}")
    return found


def _remedy(kind: str) -> str:
    if kind == "origin":
        return "Compare only scans of one origin."
    if kind == "rules":
        return "Judge all of them by the same rules: run group with --thresholds."
    return "Assess them again before comparing them."


def _notes(rows: Sequence[Row], rules: Rules | None) -> list[str]:
    """Where tables and page say something else than the records."""
    found = []
    anew = sum(row.judged_anew for row in rows)
    if rules is not None and anew:
        which = "Decisions here were" if anew == len(rows) else f"Decisions on {anew} of {len(rows)} scans were"
        found.append(f"{which} made anew by rules {rules.version}; a scan's own page keeps its record's verdict.")
    worse = [row for row in rows if row.decision != row.record_decision]
    if worse:
        found.append(_graver(worse))
    unjudged = sum(tables.proposal(row) == tables.UNJUDGED for row in rows)
    if unjudged:
        which = "1 scan is" if unjudged == 1 else f"{unjudged} scans are"
        found.append(
            f"{which} unjudged: imported without scores, so that none can pass, and nothing that was imported speaks "
            "against it. They stand last among those to review."
        )
    return found


def _graver(rows: Sequence[Row]) -> str:
    """Which scans the comparison with others made worse, and by what."""
    kinds = {cohort.OUTLIER: "far from the others", cohort.PROTOCOL: "another protocol"}
    spoken = [{str(reason.get("rule")) for reason in row.reasons} for row in rows]
    counts = {told: sum(kind in rules for rules in spoken) for kind, told in kinds.items()}
    why = ", ".join(f"{told}: {count}" for told, count in counts.items() if count)
    return (
        f"{len(rows)} scan{'' if len(rows) == 1 else 's'} got a graver decision here than from the scan alone, "
        f"compared with the others of the same suffix and site ({why}): {_some(rows)}."
    )


def _some(rows: Sequence[Row]) -> str:
    """The first few names."""
    more = len(rows) - FEW
    return ", ".join(row.name for row in rows[:FEW]) + (f" and {more} more" if more > 0 else "")
