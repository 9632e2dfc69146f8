# SPDX-License-Identifier: Apache-2.0
"""Statistics of weighted samples: one definition of mean, quantile and spread for all metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

# makes the median absolute deviation of a normal sample equal to its standard deviation
MAD_TO_SD = 1.4826022185056018


@dataclass(frozen=True)
class Distribution:
    """What a sample of voxels looks like, in the unit of its values.

    Parameters
    ----------
    mean, stdv : float
        Weighted mean and (population) standard deviation.
    median, p05, p95 : float
        Weighted quantiles.
    mad : float
        1.4826 times the weighted median of the absolute deviation from the weighted median.
    k : float or None
        Weighted excess kurtosis (Fisher's, biased); None for a constant sample.
    n : int
        Voxels in the sample.
    effective : float
        Kish's effective sample size, sum(w)^2 / sum(w^2); equals n for equal weights.
    """

    mean: float
    median: float
    mad: float
    stdv: float
    k: float | None
    p05: float
    p95: float
    n: int
    effective: float


def weighted_quantiles(values: Array, weights: Array | None, levels: Sequence[float]) -> list[float]:
    """Quantiles of a sample where each value counts by its weight.

    The quantile function joins the points ``(weight below + half the weight at the value) / all weight`` of the
    different values by straight lines: the mid-distribution quantile (Ma, Genton & Parzen 2011,
    doi 10.1007/s10463-008-0215-z). Values stored in whole steps so give the quantiles of what was rounded, where the
    usual sample quantile jumps by a step; without ties and with equal weights this is Hazen's rule.

    Parameters
    ----------
    values : ndarray, 1D
        Not empty, finite.
    weights : ndarray, 1D, or None
        Positive, as many as values; None for equal weights.
    levels : sequence of float
        0-1.
    """
    if weights is None:
        ranked, before = np.sort(values), None
        total = float(values.size)
    else:
        order = np.argsort(values)
        ranked = values[order]
        before = np.concatenate([[0.0], np.cumsum(weights[order], dtype=np.float64)])
        total = float(before[-1])

    def step(place: int) -> tuple[float, float]:
        """The middle of the weight of the values that equal the one at a place, and that value."""
        low, high = (int(np.searchsorted(ranked, ranked[place], side=side)) for side in ("left", "right"))
        below, up_to = (low, high) if before is None else (before[low], before[high])
        return 0.5 * float(below + up_to), float(ranked[place])

    found: list[float] = []
    for level in levels:
        target = level * total
        place = int(target) if before is None else int(np.searchsorted(before, target, side="right")) - 1
        place = min(max(place, 0), ranked.size - 1)
        here = step(place)
        if target < here[0]:
            other = int(np.searchsorted(ranked, ranked[place], side="left")) - 1
        else:
            other = int(np.searchsorted(ranked, ranked[place], side="right"))
        points = sorted([here, step(other)] if 0 <= other < ranked.size else [here])
        found.append(float(np.interp(target, [point[0] for point in points], [point[1] for point in points])))
    return found


def describe(values: Array, weights: Array | None = None) -> Distribution:
    """Location, spread and shape of a sample.

    Parameters
    ----------
    values : ndarray, 1D
        Not empty, finite.
    weights : ndarray, 1D, optional
        Positive, as many as values.

    Raises
    ------
    ValueError
        If the sample is empty.
    """
    if values.size == 0:
        raise ValueError("an empty sample has no statistics")
    share = None if weights is None else weights.astype(np.float64)
    total = float(values.size) if share is None else float(share.sum())

    def average(numbers: Array) -> float:
        # np.sum, not a dot product: the same bits on any number of threads
        product = numbers if share is None else numbers * share
        return float(np.sum(product, dtype=np.float64)) / total

    mean = average(values)
    deviation = values.astype(np.float64)
    deviation -= mean
    square = deviation * deviation
    variance = average(square)
    fourth = average(np.square(square, out=square))
    p05, median, p95 = weighted_quantiles(values, weights, (0.05, 0.5, 0.95))
    (spread,) = weighted_quantiles(np.abs(values - np.asarray(median, values.dtype)), weights, (0.5,))
    # below this the variance of a constant sample is rounding
    constant = variance <= (1e-7 * abs(mean)) ** 2
    return Distribution(
        mean=mean,
        median=median,
        mad=MAD_TO_SD * spread,
        stdv=0.0 if constant else variance**0.5,
        k=None if constant else fourth / variance**2 - 3.0,
        p05=p05,
        p95=p95,
        n=int(values.size),
        effective=total if share is None else total**2 / float(np.sum(share * share)),
    )
