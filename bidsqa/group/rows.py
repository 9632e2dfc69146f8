# SPDX-License-Identifier: Apache-2.0
"""One record as one row: what tables and the study's page need of it, and no more."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bidsqa.bids.dates import KEY as DATE_KEY
from bidsqa.bids.dates import as_date
from bidsqa.bids.scan import ENTITIES, split_name
from bidsqa.bids.sidecar import ACQUISITION_KEYS
from bidsqa.metrics import METRIC_KEYS
from bidsqa.models import SCORES
from bidsqa.record import Record
from bidsqa.settings import RULER_MODEL
from bidsqa.verdict.reading import entries, number, suffix_of

UNCERTAINTY = "uncertainty"
SITE_KEYS = (
    "InstitutionName",
    "Manufacturer",
    "ManufacturersModelName",
    "MagneticFieldStrength",
    "DeviceSerialNumber",
)
UNKNOWN_SITE = "unknown"
# other tables have these names: group_<suffix>.tsv must not collide
RESERVED = ("exclusions", "sites", "protocols", "scans", "participants")
# what tells scans of one protocol: everything of the sidecar but when
PROTOCOL_KEYS = tuple(key for key in ACQUISITION_KEYS if key != DATE_KEY)
DECISIONS = ("pass", "review", "fail")


@dataclass
class Row:
    """What the group level keeps of one record.

    Parameters
    ----------
    name : str
        ``bids_name``.
    suffix : str
    entities : dict of str to str
        BIDS key to label.
    status, decision : str
        The decision is the worse of the record's and the cohort's once the scans were compared.
    reasons : list of dict
        Of the verdict, those of the cohort rules among them once the scans were compared.
    values : dict of str to (float or str or None)
        Scores (``<model>``, ``<model>_uncertainty``, ``<model>_<reading>``), then metrics by name.
    background : str
    scanner : tuple of str
        The record's values of ``SITE_KEYS``, empty where not known.
    versions : dict of str to str
        bidsqa, the rules, the models' weights and settings that change numbers: rows that differ aren't comparable.
    site : str
        Filled in once all rows are known.
    judged_anew : bool
        The decision was made by other rules than the record's own.
    outliers : list of str
        Names of the values that are outliers within suffix and site; filled in once all rows are known.
    record_decision : str
        The decision without comparison to other scans.
    acquired : str
        When the scan was acquired, as ISO date or date and time; empty where not known.
    protocol : dict of str to str
        What the sidecar tells of the protocol by its keys, and ``VoxelSize``, ``Matrix``, ``Orientation`` of the image.
    source : str
        The image's path within its dataset; empty where not known.
    origin : str
        The program whose results were imported, with its version; empty for records of bidsqa's own.
    participant : dict of str to str
        What ``participants.tsv`` tells about the participant; filled in once the table has been read.
    harmonised : dict of str to (float or None)
        Metrics freed of what differs between sites, by column; filled in on demand.
    cohort_version : str
        Version of the rules by which scans were compared.
    """

    name: str
    suffix: str
    entities: dict[str, str]
    status: str
    decision: str
    reasons: list[dict[str, Any]]
    values: dict[str, Any]
    background: str
    scanner: tuple[str, ...]
    versions: dict[str, str]
    site: str = UNKNOWN_SITE
    judged_anew: bool = False
    outliers: list[str] = field(default_factory=list)
    record_decision: str = "review"
    acquired: str = ""
    protocol: dict[str, str] = field(default_factory=dict)
    source: str = ""
    origin: str = ""
    participant: Mapping[str, str] = field(default_factory=dict)
    harmonised: dict[str, float | None] = field(default_factory=dict)
    cohort_version: str = ""


def row_of(record: Record, verdict: Mapping[str, Any] | None = None) -> Row:
    """The row of a record.

    Parameters
    ----------
    record : Record
    verdict : dict, optional
        Judged anew; the record's own by default.

    Raises
    ------
    ValueError
        When the record's name is no BIDS name of a scan.
    """
    entities, _, extension = split_name(record.bids_name)
    if extension or "sub" not in entities:
        raise ValueError(f"{record.bids_name!r} is no BIDS name of a scan")
    suffix = suffix_of(record)
    if suffix in RESERVED:
        raise ValueError(f"{suffix!r} is no suffix of a scan")
    judged = record.verdict if verdict is None else verdict
    decision = judged["decision"] if judged.get("decision") in DECISIONS else "review"
    return Row(
        name=record.bids_name,
        suffix=suffix,
        entities=entities,
        status=record.status,
        decision=decision,
        reasons=[entry for entry in entries(judged.get("reasons")) if isinstance(entry, dict)],
        values={**_score_values(record), **_metric_values(record)},
        background=str(record.image.get("background") or ""),
        scanner=tuple(_plain(record.acquisition.get(key)) for key in SITE_KEYS),
        versions=_versions(record, judged),
        judged_anew=judged.get("rules_version") != record.verdict.get("rules_version"),
        record_decision=decision,
        acquired=as_date(str(record.acquisition.get(DATE_KEY) or "")),
        protocol=_protocol(record),
        source=_source(record),
        origin=origin_of(record),
    )


def scale_of(row: Row, key: str) -> str:
    """What a value is read on; numbers on another scale don't compare.

    Empty for all values but the place on a ruler, which is told by the checksum of the ruler's images.
    """
    return str(row.values.get(f"{RULER_MODEL}_ruler_sha256") or "") if key == RULER_MODEL else ""


def on_one_scale(rows: Sequence[Row], key: str) -> list[list[int]]:
    """Places of the rows that have a number of that name, those together whose numbers compare."""
    found: dict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        if isinstance(row.values.get(key), float):
            found[scale_of(row, key)].append(place)
    return list(found.values())


def origin_of(record: Record) -> str:
    """The program, with its version, whose results a record was imported from; empty for bidsqa's own."""
    told = record.provenance.get("imported")
    if not isinstance(told, dict):
        return ""
    return " ".join(str(told[key]) for key in ("from", "version") if told.get(key))


def _source(record: Record) -> str:
    known = record.provenance.get("input")
    return str(known.get("path") or "") if isinstance(known, dict) else ""


def _protocol(record: Record) -> dict[str, str]:
    """Plain words for each key; interned, since a study repeats them thousands of times."""
    found = {key: _words(record.acquisition.get(key)) for key in PROTOCOL_KEYS}
    for key, place in (("VoxelSize", "spacing"), ("Matrix", "shape")):
        numbers = [number(value) for value in entries(record.image.get(place))]
        if len(numbers) == 3 and None not in numbers:
            found[key] = " x ".join(f"{value:.4g}" for value in numbers)
    found["Orientation"] = _plain(record.image.get("orientation"))
    return {key: sys.intern(value) for key, value in found.items() if value}


def _words(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(filter(None, map(_plain, value)))
    return _plain(value)


def _score_values(record: Record) -> dict[str, Any]:
    """Scores, their uncertainty and their further plain readings."""
    found: dict[str, Any] = {}
    for name in (*SCORES, *sorted(set(record.scores) - set(SCORES))):
        score = record.scores.get(name)
        if not isinstance(score, dict):
            continue
        found[name] = number(score.get("value"))
        found[f"{name}_{UNCERTAINTY}"] = number(score.get("uncertainty"))
        for key, entry in score.items():
            if key in ("value", "uncertainty", "unit", "slices"):
                continue
            inner = entry.items() if isinstance(entry, dict) else ((None, entry),)
            for part, value in inner:
                if isinstance(value, bool):
                    value = "yes" if value else "no"
                if isinstance(value, (int, float, str)):
                    label = f"{name}_{key}" if part is None else f"{name}_{key}_{part}"
                    found[label] = value if isinstance(value, str) else number(value)
    return found


def _metric_values(record: Record) -> dict[str, float | None]:
    """Metrics in the table's order, those the table doesn't know last."""
    kept = {key: number(record.metrics[key]) for key in METRIC_KEYS if key in record.metrics}
    return kept | {key: number(value) for key, value in record.metrics.items() if key not in METRIC_KEYS}


def _versions(record: Record, judged: Mapping[str, Any]) -> dict[str, str]:
    models = record.provenance.get("models")
    known = models if isinstance(models, dict) else {}
    weights = {
        f"the weights of {name}": str(entry.get("sha256", ""))[:12]
        for name, entry in known.items()
        if isinstance(entry, dict)
    }
    settings = record.provenance.get("settings")
    fraction = settings.get("slice_fraction") if isinstance(settings, dict) else None
    chosen = sorted(map(str, entries(settings.get("models")))) if isinstance(settings, dict) else []
    return {
        "bidsqa": str(record.provenance.get("bidsqa", "")),
        "rules": str(judged.get("rules_version", "")),
        **({"slice fraction": str(fraction)} if fraction is not None else {}),
        **({"scores": " and ".join(chosen)} if chosen else {}),
        "origin": origin_of(record) or "bidsqa",
        **weights,
        **_ruler(record),
    }


def _ruler(record: Record) -> dict[str, str]:
    """The ruler that noise was read against: its images and threshold, which may change under one name."""
    score = record.scores.get(RULER_MODEL)
    ruler = score.get("ruler") if isinstance(score, dict) else None
    if not isinstance(ruler, dict):
        return {}
    told = f"{str(ruler.get('sha256', ''))[:12]} with threshold {_plain(ruler.get('threshold'))}"
    return {f"the ruler {_plain(ruler.get('name'))}": told}


def _plain(value: Any) -> str:
    if value is None or isinstance(value, (dict, list, tuple)):
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def table_column(key: str) -> str:
    """Column of an entity in the tables: ``participant_id``, ``session_id``, else e.g. ``acquisition_label``.

    Never the entity's bare name: PyBIDS reads the keys of a data dictionary as entities of the table and would refuse
    the output folder, or list them among its subjects.
    """
    return {"sub": "participant_id", "ses": "session_id"}.get(key, f"{long_entity(key)}_label")


def table_label(key: str, label: str | None) -> str | None:
    """An entity's value in that column: ids with their prefix, as in ``participants.tsv``."""
    return f"{key}-{label}" if label and key in ("sub", "ses") else label


def long_entity(key: str) -> str:
    """An entity's name in words, e.g. ``acquisition`` for ``acq``."""
    return ENTITIES.get(key, key)
