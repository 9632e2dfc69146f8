# SPDX-License-Identifier: Apache-2.0
"""Reference-free SSIM of a scan (after Sciarra et al. 2022): how similar it is to itself without motion.

The label that the network learns is ``ssim_head``: SSIM with a Gaussian window of 1.5 pixels between the degraded and
the clean slice at 1 mm, both on the clean head's scale, averaged over the dilated clean head (see
``bidsqa.training.ssim``).
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
from bidsqa.models.saliency import ssim_maps
from bidsqa.models.score import Score, SliceScores
from bidsqa.models.ssim_inputs import prepare
from bidsqa.models.windows import plane_edges

Array = np.ndarray[Any, Any]
BATCH = 8
USABLE, GOOD = 0.60, 0.85
SMALLEST_HEAD = 0.02
DOMAIN_EDGES_MM = (0.4, 2.0)
CLASS_COUNTS = (3, 5, 10)
# metadata of the weights: error of whole scans' scores that the spread of their slices can't see
ERROR_KEY = "error"


def clinical_class(value: float) -> str:
    """Sciarra's clinical classes: ``"good"`` (SSIM 0.85 and above), ``"usable"`` (0.60-0.85), ``"rescan"``."""
    if value >= GOOD:
        return "good"
    return "usable" if value >= USABLE else "rescan"


def equal_class(value: float, count: int) -> int:
    """Number of the equal SSIM bin, 1 (worst) to ``count`` (best), as the paper's 3, 5 and 10 classes."""
    return int(min(max(np.floor(value * count), 0), count - 1)) + 1


def readings(slices: Sequence[SliceScores], value: float) -> dict[str, Any]:
    """Further readings of a volume from its slices.

    Returns
    -------
    dict
        ``median``, ``p10``, ``sd``, ``share_below_060``, ``share_below_085``, ``clinical_class``, ``class_3``,
        ``class_5``, ``class_10`` (1 is worst), ``planes`` (median by plane), ``n_slices``.
    """
    values = np.concatenate([np.asarray(part.value) for part in slices])
    return {
        "median": float(np.median(values)),
        "p10": float(np.percentile(values, 10)),
        "sd": float(values.std(ddof=1)) if values.size > 1 else 0.0,
        "share_below_060": float(np.mean(values < USABLE)),
        "share_below_085": float(np.mean(values < GOOD)),
        "clinical_class": clinical_class(value),
        **{f"class_{count}": equal_class(value, count) for count in CLASS_COUNTS},
        "planes": {part.plane: float(np.median(part.value)) for part in slices},
        "n_slices": int(values.size),
    }


def outside_domain(volume: Volume, head: Array, axis: int) -> list[str]:
    """Why the scan is unlike those that the network learned from, in words; empty where it isn't."""
    reasons = []
    edges = plane_edges(volume.spacing, axis)
    if max(edges) > DOMAIN_EDGES_MM[1] or min(edges) < DOMAIN_EDGES_MM[0]:
        shown = " x ".join(f"{edge:.2f}" for edge in edges)
        low, high = DOMAIN_EDGES_MM
        reasons.append(f"pixels of {shown} mm; learned from {low} to {high} mm")
    if head.mean() < SMALLEST_HEAD:
        reasons.append("the head fills less than 2 % of the image")
    return reasons


class SsimScorer:
    """Scores volumes with an SSIM network.

    Parameters
    ----------
    network : Network
        Reads ``slices`` (and ``head`` where it wants it); its first output is the slice score (N, 1). Its settings may
        hold ``error``: the error of whole scans' scores beyond the spread of their slices.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._error = float(network.settings.get(ERROR_KEY, 0.0))

    def provenance(self) -> dict[str, str]:
        """``{name, version, sha256}``."""
        return self._network.provenance()

    def score_slices(self, slices: Array, head: Array) -> Array:
        """Scores of prepared slices, shape (N,), in 0-1."""
        values = [
            self._network.run({"slices": slices[start : start + BATCH], "head": head[start : start + BATCH]})[0]
            for start in range(0, len(slices), BATCH)
        ]
        scores: Array = np.clip(np.concatenate(values).reshape(-1), 0.0, 1.0)
        return scores

    def score(self, volume: Volume, slice_fraction: float = 0.6, head: Array | None = None) -> Score:
        """Predicted SSIM of a volume to its motion-free self.

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
            Median over at most 24 slices of each scored plane; extra as :func:`readings` plus ``outside_domain``. The
            uncertainty joins the slices' standard error and the network's own error on whole scans that it was not
            trained on (``model_error``), as the root of their squares.
        """
        head = rough_head(volume) if head is None else head
        planes = choose_slices(volume, head, slice_fraction)
        parts = []
        for axis, indices in planes:
            slices, blocks = prepare(volume, head, axis, indices)
            parts.append(plane_scores(axis, indices, self.score_slices(slices, blocks)))
        domain = outside_domain(volume, head, planes[0][0])
        score = aggregate(
            parts,
            summary=lambda values: float(np.median(values)),
            unit=self._network.model.unit,
            extra=lambda kept, value: {**readings(kept, value), "outside_domain": domain},
        )
        return replace(
            score,
            uncertainty=float(np.hypot(score.uncertainty, self._error)),
            extra={**score.extra, "model_error": self._error},
        )

    def local_maps(self, volume: Volume, head: Array, score: Score) -> tuple[LocalMap, ...]:
        """Maps of the worst slices (:func:`bidsqa.models.saliency.ssim_maps`)."""
        return ssim_maps(self._network, volume, head, score)


def make_scorer(network: Network) -> SsimScorer:
    """The table's entry point."""
    return SsimScorer(network)
