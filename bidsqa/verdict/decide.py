# SPDX-License-Identifier: Apache-2.0
"""From a record to its verdict."""

from __future__ import annotations

from typing import Any

from bidsqa.record import Record
from bidsqa.verdict import reasons as words
from bidsqa.verdict.fitted_reasons import judge
from bidsqa.verdict.reading import DETAILS, TOLD, look_up, mask_problems, number, suffix_of, why_missing
from bidsqa.verdict.rules import Rule, Rules

RANK = {"pass": 0, "review": 1, "fail": 2}


def decide(record: Record, rules: Rules) -> dict[str, Any]:
    """Pass, review or fail, with the reasons in words; a function of the record alone.

    Nothing missing makes a pass: a rule without its value asks for a review (unless the rule says ``accept``), a
    failed scan fails, and so does nothing to go by ask for a review.

    Parameters
    ----------
    record : Record
        Its ``verdict`` is not read.
    rules : Rules

    Returns
    -------
    dict
        ``{decision, reasons: [{rule, name, value, threshold, text, advice, level}], rules_version}``, the gravest
        reason first; ``level`` is what the reason alone would decide.
    """
    if record.status == "failed":
        found = [_failed(record)]
    else:
        rows = rules.for_suffix(suffix_of(record))
        found = _judged(record, rules, rows)
        # a mask's problem that has been told needs no telling for each metric of the mask
        masks = any(entry["name"] == "derived.mask_problems" for entry in found)
        found += _unknown(record, rows, set(mask_problems(record).values()) if masks else set())
        found += filter(None, (judge(rule, record) for rule in rules.fitted_for(suffix_of(record))))
        if not rows:
            text = "no rule applies to this scan, so nothing speaks for it either"
            found = [words.reason("none", "", None, None, text, "look at the scan yourself", "review")]
    found.sort(key=lambda entry: -RANK[entry["level"]])
    decision = max((entry["level"] for entry in found), key=lambda level: RANK[level], default="pass")
    return {"decision": decision, "reasons": found, "rules_version": rules.version}


def _judged(record: Record, rules: Rules, rows: tuple[Rule, ...]) -> list[dict[str, Any]]:
    """Reasons from values beyond a limit."""
    found = []
    for rule in rows:
        value = number(look_up(record, rule.reads))
        crossed = _crossed(rule, value) if value is not None else None
        if value is None or crossed is None:
            continue
        entry = words.beyond(record, rule, rules, crossed[0], value, crossed[1])
        if rule.reads in DETAILS:
            told = DETAILS[rule.reads](record).items()
            entry["text"] = f"{rule.about}: " + "; ".join(f"{name.replace('_', ' ')}: {why}" for name, why in told)
        if rule.reads in TOLD:
            entry |= TOLD[rule.reads](record)
        found.append(entry)
    return found


def _crossed(rule: Rule, value: float) -> tuple[str, float] | None:
    """The gravest limit that the value is beyond, with its level."""
    for level, above, below in (
        ("fail", rule.fail_above, rule.fail_below),
        ("review", rule.review_above, rule.review_below),
    ):
        if above is not None and value > above:
            return level, float(above)
        if below is not None and value < below:
            return level, float(below)
    return None


def _unknown(record: Record, rows: tuple[Rule, ...], told: set[str]) -> list[dict[str, Any]]:
    """Reasons from values that are missing, one for each cause that hasn't been told already."""
    causes: dict[str, list[Rule]] = {}
    for rule in rows:
        if rule.missing == "review" and number(look_up(record, rule.reads)) is None:
            why = why_missing(record, rule.reads)
            if why not in told:
                causes.setdefault(why, []).append(rule)
    return [words.missing(hit, why) for why, hit in causes.items()]


def _failed(record: Record) -> dict[str, Any]:
    """The reason of a scan that could not be assessed."""
    failure = record.failure if isinstance(record.failure, dict) else {}
    cause = str(failure.get("cause") or "the cause was not recorded")
    step = str(failure.get("step") or "unknown step")
    advice = str(failure.get("hint") or "repair or repeat the scan, then run again")
    return words.reason("failed", step, None, None, f"not assessed: {cause}", advice, "fail")
