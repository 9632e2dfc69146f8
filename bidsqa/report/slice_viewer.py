# SPDX-License-Identifier: Apache-2.0
"""The slice viewer of a scan's page: sheets of slices, strips of their scores, and what is said of each slice."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bidsqa.models import SCORES
from bidsqa.report.charts import kind_of
from bidsqa.report.slice_sheets import COLUMNS, SHEET, read_sheet, scored_planes, slices_of
from bidsqa.report.slice_strip import Lane, slice_strip
from bidsqa.report.tiles import SIDES
from bidsqa.verdict.reasons import plain

# as bidsqa.verdict.reasons.worst_slices says it
_PLACE = re.compile(r"(?P<plane>axial|coronal|sagittal) slices? (?P<first>\d{1,4})(?:-(?P<last>\d{1,4}))? worst")


def slice_viewer(
    ready: Mapping[str, dict[str, Any]],
    scores: Mapping[str, Any],
    local: Sequence[Mapping[str, Any]],
    reasons: Sequence[Mapping[str, Any]],
) -> dict[str, Any] | None:
    """What the page's viewer needs; None where there is no sheet of slices.

    Parameters
    ----------
    ready : dict of str to dict
        Pictures for the page by file name.
    scores : dict
        The record's.
    local : list of dict
        The maps as :func:`bidsqa.report.local_maps.local_maps` gives them.
    reasons : list of dict
        Of the verdict, with the ``where`` of :func:`place_in`; the first that names slices says where to begin.

    Returns
    -------
    dict
        ``planes``: for the template, each with its strip and pictures; ``data``: for the script.
    """
    planes: list[dict[str, Any]] = []
    data: list[dict[str, Any]] = []
    for plane in scored_planes(scores):
        sheet = ready.get(f"{SHEET}{plane}.webp")
        layout = read_sheet(sheet) if sheet else None
        if sheet is None or layout is None:
            continue
        index, size = layout
        values = {name: inner for name, inner in slices_of(scores, plane).items() if set(inner) & set(index)}
        if not values:
            continue
        outline = ready.get(f"{SHEET}brain-{plane}.png")
        fits = outline is not None and (outline["width"], outline["height"]) == (sheet["width"], sheet["height"])
        strip = slice_strip(plane, [_lane(name, inner) for name, inner in values.items()])
        planes.append({"plane": plane, "sheet": sheet, "outline": outline if fits else None, "strip": strip})
        told = {name: [_told(name, inner.get(at)) for at in index] for name, inner in values.items()}
        worst = list(dict.fromkeys(_worst_of(name, inner) for name, inner in values.items()))
        about = {"plane": plane, "sides": SIDES[plane], "columns": COLUMNS, "size": size, "index": index}
        data.append(about | {"told": told, "worst": worst})
    if not planes:
        return None
    begin = next((reason["where"] for reason in reasons if reason.get("where")), None)
    chosen = (begin["plane"], begin["at"]) if begin else (data[0]["plane"], data[0]["worst"][0])
    titles = {name: title_of(name) for about in data for name in about["told"]}
    maps = {group["name"]: [[one["plane"], one["index"]] for one in group["maps"]] for group in local}
    return {
        "planes": planes,
        "outlines": any(entry["outline"] for entry in planes),
        "data": {"planes": data, "titles": titles, "maps": maps, "open": chosen},
    }


def title_of(name: str) -> str:
    """A model's name for the reader."""
    return SCORES[name].title if name in SCORES else name


def place_in(text: str, reads: str, scores: Mapping[str, Any]) -> dict[str, Any] | None:
    """The slices that a reason of the verdict names.

    Parameters
    ----------
    text : str
        The reason.
    reads : str
        What its rule reads, e.g. ``scores.severity.value``.
    scores : dict
        The record's.

    Returns
    -------
    dict or None
        ``before``, ``words``, ``after``: the text in three parts; ``plane``; ``at``: the worst of the named slices.
    """
    match = _PLACE.search(text)
    if match is None:
        return None
    plane, first = match["plane"], int(match["first"])
    last = int(match["last"] or first)
    parts = reads.split(".")
    name = parts[1] if len(parts) > 1 and parts[0] == "scores" else ""
    named = {at: value for at, value in slices_of(scores, plane).get(name, {}).items() if first <= at <= last}
    at = _worst_of(name, named) if named else first
    words = {"before": text[: match.start()], "words": match[0], "after": text[match.end() :]}
    return {**words, "plane": plane, "at": at}


def _lane(name: str, values: Mapping[int, float]) -> Lane:
    return Lane(title_of(name), list(values), list(values.values()), _readings(name))


def _readings(name: str) -> list[tuple[str, float, float]]:
    return [(entry.name, entry.low, entry.high) for entry in SCORES[name].readings] if name in SCORES else []


def _told(name: str, value: float | None) -> list[str] | None:
    """A slice's value, the reading it falls into, and the kind of mark; None for a slice without a value."""
    if value is None:
        return None
    readings = _readings(name)
    meaning = next((word for word, low, high in readings if low <= value < high or value == high), "")
    return [plain(value), meaning, kind_of(value, readings)]


def _worst_of(name: str, values: Mapping[int, float]) -> int:
    sign = -1.0 if name in SCORES and SCORES[name].direction.startswith("higher") else 1.0
    return max(values, key=lambda at: sign * values[at])
