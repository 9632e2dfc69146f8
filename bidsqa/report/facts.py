# SPDX-License-Identifier: Apache-2.0
"""What a record holds beside numbers and verdict as rows of name and text: image, acquisition, provenance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bidsqa.bids.sidecar import UNITS
from bidsqa.record import Record
from bidsqa.verdict.reading import number
from bidsqa.verdict.reasons import plain

Row = tuple[str, str]

# what isn't plain from the key itself
IMAGE_NAMES = {
    "shape": "voxels",
    "spacing": "voxel edges (mm)",
    "orientation": "stored axes",
    "dtype": "stored type",
    "oblique_degrees": "oblique by (degrees)",
    "zero_fraction": "share of zeros",
    "clipped_fraction": "share at the highest value",
    "brain_ml": "brain (ml)",
    "head_ml": "head (ml)",
    "brain_cut": "brain surface at the border",
    "csf_share": "share of CSF",
    "gm_share": "share of grey matter",
    "wm_share": "share of white matter",
    "frame_share": "share without signal",
}
MB = 1e6
MANY = 12  # from here on equal entries are one row
LATEST = 1e11  # seconds since 1970; beyond, nothing is a time


def of_image(record: Record) -> list[Row]:
    """Facts of the file, then those of its anatomy."""
    told = dict(record.image)
    anatomy = told.pop("anatomy", None)
    rows = [(IMAGE_NAMES.get(key, _worded(key)), text_of(value)) for key, value in told.items()]
    for kind, front in (("facts", "anatomy: "), ("problems", "problem: ")):
        inner = anatomy.get(kind) if isinstance(anatomy, dict) else None
        for key, value in inner.items() if isinstance(inner, dict) else ():
            rows.append((f"{front}{IMAGE_NAMES.get(key, _worded(key))}", text_of(value)))
    return rows


def of_acquisition(record: Record) -> list[Row]:
    """The kept keys of the sidecar, with their units."""
    return [
        (key, f"{text_of(value)} {UNITS[key]}" if key in UNITS and number(value) is not None else text_of(value))
        for key, value in record.acquisition.items()
    ]


def of_provenance(record: Record) -> list[Row]:
    """Where the record comes from: versions, input, settings, software, time and memory."""
    told = dict(record.provenance)
    source = told.get("input")
    if isinstance(source, dict):
        told["input"] = {_INPUT.get(key, key): _READ.get(key, _same)(value) for key, value in source.items()}
    for key, name in (("seconds", "seconds by step"), ("peak_mb", "peak memory by step (MB)")):
        if key in told:
            told[name] = told.pop(key)
    return _pairs(told)


def text_of(value: Any, significant: int = 4) -> str:
    """A value of any kind for the eye, numbers with so many digits."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    shown = number(value)
    if shown is not None:
        text = str(value) if isinstance(value, int) else plain(shown, significant)
        return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text
    if isinstance(value, Mapping):
        return ", ".join(f"{_worded(str(key))} {text_of(entry)}" for key, entry in value.items()) or "none"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(text_of(entry, significant) for entry in value) or "none"
    return str(value)


def _same(value: Any) -> Any:
    return value


def _moment(value: Any) -> Any:
    seconds = number(value)
    if seconds is None or not 0 <= seconds < LATEST:
        return value
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _megabytes(value: Any) -> Any:
    size = number(value)
    return value if size is None else f"{size / MB:.3g} MB"


_INPUT = {"mtime": "last changed", "sha256": "SHA-256 of the image data", "sidecar": "SHA-256 of the sidecar's keys"}
_READ = {"mtime": _moment, "size": _megabytes}


def _worded(key: str) -> str:
    return key.replace("_", " ")


def _pairs(values: Mapping[str, Any], prefix: str = "") -> list[Row]:
    """Nested values as rows of name and text; many entries of which most are equal become one row."""
    rows: list[Row] = []
    for key, entry in values.items():
        name = f"{prefix}{_worded(key) if prefix or key.islower() else key}"
        if isinstance(entry, Mapping) and entry:
            most = _mostly(entry)
            rows += [(name, most)] if most else _pairs(entry, f"{name} · ")
        else:
            rows.append((name, text_of(entry)))
    return rows


def _mostly(entries: Mapping[str, Any]) -> str:
    """One text for many entries with the same value and few exceptions; empty where they are few or differ."""
    texts = {key: text_of(entry) for key, entry in entries.items() if not isinstance(entry, Mapping)}
    (usual, count), *_ = Counter(texts.values()).most_common(1) or [("", 0)]
    others = {key: text for key, text in texts.items() if text != usual}
    if len(texts) < len(entries) or len(entries) < MANY or len(others) > len(entries) / 4:
        return ""
    told = ", ".join(f"{key} {text}" for key, text in others.items())
    return f"{usual} (all {count})" if not others else f"{usual} ({count} of {len(entries)}); {told}"
