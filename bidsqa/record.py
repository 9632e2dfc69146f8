# SPDX-License-Identifier: Apache-2.0
"""The record: everything known about one scan, as one JSON object.

Pages and tables are views of records; nothing else is kept between the two levels of the app.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from bidsqa.plain_files import read_text

SCHEMA_VERSION = "1.0"
SIGNIFICANT_DIGITS = 7
LARGEST_RECORD = 20_000_000  # bytes; real ones have 20,000
MOST_ENTRIES = 2000  # of one of its objects; real ones have a hundred
MOST_DIGITS = 300
STATUSES = ("ok", "failed")
DECISIONS = ("pass", "review", "fail")
_HALF_LETTER = re.compile(r"\\u[dD][89a-fA-F]")


@dataclass
class Record:
    """One scan's record; the fields are the JSON's top-level keys, in order.

    Parameters
    ----------
    bids_name : str
        The scan's file name without extension.
    status : str
        ``ok`` or ``failed``.
    verdict : dict
        ``{decision, reasons: [{rule, name, value, threshold, text, advice}], rules_version}``.
    scores : dict
        A model's name to its :class:`bidsqa.models.Score` as plain values.
    metrics : dict
        MRIQC's names where the meaning agrees; numbers or None.
    reasons_missing : dict
        The name of each missing metric, score or mask to the reason.
    image : dict
        Shape, spacing, orientation, dtype, background and other facts of the file.
    acquisition : dict
        Selected keys of the sidecar.
    warnings : list of str
    failure : dict or None
        ``{step, cause, hint, crashfile}`` of a failed scan.
    provenance : dict
        Versions, settings that change numbers, input, platform, seconds and peak memory by step.
    """

    bids_name: str
    status: str = "ok"
    verdict: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float | None] = field(default_factory=dict)
    reasons_missing: dict[str, str] = field(default_factory=dict)
    image: dict[str, Any] = field(default_factory=dict)
    acquisition: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    failure: dict[str, Any] | None = None
    provenance: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-safe values in the record's key order."""
        try:
            return {part.name: clean(getattr(self, part.name)) for part in fields(self)}
        except RecursionError as error:
            raise ValueError("it is nested too deeply for a record") from error

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Record:
        """Inverse of :meth:`to_dict`.

        Raises
        ------
        ValueError
            When this is not a record: a missing name, an unknown status, a wrong type.
        """
        if not isinstance(values, dict) or not isinstance(values.get("bids_name"), str):
            raise ValueError("no bids_name: this is not a bidsqa record")
        if values.get("status") not in STATUSES:
            raise ValueError(f"unknown status {values.get('status')!r}")
        known = {part.name for part in fields(cls)}
        kept = {key: value for key, value in values.items() if key in known}
        for key in ("verdict", "scores", "metrics", "reasons_missing", "image", "acquisition", "provenance"):
            if not isinstance(kept.get(key, {}), dict):
                raise ValueError(f"{key} is not an object")
            if len(kept.get(key, ())) > MOST_ENTRIES:
                raise ValueError(f"{key} has {len(kept[key])} entries, far too many for a record")
        return cls(**{**kept, "verdict": _usable_verdict(kept.get("verdict", {}))})

    def dumps(self) -> str:
        """The record as JSON text (strict: no NaN or infinity), ending in a newline."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False, ensure_ascii=False) + "\n"

    @classmethod
    def loads(cls, text: str) -> Record:
        """Read :meth:`dumps`'s text.

        Raises
        ------
        ValueError
            When the text is not JSON or not a record.
        """
        try:
            values = json.loads(text, parse_int=_whole)
            return cls.from_dict(_writable(values) if _HALF_LETTER.search(text) else values)
        except RecursionError as error:
            raise ValueError("it is nested too deeply for a record") from error

    @classmethod
    def load(cls, path: Path) -> Record:
        """Read a record's file.

        Raises
        ------
        OSError
            When it can't be read, is no regular file or far too large.
        ValueError
            When it is not a record.
        """
        return cls.loads(read_text(path, LARGEST_RECORD))


def _usable_verdict(verdict: dict[str, Any]) -> dict[str, Any]:
    """Without a decision, reasons and levels of another kind than ours: many look them up."""
    kept = dict(verdict)
    if not isinstance(kept.get("decision", ""), str):
        del kept["decision"]
    if "reasons" in kept:
        listed = kept["reasons"] if isinstance(kept["reasons"], (list, tuple)) else []
        entries = [entry for entry in listed if isinstance(entry, dict)]
        kept["reasons"] = [
            {key: value for key, value in entry.items() if key != "level" or isinstance(value, str)}
            for entry in entries
        ]
    return kept


def _whole(digits: str) -> int | float:
    """A whole number; one of hundreds of digits as floating point, infinite where it is beyond that."""
    return int(digits) if len(digits) <= MOST_DIGITS else float(digits)


def _writable(value: Any) -> Any:
    """Texts without lone surrogates, which JSON can tell and UTF-8 can't."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {_writable(key): _writable(entry) for key, entry in value.items()}
    return [_writable(entry) for entry in value] if isinstance(value, list) else value


def clean(value: Any) -> Any:
    """Make a value JSON-safe.

    NumPy scalars and arrays become plain numbers and lists, floats keep seven significant digits (float32 carries no
    more), anything not finite becomes None, tuples become lists, keys become strings.
    """
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return float(f"{value:.{SIGNIFICANT_DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): clean(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [clean(entry) for entry in value]
    if hasattr(value, "tolist"):
        return clean(value.tolist())
    return str(value)
