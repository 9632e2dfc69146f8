# SPDX-License-Identifier: Apache-2.0
"""Chances that one of two scans is called better, from their utilities (Davidson 1970, doi 10.2307/2283595).

P(first) : P(second) : P(similar) = e^u1 : e^u2 : ν e^((u1 + u2) / 2), the Bradley-Terry model with ties.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]


class Preference(NamedTuple):
    """Chances of the three answers; they sum to 1."""

    better: float
    similar: float
    worse: float


def preference(first: float, second: float, tie: float) -> Preference:
    """Chances that somebody calls the first better than, similar to or worse than the second.

    Parameters
    ----------
    first, second : float
        Utilities; one unit is the odds e of "better" to "worse".
    tie : float
        ν, 0 or more: how readily the two are called similar.
    """
    half = min(max((first - second) / 2, -300.0), 300.0)
    odds = (math.exp(half), tie, math.exp(-half))
    total = sum(odds)
    return Preference(*(value / total for value in odds))


def fit_preference(difference: Array, votes: Array) -> tuple[float, float]:
    """Scale and ν that make observed votes most likely.

    Parameters
    ----------
    difference : ndarray of float, shape (N,)
        Score of the first less that of the second image, higher is better.
    votes : ndarray of float, shape (N, 3)
        How many said "second better", "similar", "first better".

    Returns
    -------
    scale : float
        Score per unit of utility, above 0.
    tie : float
        ν.
    """
    from scipy.optimize import minimize

    spread = float(np.std(difference)) or 1.0

    def loss(values: Array) -> float:
        half = np.clip(difference / (spread * math.exp(values[0])) / 2, -300, 300)
        logits = np.stack([-half, np.full_like(half, values[1]), half], axis=1)
        top = logits.max(axis=1, keepdims=True)
        log = logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
        return -float((votes * log).sum() / votes.sum())

    found = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-7, "maxiter": 2000})
    return spread * math.exp(float(found.x[0])), math.exp(float(found.x[1]))
