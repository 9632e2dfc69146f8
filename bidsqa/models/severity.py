# SPDX-License-Identifier: Apache-2.0
"""Artifact severity of a scan: slices at native pixels through a small network, the field by a polynomial.

After Hays et al. (MIDL 2025): 0 is clean, 1 the review threshold. The network reads the strength of noise, motion,
ghosting, bias and blur and the damage of all together from each slice. Three readings need no training: the field of
the whole head, since one slice can't tell a field from anatomy, the echo that a ghost leaves in the spectrum, and the
grain of the pixels. Every reading is set against clean scans of sites not trained on (0 at their median, 1 at their
95th percentile), and those that count are joined so that the worst decides (:mod:`bidsqa.models.severity_scale`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bidsqa.image import Volume
from bidsqa.models.aggregation import plane_scores, standard_error
from bidsqa.models.loading import Network
from bidsqa.models.local_map import LocalMap
from bidsqa.models.saliency import severity_maps
from bidsqa.models.score import Score, SliceScores
from bidsqa.models.severity_inputs import ERROR, Prepared, prepare
from bidsqa.models.severity_scale import Scale, slice_readings
from bidsqa.models.severity_volume import grain

Array = np.ndarray[Any, Any]
NAMED_FROM = 0.5
BATCH = 8
# metadata of weights: how far severities of scans with the same artifact lie apart beyond their standard errors
ERROR_KEY = "error"
# of weights that don't tell; that of the shipped ones, printed by `python -m bidsqa.validation.severity`
MODEL_ERROR = 0.3576


class SeverityScorer:
    """Scores volumes with a severity network.

    Parameters
    ----------
    network : Network
        The compact network (inputs ``image``, ``head``, ``scalars``; output (N, 12)) or the published one (``image``;
        output (N,)). Its settings may hold ``calibration``: a :class:`Scale` as JSON.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._scale = Scale.from_json(network.settings.get("calibration", ""))
        self._error = float(network.settings.get(ERROR_KEY, MODEL_ERROR))

    def provenance(self) -> dict[str, str]:
        """``{name, version, sha256}``."""
        return self._network.provenance()

    def score(self, volume: Volume, slice_fraction: float = 0.6, head: Array | None = None) -> Score:
        """Severity of a volume.

        Parameters
        ----------
        volume : Volume
        slice_fraction : float
            Middle share of the head's slices, 0-1.
        head : ndarray of bool, shape (X, Y, Z), optional
            ``rough_head(volume)``, where it is known already.

        Returns
        -------
        Score
            ``value`` near 0 (clean) and up, 1 = the review threshold; slices are on the same scale (field and echo are
            no slice's, so that only the volume's value counts them). ``extra``: ``median``, ``p90``, ``sd``,
            ``n_slices``, ``planes`` (mean by plane), and for the compact network ``families`` (severity by kind on the
            same scale, of the kinds that count), ``probabilities`` (of ``none`` and each kind), ``family`` (the most
            probable kind), ``readings`` (raw values) and ``model_error``. The uncertainty joins the standard errors of
            the readings and the model's own error between scans (``model_error``), as the root of their squares.
        """
        return self.score_prepared(prepare(volume, slice_fraction, "scalars" in self._network.inputs, head))

    def local_maps(self, volume: Volume, head: Array, score: Score) -> tuple[LocalMap, ...]:
        """Maps of the worst slices (:func:`bidsqa.models.saliency.severity_maps`)."""
        return severity_maps(self._network, self._scale, volume, head, score)

    def outputs(self, prepared: Prepared) -> list[Array]:
        """Network outputs by plane, (N, 12) or (N, 1)."""
        planes = []
        for _, indices, inputs in prepared.planes:
            parts = [
                self._network.run({name: value[start : start + BATCH] for name, value in inputs.items()})[0]
                for start in range(0, len(indices), BATCH)
            ]
            planes.append(np.concatenate(parts).reshape(len(indices), -1))
        return planes

    def score_prepared(self, prepared: Prepared) -> Score:
        """As :meth:`score`, of what :func:`prepare` gave."""
        outputs = self.outputs(prepared)
        places = [(axis, indices) for axis, indices, _ in prepared.planes]
        if outputs[0].shape[1] == 1:
            return self._plain(places, outputs)
        return self._by_family(places, outputs, prepared)

    def _plain(self, places: Sequence[tuple[int, Array]], outputs: Sequence[Array]) -> Score:
        slices = tuple(
            plane_scores(axis, indices, output[:, 0] / self._scale.scale)
            for (axis, indices), output in zip(places, outputs, strict=True)
        )
        values = [np.asarray(part.value) for part in slices]
        joined = np.concatenate(values)
        return Score(float(joined.mean()), standard_error(values), "", slices, _spread(slices, joined))

    def _by_family(self, places: Sequence[tuple[int, Array]], outputs: Sequence[Array], prepared: Prepared) -> Score:
        scale = self._scale
        raw = [slice_readings(output) for output in outputs]
        readings, errors = volume_readings(raw, prepared)
        value = float(scale.joined(readings))
        within = [name for name in scale.used(readings) if name in raw[0]]
        slices = tuple(
            plane_scores(axis, indices, scale.joined(part, within))
            for (axis, indices), part in zip(places, raw, strict=True)
        )
        families = scale.families(readings)
        probabilities = scale.probabilities(readings)
        worst = max(families, key=lambda name: families[name], default="none")
        likeliest = max(probabilities, key=lambda name: probabilities[name], default=worst)
        extra = {
            **_spread(slices, np.concatenate([np.asarray(part.value) for part in slices])),
            "families": families,
            "probabilities": probabilities,
            "family": likeliest if value >= NAMED_FROM else "none",
            "readings": readings,
            "model_error": self._error,
        }
        return Score(value, float(np.hypot(scale.error(readings, errors), self._error)), "", slices, extra)


def volume_readings(raw: Sequence[dict[str, Array]], prepared: Prepared) -> tuple[dict[str, float], dict[str, float]]:
    """Readings of a volume and their standard errors.

    A slice reading's is its mean over all slices of all planes, with :func:`standard_error`; the readings of the whole
    volume bring their own.
    """
    inputs = prepared.planes[0][2]
    noise, noise_error = grain(inputs["image"][:, 0], inputs["head"][:, 0] > 0.5)
    whole = {name: value for name, value in prepared.volume.items() if not name.endswith(ERROR)}
    means = {name: float(np.concatenate([part[name] for part in raw]).mean()) for name in raw[0]}
    errors = {name: standard_error([part[name] for part in raw]) for name in raw[0]}
    errors |= {name: prepared.volume.get(f"{name}{ERROR}", 0.0) for name in whole}
    return {**means, **whole, "grain": noise}, {**errors, "grain": noise_error}


def _spread(slices: Sequence[SliceScores], joined: Array) -> dict[str, Any]:
    return {
        "median": float(np.median(joined)),
        "p90": float(np.percentile(joined, 90)),
        "sd": float(joined.std(ddof=1)) if joined.size > 1 else 0.0,
        "n_slices": int(joined.size),
        "planes": {part.plane: float(np.mean(part.value)) for part in slices},
    }


def make_scorer(network: Network) -> SeverityScorer:
    """Scorer for the model table."""
    return SeverityScorer(network)
