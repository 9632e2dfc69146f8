# SPDX-License-Identifier: Apache-2.0
"""Each scan beside the study's median scan of its suffix: the chance that a reader would call it better."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence

from bidsqa.group.rows import Row
from bidsqa.models.preference import preference

SCORE, TIE, CHANCE = "ranking", "ranking_tie", "ranking_p_better"
TITLE = "Better than the median scan (chance)"
WHERE = (
    "How likely a reader is to prefer the scan to the study's median scan of its suffix stands in the tables "
    f"({CHANCE}) and among the values of the plots."
)
DIGITS = 4


def add_preference(rows: Sequence[Row]) -> None:
    """Put the chance into the values of all rows that have a ranking score; others are left as they are.

    Parameters
    ----------
    rows : sequence of Row
        ``values`` is changed in place.
    """
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if isinstance(row.values.get(SCORE), float) and isinstance(row.values.get(TIE), float):
            groups[row.suffix].append(row)
    for members in groups.values():
        middle = statistics.median(float(row.values[SCORE]) for row in members)
        for row in members:
            row.values[CHANCE] = round(preference(row.values[SCORE], middle, row.values[TIE]).better, DIGITS)
