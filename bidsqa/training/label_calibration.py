# SPDX-License-Identifier: Apache-2.0
"""Labels of noise: heuristic scores of a slice's versions, and their calibration by which version is still acceptable.

After Lei et al. 2022. Versions are numbered 1 (noisiest) to m (original); scores are higher for better.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bidsqa.models.noise_estimate import iedd_score
from bidsqa.simulation.coil_noise import snr_db

Array = np.ndarray[Any, Any]
ETA = 0.85
# automatic rule: the least ratio (dB, by IEDD) that a version must have to be acceptable
ACCEPTABLE_DB = 22.0
AUTOMATIC = f"automatic rule (where an IEDD ratio of {ACCEPTABLE_DB:g} dB is reached), no human reader"


def snr_scores(versions: Array, region: Array | None = None) -> Array:
    """Equation 1 for all versions but the original, whose score goes on in a line: Q(m) = 2 Q(m - 1) - Q(m - 2).

    Parameters
    ----------
    versions : ndarray, shape (m, H, W)
        Noisiest first, the original last; m is 3 or more.
    region : ndarray of bool, shape (H, W), optional
        Pixels of the sums.

    Returns
    -------
    ndarray, shape (m,)
        dB.
    """
    scores = [snr_db(versions[-1], version, region) for version in versions[:-1]]
    return np.array([*scores, 2 * scores[-1] - scores[-2]])


def iedd_scores(versions: Array) -> Array:
    """:func:`bidsqa.models.noise_estimate.iedd_score` of each version, (m,)."""
    return np.array([iedd_score(version) for version in versions])


def targets(scores: Array, picks: Sequence[float]) -> Array:
    """Score of the version that was picked in each set (Equations 2 and 3).

    Parameters
    ----------
    scores : ndarray, shape (n, m)
    picks : sequence of float
        0 (worse than the noisiest would do) to m + 1 (none will do): the lowest-quality version that is acceptable. A
        rule, unlike a reader, may pick a place between two versions.

    Returns
    -------
    ndarray, shape (n,)

    Raises
    ------
    ValueError
        Fewer than two versions, or a pick that isn't there.
    """
    scores = np.asarray(scores, dtype=np.float64)
    chosen = np.asarray(picks, dtype=np.float64)
    count = scores.shape[1]
    if count < 2:
        raise ValueError("calibration needs two versions of a slice or more")
    if chosen.shape != (len(scores),) or (chosen < 0).any() or (chosen > count + 1).any():
        raise ValueError(f"picks are one a set, from 0 to {count + 1}")
    beyond = np.column_stack([2 * scores[:, 0] - scores[:, 1], scores, 2 * scores[:, -1] - scores[:, -2]])
    below = np.clip(np.floor(chosen).astype(int), 0, count)
    row, part = np.arange(len(scores)), chosen - below
    return np.asarray((1 - part) * beyond[row, below] + part * beyond[row, below + 1])


def calibrate(scores: Array, picks: Sequence[float], eta: float = ETA, mean: float | None = None) -> Array:
    """Move each set towards where its picked version has the mean target: ŷ_i = y_i + η (μ - t_i) (Equation 4).

    Parameters
    ----------
    scores : ndarray, shape (n, m)
    picks : sequence of float
        As for :func:`targets`.
    eta : float
        0: nothing; 1: all picked versions get one score.
    mean : float, optional
        μ; the mean of these sets' targets if not given.

    Returns
    -------
    ndarray, shape (n, m)
    """
    found = targets(scores, picks)
    middle = float(found.mean()) if mean is None else mean
    return np.asarray(scores, dtype=np.float64) + eta * (middle - found)[:, None]


def best_eta(score_variance: float, pick_variance: float) -> float:
    """The η with the least error, So / (So + Sh).

    With η the error of a label is (1 - η)² So + η² Sh, where So is the variance of the sets' offsets in the score and
    Sh that of the pick, its step included. The paper's 0.85 helps only where So / Sh is above 0.739.
    """
    return score_variance / (score_variance + pick_variance)


def automatic_pick(iedd: Array, least: float = ACCEPTABLE_DB) -> float:
    """What a rule picks in place of a reader: where the IEDD ratio gets high enough.

    A reader's pick is off by up to a step of the versions; the rule interpolates between them.

    Parameters
    ----------
    iedd : ndarray, shape (m,)
        :func:`iedd_scores` of the versions.
    least : float
        dB.

    Returns
    -------
    float
        0 to m + 1, as for :func:`targets`; the middle where a score isn't known.
    """
    if not np.isfinite(iedd).all():
        return (len(iedd) + 1) / 2
    steps = np.concatenate([[2 * iedd[0] - iedd[1]], iedd, [2 * iedd[-1] - iedd[-2]]])
    return float(np.interp(least, np.maximum.accumulate(steps), np.arange(len(steps))))
