# SPDX-License-Identifier: Apache-2.0
"""Each scan's place among the study's scans of its suffix, and among those of its site."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from bidsqa.group.rows import Row, scale_of
from bidsqa.metrics import METRIC_KEYS
from bidsqa.models import SCORES

Array = np.ndarray[Any, Any]
LONGEST_TEXT = 500
# scans of a site below which a place among them tells nothing
SMALLEST_GROUP = 8


def ranks(values: Array) -> tuple[Array, Array, Array]:
    """How many others lie below each value, how many equal it, and how many there are.

    Parameters
    ----------
    values : ndarray of float, shape (scans, keys)
        NaN where a scan has no value.

    Returns
    -------
    below, equal : ndarray of int, shape (scans, keys)
        Of the other scans with a value; 0 where the scan itself has none.
    count : ndarray of int, shape (keys,)
        Scans with a value.
    """
    ordered = np.sort(values, axis=0)  # NaN last
    count = np.isfinite(values).sum(axis=0)
    below, equal = np.zeros(values.shape, dtype=np.int64), np.zeros(values.shape, dtype=np.int64)
    for column in range(values.shape[1]):
        known = np.isfinite(values[:, column])
        line, own = ordered[: count[column], column], values[known, column]
        low, high = np.searchsorted(line, own, side="left"), np.searchsorted(line, own, side="right")
        below[known, column], equal[known, column] = low, high - low - 1
    return below, equal, count


def places(rows: Sequence[Row]) -> list[dict[str, list[int]]]:
    """The place of each value of each scan.

    Parameters
    ----------
    rows : sequence of Row
        With their sites. Those of failed scans have no place and count for nobody.

    Returns
    -------
    list of dict
        For each row, key to ``[below, equal, count]`` among the scans of its suffix with that value, followed by the
        same among those of its site where these are at least eight and not all. Scores come first; nothing for a value
        that no other scan has; places on a ruler are compared with those on the same ruler.
    """
    found: list[dict[str, list[int]]] = [{} for _ in rows]
    suffixes: dict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        if row.status == "ok":
            suffixes[row.suffix].append(place)
    for members in suffixes.values():
        # a column for each scale that a value is read on
        columns = [
            (key, scale)
            for key in (*SCORES, *METRIC_KEYS)
            for scale in sorted({scale_of(rows[place], key) for place in members} if key in SCORES else {""})
        ]
        keys = [key for key, _ in columns]
        table = np.array([[_number(rows[place], key, scale) for key, scale in columns] for place in members])
        below, equal, count = ranks(table)
        sites: dict[str, list[int]] = defaultdict(list)
        for line, place in enumerate(members):
            sites[rows[place].site].append(line)
        for line, place in enumerate(members):
            for column in np.flatnonzero(np.isfinite(table[line]) & (count > 1)):
                entry = [int(below[line, column]), int(equal[line, column]), int(count[column])]
                found[place][keys[column]] = entry
        for lines in sites.values() if len(sites) > 1 else ():
            near, same, number = ranks(table[lines])
            for part, line in enumerate(lines):
                for column in np.flatnonzero(np.isfinite(table[line]) & (number >= SMALLEST_GROUP) & (number < count)):
                    entry = [int(near[part, column]), int(same[part, column]), int(number[column])]
                    found[members[line]][keys[column]] += entry
    return found


def told_to_pages(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What each scan's page is told after the group level, in the order of the rows.

    Parameters
    ----------
    rows : sequence of Row
        With their sites and outliers.

    Returns
    -------
    list of dict
        ``suffix``, ``site``, ``decision`` with ``rules`` (their version) and ``reasons`` (texts) as the group level has
        them, ``outliers`` (keys in which the scan stands out at its site), ``values`` as :func:`places` gives them.
    """
    return [
        {
            "suffix": row.suffix,
            "site": row.site[:LONGEST_TEXT],
            "decision": row.decision,
            "rules": row.versions.get("rules", "")[:LONGEST_TEXT],
            "reasons": [str(reason.get("text", ""))[:LONGEST_TEXT] for reason in row.reasons],
            "outliers": list(row.outliers),
            "values": values,
        }
        for row, values in zip(rows, places(rows), strict=True)
    ]


def _number(row: Row, key: str, scale: str) -> float:
    value = row.values.get(key) if key not in SCORES or scale_of(row, key) == scale else None
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else float("nan")
