# SPDX-License-Identifier: Apache-2.0
"""Data dictionaries: what each column of the study's tables holds, made from the tables of models and metrics."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bidsqa.bids.scan import ENTITIES
from bidsqa.bids.sidecar import UNITS
from bidsqa.group.rows import table_column
from bidsqa.metrics import METRIC_KEYS
from bidsqa.models import SCORE_VALUES, SCORES

DECISIONS = {
    "pass": "nothing speaks against the scan",
    "review": "look at the scan before using it",
    "fail": "do not use the scan as it is",
}
FIXED: dict[str, dict[str, Any]] = {
    "bids_name": {"Description": "File name of the scan without extension"},
    "site": {"Description": "Institution, scanner and field strength as the sidecar tells them"},
    "modality": {"Description": "BIDS suffix of the scan"},
    "status": {
        "Description": "Whether the scan could be assessed",
        "Levels": {"ok": "assessed", "failed": "could not be assessed; the record tells why"},
    },
    "decision": {"Description": "Verdict by the rules, those of the cohort included", "Levels": DECISIONS},
    "record_decision": {
        "Description": "Verdict by the rules on the scan alone, without comparison to other scans",
        "Levels": DECISIONS,
    },
    "outliers": {
        "Description": "Scores and metrics in which the scan is a robust outlier within its suffix and site, by "
        "the rule cohort.outlier"
    },
    "acquired": {"Description": "When the scan was acquired (ISO 8601), as scans.tsv or the sidecar tells it"},
    "labels": {"Description": "BIDS labels that tell protocols of one suffix apart (acq, ce, rec, echo)"},
    "deviates": {
        "Description": "Keys in which the scans differ from the usual protocol of their suffix, site and labels"
    },
    "having": {"Description": "How many visits with that session label have a scan of the kind"},
    "visits": {"Description": "How many visits with that session label there are"},
    "examples": {"Description": "Some of the scans, by bids_name"},
    "VoxelSize": {"Description": "Voxel edges from left to right, back to front and bottom to top", "Units": "mm"},
    "Matrix": {"Description": "Voxels from left to right, back to front and bottom to top"},
    "Orientation": {"Description": "Stored axes of the image"},
    "background": {
        "Description": "What the air around the head is like",
        "Levels": {
            "natural": "as acquired",
            "wrapped": "as acquired, with the head folded over the border of the field of view",
            "denoised": "its noise was changed or removed by a filter",
            "zeroed": "set to zero",
            "defaced": "face removed",
            "stripped": "everything but the brain removed",
        },
    },
    "version": {"Description": "Version of bidsqa that assessed the scan"},
    "rules_version": {"Description": "Version of the rules behind the record's decision"},
    "cohort_version": {"Description": "Version of the rules that compare the scan with others"},
    "participant_id": {"Description": "Participant as in participants.tsv"},
    "session_id": {"Description": "Session as in sessions.tsv"},
    "proposal": {
        "Description": "What the verdict suggests; a person decides",
        "Levels": {
            "exclude": "leave the scan out or repeat it",
            "look": "look at the scan first",
            "unjudged": "imported without scores: nothing speaks against the scan, and too little for it",
        },
    },
    "scans_file": {"Description": "The dataset's scans.tsv that the row belongs to, below the dataset's root"},
    "filename": {"Description": "The image, below the folder of that scans.tsv; its key as BIDS has it"},
    "bidsqa_decision": {
        "Description": "Verdict of bidsqa, those rules included that compare scans",
        "Levels": DECISIONS,
    },
    "bidsqa_reasons": {"Description": "Reasons of the verdict in words, the gravest first, separated by |"},
    "rules": {"Description": "Rules that the scan breaks, the gravest first, separated by |"},
    "reasons": {"Description": "The reasons in words, the gravest first, separated by |"},
    "advice": {"Description": "What to do, separated by |"},
    "scans": {"Description": "Number of scans"},
    "pass": {"Description": "Number of scans with the decision pass"},
    "review": {"Description": "Number of scans with the decision review"},
    "fail": {"Description": "Number of scans with the decision fail"},
    "not_assessed": {"Description": "Number of scans that could not be assessed (among the failures)"},
}
EFFECTS: dict[str, dict[str, Any]] = {
    "value": {"Description": "Score or metric"},
    "scans": {"Description": "Number of scans of the site that have the value"},
    "median": {"Description": "Median over the site's scans, in the unit of the value"},
    "difference": {"Description": "The site's median minus that of all scans of the suffix, in the unit of the value"},
    "shift": {"Description": "The difference in robust standard deviations (1.4826 MAD) of scans within their site"},
    "site_z": {
        "Description": "Robust z of the site's median among the medians of all sites; n/a with fewer than five sites"
    },
    "between_share": {
        "Description": "Share of the value's variance that lies between sites: ICC(1) of a one-way "
        "random-effects model for groups of unequal size, values beyond 3.5 robust standard deviations moved to there; "
        "sites of five scans or more; n/a with fewer than two of these",
        "Source": "Donner 1986, doi 10.2307/1403259; Shrout & Fleiss 1979, doi 10.1037/0033-2909.86.2.420",
    },
    "between_share_low": {"Description": "Lower bound of its 95 % confidence interval"},
    "between_share_high": {"Description": "Upper bound of its 95 % confidence interval"},
}
_LABELS = {table_column(key): key for key in ENTITIES}


def dictionary(header: Iterable[str], *, sites: bool = False) -> dict[str, dict[str, Any]]:
    """The dictionary of a table, one entry a column.

    Parameters
    ----------
    header : iterable of str
    sites : bool
        True for the table of sites, where ``outliers`` is a count and ``<value>_median`` one over scans, not slices.
    """
    found = {column: ((_median(column) or _shift(column)) if sites else None) or _entry(column) for column in header}
    if sites and "outliers" in found:
        found["outliers"] = {"Description": "Number of scans that are outliers within suffix and site"}
    return found


def known_columns() -> set[str]:
    """Names that mean something in any of the tables, whether or not they occur in one."""
    parts = {f"{name}_{part}" for name, row in SCORES.items() for part in row.parts}
    return {*FIXED, *METRIC_KEYS, *SCORES, *parts, *_LABELS}


def _entry(column: str) -> dict[str, Any]:
    if column in METRIC_KEYS:
        return _metric(column)
    if column in SCORES:
        row = SCORES[column]
        entry = {"LongName": row.title, "Description": f"{row.says} {row.direction.capitalize()}.".strip()}
        return entry | ({"Units": row.unit} if row.unit else {}) | {"Source": f"{row.citation}; {row.source}"}
    if column in FIXED:
        return FIXED[column]
    if column in _LABELS:
        return {"Description": f"BIDS entity {_LABELS[column]}-<label>, the label"}
    for name, row in SCORES.items():
        if column.startswith(f"{name}_"):
            part = column.removeprefix(f"{name}_")
            told = row.parts.get(part, f"as the record holds it under {part.replace('_', ' ')}")
            return {"LongName": f"{row.title}: {part.replace('_', ' ')}", "Description": told}
    units = {"Units": UNITS[column]} if column in UNITS else {}
    return {"Description": f"As the sidecar or record holds it: {column}"} | units


def harmonised_entry(column: str) -> dict[str, Any]:
    """The entry of a metric freed of what differs between sites."""
    key = column.removesuffix("_harmonised")
    return {
        "Description": f"{key} with each site's shift and scale taken out; n/a for sites of fewer than ten scans. "
        "May lie beyond the bounds of the metric. Decisions never use it.",
        "Source": "Johnson, Li & Rabinovic 2007, doi 10.1093/biostatistics/kxj037, without covariates",
    }


def _shift(column: str) -> dict[str, Any] | None:
    """The entry of a site's shift, None for any other column."""
    key = column.removesuffix("_shift")
    if key == column or not (key in SCORE_VALUES or key in METRIC_KEYS):
        return None
    return {"Description": f"Median of {key} minus that of the study, in robust standard deviations within sites"}


def _median(column: str) -> dict[str, Any] | None:
    """The entry of a median over scans, None for any other column."""
    key = column.removesuffix("_median")
    known = key != column and (key in SCORE_VALUES or key in METRIC_KEYS)
    return {"Description": f"Median of {key} over the scans of the row"} if known else None


def _metric(key: str) -> dict[str, Any]:
    metric = METRIC_KEYS[key]
    better = {"higher": " Higher is better.", "lower": " Lower is better."}.get(metric.direction, "")
    entry: dict[str, Any] = {"Description": f"{metric.keys[key]}{better}", "Formula": metric.formula}
    if metric.unit_of(key):
        entry["Units"] = metric.unit_of(key)
    return entry | {"Source": metric.source, "DefinitionVersion": metric.version}
