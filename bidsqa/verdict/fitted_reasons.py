# SPDX-License-Identifier: Apache-2.0
"""The reason that a verdict learned from ratings gives against a scan, with what weighs most, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from bidsqa.record import Record
from bidsqa.verdict import reasons as words
from bidsqa.verdict.fitted import FittedRule
from bidsqa.verdict.reading import look_up, why_missing

MOST_NAMED = 3
LEAST_NAMED = 0.2


def judge(rule: FittedRule, record: Record) -> dict[str, Any] | None:
    """The reason that a learned rule gives against a scan; None where it gives none.

    A value that is missing asks for a review.
    """
    parts = rule.parts(record)
    gone = [place for place, part in parts.items() if part is None]
    if gone:
        text = f"{words.UNKNOWN}: {rule.about} could not be applied, {gone[0]}: {why_missing(record, gone[0])}"
        advice = "look at the scan yourself; a missing value never counts as good"
        return words.reason(f"fitted.{rule.name}", ", ".join(gone), None, None, text, advice, "review")
    total = rule.intercept + sum(part or 0.0 for part in parts.values())
    chance = 1 / (1 + math.exp(-min(max(total, -60.0), 60.0)))
    if chance >= rule.review_below:
        return None
    level = "fail" if chance < rule.fail_below else "review"
    limit = rule.fail_below if level == "fail" else rule.review_below
    text = (
        f"{rule.about}: {100 * chance:.0f} % chance that they would accept the scan, below {100 * limit:.0f} %"
        f"{_against(rule, record, parts)}"
    )
    advice = words.advice_of(rule.advice, rule.advice_fail, level)
    return words.reason(f"fitted.{rule.name}", ", ".join(parts), chance, limit, text, advice, level)


def _against(rule: FittedRule, record: Record, parts: Mapping[str, float | None]) -> str:
    """What weighs most against the scan, in words."""
    against = sorted((part, place) for place, part in parts.items() if part is not None and part < 0)
    # many small parts make a verdict too: then the largest of them
    worst = [(part, place) for part, place in against if part < -LEAST_NAMED] or against[:1]
    middles = {term.place: term.middle for term in rule.terms}
    told = [
        f"{_name(place)} {words.plain(float(look_up(record, place)))} (usual {words.plain(middles[place])})"
        for _, place in worst[:MOST_NAMED]
    ]
    return f"; most against it: {', '.join(told)}" if told else ""


def _name(place: str) -> str:
    """A place in the record as people call it: the metric's or the score's name."""
    return place.removeprefix("scores.").removeprefix("metrics.").removesuffix(".value")
