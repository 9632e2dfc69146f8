# SPDX-License-Identifier: Apache-2.0
"""One number that makes a classifier's probabilities honest (Guo et al. 2017, arXiv 1706.04599, section 4.2)."""

from __future__ import annotations

from typing import Any

import numpy as np

from bidsqa.models.diagnostic import softmax

Array = np.ndarray[Any, Any]
BOUNDS = (0.05, 20.0)


def fit_temperature(logits: Array, votes: Array) -> float:
    """The temperature, 0.05 to 20, at which the votes are most likely.

    Parameters
    ----------
    logits : ndarray, shape (N, K)
        Of examples that the classifier was not trained on.
    votes : ndarray, shape (N, K)
        Readers who chose each class.
    """
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        chances = softmax(logits, float(np.exp(log_temperature)))
        return -float((votes * np.log(np.maximum(chances, 1e-12))).sum())

    found = minimize_scalar(loss, bounds=(float(np.log(BOUNDS[0])), float(np.log(BOUNDS[1]))), method="bounded")
    return float(np.exp(found.x))


def calibration_error(chances: Array, votes: Array, bins: int = 10) -> float:
    """Expected calibration error: how far confidence and accuracy lie apart, over ten equal bins of confidence, 0-1."""
    confidence, guess = chances.max(axis=1), chances.argmax(axis=1)
    right = votes[np.arange(len(votes)), guess] / votes.sum(axis=1)
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    total = 0.0
    for number in range(bins):
        inside = place == number
        if inside.any():
            total += inside.mean() * abs(float(confidence[inside].mean() - right[inside].mean()))
    return float(total)
