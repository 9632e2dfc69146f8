# SPDX-License-Identifier: Apache-2.0
"""From which version of a ruler on readers accept a scan: their answers to ``ruler_threshold`` joined to one."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bidsqa.errors import UsageError
from bidsqa.rating.reading import read_items, read_ratings
from bidsqa.rating.tasks import SKIP
from bidsqa.rulers import Ruler
from bidsqa.rulers.scale import THRESHOLD_STEP

TASK = "ruler_threshold"


@dataclass(frozen=True)
class Consensus:
    """What readers say of one ruler.

    Parameters
    ----------
    value : float
        Median of the readers' medians, at the nearest half step; half way between two the stricter (higher) one.
    low, high : float
        Least and greatest of the readers' medians.
    readers, answers : int
        How many readers there are, and answers, repeats counted.
    last : str
        ISO date of the last answer.
    """

    value: float
    low: float
    high: float
    readers: int
    answers: int
    last: str

    def words(self) -> str:
        """E.g. ``median of 3 readers, from 3.5 to 5``."""
        if self.readers == 1:
            return "1 reader"
        spread = f"from {self.low:g} to {self.high:g}" if self.low < self.high else f"all {self.low:g}"
        return f"median of {self.readers} readers, {spread}"


def consensus_on(ruler: Ruler, ratings: Path) -> Consensus:
    """What the readers of a rating agree on about a ruler, known by the checksum of its images.

    Parameters
    ----------
    ruler : Ruler
        Of a folder, or shipped.
    ratings : Path
        As for :func:`bidsqa.rating.read_ratings`.

    Raises
    ------
    UsageError
        There are no such answers, or they are about other images.
    """
    table = read_ratings(ratings, TASK)
    table = table[table["value"] != SKIP]
    own = table[table["sha256"] == ruler.sha256]
    if not len(own):
        raise _no_answer(ruler, ratings, set(table["item"]))
    medians = [median(float(value) for value in part["judgement"]) for _, part in own.groupby("rater")]
    return Consensus(
        value=math.floor(median(medians) / THRESHOLD_STEP + 0.5) * THRESHOLD_STEP,
        low=min(medians),
        high=max(medians),
        readers=len(medians),
        answers=len(own),
        last=str(own["time"].max())[:10],
    )


def _no_answer(ruler: Ruler, ratings: Path, answered: Collection[str]) -> UsageError:
    ask = f"Ask your readers: bidsqa-rate BIDS_DIR RATINGS --tasks {TASK}" + ("" if ruler.shipped else " --rulers DIR")
    if not answered:
        return UsageError(f"{ratings} holds no answer on the threshold of a ruler.", ask)
    items = [item for code, item in read_items(ratings).items() if code in answered]
    others = {item["series"].get("ruler") for item in items if "series" in item} - {None}
    if ruler.name in others:
        return UsageError(
            f"The answers in {ratings} on a ruler {ruler.name} are about other images than those it has now.",
            "A threshold holds for the images it was chosen on.",
        )
    known = f"on {', '.join(sorted(map(str, others)))}" if others else "on rulers made from the scans"
    return UsageError(f"{ratings} holds no answer on the ruler {ruler.name}, only {known}.", ask)
