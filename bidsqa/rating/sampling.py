# SPDX-License-Identifier: Apache-2.0
"""Which pair to ask about next: a posterior over qualities from all answers so far, and what a pair would add to it.

The posterior is N(m_i, v_i) for each version of a source, found by expectation propagation on the factor graph of
TrueSkill (Herbrich et al. 2006, doi 10.7551/mitpress/7503.003.0076): of each comparison the difference of two
qualities plus N(0, 1) is known to be positive, or near 0 where the reader said similar. Pairs are chosen as in ASAP
(Mikhailiuk et al. 2021, doi 10.1109/ICPR48806.2021.9412676): by expected information gain, in batches that form the
minimum spanning tree of 1/gain, so that every version takes part in each batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import log_ndtr, ndtr

Array = np.ndarray[Any, Any]
PRIOR_VARIANCE = 4.0  # utilities of degraded versions differ by about two units of a reader's noise
SIMILAR_WITHIN = 0.25
SWEEPS, TOLERANCE = 50, 1e-6
FIRST_BETTER, SIMILAR, SECOND_BETTER = 1, 0, -1
Comparison = tuple[int, int, int]


def posterior(
    count: int, comparisons: Sequence[Comparison], prior: float = PRIOR_VARIANCE, margin: float = SIMILAR_WITHIN
) -> tuple[Array, Array]:
    """Means and variances of the qualities of one source's versions.

    Parameters
    ----------
    count : int
        Number of versions.
    comparisons : sequence of (int, int, int)
        First version, second version, and 1 (first better), 0 (similar) or -1 (second better).
    prior : float
        Variance of each quality around 0 before any answer.
    margin : float
        Differences up to this count as similar.

    Returns
    -------
    means, variances : ndarray, shape (count,)
    """
    precision, shift = np.full(count, 1 / prior), np.zeros(count)
    # of each comparison the messages to its two qualities: precision, and precision times mean
    sent_precision = np.zeros((len(comparisons), 2))
    sent_shift = np.zeros((len(comparisons), 2))
    for _ in range(SWEEPS):
        change = 0.0
        for at, (first, second, outcome) in enumerate(comparisons):
            pair = [first, second]
            cavity = precision[pair] - sent_precision[at]
            mean, variance = (shift[pair] - sent_shift[at]) / cavity, 1 / cavity
            told_mean, told_variance = _message(mean[0] - mean[1], variance.sum() + 1, outcome, margin)
            # what is told about the difference, seen from each of the two
            new_precision = 1 / (told_variance + 1 + variance[::-1])
            new_shift = new_precision * np.array([told_mean + mean[1], mean[0] - told_mean])
            change = max(change, float(np.abs(new_shift - sent_shift[at]).max()))
            precision[pair] += new_precision - sent_precision[at]
            shift[pair] += new_shift - sent_shift[at]
            sent_precision[at], sent_shift[at] = new_precision, new_shift
        if change < TOLERANCE:
            break
    return shift / precision, 1 / precision


def _message(mean: float, variance: float, outcome: int, margin: float) -> tuple[float, float]:
    """Gaussian factor (mean, variance) that turns N(mean, variance) into the moments of the truncated one."""
    new_mean, new_variance = truncated_moments(mean, variance, outcome, margin)
    precision = max(1 / new_variance - 1 / variance, 1e-12)
    return (new_mean / new_variance - mean / variance) / precision, 1 / precision


def truncated_moments(mean: float, variance: float, outcome: int, margin: float) -> tuple[float, float]:
    """Mean and variance of N(mean, variance) known to be positive (1), negative (-1) or within ±margin (0)."""
    spread = np.sqrt(variance)
    if outcome == SIMILAR:
        low, high = (-margin - mean) / spread, (margin - mean) / spread
        mass = ndtr(high) - ndtr(low)
        if mass < 1e-12:  # far out: the nearer border
            return float(np.clip(mean, -margin, margin)), float(variance * 1e-3)
        density_low, density_high = _density(low), _density(high)
        first = (density_low - density_high) / mass
        second = (low * density_low - high * density_high) / mass
        return float(mean + spread * first), float(variance * max(1 + second - first**2, 1e-6))
    ratio = outcome * mean / spread
    first = float(np.exp(-0.5 * ratio**2 - 0.5 * np.log(2 * np.pi) - log_ndtr(ratio)))
    return float(mean + outcome * spread * first), float(variance * max(1 - first * (first + ratio), 1e-6))


def _density(value: float) -> float:
    return float(np.exp(-0.5 * value**2) / np.sqrt(2 * np.pi))


def win_probability(means: Array, variances: Array) -> Array:
    """p_ij = Phi((m_i - m_j) / sqrt(1 + v_i + v_j)), shape (N, N)."""
    return np.asarray(ndtr(np.subtract.outer(means, means) / np.sqrt(1 + np.add.outer(variances, variances))))


def information_gain(means: Array, variances: Array) -> Array:
    """Expected information of asking about each pair, nats, shape (N, N), 0 on the diagonal.

    gain = p_ij KL(posterior if i wins, prior) + (1 - p_ij) KL(posterior if j wins, prior), by one update of the two
    qualities concerned.
    """
    size = len(means)
    gains = np.zeros((size, size))
    chances = win_probability(means, variances)
    for first in range(size):
        for second in range(first + 1, size):
            gain = 0.0
            for outcome, chance in ((1, chances[first, second]), (-1, chances[second, first])):
                gain += chance * _divergence(means[[first, second]], variances[[first, second]], outcome)
            gains[first, second] = gains[second, first] = gain
    return gains


def _divergence(means: Array, variances: Array, outcome: int) -> float:
    """KL of two qualities' posterior after one comparison from what they were before."""
    total = variances.sum() + 1
    new_mean, new_variance = truncated_moments(means[0] - means[1], total, outcome, 0.0)
    share = variances / total * np.array([1.0, -1.0])
    moved = share * (new_mean - (means[0] - means[1]))
    narrowed = variances + share**2 * (new_variance - total)
    return float(0.5 * np.sum(narrowed / variances + moved**2 / variances - 1 - np.log(narrowed / variances)))


def batch_of_pairs(gains: Array) -> list[tuple[int, int]]:
    """The N-1 pairs of the minimum spanning tree of 1/gain, most informative first (Kruskal)."""
    size = len(gains)
    edges = sorted(
        ((first, second) for first in range(size) for second in range(first + 1, size)), key=lambda pair: -gains[pair]
    )
    root = list(range(size))

    def top(one: int) -> int:
        while root[one] != one:
            one = root[one]
        return one

    chosen = []
    for first, second in edges:
        if top(first) != top(second):
            root[top(first)] = top(second)
            chosen.append((first, second))
    return chosen
