# SPDX-License-Identifier: Apache-2.0
"""The gallery of the study's page: the cards that are there without its script, worst first.

The worst scans carry their pictures within the page; the page's script makes the cards of all others, whose pictures
it takes from the folders beside the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bidsqa.report import page
from bidsqa.report.study_scan import StudyScan

MOST_CARDS = 60
LONGEST_CHIP = 40


@dataclass(frozen=True)
class Card:
    """A scan in the gallery: what is wrong in a word each, the gravest reason and what to do.

    Parameters
    ----------
    scan : StudyScan
    place : int
        Its row in the table, from 0.
    picture : dict or None
        ``src``, ``width``, ``height``; None where it has none that can be shown.
    chips : sequence of str
    reason, advice : str
    """

    scan: StudyScan
    place: int
    picture: dict[str, Any] | None = None
    chips: Sequence[str] = ()
    reason: str = ""
    advice: str = ""


def cards(ordered: Sequence[StudyScan]) -> tuple[list[Card], list[Card]]:
    """Cards of scans that were not assessed, and of the worst others that bring a picture; at most 60 of each.

    Parameters
    ----------
    ordered : sequence of StudyScan
        In the order of the table's rows, worst first.
    """
    unassessed: list[Card] = []
    assessed: list[Card] = []
    for place, scan in enumerate(ordered):
        if scan.status == "failed":
            if len(unassessed) < MOST_CARDS:
                unassessed.append(_card(scan, place))
        elif len(assessed) < MOST_CARDS and scan.thumbnail is not None:
            try:
                assessed.append(_card(scan, place, page.picture(scan.thumbnail)))
            except ValueError:
                continue
    return unassessed, assessed


def _card(scan: StudyScan, place: int, picture: dict[str, Any] | None = None) -> Card:
    """A scan's card; a chip is what stands before the colon of a reason."""
    reason, advice = scan.reasons[0] if scan.reasons else ("", "")
    if scan.status == "failed":
        told = reason.removeprefix("not assessed:").strip() or "the cause was not recorded"
        return Card(scan, place, None, ("not assessed",), told, advice)
    words = dict.fromkeys(text.partition(":")[0].strip() for text, _ in scan.reasons if ":" in text)
    return Card(scan, place, picture, [word for word in words if len(word) <= LONGEST_CHIP], reason)
