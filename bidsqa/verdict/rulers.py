# SPDX-License-Identifier: Apache-2.0
"""What rules read from a scan's place on its ruler, and the words for it, without trusting the record's shape."""

from __future__ import annotations

import math
from typing import Any

from bidsqa.record import Record
from bidsqa.settings import RULER_MODEL as MODEL

BY_PERSON = "a person"


def refused(record: Record, *, by_person: bool) -> float | None:
    """1 where the scan is worse than its ruler's threshold allows, 0 where it isn't; None without such a threshold.

    Parameters
    ----------
    record : Record
    by_person : bool
        Of thresholds that a person has set, or of those by the automatic rule.
    """
    ruler = _ruler(record)
    passes = ruler.get("passes")
    if not isinstance(passes, bool) or (ruler.get("threshold_set_by") == BY_PERSON) != by_person:
        return None
    return float(not passes)


def missing(record: Record) -> float | None:
    """1 where a place on a ruler was asked for and could not be had."""
    return 1.0 if MODEL in record.reasons_missing else None


def refusal(record: Record) -> dict[str, Any]:
    """The reason's text, value and threshold, e.g. *noise: as noisy as version 3 of ruler T1w-3D; ...*."""
    ruler = _ruler(record)
    value, threshold = _number(_score(record).get("value")), _number(ruler.get("threshold"))
    accepts = f"accepts from {_plain(threshold)}" + (f" and the scan is at {value:.1f}" if value is not None else "")
    who = "this study" if ruler.get("threshold_set_by") == BY_PERSON else "the default, which no person has set,"
    return {"text": f"noise: {_told(ruler)}; {who} {accepts}", "value": value, "threshold": threshold}


def place_words(score: Any) -> str:
    """The place on a ruler for the terminal, e.g. ``as noisy as version 3 of ruler T1w-3D``; empty without one."""
    ruler = score.get("ruler") if isinstance(score, dict) else None
    return _told(ruler) if isinstance(ruler, dict) else ""


def _told(ruler: dict[str, Any]) -> str:
    name = str(ruler.get("name", ""))
    if ruler.get("outside") == "below":
        return f"noisier than the worst version of ruler {name}"
    return f"as noisy as version {_plain(_number(ruler.get('version_score')))} of ruler {name}"


def why_missing(record: Record) -> dict[str, Any]:
    """The reason's text where there is no place on a ruler."""
    why = record.reasons_missing.get(MODEL)
    return {"text": f"not known: noise and motion by ruler could not be had: {why}", "value": None, "threshold": None}


def _score(record: Record) -> dict[str, Any]:
    score = record.scores.get(MODEL)
    return score if isinstance(score, dict) else {}


def _ruler(record: Record) -> dict[str, Any]:
    ruler = _score(record).get("ruler")
    return ruler if isinstance(ruler, dict) else {}


def _number(value: Any) -> float | None:
    plain = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if plain else None


def _plain(value: float | None) -> str:
    return "?" if value is None else f"{value:g}"
