# SPDX-License-Identifier: Apache-2.0
"""The rules that compare scans with the others of their suffix and site: what they may say, and their checks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from bidsqa.bids.sidecar import ACQUISITION_KEYS
from bidsqa.errors import UsageError
from bidsqa.verdict.overlay import Tables, for_suffix, lay_over, near
from bidsqa.verdict.reading import number

LEVELS = ("review", "fail")
SIDES = ("bad", "both")
# what the image itself tells of its protocol, beside the keys of the sidecar
IMAGE_KEYS = ("VoxelSize", "Matrix", "Orientation")
SMALLEST = 3


@dataclass(frozen=True, kw_only=True)
class OutlierRule:
    """A scan that lies far from the others of its suffix and site.

    Parameters
    ----------
    z : float
        Distance from the median in robust standard deviations beyond which a scan is an outlier, in a large group.
    smallest_group : int
        Fewer scans than this are not compared.
    values : tuple of str
        Scores and metrics that are looked at.
    sides : str
        ``bad``: only worse scans, where the value has a bad side; ``both``: any that are far away.
    level : str
        What the rule decides: ``review`` or ``fail``.
    about, advice, basis : str
        The word that its reason begins with, what to do, why these limits.
    suffixes : tuple of str
        Where it applies; empty for everywhere.
    off : bool
    """

    z: float
    smallest_group: int
    values: tuple[str, ...]
    sides: str = "bad"
    level: str = "review"
    about: str = "outlier"
    advice: str = ""
    basis: str = ""
    suffixes: tuple[str, ...] = ()
    off: bool = False


@dataclass(frozen=True, kw_only=True)
class ProtocolRule:
    """A scan that was acquired unlike most of its suffix and site.

    Parameters
    ----------
    keys : tuple of str
        Keys of the sidecar, ``VoxelSize``, ``Matrix``, ``Orientation``.
    smallest_group : int
        Fewer scans than this are not compared.
    share : float
        A value is the usual one where at least this share of the scans that tell it have it.
    tolerance : float
        Relative difference up to which two numbers are the same.
    level, about, advice, basis, suffixes, off
        As for :class:`OutlierRule`.
    """

    keys: tuple[str, ...]
    smallest_group: int
    share: float
    tolerance: float
    level: str = "review"
    about: str = "another protocol"
    advice: str = ""
    basis: str = ""
    suffixes: tuple[str, ...] = ()
    off: bool = False


KINDS: dict[str, type[OutlierRule] | type[ProtocolRule]] = {"outlier": OutlierRule, "protocol": ProtocolRule}
Good = Callable[[Any], bool]


def cohort_rule(tables: Mapping[str, Any], name: str, suffix: str) -> OutlierRule | ProtocolRule | None:
    """A cohort rule as it applies to one suffix; None where it doesn't."""
    row = for_suffix(dict(tables.get(name, {})), suffix)
    if not row:
        return None
    kept: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    rule = KINDS[name](**kept)
    return None if rule.off or (rule.suffixes and suffix not in rule.suffixes) else rule


def overlay_cohort(shipped: Tables, user: Tables, file: str) -> Tables:
    """The package's cohort rules with a user's laid over them.

    Raises
    ------
    UsageError
        An unknown rule or key, a value that means nothing.
    """
    merged = copy.deepcopy(shipped)
    for name, table in user.items():
        if name not in KINDS:
            hint = near(name, KINDS) or "they are " + " and ".join(KINDS)
            raise UsageError(f"{file}: there is no cohort rule {name!r}", hint)
        _check(f"{file}: [cohort.{name}", name, table)
        lay_over(merged.setdefault(name, {}), table)
    return merged


def _check(where: str, name: str, table: Tables) -> None:
    known = {part.name for part in fields(KINDS[name])}
    for key, value in table.items():
        if isinstance(value, dict):
            nested = {inner: entry for inner, entry in value.items() if isinstance(entry, dict)}
            if nested:
                raise UsageError(f"{where}.{key}] holds a table", "a suffix holds keys and nothing below them")
            _check(f"{where}.{key}", name, value)
            continue
        if key not in known:
            raise UsageError(f"{where}] has an unknown key {key!r}", near(key, known) or "see docs/verdicts")
        good, wanted = CHECKS.get(key, (lambda entry: isinstance(entry, str), "a text"))
        if not good(value):
            raise UsageError(f"{where}]: {key} is {value!r}", f"it must be {wanted}")
        names = _known_names(key)
        for entry in value if names else ():
            if entry not in names:
                raise UsageError(f"{where}]: {key} names {entry!r}, which nothing has", near(entry, names))


def _within(low: float, high: float) -> Good:
    def good(value: Any) -> bool:
        known = number(value)
        return known is not None and low < known <= high

    return good


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, str) for entry in value)


CHECKS: dict[str, tuple[Good, str]] = {
    "z": (_within(0, 1e6), "a number above 0"),
    "smallest_group": (
        lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= SMALLEST,
        f"a whole number of at least {SMALLEST}",
    ),
    "share": (_within(0, 1), "a share above 0 and at most 1"),
    "tolerance": (lambda value: (found := number(value)) is not None and 0 <= found < 1, "a share from 0 to below 1"),
    "sides": (lambda value: value in SIDES, " or ".join(SIDES)),
    "level": (lambda value: value in LEVELS, " or ".join(LEVELS)),
    "off": (lambda value: isinstance(value, bool), "true or false"),
    "values": (_texts, "a list of scores and metrics"),
    "keys": (_texts, "a list of keys"),
    "suffixes": (_texts, "a list of suffixes"),
}


def _known_names(key: str) -> set[str]:
    """The names that a list may hold; empty where any may stand."""
    if key == "values":
        from bidsqa.metrics import METRIC_KEYS
        from bidsqa.models import SCORE_VALUES

        return {*SCORE_VALUES, *METRIC_KEYS}
    return {*ACQUISITION_KEYS, *IMAGE_KEYS} if key == "keys" else set()
