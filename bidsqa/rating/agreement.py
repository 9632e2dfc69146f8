# SPDX-License-Identifier: Apache-2.0
"""Agreement within and between readers, as functions on arrays; what is undefined is None, never 1.

Every measure is a ratio of sums over rated things, so each is computed in two steps: the ``parts`` of each thing, and
the measure of their sum. A bootstrap by subject then only adds up the parts anew.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Readings = Mapping[Hashable, Sequence[Hashable]]
MEASURES = ("nominal", "ordinal", "interval", "ratio")
DRAWS = 2000


def overlap_parts(first: Readings, second: Readings) -> dict[Hashable, Array]:
    """Per thing that both have read: sum over answers k of p_first(k) p_second(k), and 1; shape (2,).

    Parameters
    ----------
    first, second : mapping
        Thing to all answers that a reader gave to it.
    """
    parts = {}
    for thing in first.keys() & second.keys():
        one, two = list(first[thing]), list(second[thing])
        if one and two:
            shared = sum(one.count(value) / len(one) * two.count(value) / len(two) for value in set(one))
            parts[thing] = np.array([shared, 1.0])
    return parts


def overlap(first: Readings, second: Readings) -> float | None:
    """Overlap of two readers (Tang et al. 2025): mean over common things of the chance that two of their answers agree.

    Of a reader with themselves it counts things read once as full agreement; use :func:`repeat_concordance` for that.
    """
    return mean_of_parts(_total(overlap_parts(first, second), (2,)))


def repeat_parts(readings: Readings) -> dict[Hashable, Array]:
    """Per thing read n >= 2 times: sum over answers k of n_k (n_k - 1) / (n (n - 1)), and 1; shape (2,)."""
    parts = {}
    for thing, answers in readings.items():
        count = len(answers)
        if count >= 2:
            pairs = sum(list(answers).count(value) * (list(answers).count(value) - 1) for value in set(answers))
            parts[thing] = np.array([pairs / (count * (count - 1)), 1.0])
    return parts


def repeat_concordance(readings: Readings) -> float | None:
    """Chance that two readings of the same thing by the same reader agree, over things read at least twice."""
    return mean_of_parts(_total(repeat_parts(readings), (2,)))


def majority_share(votes: Sequence[Hashable]) -> float | None:
    """Votes for the winner over all votes; 0 where two share the first place, None without votes."""
    counts = sorted((list(votes).count(value) for value in set(votes)), reverse=True)
    if not counts:
        return None
    return 0.0 if len(counts) > 1 and counts[0] == counts[1] else counts[0] / len(votes)


def mean_of_parts(total: Array) -> float | None:
    """Sum over count of parts (2,)."""
    return float(total[0] / total[1]) if total[1] > 0 else None


def confusion(first: Sequence[Any], second: Sequence[Any], levels: Sequence[Any]) -> Array:
    """Counts (K, K) of pairs of answers: rows the first reader's, columns the second's."""
    place = {value: at for at, value in enumerate(levels)}
    table = np.zeros((len(levels), len(levels)))
    for one, two in zip(first, second, strict=True):
        table[place[one], place[two]] += 1
    return table


def exact_agreement(table: Array) -> float | None:
    """Share of equal answers of a confusion table (K, K)."""
    total = table.sum()
    return float(np.trace(table) / total) if total > 0 else None


def cohen_kappa(table: Array, weights: str = "unweighted") -> float | None:
    """Cohen's kappa: 1 - sum w n / sum w e, with e_ij = r_i c_j / N.

    Parameters
    ----------
    table : ndarray, shape (K, K)
        Counts.
    weights : str
        ``"unweighted"`` (w = 1 off the diagonal), ``"linear"`` or ``"quadratic"`` in the distance of the ranks.

    Returns
    -------
    float or None
        None without counts, or where both readers gave one and the same answer to everything.
    """
    size, total = len(table), table.sum()
    distance = np.abs(np.subtract.outer(np.arange(size), np.arange(size))) / max(size - 1, 1)
    cost = {"unweighted": (distance > 0).astype(float), "linear": distance, "quadratic": distance**2}[weights]
    if total <= 0:
        return None
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / total
    chance = float((cost * expected).sum())
    return 1.0 - float((cost * table).sum()) / chance if chance > 0 else None


def jaccard_matrix(table: Array) -> Array:
    """``J_ij = n_ij / (n_i. + n_.j - n_ij)``, NaN where nobody gave either answer (Ma et al.); shape (K, K)."""
    union = table.sum(axis=1, keepdims=True) + table.sum(axis=0, keepdims=True) - table
    return np.divide(table, union, out=np.full(table.shape, np.nan), where=union > 0)


def coincidences(values: Array, levels: Sequence[float]) -> Array:
    """Krippendorff's coincidences of each thing, shape (things, K, K).

    Parameters
    ----------
    values : ndarray of float, shape (readers, things)
        NaN where a reader gave none. Things with fewer than two values have no coincidences.
    levels : sequence of float
        All values that occur, in order.
    """
    counts = np.stack([(values == level).sum(axis=0) for level in levels], axis=1).astype(float)
    raters = counts.sum(axis=1)
    pairs = counts[:, :, None] * counts[:, None, :]
    pairs -= counts[:, :, None] * np.eye(len(levels))
    usable = raters >= 2
    return np.where(usable[:, None, None], pairs / np.maximum(raters - 1, 1)[:, None, None], 0.0)


def alpha_of_coincidences(table: Array, levels: Sequence[float], measure: str) -> float | None:
    """Krippendorff's alpha of summed coincidences (K, K): 1 - (n-1) sum o d / sum n_a n_b d."""
    marginal = table.sum(axis=1)
    total = marginal.sum()
    apart = difference(marginal, np.asarray(levels, dtype=float), measure)
    chance = float((np.outer(marginal, marginal) * apart).sum())
    if total <= 1 or chance <= 0:
        return None
    return 1.0 - float((total - 1) * (table * apart).sum()) / chance


def difference(marginal: Array, levels: Array, measure: str) -> Array:
    """Krippendorff's squared difference of two values, shape (K, K).

    Parameters
    ----------
    marginal : ndarray, shape (K,)
        How often each value occurs, which the ordinal difference depends on.
    levels : ndarray, shape (K,)
        The values; only their order counts where nominal or ordinal.
    measure : str
        One of `MEASURES`.
    """
    if measure == "nominal":
        return 1.0 - np.eye(len(levels))
    if measure == "interval":
        return np.subtract.outer(levels, levels) ** 2
    if measure == "ratio":
        summed = np.add.outer(levels, levels)
        return np.divide(np.subtract.outer(levels, levels), summed, out=np.zeros_like(summed), where=summed != 0) ** 2
    if measure != "ordinal":
        raise ValueError(f"{measure!r} is none of {', '.join(MEASURES)}")
    upto = np.cumsum(marginal)
    low, high = (
        np.minimum.outer(range(len(levels)), range(len(levels))),
        np.maximum.outer(range(len(levels)), range(len(levels))),
    )
    between = upto[high] - upto[low] + marginal[low]
    return np.where(low == high, 0.0, (between - 0.5 * (marginal[low] + marginal[high])) ** 2)


def krippendorff_alpha(values: Array, measure: str = "nominal") -> float | None:
    """Krippendorff's alpha (2011) of values (readers, things) with NaN for missing ones.

    Parameters
    ----------
    values : ndarray of float, shape (readers, things)
    measure : str
        Level of measurement, one of `MEASURES`.

    Returns
    -------
    float or None
        1 perfect, 0 chance. None where no thing has two values or all values are the same.
    """
    levels = np.unique(values[np.isfinite(values)])
    if len(levels) == 0:
        return None
    return alpha_of_coincidences(coincidences(values, levels.tolist()).sum(axis=0), levels.tolist(), measure)


def bootstrap_interval(
    parts: Array,
    subjects: Sequence[Hashable],
    measure: Callable[[Array], float | None],
    draws: int = DRAWS,
    seed: int = 0,
) -> tuple[float, float] | None:
    """95 % interval by drawing subjects with replacement.

    Parameters
    ----------
    parts : ndarray, shape (things, ...)
        What each thing adds to the sums that the measure is made of.
    subjects : sequence, length things
        Whose each thing is; things of one subject are drawn together.
    measure : callable
        Sum of parts to the measure or None.
    draws, seed : int

    Returns
    -------
    tuple of float, or None
        Percentiles 2.5 and 97.5; None with fewer than two subjects, or where under 95 % of the draws have a value.
    """
    groups: dict[Hashable, int] = {}
    number = [groups.setdefault(subject, len(groups)) for subject in subjects]
    if len(groups) < 2:
        return None
    sums = np.zeros((len(groups), *parts.shape[1:]))
    np.add.at(sums, number, parts)
    generator = np.random.default_rng(seed)
    times = generator.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), size=draws)
    drawn = np.tensordot(times, sums, axes=1)
    values = [value for total in drawn if (value := measure(total)) is not None]
    if len(values) < 0.95 * draws:
        return None
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)


def _total(parts: Mapping[Hashable, Array], shape: tuple[int, ...]) -> Array:
    return sum(parts.values(), np.zeros(shape))
