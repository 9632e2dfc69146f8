# SPDX-License-Identifier: Apache-2.0
"""Results of MRIQC as records of ours: metrics that mean the same, null with the reason for the others, no scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bidsqa
from bidsqa.bids.scan import JUDGED_SUFFIXES, split_name
from bidsqa.bids.sidecar import acquisition, load_sidecar
from bidsqa.bids.tsv import read_tsv
from bidsqa.group.mriqc_faults import parse_version, why_not
from bidsqa.metrics import METRIC_KEYS
from bidsqa.record import SCHEMA_VERSION, Record, clean
from bidsqa.settings import DEFAULT_MODELS
from bidsqa.verdict import Rules, decide
from bidsqa.verdict.reading import look_up, number

SOFTWARE = "MRIQC"
IMPORTED = "imported from MRIQC; the image was not read"
ANATOMY = ("sub-*/anat", "sub-*/ses-*/anat")
OTHER_KINDS = ("func", "dwi")
FEWEST_METRICS = 3  # known names that make a JSON file one of MRIQC's
LONGEST_TEXT = 200


@dataclass(frozen=True)
class MriqcScan:
    """One scan as MRIQC tells it.

    Parameters
    ----------
    name, suffix : str
        ``bids_name`` and its last part.
    file : str
        Below MRIQC's folder.
    told : dict
        Every key of the file but the two below.
    meta : dict
        ``bids_meta``: the sidecar and more.
    provenance : dict
    version : str
        Empty where not known.
    """

    name: str
    suffix: str
    file: str
    told: Mapping[str, Any]
    meta: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    version: str = ""


@dataclass
class Survey:
    """What a folder of MRIQC holds beside the scans.

    Parameters
    ----------
    problems : list of str
        A sentence for each file that can't be used.
    others : Counter
        Files by suffix of kinds that aren't imported (``bold``, ``dwi``).
    """

    problems: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)


def read_mriqc(folder: Path, survey: Survey, version: str = "") -> Iterator[MriqcScan]:
    """The scans of a folder that MRIQC wrote, one at a time: from each scan's JSON, else from the group tables.

    Parameters
    ----------
    folder : Path
        MRIQC's output folder; it is only read.
    survey : Survey
        Filled in on the way.
    version : str
        Of MRIQC, where the files don't tell it.

    Yields
    ------
    MriqcScan
        Sorted by path; each name once.
    """
    described, _ = load_sidecar(folder / "dataset_description.json")
    fallback = version or _described_version(described)
    seen: set[str] = set()
    for path in sorted(path for place in ANATOMY for path in folder.glob(f"{place}/*.json")):
        scan = _from_json(folder, path, survey, fallback)
        if scan is not None and scan.name not in seen:
            seen.add(scan.name)
            yield scan
    for kind in OTHER_KINDS:
        for place in (f"sub-*/{kind}", f"sub-*/ses-*/{kind}"):
            for path in folder.glob(f"{place}/*.json"):
                if not path.stem.endswith("_timeseries"):
                    survey.others[path.stem.rpartition("_")[2][:40]] += 1
    for suffix in JUDGED_SUFFIXES:
        for scan in _from_table(folder / f"group_{suffix}.tsv", suffix, survey, fallback):
            if scan.name not in seen:
                seen.add(scan.name)
                yield scan


def _described_version(described: Mapping[str, Any]) -> str:
    generated = described.get("GeneratedBy")
    for entry in generated if isinstance(generated, list) else []:
        if isinstance(entry, dict) and str(entry.get("Name", "")).casefold() == SOFTWARE.casefold():
            return _text(entry.get("Version"))
    return ""


def _from_json(folder: Path, path: Path, survey: Survey, version: str) -> MriqcScan | None:
    file = path.relative_to(folder).as_posix()
    try:
        entities, suffix, extension = split_name(path.name)
    except ValueError as error:
        survey.problems.append(f"{file}: {error}.")
        return None
    if extension != ".json" or "sub" not in entities or suffix not in JUDGED_SUFFIXES:
        survey.others[suffix] += 1
        return None
    content, problem = load_sidecar(path)
    provenance, meta = content.get("provenance"), content.get("bids_meta")
    provenance = provenance if isinstance(provenance, dict) else {}
    software = _text(provenance.get("software")) or SOFTWARE
    if problem is None and software.casefold() != SOFTWARE.casefold():
        problem = f"it was made by {software}, not by {SOFTWARE}"
    if problem is None and sum(key in METRIC_KEYS for key in content) < FEWEST_METRICS:
        problem = f"it holds no metrics of {SOFTWARE}"
    if problem is not None:
        survey.problems.append(f"{file}: {problem}.")
        return None
    told = {key: value for key, value in content.items() if key not in ("provenance", "bids_meta")}
    own = _text(provenance.get("version")) or version
    return MriqcScan(path.stem, suffix, file, told, meta if isinstance(meta, dict) else {}, provenance, own)


def _from_table(path: Path, suffix: str, survey: Survey, version: str) -> Iterator[MriqcScan]:
    if not path.is_file():
        return
    table = read_tsv(path)
    survey.problems += [f"{path.name}: {problem}." for problem in table.problems]
    if "bids_name" not in table.columns or sum(name in METRIC_KEYS for name in table.columns) < FEWEST_METRICS:
        survey.problems.append(f"{path.name}: it is no group table of {SOFTWARE} (bids_name and metrics).")
        return
    for row in table.rows:
        name = row.get("bids_name", "")
        try:
            entities, own, extension = split_name(name)
        except ValueError:
            entities, own, extension = {}, "", ""
        if extension or own != suffix or "sub" not in entities:
            survey.problems.append(f"{path.name}: {name[:60]!r} is no name of a {suffix} scan.")
            continue
        told = {key: _number(value) for key, value in row.items() if key != "bids_name"}
        yield MriqcScan(name, suffix, path.name, told, version=version)


def record_of(scan: MriqcScan, rules: Rules) -> Record:
    """The record of a scan of MRIQC, judged.

    Parameters
    ----------
    scan : MriqcScan
    rules : Rules

    Returns
    -------
    Record
        ``scores`` is empty; a metric is null, with the reason, where MRIQC's number can't stand under our name. All of
        MRIQC's own numbers that were not taken over are under ``provenance.imported.original``.
    """
    version = parse_version(scan.version)
    metrics: dict[str, float | None] = {}
    missing = dict.fromkeys(DEFAULT_MODELS, IMPORTED)
    original: dict[str, float | None] = {}
    for key in METRIC_KEYS:
        if key not in scan.told:
            continue
        why = why_not(key, scan.told, scan.suffix, version)
        value = number(scan.told[key])
        metrics[key] = None if why else value
        if why:
            shown = "" if value is None else f"; it tells {value:.5g}"
            missing[key] = f"not taken over from {SOFTWARE}: {why}{shown}"
            original[key] = value
    further = {key: value for key, value in scan.told.items() if key not in METRIC_KEYS}
    original |= {key[:60]: value for key, told in further.items() if (value := number(told)) is not None}
    record = Record(
        bids_name=scan.name,
        metrics=metrics,
        reasons_missing=missing,
        image=_image(metrics),
        acquisition=acquisition(dict(scan.meta)),
        provenance={
            "bidsqa": bidsqa.__version__,
            "record_schema": SCHEMA_VERSION,
            "suffix": scan.suffix,
            "imported": _origin(scan) | {"original": original},
        },
    )
    # what rules read of the image is missing for the one reason, so that it is told once
    for rule in rules.for_suffix(scan.suffix):
        if rule.missing == "review" and number(look_up(record, rule.reads)) is None:
            record.reasons_missing.setdefault(rule.reads.split(".")[1], IMPORTED)
    record = Record.from_dict(clean(record.to_dict()))
    record.verdict = decide(record, rules)
    return record


def is_imported(record: Record) -> bool:
    """Whether a record was imported, not measured."""
    return isinstance(record.provenance.get("imported"), dict)


def _origin(scan: MriqcScan) -> dict[str, Any]:
    found: dict[str, Any] = {"from": SOFTWARE, "version": scan.version or "of unknown version", "file": scan.file}
    if checksum := _text(scan.provenance.get("md5sum")):
        found["md5sum"] = checksum
    for key in ("settings", "warnings"):
        told = scan.provenance.get(key)
        if isinstance(told, dict):
            plain = {str(name)[:60]: value for name, value in told.items() if isinstance(value, (bool, int, float))}
            found[key] = plain
    return found


def _image(metrics: Mapping[str, float | None]) -> dict[str, Any]:
    """Shape and voxel edges, where MRIQC tells all three."""
    found: dict[str, Any] = {}
    shape = [metrics.get(f"size_{axis}") for axis in "xyz"]
    spacing = [metrics.get(f"spacing_{axis}") for axis in "xyz"]
    if all(value is not None and value >= 1 for value in shape):
        found["shape"] = [int(value or 0) for value in shape]
    if all(value is not None and value > 0 for value in spacing):
        found["spacing"] = spacing
    return found


def _number(text: str) -> float | None:
    try:
        return number(float(text))
    except ValueError:
        return None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        return ""
    kept = "".join(letter for letter in value.strip() if letter.isprintable())
    return kept.encode("utf-8", "replace").decode("utf-8")[:LONGEST_TEXT]
