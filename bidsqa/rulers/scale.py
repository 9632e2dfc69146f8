# SPDX-License-Identifier: Apache-2.0
"""Reading a number off a ruler: pure functions of what a network says of the ruler's versions and of a scan.

``levels`` are the network's outputs D(r_v) for the versions v = 0 (worst) to 7 (original), ``value`` is its output D(x)
for a scan; a higher output is less noise. Equations are those of Lei et al. 2022
(doi 10.1016/j.media.2021.102344).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

VERSIONS = 8
THRESHOLD_STEP = 0.5

Levels = Sequence[float] | np.ndarray[Any, Any]


def disorder(levels: Levels) -> str:
    """Why a network can't read a ruler, as a clause without a full stop; empty where it orders all versions strictly.

    Parameters
    ----------
    levels : sequence of float
        One a version.
    """
    if len(levels) != VERSIONS:
        return f"it has {len(levels)} versions, not {VERSIONS}"
    values = [float(level) for level in levels]
    if not all(map(math.isfinite, values)):
        return "the network gives no finite number for one of its versions"
    wrong = [better for better in range(1, VERSIONS) if not values[better] > values[better - 1]]
    if not wrong:
        return ""
    if len(wrong) == 1:
        return f"the network finds version {wrong[0]} no better than version {wrong[0] - 1}"
    listed = ", ".join(map(str, wrong[:-1]))
    return f"the network finds versions {listed} and {wrong[-1]} no better than the ones before them"


def nearest_version(levels: Levels, value: float) -> int:
    """Ruler score, Eq. 5: the version whose level is nearest; of two equally near ones the lower.

    Returns
    -------
    int
        0 (worst) to 7 (original).
    """
    return int(np.argmin(np.abs(_checked(levels) - float(value))))


def threshold_level(levels: Levels, threshold: float) -> float:
    """The right side of Eq. 6: the level from which a scan passes.

    Parameters
    ----------
    levels : sequence of float
    threshold : float
        0 to 7 in steps of 0.5; 4.5 is half way between versions 4 and 5.

    Raises
    ------
    ValueError
        For another threshold.
    """
    check_threshold(threshold)
    known = _checked(levels)
    return float(0.5 * (known[math.floor(threshold)] + known[math.ceil(threshold)]))


def passes(levels: Levels, value: float, threshold: float) -> bool:
    """Pass or fail, Eq. 6: whether the scan is at least as good as the threshold demands.

    This is not ``nearest_version(...) >= threshold``: the version nearest to a scan may be a little better than it.
    """
    return bool(float(value) >= threshold_level(levels, threshold))


def interpolated_score(levels: Levels, value: float) -> float:
    """Place between the versions, linear in the levels from each to the next; 0 and 7 beyond the ends."""
    return float(np.interp(float(value), _checked(levels), np.arange(VERSIONS)))


def unbounded_score(levels: Levels, value: float) -> float:
    """As :func:`interpolated_score`, going on beyond the ends with the slope of the last step.

    ``passes(levels, value, t)`` holds where this is at least ``t``, but for rounding.
    """
    known = _checked(levels)
    if value < known[0]:
        return float((value - known[0]) / (known[1] - known[0]))
    if value > known[-1]:
        return float(VERSIONS - 1 + (value - known[-1]) / (known[-1] - known[-2]))
    return interpolated_score(known, value)


def score_error(levels: Levels, value: float, error: float) -> float:
    """Standard error of the interpolated score: half the distance on the ruler between value - error and value + error.

    Parameters
    ----------
    levels : sequence of float
    value, error : float
        The network's output and its standard error.
    """
    return 0.5 * (unbounded_score(levels, value + error) - unbounded_score(levels, value - error))


def outside(levels: Levels, value: float) -> str:
    """``"below"`` (worse than the worst version), ``"above"`` (better than the original) or empty."""
    known = _checked(levels)
    if value < known[0]:
        return "below"
    return "above" if value > known[-1] else ""


def check_threshold(threshold: float) -> float:
    """The threshold, if it is one.

    Raises
    ------
    ValueError
        When it isn't 0 to 7 in steps of 0.5.
    """
    steps = float(threshold) / THRESHOLD_STEP
    if not (0 <= threshold <= VERSIONS - 1 and steps == int(steps)):
        raise ValueError(f"a threshold is 0 to {VERSIONS - 1} in steps of {THRESHOLD_STEP:g}, not {threshold}")
    return float(threshold)


def accepted_versions(threshold: float) -> range:
    """The versions that pass Eq. 6 with a threshold: 4.5 accepts 5, 6 and 7."""
    return range(math.ceil(check_threshold(threshold)), VERSIONS)


def _checked(levels: Levels) -> np.ndarray[Any, Any]:
    problem = disorder(levels)
    if problem:
        raise ValueError(f"these levels make no ruler: {problem}")
    return np.asarray(levels, dtype=np.float64)
