# SPDX-License-Identifier: Apache-2.0
"""From slice scores to the score of a volume: which slices are judged, how they are summarised, how far to trust it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bidsqa.image import PLANES, Volume, head_extent, middle_indices, scored_axes
from bidsqa.models.score import Score, SliceScores

Array = np.ndarray[Any, Any]
SLICES_PER_PLANE = 24
MAXIMUM_CORRELATION = 0.9


def choose_slices(
    volume: Volume, head: Array, fraction: float, limit: int = SLICES_PER_PLANE
) -> tuple[tuple[int, Array], ...]:
    """Slices to judge: the middle part of the head in each scored plane, thinned evenly.

    Parameters
    ----------
    volume : Volume
    head : ndarray of bool, shape (X, Y, Z)
        Rough head mask; its extent along an axis is what "middle" refers to.
    fraction : float
        Share of the extent, 0 < fraction <= 1.
    limit : int
        Most slices a plane.

    Returns
    -------
    tuple of (axis, indices)
        The acquisition plane first; indices ascending.
    """
    planes = []
    for axis in scored_axes(volume):
        indices = middle_indices(head_extent(head, axis), fraction)
        planes.append((axis, thin(indices, limit)))
    return tuple(planes)


def thin(indices: Array, limit: int) -> Array:
    """At most ``limit`` of the indices, evenly spaced over them (the centres of ``limit`` equal parts)."""
    count = len(indices)
    if count <= limit:
        return indices
    places = np.floor((np.arange(limit) + 0.5) * count / limit).astype(int)
    kept: Array = indices[places]
    return kept


def standard_error(planes: Sequence[Array]) -> float:
    """Standard error of a volume's score from the spread of its slice scores.

    Neighbouring slices tell nearly the same, so n slices of a plane count as n (1 - r) / (1 + r), where r is the
    correlation of a slice's score with its neighbour's (0 to 0.9), but at least as one. The planes judge the same
    scan: the variance of their means, over their number, is added where there is more than one::

        SE² = (1 / P) · mean_p(s_p² / n_p) + Var_p(m_p) / P

    Parameters
    ----------
    planes : sequence of ndarray
        Slice scores by plane, in the order of the slices.

    Returns
    -------
    float
        In the unit of the scores; 0 for constant scores, never NaN.
    """
    filled = [np.asarray(values, dtype=np.float64) for values in planes if len(values)]
    if not filled:
        return 0.0
    within = float(np.mean([_variance_of_mean(values) for values in filled]))
    between = float(np.var([values.mean() for values in filled], ddof=1)) if len(filled) > 1 else 0.0
    return float(np.sqrt((within + between) / len(filled)))


def _variance_of_mean(values: Array) -> float:
    """Variance of the mean of one plane's slices, thinned for the correlation of neighbours."""
    count = len(values)
    if count < 2:
        return 0.0
    centred = values - values.mean()
    total = float(np.sum(centred**2))
    if total <= 0:
        return 0.0
    neighbour = float(np.sum(centred[:-1] * centred[1:])) / total
    correlation = min(max(neighbour, 0.0), MAXIMUM_CORRELATION)
    effective = max(count * (1 - correlation) / (1 + correlation), 1.0)
    return total / (count - 1) / effective


def aggregate(
    slices: Sequence[SliceScores],
    summary: Callable[[Array], float],
    unit: str = "",
    extra: Callable[[Sequence[SliceScores], float], dict[str, Any]] | None = None,
) -> Score:
    """One score for the volume.

    Parameters
    ----------
    slices : sequence of SliceScores
        The acquisition plane first; at least one slice altogether.
    summary : callable
        From all slice scores (1D array) to the volume's value, e.g. ``numpy.median``.
    unit : str
    extra : callable, optional
        Further readings from the slices and the value.

    Returns
    -------
    Score
        Its uncertainty is :func:`standard_error`.
    """
    kept = tuple(part for part in slices if part.value)
    values = np.concatenate([np.asarray(part.value, dtype=np.float64) for part in kept])
    value = float(summary(values))
    return Score(
        value=value,
        uncertainty=standard_error([np.asarray(part.value) for part in kept]),
        unit=unit,
        slices=kept,
        extra={} if extra is None else extra(kept, value),
    )


def plane_scores(axis: int, indices: Array, values: Array) -> SliceScores:
    """Slice scores of one plane as plain numbers."""
    return SliceScores(
        plane=PLANES[axis],
        index=tuple(int(index) for index in indices),
        value=tuple(float(value) for value in values),
    )
