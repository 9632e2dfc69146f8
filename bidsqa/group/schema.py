# SPDX-License-Identifier: Apache-2.0
"""The JSON Schema of a record, made from the tables of metrics and models; shipped as ``bidsqa/record.schema.json``."""

from __future__ import annotations

import json
import math
from importlib import resources
from typing import Any

from bidsqa.anatomy import BACKGROUNDS
from bidsqa.metrics import METRICS
from bidsqa.models import SCORES
from bidsqa.record import DECISIONS, SCHEMA_VERSION, STATUSES

FILE = "record.schema.json"
TEXT: dict[str, Any] = {"type": "string"}
NUMBER_OR_NULL: dict[str, Any] = {"type": ["number", "null"]}
OBJECT: dict[str, Any] = {"type": "object"}


def record_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a record as :meth:`bidsqa.record.Record.to_dict` gives it."""
    parts = {
        "bids_name": TEXT | {"minLength": 1},
        "status": {"enum": list(STATUSES)},
        "verdict": _verdict(),
        "scores": {
            "type": "object",
            "properties": {name: _score(name) for name in SCORES},
            "additionalProperties": OBJECT,
        },
        "metrics": _metrics(),
        "reasons_missing": {"type": "object", "additionalProperties": TEXT},
        "image": _image(),
        "acquisition": OBJECT,
        "warnings": {"type": "array", "items": TEXT},
        "failure": _failure(),
        "provenance": _provenance(),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "bidsqa record",
        "description": f"Everything known about one scan; version {SCHEMA_VERSION}.",
        "type": "object",
        "properties": parts,
        "required": list(parts),
        "additionalProperties": False,
        "if": {"properties": {"status": {"const": "failed"}}},
        "then": {
            "properties": {"failure": {"type": "object"}, "verdict": {"properties": {"decision": {"const": "fail"}}}}
        },
        "else": {
            "properties": {"failure": {"type": "null"}},
            # an imported record tells of an image that was not read
            "anyOf": [
                {"properties": {"image": {"required": ["shape", "spacing", "background"]}}},
                {"properties": {"provenance": {"required": ["imported"]}}},
            ],
        },
    }


def shipped_schema() -> dict[str, Any]:
    """The schema file of the package."""
    text = resources.files("bidsqa").joinpath(FILE).read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def schema_text() -> str:
    """The schema as the shipped file holds it."""
    return json.dumps(record_schema(), indent=1, ensure_ascii=False) + "\n"


def _verdict() -> dict[str, Any]:
    reason = {
        "rule": TEXT,
        "name": TEXT,
        "value": NUMBER_OR_NULL,
        "threshold": NUMBER_OR_NULL,
        "text": TEXT | {"minLength": 1},
        "advice": TEXT,
        "level": {"enum": ["review", "fail"]},
    }
    entry = {"type": "object", "properties": reason, "required": list(reason), "additionalProperties": False}
    return {
        "type": "object",
        "properties": {
            "decision": {"enum": list(DECISIONS)},
            "reasons": {"type": "array", "items": entry},
            "rules_version": TEXT,
        },
        "required": ["decision", "reasons", "rules_version"],
        "if": {"properties": {"decision": {"const": "pass"}}},
        "then": {"properties": {"reasons": {"maxItems": 0}}},
        "else": {"properties": {"reasons": {"minItems": 1}}},
    }


def _bounded(low: float | None, high: float | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if low is not None and math.isfinite(low):
        found["minimum"] = low
    if high is not None and math.isfinite(high):
        found["maximum"] = high
    return found


def _score(name: str) -> dict[str, Any]:
    row = SCORES[name]
    plane = {
        "type": "object",
        "properties": {
            "plane": {"enum": ["sagittal", "coronal", "axial"]},
            "index": {"type": "array", "items": {"type": "integer", "minimum": 0}},
            "value": {"type": "array", "items": {"type": "number"} | _bounded(*row.bounds)},
        },
        "required": ["plane", "index", "value"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "description": row.says,
        "properties": {
            "value": {"type": "number"} | _bounded(*row.bounds),
            "uncertainty": {"type": "number", "minimum": 0},
            "unit": {"const": row.unit},
            "slices": {"type": "array", "items": plane},
        },
        "required": ["value", "uncertainty", "unit", "slices"],
    }


def _metrics() -> dict[str, Any]:
    rows = {}
    for metric in METRICS:
        for key, says in metric.keys.items():
            unit = f" Unit: {metric.unit_of(key)}." if metric.unit_of(key) else ""
            rows[key] = NUMBER_OR_NULL | _bounded(*metric.bounds) | {"description": f"{says}{unit}"}
    return {"type": "object", "properties": rows, "additionalProperties": NUMBER_OR_NULL}


def _image() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 3, "maxItems": 3},
            "spacing": {
                "type": "array",
                "items": {"type": "number", "exclusiveMinimum": 0},
                "minItems": 3,
                "maxItems": 3,
            },
            "orientation": {"type": "string", "pattern": "^[RL][AP][SI]$|^[RLAPSI]{3}$"},
            "dtype": TEXT,
            "background": {"enum": list(BACKGROUNDS)},
            "anatomy": OBJECT,
        },
    }


def _failure() -> dict[str, Any]:
    parts = {"step": TEXT, "cause": TEXT | {"minLength": 1}, "hint": TEXT, "crashfile": {"type": ["string", "null"]}}
    return {"type": ["object", "null"], "properties": parts, "required": list(parts), "additionalProperties": False}


def _provenance() -> dict[str, Any]:
    seconds = {"type": "object", "additionalProperties": {"type": "number", "minimum": 0}}
    return {
        "type": "object",
        "properties": {
            "bidsqa": TEXT,
            "record_schema": {"const": SCHEMA_VERSION},
            "suffix": TEXT,
            "models": {"type": "object", "additionalProperties": OBJECT},
            "metric_versions": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 1}},
            "settings": OBJECT,
            "input": {
                "type": "object",
                "properties": {
                    "path": TEXT,
                    "size": {"type": "integer", "minimum": 0},
                    "mtime": {"type": "integer"},
                    "sha256": {"type": ["string", "null"], "description": "of the stored image data"},
                    "sidecar": TEXT | {"description": "SHA-256 of what the sidecars give to this record"},
                },
            },
            "imported": OBJECT
            | {
                "properties": {
                    "from": TEXT,
                    "version": TEXT,
                    "file": TEXT,
                    "original": {"type": "object", "additionalProperties": NUMBER_OR_NULL},
                },
                "required": ["from", "version", "original"],
                "description": "where an imported record comes from, and the numbers that were not taken over",
            },
            "software": {"type": "object", "additionalProperties": TEXT},
            "platform": OBJECT,
            "seconds": seconds,
            "peak_mb": seconds,
        },
        "required": ["bidsqa", "record_schema"],
    }


if __name__ == "__main__":
    from pathlib import Path

    # for developers: brings the shipped file up to date with the tables
    (Path(__file__).parents[1] / FILE).write_text(schema_text(), encoding="utf-8")
