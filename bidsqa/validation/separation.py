# SPDX-License-Identifier: Apache-2.0
"""What one score makes of clean scans and their degraded copies: separation, order, shares beyond a limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from bidsqa.validation.severity_cases import JUDGED
from bidsqa.validation.statistics import area, area_interval, bootstrap, rank_correlation, share_interval

Array = np.ndarray[Any, Any]
STRONG, VISIBLE = 0.6, 0.3


class Judged(Protocol):
    """A scan, clean (artifact ``"none"``) or degraded by an artifact of some strength (0-1)."""

    @property
    def scan(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def contrast(self) -> str: ...
    @property
    def artifact(self) -> str: ...
    @property
    def strength(self) -> float: ...


Scored = Sequence[tuple[Judged, float]]
"""Scans with a score, higher is worse."""


def summarise(cases: Scored, threshold: float | None = None) -> dict[str, Any]:
    """Numbers of one score over clean scans and degraded copies of them.

    Parameters
    ----------
    cases : sequence of (Judged, float)
        Higher scores are worse; each degraded scan's clean one is among them.
    threshold : float, optional
        What a scan must exceed to be caught.

    Returns
    -------
    dict
        ``artifacts``: by artifact ``auc`` (strengths of 0.6 and more against the clean scans of other subjects),
        ``interval``, ``auc_by_strength``, ``auc_by_contrast``, ``rho`` (mean within-scan Spearman) with
        ``rho_interval`` and ``rho_lowest`` (scan and coefficient), ``ordered`` (of copies at 0.3 and more, those above
        their clean scan: count and number) and ``disordered`` (the scans of the others), ``caught`` (of copies at 0.6
        and more, those above the threshold). ``flagged``: of clean scans, those above it. Intervals hold 95 %.
    """
    clean = [(case, value) for case, value in cases if case.artifact == "none"]
    origin = {case.scan: value for case, value in clean}
    result: dict[str, Any] = {"artifacts": {}}
    for artifact in sorted({case.artifact for case, _ in cases} - {"none"}, key=JUDGED.index):
        rows = [(case, value) for case, value in cases if case.artifact == artifact]
        strong = [(case, value) for case, value in rows if case.strength >= STRONG]
        orders = _orders(rows, origin)
        above = {(case.scan, case.strength): value > origin[case.scan] for case, value in rows}
        above = {key: higher for key, higher in above.items() if key[1] >= VISIBLE}
        part: dict[str, Any] = {
            "auc": separation(strong, clean),
            "interval": separation_interval(strong, clean),
            "auc_by_strength": {
                strength: separation([row for row in rows if row[0].strength == strength], clean)
                for strength in sorted({case.strength for case, _ in rows})
            },
            "auc_by_contrast": {
                name: separation([row for row in strong if row[0].contrast == name], clean)
                for name in sorted({case.contrast for case, _ in rows})
            },
            "rho": float(np.mean(list(orders.values()))),
            "rho_interval": bootstrap([_owner(rows, scan) for scan in orders], _mean_of(list(orders.values()))),
            "rho_lowest": min(orders.items(), key=lambda item: item[1]),
            "ordered": (int(sum(above.values())), len(above)),
            "disordered": sorted({scan for (scan, _), higher in above.items() if not higher}),
        }
        if threshold is not None:
            part["caught"] = (int(sum(value > threshold for _, value in strong)), len(strong))
        result["artifacts"][artifact] = part
    if threshold is not None:
        result["flagged"] = (int(sum(value > threshold for _, value in clean)), len(clean))
    return result


def separation(bad: Scored, good: Scored, allowed: Array | None = None) -> float:
    """Area under the ROC curve, 0-1, of degraded scans and clean scans of other subjects; NaN where there are none.

    Parameters
    ----------
    bad, good : Scored
    allowed : ndarray of bool, shape (bad, good), optional
        Pairs that may count; all by default.
    """
    pairs = _other_heads(bad, good) & (True if allowed is None else allowed)
    return area(np.array([value for _, value in bad]), np.array([value for _, value in good]), pairs)


def separation_interval(bad: Scored, good: Scored, allowed: Array | None = None) -> tuple[float, float]:
    """95 % interval of :func:`separation` by bootstrap over subjects."""
    pairs = _other_heads(bad, good) & (True if allowed is None else allowed)
    named = [[(case.subject, value) for case, value in part] for part in (bad, good)]
    return area_interval(named[0], named[1], allowed=pairs)


def _other_heads(bad: Scored, good: Scored) -> Array:
    """Which pairs are of two subjects: a copy stands against clean scans of other heads, never against its own."""
    return np.array([[case.subject != other.subject for other, _ in good] for case, _ in bad], dtype=bool).reshape(
        len(bad), len(good)
    )


def _orders(rows: Scored, origin: dict[str, float]) -> dict[str, float]:
    """Spearman's coefficient of strength and score within each scan, its clean copy included."""
    orders = {}
    for scan in sorted({case.scan for case, _ in rows}):
        pairs = [(0.0, origin[scan]), *((case.strength, value) for case, value in rows if case.scan == scan)]
        orders[scan] = rank_correlation([pair[0] for pair in pairs], [pair[1] for pair in pairs])
    return orders


def _owner(rows: Scored, scan: str) -> str:
    return next(case.subject for case, _ in rows if case.scan == scan)


def _mean_of(values: Sequence[float]) -> Callable[[Array], float]:
    array = np.asarray(values)
    return lambda rows: float(array[rows].mean())


def plain(value: float) -> str:
    """A number to two digits; empty where there is none."""
    return "" if np.isnan(value) else f"{value:.2f}"


def ranged(value: float, interval: tuple[float, float]) -> str:
    """A number with its interval; empty where there is none."""
    return "" if np.isnan(value) else f"{value:.2f} [{interval[0]:.2f}, {interval[1]:.2f}]"


def percent(part: tuple[int, int]) -> str:
    """A share with its 95 % interval; empty where nothing was counted."""
    count, total = part
    if not total:
        return ""
    low, high = share_interval(count, total)
    return f"{100 * count / total:.0f} % [{100 * low:.0f}, {100 * high:.0f}]"
