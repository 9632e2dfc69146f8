# SPDX-License-Identifier: Apache-2.0
"""Diagnostic quality (after Ma et al. 2020): the class that a site's readers would give each slice.

Logits are divided by a temperature that was fitted on subjects not trained on (Guo et al. 2017, arXiv 1706.04599), so
that a probability of 0.8 is right in about 8 of 10 slices like those.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from bidsqa.errors import WeightsError
from bidsqa.image import Volume, rough_head, take_slice
from bidsqa.models.aggregation import aggregate, choose_slices, plane_scores
from bidsqa.models.diagnostic_inputs import prepare
from bidsqa.models.diagnostic_maps import FIRST_KEY, diagnostic_maps
from bidsqa.models.loading import Network
from bidsqa.models.local_map import LocalMap
from bidsqa.models.ranking import LABELS_KEY
from bidsqa.models.score import Score, SliceScores

Array = np.ndarray[Any, Any]
BATCH = 4
TEMPERATURE_KEY = "temperature"
CLASSES = ("non-diagnostic", "diagnostic", "excellent")


def softmax(logits: Array, temperature: float = 1.0) -> Array:
    """Probabilities (N, K), 0-1, of logits (N, K) divided by a temperature above 0."""
    scaled = logits / temperature
    odds = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    chances: Array = odds / odds.sum(axis=1, keepdims=True)
    return chances


class DiagnosticScorer:
    """Classifies the slices of volumes.

    Parameters
    ----------
    network : Network
        Reads ``slices``; its first output are logits (N, 2 or 3). Its settings hold ``temperature``.

    Raises
    ------
    WeightsError
        The temperature is missing or no positive number, or the place of the map is no number.
    """

    def __init__(self, network: Network) -> None:
        try:
            self._temperature = float(network.settings[TEMPERATURE_KEY])
            place = float(network.settings.get(FIRST_KEY, 0.0))
        except (KeyError, ValueError):
            self._temperature = place = math.nan
        if not (0 < self._temperature < math.inf and math.isfinite(place)):
            raise WeightsError(
                "the diagnostic weights don't say how far to trust their probabilities (temperature), or where their "
                f"map begins ({FIRST_KEY})",
                "export them again",
            )
        self._network = network

    def provenance(self) -> dict[str, str]:
        """``{name, version, sha256}``."""
        return self._network.provenance()

    def probabilities(self, slices: Array) -> Array:
        """Probabilities of the classes, worst first, shape (N, 2 or 3)."""
        parts = [
            self._network.run({"slices": slices[start : start + BATCH]})[0] for start in range(0, len(slices), BATCH)
        ]
        return softmax(np.concatenate(parts).astype(np.float64), self._temperature)

    def score(self, volume: Volume, slice_fraction: float = 0.6, head: Array | None = None) -> Score:
        """Mean class of a volume.

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
            Expected class, mean over at most 24 slices of each scored plane; extra: see ``DIAGNOSTIC_PARTS``.
        """
        head = rough_head(volume) if head is None else head
        parts, chances = [], []
        for axis, indices in choose_slices(volume, head, slice_fraction):
            pictures = [take_slice(volume.data, axis, int(index)) for index in indices]
            own = self.probabilities(prepare(pictures))
            chances.append(own)
            parts.append(plane_scores(axis, indices, own @ np.arange(own.shape[1])))
        together = np.concatenate(chances)

        def readings(slices: Sequence[SliceScores], value: float) -> dict[str, Any]:
            mean = together.mean(axis=0)
            return {
                "median": float(np.median(np.concatenate([np.asarray(part.value) for part in slices]))),
                "probabilities": {str(number): float(chance) for number, chance in enumerate(mean)},
                "class": CLASSES[int(mean.argmax())],
                "share_non_diagnostic": float((together[:, 0] > 0.5).mean()),
                "n_slices": len(together),
                "label_source": self._network.settings.get(LABELS_KEY, "unknown"),
            }

        return aggregate(
            parts, summary=lambda values: float(values.mean()), unit=self._network.model.unit, extra=readings
        )

    def local_maps(self, volume: Volume, head: Array, score: Score) -> tuple[LocalMap, ...]:
        """Where "non-diagnostic" comes from; none where the weights have no map."""
        return diagnostic_maps(self._network, self._temperature, volume, head, score)


def make_scorer(network: Network) -> DiagnosticScorer:
    """The table's entry point."""
    return DiagnosticScorer(network)
