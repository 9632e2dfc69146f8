# SPDX-License-Identifier: Apache-2.0
"""Classical measures of a whole scan that need no learning: what a learned score is judged beside."""

from __future__ import annotations

from typing import Any

import numpy as np

from bidsqa.image import Volume, rough_head
from bidsqa.models.severity_volume import field_range

Array = np.ndarray[Any, Any]
BASELINES = ("efc", "edge strength (negated)", "tenengrad (negated)", "laplacian (negated)", "field range")


def entropy_focus(data: Array) -> float:
    """Entropy focus criterion of the volume (Atkinson et al. 1997, doi 10.1109/42.650886), 0-1, higher is worse."""
    values = np.abs(data.astype(np.float64)).ravel()
    total = float(np.sqrt((values**2).sum()))
    if total == 0:
        return 0.0
    share = values[values > 0] / total
    most = np.sqrt(values.size) * np.log(1 / np.sqrt(values.size))
    return float((share * np.log(share)).sum() / most)


def baselines(volume: Volume) -> dict[str, float]:
    """Classical measures with the sign that makes higher worse.

    Parameters
    ----------
    volume : Volume

    Returns
    -------
    dict of float
        ``efc``; mean gradient (edge strength), mean squared gradient (Tenengrad) and log variance of the Laplacian in
        the head, all in units of the head's mean and negated, since blur lowers them; ``field range``, p98 - p2 of a
        second-order polynomial of the log brightness (:func:`bidsqa.models.severity_volume.field_range`).
    """
    head = rough_head(volume)
    data = volume.data
    level = float(np.abs(data[head], dtype=np.float64).mean()) if head.any() else 0.0
    scaled = data / np.float32(level) if level > 0 else data
    gradient, laplace = np.zeros_like(scaled), np.zeros_like(scaled)
    for axis in range(3):
        after, before = np.roll(scaled, -1, axis), np.roll(scaled, 1, axis)
        gradient += (0.5 * (after - before)) ** 2
        laplace += after + before - 2 * scaled
    inside = head.copy()
    for axis in range(3):
        edge: list[slice | int] = [slice(None)] * 3
        for place in (0, -1):
            edge[axis] = place
            inside[tuple(edge)] = False
    if not inside.any():
        inside[...] = True
    return {
        "efc": entropy_focus(data),
        "edge strength (negated)": -float(np.sqrt(gradient[inside]).mean()),
        "tenengrad (negated)": -float(gradient[inside].mean()),
        "laplacian (negated)": -float(np.log(laplace[inside].var() + 1e-12)),
        "field range": field_range(volume, head)[0],
    }
