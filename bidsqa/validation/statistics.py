# SPDX-License-Identifier: Apache-2.0
"""Areas, rank correlations, shares and limits with their intervals: what every validation here reports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
DRAWS = 1000


def area(bad: Array, good: Array, allowed: Array | None = None) -> float:
    """Area under the ROC curve: chance that a bad value lies above a good one; ties count half; NaN without both.

    Parameters
    ----------
    bad, good : ndarray, shapes (N,) and (M,)
    allowed : ndarray of bool, shape (N, M), optional
        Pairs that count; all by default.
    """
    if not len(bad) or not len(good) or (allowed is not None and not allowed.any()):
        return float("nan")
    above = (bad[:, None] > good[None]) + 0.5 * (bad[:, None] == good[None])
    return float(above.mean() if allowed is None else above[allowed].mean())


def area_interval(
    bad: Sequence[tuple[str, float]],
    good: Sequence[tuple[str, float]],
    seed: int = 0,
    allowed: Array | None = None,
) -> tuple[float, float]:
    """95 % bootstrap interval of the area; subjects are drawn, with all that belongs to them.

    Parameters
    ----------
    bad, good : sequence of (subject, value)
    seed : int
    allowed : ndarray of bool, shape (bad, good), optional
        Pairs that count; all by default.
    """
    if not bad or not good:
        return float("nan"), float("nan")
    subjects = sorted({name for name, _ in (*bad, *good)})
    drawn = np.random.default_rng(seed).multinomial(len(subjects), [1 / len(subjects)] * len(subjects), size=DRAWS)
    weights, values = [], []
    for part in (bad, good):
        weights.append(drawn[:, [subjects.index(name) for name, _ in part]].astype(float))
        values.append(np.array([value for _, value in part]))
    above = (values[0][:, None] > values[1][None]) + 0.5 * (values[0][:, None] == values[1][None])
    counted = np.ones(above.shape) if allowed is None else allowed.astype(float)
    above = above * counted
    totals = ((weights[0] @ counted) * weights[1]).sum(axis=1)
    if not (totals > 0).any():
        return float("nan"), float("nan")
    areas = ((weights[0] @ above) * weights[1]).sum(axis=1)[totals > 0] / totals[totals > 0]
    low, high = np.percentile(areas, (2.5, 97.5))
    return float(low), float(high)


def bootstrap(
    subjects: Sequence[str], statistic: Callable[[Array], float], seed: int = 0, draws: int = DRAWS
) -> tuple[float, float]:
    """95 % percentile interval of a statistic over rows; subjects are drawn, with all rows that belong to them.

    Parameters
    ----------
    subjects : sequence of str
        Subject of each row.
    statistic : callable
        From row numbers (1D array of int) to a number.
    seed, draws : int
    """
    generator = np.random.default_rng(seed)
    names = np.asarray(subjects)
    groups = [np.flatnonzero(names == name) for name in sorted(set(subjects))]
    found = []
    for _ in range(draws):
        chosen = generator.integers(0, len(groups), len(groups))
        found.append(statistic(np.concatenate([groups[number] for number in chosen])))
    low, high = np.nanpercentile(found, (2.5, 97.5))
    return float(low), float(high)


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's coefficient; 0 for constants."""
    from scipy.stats import spearmanr

    if np.ptp(np.asarray(first)) == 0 or np.ptp(np.asarray(second)) == 0:
        return 0.0
    return float(spearmanr(first, second).statistic)


def share_interval(count: int, total: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927, doi 10.1080/01621459.1927.10502953, Eq. 1 solved for the share)."""
    if total == 0:
        return 0.0, 1.0
    z, share = 1.959964, count / total
    middle = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z * np.sqrt(share * (1 - share) / total + z**2 / (4 * total**2)) / (1 + z**2 / total)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def prediction_limit(values: Array, level: float = 0.95) -> float:
    """One-sided limit under which the next value lies with the given chance, for values of a normal distribution.

    m + t·s·√(1 + 1/n), t Student's quantile with n - 1 degrees of freedom: a 95th percentile that owns up to how few
    values it rests on (Geisser 1993, Predictive Inference, section 2.2). The largest value where there are fewer than
    three.
    """
    from scipy.stats import t

    numbers = np.asarray(values, dtype=np.float64)
    count = len(numbers)
    if count < 3:
        return float(numbers.max())
    return float(numbers.mean() + t.ppf(level, count - 1) * numbers.std(ddof=1) * np.sqrt(1 + 1 / count))
