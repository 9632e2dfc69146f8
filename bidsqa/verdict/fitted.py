# SPDX-License-Identifier: Apache-2.0
"""A verdict learned from a site's ratings: one logistic model whose terms can be read, in the file of thresholds.

``bidsqa-train verdict`` writes it::

    [fitted.readers]
    intercept = 1.2
    review_below = 0.75     # probability that the readers would accept the scan
    fail_below = 0.25
    suffixes = ["T1w"]
    [fitted.readers.terms."metrics.cjv"]
    weight = -0.8           # log-odds a spread
    middle = 0.42
    spread = 0.05
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bidsqa.errors import UsageError
from bidsqa.record import Record
from bidsqa.verdict.overlay import Tables, near
from bidsqa.verdict.reading import READABLE, look_up, number

NUMBERS = ("intercept", "review_below", "fail_below")
KEYS = (
    *NUMBERS,
    "suffixes",
    "terms",
    "about",
    "advice",
    "advice_fail",
    "basis",
    "off",
)
TERM_KEYS = ("weight", "middle", "spread")
# a term counts no more than a value this many spreads from the middle: one absurd metric must not decide alone
FURTHEST = 5.0
ABOUT = "your readers' standard"
ADVICE = "look at the scan: your readers would probably hesitate"
ADVICE_FAIL = "your readers would most likely reject the scan; repeat or exclude it"


@dataclass(frozen=True)
class Term:
    """One value's part in the decision.

    Parameters
    ----------
    place : str
        Where it stands in the record.
    weight : float
        Log-odds of acceptance a spread.
    middle, spread : float
        Of the rated scans; the spread is above 0.
    """

    place: str
    weight: float
    middle: float
    spread: float

    def part(self, value: float) -> float:
        """Log-odds that a value adds."""
        return self.weight * min(max((value - self.middle) / self.spread, -FURTHEST), FURTHEST)


@dataclass(frozen=True)
class FittedRule:
    """A logistic model of what a site's readers accept.

    Parameters
    ----------
    name : str
    intercept : float
    terms : tuple of Term
    review_below, fail_below : float
        Probability of acceptance, 0-1.
    suffixes : tuple of str
        Where it holds; empty for everywhere.
    about, advice, advice_fail, basis : str
    """

    name: str
    intercept: float
    terms: tuple[Term, ...]
    review_below: float
    fail_below: float
    suffixes: tuple[str, ...] = ()
    about: str = ABOUT
    advice: str = ADVICE
    advice_fail: str = ADVICE_FAIL
    basis: str = ""

    def parts(self, record: Record) -> dict[str, float | None]:
        """Log-odds by place; None where the record has no value."""
        found: dict[str, float | None] = {}
        for term in self.terms:
            value = number(look_up(record, term.place))
            found[term.place] = None if value is None else term.part(value)
        return found


def fitted_rules(tables: Mapping[str, Any], suffix: str) -> tuple[FittedRule, ...]:
    """The learned rules that hold for a suffix, from checked tables."""
    found = []
    for name, table in tables.items():
        row = dict(table)
        if row.pop("off", False) or (row.get("suffixes") and suffix not in row["suffixes"]):
            continue
        terms = tuple(
            Term(place, *(float(values[key]) for key in TERM_KEYS)) for place, values in row.pop("terms").items()
        )
        row["suffixes"] = tuple(row.get("suffixes", ()))
        found.append(FittedRule(name=name, terms=terms, **row))
    return tuple(found)


def check_fitted(tables: Tables, file: str) -> Tables:
    """The tables of ``[fitted]``, checked.

    Raises
    ------
    UsageError
        A key or a value means nothing.
    """
    for name, table in tables.items():
        where = f"{file}: [fitted.{name}]"
        for key, value in table.items():
            if key not in KEYS:
                raise UsageError(f"{where} has an unknown key {key!r}", near(key, KEYS) or "see docs/verdicts")
            _check_value(where, key, value)
        for key in ("intercept", "review_below", "fail_below", "terms"):
            if key not in table:
                raise UsageError(f"{where} has no {key}", "write it with bidsqa-train verdict")
        if not 0 <= table["fail_below"] <= table["review_below"] <= 1:
            hint = "0 to 1, fail_below not above review_below"
            raise UsageError(f"{where}: fail_below and review_below are no chances in order", hint)
        for place, values in table["terms"].items():
            _check_term(f"{file}: [fitted.{name}.terms.{place!r}]", place, values)
    return tables


def _check_value(where: str, key: str, value: Any) -> None:
    if key in NUMBERS:
        good, wanted = number(value) is not None, "a finite number"
    elif key == "suffixes":
        good, wanted = isinstance(value, list) and all(isinstance(one, str) for one in value), "a list of suffixes"
    elif key == "terms":
        good, wanted = isinstance(value, dict) and bool(value), "tables, one a value that is read"
    elif key == "off":
        good, wanted = isinstance(value, bool), "true or false"
    else:
        good, wanted = isinstance(value, str), "a text"
    if not good:
        raise UsageError(f"{where}: {key} is {value!r}", f"it must be {wanted}")


def _check_term(where: str, place: str, values: Any) -> None:
    if place.split(".")[0] not in READABLE or "." not in place:
        raise UsageError(f"{where} reads no place in a record", "scores.<model>.value, metrics.<name> or the like")
    if not isinstance(values, dict) or set(values) != set(TERM_KEYS):
        raise UsageError(f"{where} needs exactly {', '.join(TERM_KEYS)}", "write it with bidsqa-train verdict")
    numbers = {key: number(value) for key, value in values.items()}
    if None in numbers.values() or not (numbers["spread"] or 0) > 0:
        raise UsageError(f"{where} holds {values!r}", "finite numbers; the spread above 0")
