# SPDX-License-Identifier: Apache-2.0
"""Noise and motion of a scan (after Lei et al. 2022), to be read against image rulers.

The noise output D grows with quality. It is near the ratio of the head's signal to its noise in dB, but what it means
to a reader is told by a ruler: versions of one slice with known noise, read by the same network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bidsqa.image import Volume, rough_head
from bidsqa.models.aggregation import aggregate, choose_slices, plane_scores
from bidsqa.models.loading import Network
from bidsqa.models.local_map import LocalMap
from bidsqa.models.noise_motion_inputs import prepare
from bidsqa.models.noise_motion_maps import OFFSET_KEY, noise_motion_maps
from bidsqa.models.score import Score, SliceScores
from bidsqa.models.windows import plane_edges

Array = np.ndarray[Any, Any]
BATCH, SLICES_PER_PLANE = 8, 10
MOVED = 0.5
SMALLEST_HEAD = 0.02
DOMAIN_EDGES_MM = (0.4, 2.0)


def outside_domain(volume: Volume, head: Array, axis: int) -> list[str]:
    """Why the scan is unlike those that the network learned from, in words; empty where it isn't."""
    edges = plane_edges(volume.spacing, axis)
    low, high = DOMAIN_EDGES_MM
    reasons = []
    if max(edges) > high or min(edges) < low:
        shown = " x ".join(f"{edge:.2f}" for edge in edges)
        reasons.append(f"pixels of {shown} mm; learned from {low} to {high} mm")
    if head.mean() < SMALLEST_HEAD:
        reasons.append("the head fills less than 2 % of the image")
    return reasons


def motion_readings(parts: Sequence[SliceScores]) -> dict[str, Any]:
    """What the slices' probabilities of motion tell of the scan.

    Returns
    -------
    dict
        ``p_motion``: the median, above 0.5 more slices look moved than not. ``moved_share``: share of slices above
        0.5. ``motion``: ``moved`` or ``still``. ``p_motion_planes``: median by plane. ``p_motion_slices``: the
        slices, as ``Score.slices``.
    """
    values = np.concatenate([np.asarray(part.value) for part in parts])
    middle = float(np.median(values))
    return {
        "p_motion": middle,
        "moved_share": float(np.mean(values > MOVED)),
        "motion": "moved" if middle > MOVED else "still",
        "p_motion_planes": {part.plane: float(np.median(part.value)) for part in parts},
        "p_motion_slices": [
            {"plane": part.plane, "index": list(part.index), "value": list(part.value)} for part in parts
        ],
    }


class NoiseMotionScorer:
    """Scores volumes and images with the dual-task network.

    Parameters
    ----------
    network : Network
        Reads ``slices``; gives noise (N, 1) and the logit of a slice without motion (N, 1), and may give their maps.
        Its settings may hold ``motion_offset``, which is added to the logit: found on clean scans of sites that were
        not trained on, so that few of them are called moved.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self.motion_offset = float(network.settings.get(OFFSET_KEY, 0.0))

    def provenance(self) -> dict[str, str]:
        """``{name, version, sha256}``."""
        return self._network.provenance()

    def score_images(self, slices: Array) -> tuple[Array, Array]:
        """Noise and motion of prepared slices.

        Parameters
        ----------
        slices : ndarray of float32, shape (N, 1, 256, 256)
            From :func:`bidsqa.models.noise_motion_inputs.prepare` or ``prepare_images``.

        Returns
        -------
        noise : ndarray of float32, shape (N,)
            D, higher is better.
        p_motion : ndarray of float32, shape (N,)
            0-1.
        """
        outputs = [
            self._network.run({"slices": slices[start : start + BATCH]})[:2] for start in range(0, len(slices), BATCH)
        ]
        noise, logit = (np.concatenate([np.reshape(part[place], -1) for part in outputs]) for place in (0, 1))
        return noise, 1 / (1 + np.exp(np.clip(logit + self.motion_offset, -60, 60)))

    def score(self, volume: Volume, slice_fraction: float = 0.6, head: Array | None = None) -> Score:
        """Noise and motion of a volume.

        Parameters
        ----------
        volume : Volume
        slice_fraction : float
            Middle share of the head to judge in each plane.
        head : ndarray of bool, shape (X, Y, Z), optional
            ``rough_head(volume)``, where it is known already.

        Returns
        -------
        Score
            The value is D, median over at most 10 slices of each scored plane. Extra: ``median``, ``p10``, ``sd``,
            ``n_slices``, ``planes`` (median by plane), :func:`motion_readings` and ``outside_domain``.
        """
        head = rough_head(volume) if head is None else head
        planes = choose_slices(volume, head, slice_fraction, SLICES_PER_PLANE)
        noise, motion = [], []
        for axis, indices in planes:
            levels, moved = self.score_images(prepare(volume, head, axis, indices))
            noise.append(plane_scores(axis, indices, np.maximum(levels, 0)))
            motion.append(plane_scores(axis, indices, moved))
        score = aggregate(
            noise,
            summary=lambda values: float(np.median(values)),
            unit=self._network.model.unit,
            extra=lambda kept, value: _spread(kept),
        )
        further = {**motion_readings(motion), "outside_domain": outside_domain(volume, head, planes[0][0])}
        return replace(score, extra={**score.extra, **further})

    def local_maps(self, volume: Volume, head: Array, score: Score) -> tuple[LocalMap, ...]:
        """Maps of noise in the noisiest slices and of motion in those that look most moved."""
        return noise_motion_maps(self._network, volume, head, score)


def _spread(slices: Sequence[SliceScores]) -> dict[str, Any]:
    values = np.concatenate([np.asarray(part.value) for part in slices])
    return {
        "median": float(np.median(values)),
        "p10": float(np.percentile(values, 10)),
        "sd": float(values.std(ddof=1)) if values.size > 1 else 0.0,
        "n_slices": int(values.size),
        "planes": {part.plane: float(np.median(part.value)) for part in slices},
    }


def make_scorer(network: Network) -> NoiseMotionScorer:
    """The table's entry point."""
    return NoiseMotionScorer(network)
