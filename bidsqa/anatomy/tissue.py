# SPDX-License-Identifier: Apache-2.0
"""CSF, grey and white matter at full resolution: a mixture model with coarse shares as spatial prior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
SAMPLE = 60_000
ROUNDS = 12
OUTLIER = 1e-3
PRIOR_FLOOR = 0.02
# shares of neighbouring voxels are not independent witnesses: the intensities speak at this strength
LIKELIHOOD_POWER = 0.7


@dataclass(frozen=True)
class Mixture:
    """One Gaussian a tissue (csf, gm, wm).

    Parameters
    ----------
    means, deviations : ndarray of float64, shape (3,)
        In the unit of the values.
    """

    means: Array
    deviations: Array


def fit(values: Array, prior: Array, rounds: int = ROUNDS) -> Mixture:
    """Expectation maximisation with a prior at each voxel.

    Parameters
    ----------
    values : ndarray of float32, shape (N,)
        Bias-corrected intensities in the brain.
    prior : ndarray of float32, shape (3, N)
    rounds : int

    Returns
    -------
    Mixture
        Every n-th voxel is used, with n such that about 60,000 remain: no randomness.
    """
    stride = max(1, values.size // SAMPLE)
    sample, weights = values[::stride].astype(np.float64), prior[:, ::stride].astype(np.float64)
    spread = max(float(np.std(sample)), 1e-6 * max(float(np.abs(sample).max()), 1e-12), 1e-30)
    sure = weights**4 + 1e-9
    means = np.array([_weighted_median(sample, row) for row in sure])
    deviations = np.array(
        [1.4826 * _weighted_median(np.abs(sample - m), row) for m, row in zip(means, sure, strict=True)]
    )
    deviations = np.maximum(deviations, 0.03 * spread)
    for _ in range(rounds):
        shares = posterior(sample, weights, Mixture(means, deviations), power=1.0)
        # an outlier (vessel, lesion) far from every tissue must not widen one
        typical = np.exp(-0.5 * ((sample[None] - means[:, None]) / (3 * deviations[:, None])) ** 2)
        shares = shares * typical
        totals = shares.sum(axis=1) + 1e-9
        means = (shares @ sample) / totals
        deviations = np.sqrt((shares * (sample[None] - means[:, None]) ** 2).sum(axis=1) / totals)
        deviations = np.maximum(deviations * 1.05, 0.03 * spread)
    return Mixture(means, deviations)


def posterior(values: Array, prior: Array, mixture: Mixture, power: float = LIKELIHOOD_POWER) -> Array:
    """Probability of each tissue, prior times likelihood to a power, normalised; shape and type of the prior."""
    means = mixture.means.astype(prior.dtype)[:, None]
    deviations = mixture.deviations.astype(prior.dtype)[:, None]
    distance = (values[None].astype(prior.dtype) - means) / deviations
    density = np.exp(-0.5 * distance * distance) / deviations + OUTLIER / deviations.max()
    joint = (prior + PRIOR_FLOOR) * density**power
    return np.asarray(joint / joint.sum(axis=0, keepdims=True))


def _weighted_median(values: Array, weights: Array) -> float:
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    return float(values[order][int(np.searchsorted(reached, 0.5 * reached[-1]))])
