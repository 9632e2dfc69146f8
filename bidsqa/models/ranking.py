# SPDX-License-Identifier: Apache-2.0
"""Rank-based quality without a reference (after Tang et al. 2025): which of two scans would be called better.

The network's raw score is turned into a utility: 0 is a typical clean scan, and of two scans one unit apart the better
one is preferred with the odds e : 1, ties aside (:mod:`bidsqa.models.preference`). Zero, unit and the readiness to call
scans similar come from the weights' metadata.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bidsqa.errors import WeightsError
from bidsqa.image import Volume, rough_head
from bidsqa.models.aggregation import aggregate, choose_slices, plane_scores
from bidsqa.models.loading import Network
from bidsqa.models.local_map import LocalMap
from bidsqa.models.preference import preference
from bidsqa.models.score import Score, SliceScores
from bidsqa.models.ssim_inputs import prepare

Array = np.ndarray[Any, Any]
BATCH = 8
ZERO_KEY, UNIT_KEY, TIE_KEY, LABELS_KEY = "zero", "unit", "tie", "label_source"


class RankingScorer:
    """Scores volumes with a reference-free ranking network.

    Parameters
    ----------
    network : Network
        Reads ``slices``; its first output is the raw score (N, 1), lower is better.

    Raises
    ------
    WeightsError
        Weights of a network that needs a reference, or without ``zero``, ``unit`` and ``tie`` in their metadata.
    """

    def __init__(self, network: Network) -> None:
        if network.inputs != ("slices",):
            raise WeightsError(
                "these ranking weights need a reference image, which a scan doesn't have",
                "give weights of efficientnet_b0_free; those of iq_net serve bidsqa.models.quality_loss",
            )
        try:
            self._zero, self._unit, self._tie = (float(network.settings[key]) for key in (ZERO_KEY, UNIT_KEY, TIE_KEY))
        except (KeyError, ValueError):
            raise WeightsError(
                "the ranking weights don't say what their numbers mean (zero, unit, tie)", "export them again"
            ) from None
        self._network = network

    def provenance(self) -> dict[str, str]:
        """``{name, version, sha256}``."""
        return self._network.provenance()

    def score_slices(self, slices: Array) -> Array:
        """Utilities of prepared slices, shape (N,)."""
        raw = [
            self._network.run({"slices": slices[start : start + BATCH]})[0] for start in range(0, len(slices), BATCH)
        ]
        utilities: Array = (self._zero - np.concatenate(raw).reshape(-1)) / self._unit
        return utilities

    def score(self, volume: Volume, slice_fraction: float = 0.6, head: Array | None = None) -> Score:
        """Utility of a volume.

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
            Mean over at most 24 slices of each scored plane; extra: see ``RANKING_PARTS``.
        """
        head = rough_head(volume) if head is None else head
        parts = []
        for axis, indices in choose_slices(volume, head, slice_fraction):
            slices, _ = prepare(volume, head, axis, indices)
            parts.append(plane_scores(axis, indices, self.score_slices(slices)))
        return aggregate(
            parts, summary=lambda values: float(values.mean()), unit=self._network.model.unit, extra=self._readings
        )

    def _readings(self, slices: Sequence[SliceScores], value: float) -> dict[str, Any]:
        values = np.concatenate([np.asarray(part.value) for part in slices])
        return {
            "median": float(np.median(values)),
            "p10": float(np.percentile(values, 10)),
            "sd": float(values.std(ddof=1)) if values.size > 1 else 0.0,
            "planes": {part.plane: float(np.mean(part.value)) for part in slices},
            "n_slices": int(values.size),
            "p_better_than_clean": preference(value, 0.0, self._tie).better,
            "tie": self._tie,
            "label_source": self._network.settings.get(LABELS_KEY, "unknown"),
        }

    def local_maps(self, volume: Volume, head: Array, score: Score) -> tuple[LocalMap, ...]:
        """None: the network reads a slice as a whole."""
        return ()


def make_scorer(network: Network) -> RankingScorer:
    """The table's entry point."""
    return RankingScorer(network)
