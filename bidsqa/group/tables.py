# SPDX-License-Identifier: Apache-2.0
"""The tables of a study as text: values by suffix, proposals to exclude, sites."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bidsqa.bids.scan import ENTITIES
from bidsqa.group.rows import Row, table_column, table_label
from bidsqa.group.site_effects import SiteEffect
from bidsqa.group.sites import chief_values, site_rows
from bidsqa.metrics import METRIC_KEYS
from bidsqa.models import SCORES
from bidsqa.verdict.reasons import is_missing

MISSING = "n/a"
LARGEST_WHOLE = 1e15  # larger ones keep their exponent
PROPOSALS = {"fail": "exclude", "review": "look"}
UNJUDGED = "unjudged"
SCANS_COLUMNS = ("bidsqa_decision", "bidsqa_reasons")


def value_columns(rows: Iterable[Row]) -> list[str]:
    """Scores in the order of the model table, metrics in that of the metric table, then what neither knows."""
    seen: dict[str, None] = {}
    for row in rows:
        seen.update(dict.fromkeys(row.values))
    models = [key for name in SCORES for key in seen if key == name or key.startswith(f"{name}_")]
    models = [key for key in models if key not in METRIC_KEYS]
    ordered = dict.fromkeys([*models, *(key for key in METRIC_KEYS if key in seen), *seen])
    return list(ordered)


def entity_columns(rows: Iterable[Row]) -> list[str]:
    """The BIDS keys that occur, in the order of the specification."""
    seen = {key for row in rows for key in row.entities}
    return [key for key in ENTITIES if key in seen] + sorted(seen - set(ENTITIES))


def group_table(rows: Sequence[Row], joined: Mapping[str, str] | None = None) -> tuple[list[str], list[list[Any]]]:
    """All values of one suffix: the first column is MRIQC's ``bids_name``.

    Parameters
    ----------
    rows : sequence of Row
    joined : mapping, optional
        Columns of participants.tsv to their names in the table.
    """
    entities, values = entity_columns(rows), value_columns(rows)
    further = joined or {}
    freed = list(dict.fromkeys(key for row in rows for key in row.harmonised))
    header = [
        "bids_name",
        *map(table_column, entities),
        "site",
        "status",
        "decision",
        "record_decision",
        "outliers",
        *values,
        *freed,
        "background",
        "acquired",
        "version",
        "rules_version",
        "cohort_version",
        *further.values(),
    ]
    body = [
        [
            row.name,
            *(table_label(key, row.entities.get(key)) for key in entities),
            row.site,
            row.status,
            row.decision,
            row.record_decision,
            ", ".join(row.outliers),
            *(row.values.get(key) for key in values),
            *(row.harmonised.get(key) for key in freed),
            row.background,
            row.acquired,
            row.versions.get("bidsqa"),
            row.versions.get("rules"),
            row.cohort_version,
            *(row.participant.get(column) for column in further),
        ]
        for row in rows
    ]
    return header, body


def exclusion_table(rows: Sequence[Row]) -> tuple[list[str], list[list[Any]]]:
    """Every scan that isn't good as it is: failures first, then those to look at, last what nothing speaks against."""
    header = [
        "bids_name",
        "participant_id",
        "session_id",
        "modality",
        "proposal",
        "decision",
        "rules",
        "reasons",
        "advice",
    ]
    proposed = [(proposal(row), row) for row in rows if row.decision != "pass"]
    order = ("exclude", "look", UNJUDGED)
    body = [
        [
            row.name,
            table_label("sub", row.entities["sub"]),
            table_label("ses", row.entities.get("ses")),
            row.suffix,
            told,
            row.decision,
            _joined(row, "rule"),
            _joined(row, "text"),
            _joined(row, "advice"),
        ]
        for told, row in sorted(proposed, key=lambda pair: order.index(pair[0]))
    ]
    return header, body


def proposal(row: Row) -> str:
    """What the decision suggests: ``exclude``, ``look``, ``unjudged``; empty for a pass.

    Of imported scans, which no network has seen, nearly all ask for a look: these words tell which stand out.
    """
    if row.origin and row.decision == "review" and all(map(is_missing, row.reasons)):
        return UNJUDGED
    return PROPOSALS.get(row.decision, "")


def scans_table(rows: Sequence[Row]) -> tuple[list[str], list[list[Any]]]:
    """What could be added to the dataset's ``*_scans.tsv``: the file that a row belongs to, then its columns."""
    header = ["participant_id", "session_id", "scans_file", "filename", *SCANS_COLUMNS]
    body = []
    for row in rows:
        folders = [table_label(key, row.entities.get(key)) for key in ("sub", "ses")]
        place = [folder for folder in folders if folder]
        scans_file = "/".join([*place, "_".join([*place, "scans.tsv"])])
        image = row.source.rpartition("/")[2] or f"{row.name}.nii.gz"
        body.append([*folders, scans_file, f"anat/{image}", row.decision, _joined(row, "text")])
    return header, body


def _joined(row: Row, key: str) -> str:
    return " | ".join(dict.fromkeys(str(reason.get(key) or "") for reason in row.reasons if reason.get(key)))


def site_table(rows: Sequence[Row], effects: Sequence[SiteEffect] = ()) -> tuple[list[str], list[list[Any]]]:
    """One row for each suffix and site: counts by decision, medians of scores and chief metrics, and their shifts."""
    found = site_rows(rows)
    shifts = {(effect.suffix, effect.site, effect.value): effect.shift for effect in effects}
    for row in found:
        for key in chief_values() if effects else ():
            shift = shifts.get((row["modality"], row["site"], key))
            row[f"{key}_shift"] = float(f"{shift:.4g}") if shift is not None else None
    header = list(dict.fromkeys(key for row in found for key in row))
    return header, [[row.get(key) for key in header] for row in found]


def tsv(header: Sequence[str], body: Iterable[Sequence[Any]]) -> str:
    """Tab-separated text after BIDS: UTF-8, ``n/a`` for what is missing, one line a row whatever the values hold."""
    lines = ["\t".join(map(_cell, header))]
    lines.extend("\t".join(map(_cell, row)) for row in body)
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if value is None or value == "":
        return MISSING
    if isinstance(value, str):
        return " ".join(value.split()) or MISSING
    if isinstance(value, float) and value.is_integer() and abs(value) < LARGEST_WHOLE:
        return str(int(value))
    return str(value)
