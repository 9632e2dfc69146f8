# SPDX-License-Identifier: Apache-2.0
"""The reasons of a verdict in plain words, put together without ever treating a value as a format."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from bidsqa.record import Record
from bidsqa.verdict.reading import entries, look_up, number
from bidsqa.verdict.rules import Rule, Rules

WORST_SHARE = 0.2
UNKNOWN = "not known"
MOST_LISTED = 3  # the reason's name lists all
GAP = 2
LARGEST_WHOLE = 1e9  # voxels of a scan are counted in full


def digits(value: float, threshold: float) -> tuple[str, str]:
    """The value with as few digits as still tell it from the threshold, and the threshold as it was set."""
    limit = f"{threshold:.10g}"
    limit += "0" if abs(threshold) < 1 and len(limit.partition(".")[2]) == 1 else ""
    for count in range(2, 12):
        shown = plain(value, count)
        if float(shown) != threshold:
            return shown, limit
    return repr(value), limit


def plain(value: float, significant: int = 3) -> str:
    """A number for the eye: whole numbers as such, exponents only for the very small and large."""
    if value == int(value) and abs(value) < LARGEST_WHOLE:
        return str(int(value))
    if not 1e-4 <= abs(value) < 1e6:
        return f"{value:.{significant}g}"
    leading = math.floor(math.log10(abs(value)))
    return f"{value:.{max(significant - 1 - leading, 0)}f}"


def worst_slices(record: Record, rule: Rule, high_is_bad: bool, threshold: float) -> str:
    """Where the worst slices of the acquisition plane are, in words; empty where they don't stand out.

    The worst fifth of the slices is taken; the run among them that holds the worst one (gaps of two slices allowed)
    is named. Empty as well where no slice is beyond the threshold.
    """
    parts = rule.reads.split(".")
    # a part of a score that has slices of its own keeps them beside it
    key = "slices" if parts[-1] == "value" else f"{parts[-1]}_slices"
    planes = entries(look_up(record, f"scores.{parts[1]}.{key}")) if parts[0] == "scores" else []
    first = planes[0] if planes and isinstance(planes[0], dict) else {}
    index, values = entries(first.get("index")), entries(first.get("value"))
    if len(index) != len(values):
        return ""
    both = zip(map(number, index), map(number, values), strict=True)
    pairs = sorted((int(at), value) for at, value in both if at is not None and value is not None)
    sign = 1.0 if high_is_bad else -1.0
    ordered = sorted(pairs, key=lambda pair: sign * pair[1], reverse=True)
    # a cause that no single slice shows, like a slow shading, has no worst slices
    if len(pairs) < 5 or sign * (ordered[0][1] - threshold) <= 0:
        return ""
    median = ordered[len(ordered) // 2][1]
    if abs(ordered[0][1] - median) < 0.1 * max(abs(median), 1e-9):
        return "in all slices alike"
    worst = {at for at, _ in ordered[: max(1, round(WORST_SHARE * len(ordered)))]}
    places = [at in worst for at, _ in pairs]
    low = high = [at for at, _ in pairs].index(ordered[0][0])
    while any(places[high + 1 : high + 2 + GAP]):
        high += 1 + places[high + 1 : high + 2 + GAP].index(True)
    while any(before := places[max(low - 1 - GAP, 0) : low]):
        low -= 1 + before[::-1].index(True)
    low, high = pairs[low][0], pairs[high][0]
    plane = str(first.get("plane", ""))
    return f"{plane} slice {low} worst".strip() if low == high else f"{plane} slices {low}-{high} worst".strip()


def beyond(record: Record, rule: Rule, rules: Rules, level: str, value: float, threshold: float) -> dict[str, Any]:
    """The reason for a value that is beyond a limit."""
    high_is_bad = value > threshold
    about, advice = rule.about or rule.quantity, advice_of(rule.advice, rule.advice_fail, level)
    cause = _family(record, rule, rules)
    if cause:
        about = str(cause.get("about", about))
        advice = advice_of(str(cause.get("advice", advice)), str(cause.get("advice_fail", "")), level) or advice
    text = f"{about}: {_compared(rule, value, threshold)}"
    where = worst_slices(record, rule, high_is_bad, threshold)
    return reason(rule.name, rule.reads, value, threshold, text + (f", {where}" if where else ""), advice, level)


def _compared(rule: Rule, value: float, threshold: float) -> str:
    """The quantity, its value and the limit in words: *predicted SSIM 0.58 is below 0.60*."""
    scale = 100.0 if rule.unit == "%" else 1.0
    shown, limit = digits(scale * value, scale * threshold)
    unit, side = f" {rule.unit}" if rule.unit else "", "above" if value > threshold else "below"
    if rule.quantity.startswith("the "):  # a long name takes a verb of its own
        return f"{rule.quantity} is {shown}{unit}, {side} {limit}{unit}"
    return f"{rule.quantity} {shown}{unit} is {side} {limit}{unit}"


def missing(rules_hit: list[Rule], why: str) -> dict[str, Any]:
    """The reason for values that could not be had, one for all rules with the same cause."""
    listed = [rule.quantity for rule in rules_hit]
    more = len(listed) - MOST_LISTED
    what = ", ".join(listed[:MOST_LISTED]) + (f" and {more} more" if more > 0 else "")
    text = f"{UNKNOWN}: {what} could not be had: {why}"
    advice = "look at the scan yourself; a missing value never counts as good"
    names = ", ".join(rule.reads for rule in rules_hit)
    return reason(rules_hit[0].name, names, None, None, text, advice, "review")


def is_missing(entry: Mapping[str, Any]) -> bool:
    """Whether a reason speaks of a value that could not be had, not of one that is bad."""
    return entry.get("value") is None and str(entry.get("text", "")).startswith(f"{UNKNOWN}: ")


def reason(
    rule: str, name: str, value: float | None, threshold: float | None, text: str, advice: str, level: str
) -> dict[str, Any]:
    """One entry of the verdict's ``reasons``."""
    return {
        "rule": rule,
        "name": name,
        "value": value,
        "threshold": threshold,
        "text": text,
        "advice": advice,
        "level": level,
    }


def advice_of(usual: str, failed: str, level: str) -> str:
    """The advice for a level: a failure may have its own."""
    return failed if level == "fail" and failed else usual


def _family(record: Record, rule: Rule, rules: Rules) -> dict[str, Any] | None:
    """The cause with the largest number among those that the rules know."""
    found = look_up(record, rule.families) if rule.families else None
    if not isinstance(found, dict):
        return None
    known = {name: number(raw) or 0.0 for name, raw in found.items() if name in rules.families}
    strongest = max(known, key=lambda name: known[name], default=None)
    return dict(rules.families[strongest]) if strongest is not None and known[strongest] > 0 else None
