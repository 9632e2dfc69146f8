# SPDX-License-Identifier: Apache-2.0
"""The cohort rules: what comparison with the other scans of a study adds to the verdicts, in words."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from bidsqa.group import protocols
from bidsqa.group.rows import UNKNOWN_SITE, Row, on_one_scale
from bidsqa.group.sites import direction_of, robust_spread
from bidsqa.models import SCORE_VALUES
from bidsqa.verdict import RANK, OutlierRule, ProtocolRule, Rules
from bidsqa.verdict.reading import number
from bidsqa.verdict.reasons import is_missing, plain, reason

RULE = "cohort."
OUTLIER, PROTOCOL = f"{RULE}outlier", f"{RULE}protocol"
# the median and spread of few scans are themselves uncertain: in small groups the limit is wider by 1 + 5 / scans
SMALL_GROUP = 5.0


def judge_cohort(rows: Sequence[Row], rules: Rules) -> None:
    """Add the reasons of the cohort rules to all rows that were assessed, and bring their decisions up to date.

    What earlier calls added is replaced; the record's own reasons stay.

    Parameters
    ----------
    rows : sequence of Row
        With their sites named; ``reasons``, ``decision`` and ``outliers`` are changed in place.
    rules : Rules
    """
    for row in rows:
        row.reasons = [entry for entry in row.reasons if not str(entry.get("rule", "")).startswith(RULE)]
        row.decision, row.outliers, row.cohort_version = row.record_decision, [], rules.cohort_version
    assessed = [row for row in rows if row.status == "ok"]
    added: dict[str, list[dict[str, Any]]] = defaultdict(list)
    _add_outliers(assessed, rules, added)
    _add_protocols(assessed, rules, added)
    for row in assessed:
        if row.name in added:
            row.reasons = sorted([*row.reasons, *added[row.name]], key=_gravity)
            row.decision = max((row.decision, *(entry["level"] for entry in added[row.name])), key=RANK.__getitem__)


def _gravity(entry: dict[str, Any]) -> tuple[int, bool]:
    """Failures first; what could not be had after what was found."""
    return -RANK.get(str(entry.get("level")), RANK["review"]), is_missing(entry)


def outlier_limit(rule: OutlierRule, scans: int) -> float:
    """The robust z beyond which a scan of a group of that many is an outlier."""
    return rule.z * (1 + SMALL_GROUP / scans)


def uncompared(rows: Sequence[Row], rules: Rules) -> tuple[int, int]:
    """How many assessed scans have too few others of their suffix and site for an outlier, and how many it takes.

    Parameters
    ----------
    rows : sequence of Row
        With their sites named.
    rules : Rules
        Where the rule is off for a suffix, its scans are not counted.
    """
    counts = Counter((row.suffix, row.site, row.origin) for row in rows if row.status == "ok")
    few, least = 0, 0
    for (suffix, _, _), scans in counts.items():
        rule = rules.outlier_rule(suffix)
        if rule is not None and scans < rule.smallest_group:
            few, least = few + scans, max(least, rule.smallest_group)
    return few, least


def _add_outliers(rows: Sequence[Row], rules: Rules, added: dict[str, list[dict[str, Any]]]) -> None:
    groups: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        # what another program measured, or another version of it, is another number
        groups[row.suffix, row.site, row.origin].append(row)
    for (suffix, site, _), members in groups.items():
        rule = rules.outlier_rule(suffix)
        for key in rule.values if rule else ():
            assert rule is not None
            for places in on_one_scale(members, key):
                known = [members[place] for place in places]
                if len(known) >= rule.smallest_group:
                    _add_outliers_in(rule, key, known, f"{len(known)} {suffix} scans {_at(site)}", added)


def _add_outliers_in(
    rule: OutlierRule, key: str, rows: Sequence[Row], group: str, added: dict[str, list[dict[str, Any]]]
) -> None:
    """The outliers in one value of scans that compare."""
    values = [float(row.values[key]) for row in rows]
    middle, spread = statistics.median(values), robust_spread(values, key in SCORE_VALUES)
    limit = outlier_limit(rule, len(rows))
    for row, value in zip(rows, values, strict=True):
        z = (value - middle) / spread if spread > 0 else 0.0
        if _is_outlier(z, limit, rule.sides, direction_of(key)):
            row.outliers.append(key)
            bound = middle + (limit if z > 0 else -limit) * spread
            added[row.name].append(_outlier(rule, key, value, middle, z, bound, group))


def _is_outlier(z: float, limit: float, sides: str, direction: str) -> bool:
    bad = {"higher": -z, "lower": z}.get(direction, 0.0)
    return (abs(z) if sides == "both" else bad) > limit


def _outlier(
    rule: OutlierRule, key: str, value: float, middle: float, z: float, bound: float, group: str
) -> dict[str, Any]:
    side, bound = "above" if z > 0 else "below", float(f"{bound:.6g}")
    text = (
        f"{rule.about}: {_title(key)} {plain(value)} is far {side} {plain(middle)}, the median of {group} "
        f"({abs(z):.1f} robust standard deviations)"
    )
    place = SCORE_VALUES[key].reads if key in SCORE_VALUES else f"metrics.{key}"
    return reason(OUTLIER, place, value, bound, text, rule.advice, rule.level)


def _title(key: str) -> str:
    return SCORE_VALUES[key].title if key in SCORE_VALUES else key


def _at(site: str) -> str:
    return "of unknown site" if site == UNKNOWN_SITE else f"of {site}"


def _add_protocols(rows: Sequence[Row], rules: Rules, added: dict[str, list[dict[str, Any]]]) -> None:
    for (suffix, site, labels), members in protocols.groups(rows).items():
        rule = rules.protocol_rule(suffix)
        if rule is None:
            continue
        usual = protocols.usual_values(members, rule)
        group = " ".join(filter(None, (suffix, "scans", _at(site), f"with {labels}" if labels else "")))
        for row in members:
            own = protocols.deviations(row, usual, rule)
            if own:
                added[row.name].append(_deviation(rule, own, usual, group))


def _deviation(
    rule: ProtocolRule, own: dict[str, str], usual: dict[str, protocols.Usual], group: str
) -> dict[str, Any]:
    told = "; ".join(
        f"{key} {protocols.with_unit(key, value)}, but {protocols.with_unit(key, usual[key].value)} "
        f"in {usual[key].scans} of {usual[key].known}"
        for key, value in own.items()
    )
    only = next(iter(own)) if len(own) == 1 else ""
    value, expected = (_number(text) for text in ((own[only], usual[only].value) if only else ("", "")))
    names = ", ".join(f"acquisition.{key}" for key in own)
    return reason(PROTOCOL, names, value, expected, f"{rule.about}: {told} {group}", rule.advice, rule.level)


def _number(text: str) -> float | None:
    try:
        return number(float(text))
    except ValueError:
        return None
