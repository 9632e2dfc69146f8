# SPDX-License-Identifier: Apache-2.0
"""What a rule may read from a record, found without trusting the record's shape."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from bidsqa.record import Record

# without these nothing holds; missing tissues, air or bias field count where a rule needs a metric of theirs
TELLING_MASKS = ("head", "brain")
READABLE = ("scores", "metrics", "image", "derived")


def suffix_of(record: Record) -> str:
    """The scan's BIDS suffix, e.g. ``T1w``: as it was assessed, else the end of its name, else empty."""
    stated = record.provenance.get("suffix")
    if isinstance(stated, str) and re.fullmatch(r"[A-Za-z0-9]+", stated):
        return stated
    match = re.search(r"_([A-Za-z0-9]+)$", record.bids_name)
    return match.group(1) if match else ""


def number(value: Any) -> float | None:
    """A finite number as float, anything else as None (a bool is not a number)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        found = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return None
    return found if math.isfinite(found) else None


def entries(value: Any) -> list[Any]:
    """The entries of a list or tuple (a record holds tuples until it has been JSON); none of anything else."""
    return list(value) if isinstance(value, (list, tuple)) else []


def look_up(record: Record, place: str) -> Any:
    """What stands at a dotted place of the record, e.g. ``scores.ssim.value``; None where nothing does."""
    parts = place.split(".")
    if parts[0] == "derived":
        return DERIVED[parts[1]](record) if len(parts) == 2 and parts[1] in DERIVED else None
    found: Any = getattr(record, parts[0], None) if parts[0] in READABLE else None
    for part in parts[1:]:
        found = found.get(part) if isinstance(found, dict) else None
    return found


def why_missing(record: Record, place: str) -> str:
    """Why there is no number at a place, from the record's own words."""
    parts = place.split(".")
    name = parts[1] if len(parts) > 1 else parts[0]
    reason = record.reasons_missing.get(name)
    if isinstance(reason, str) and reason:
        return reason
    return "the model was not run" if parts[0] == "scores" else "the record holds no value"


def mask_problems(record: Record) -> dict[str, str]:
    """The masks that can't be trusted although every scan should have them, with the reasons."""
    noted = record.image.get("anatomy")
    problems = noted.get("problems") if isinstance(noted, dict) else None
    if not isinstance(problems, dict):
        return {}
    return {name: str(problems[name]) for name in TELLING_MASKS if name in problems}


def outside_domain(record: Record) -> dict[str, str]:
    """The scores whose model never learned from scans like this one, with the reasons."""
    found = {}
    for name, score in record.scores.items():
        reasons = entries(score.get("outside_domain")) if isinstance(score, dict) else []
        if reasons:
            found[name] = "; ".join(map(str, reasons))
    return found


def _numbers(record: Record, key: str) -> list[float]:
    kept = map(number, entries(record.image.get(key)))
    return [value for value in kept if value is not None]


def _share(key: str) -> Callable[[Record], float | None]:
    def share(record: Record) -> float | None:
        count, shape = number(record.image.get(key)), _numbers(record, "shape")
        return count / math.prod(shape) if count is not None and len(shape) == 3 and min(shape) > 0 else None

    return share


def _shortest_extent(record: Record) -> float | None:
    shape, spacing = _numbers(record, "shape"), _numbers(record, "spacing")
    return min(a * b for a, b in zip(shape, spacing, strict=True)) if len(shape) == len(spacing) == 3 else None


def _largest_voxel(record: Record) -> float | None:
    spacing = _numbers(record, "spacing")
    return max(spacing) if len(spacing) == 3 else None


DERIVED: dict[str, Callable[[Record], float | None]] = {
    "nonfinite_fraction": _share("nonfinite_voxels"),
    "negative_fraction": _share("negative_voxels"),
    "shortest_extent": _shortest_extent,
    "largest_voxel": _largest_voxel,
    "mask_problems": lambda record: float(len(mask_problems(record))),
    "outside_domain": lambda record: float(len(outside_domain(record))),
}
# what stands behind a count, for the words of the reason
DETAILS: dict[str, Callable[[Record], dict[str, str]]] = {
    "derived.mask_problems": mask_problems,
    "derived.outside_domain": outside_domain,
}
