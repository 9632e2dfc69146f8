# SPDX-License-Identifier: Apache-2.0
"""From what the network says of a scan to its place on a ruler, as the record keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from bidsqa.errors import InputError, NotComputable
from bidsqa.models import Score
from bidsqa.rulers import scale
from bidsqa.rulers.matching import Match, match_ruler
from bidsqa.rulers.ruler import Kind, Ruler
from bidsqa.settings import RULER_MODEL

MODEL = RULER_MODEL
MOTION_CUT = 0.5
BATCH = 8
MOST_KEPT = 64

Array = np.ndarray[Any, Any]
_known: dict[tuple[str, str], tuple[float, ...]] = {}


class SliceScorer(Protocol):
    """What reads slices: a scorer of noise and motion."""

    def score_images(self, slices: Array) -> tuple[Array, Array]:
        """Noise (N,), higher is better, and the probability of motion (N,) of prepared slices (N, 1, H, W)."""

    def provenance(self) -> dict[str, str]:
        """``{name, version, sha256}`` of the weights in use."""


def ruler_levels(scorer: SliceScorer, ruler: Ruler) -> tuple[float, ...]:
    """What the network says of each version; remembered for the process by weights and images.

    Returns
    -------
    tuple of float
        Version 0 first.

    Raises
    ------
    InputError
        When the network doesn't order all versions strictly: such a ruler measures nothing.
    """
    from bidsqa.models.noise_motion_inputs import prepare_images

    key = (scorer.provenance().get("sha256", ""), ruler.sha256)
    levels = _known.get(key) if all(key) else None
    if levels is None:
        noise, _ = scorer.score_images(prepare_images(ruler.versions))
        levels = tuple(float(value) for value in noise)
        if all(key):
            while len(_known) >= MOST_KEPT:
                _known.pop(next(iter(_known)))
            _known[key] = levels
    problem = scale.disorder(levels)
    if problem:
        raise InputError(
            f"The ruler {ruler.name} can't be used with this network: {problem}.",
            "Build one from a sharper scan with less noise: bidsqa-ruler build SCAN OUT",
        )
    return levels


def place_scan(score: Score, scorer: SliceScorer, kind: Kind, rulers: Sequence[Ruler]) -> Score:
    """As :func:`read_on_ruler`, with the nearest of the rulers at hand.

    Raises
    ------
    NotComputable
        When there is no ruler for scans of this kind, or the nearest can't be used.
    """
    match = match_ruler(kind, rulers)
    if match is None:
        what = kind.suffix if kind.body_part == "brain" else f"{kind.suffix} of the {kind.body_part}"
        raise NotComputable(f"there is no ruler for {what}; build one with bidsqa-ruler")
    try:
        levels = ruler_levels(scorer, match.ruler)
    except InputError as error:
        raise NotComputable(error.cause.rstrip(".")) from error
    return read_on_ruler(score, match, levels)


def read_on_ruler(score: Score, match: Match, levels: Sequence[float]) -> Score:
    """A scan's place on its ruler.

    Parameters
    ----------
    score : Score
        Of the network: value, uncertainty and slices are its raw output for noise.
    match : Match
    levels : sequence of float
        As :func:`ruler_levels` gives them.

    Returns
    -------
    Score
        Value, uncertainty and slices on the ruler's scale, 0 (worst version) to 7 (original). Extra: what the network
        gave, ``raw`` and ``raw_uncertainty``, ``ruler`` (name, why, sha256, levels, version_score, place, threshold,
        threshold_set_by, passes, outside) and ``cause``: ``noise``, ``motion``, ``noise and motion`` or ``none``.
    """
    threshold = match.ruler.threshold
    passes = scale.passes(levels, score.value, threshold.value)
    place = {
        "name": match.ruler.name,
        "why": list(match.why),
        "sha256": match.ruler.sha256,
        "levels": list(levels),
        "version_score": scale.nearest_version(levels, score.value),
        "place": scale.unbounded_score(levels, score.value),
        "threshold": threshold.value,
        "threshold_set_by": threshold.source,
        "passes": passes,
        "outside": scale.outside(levels, score.value) or None,
    }
    slices = tuple(
        replace(part, value=tuple(scale.interpolated_score(levels, value) for value in part.value))
        for part in score.slices
    )
    spread: dict[str, float] = {
        key: scale.interpolated_score(levels, score.extra[key]) for key in ("median", "p10") if key in score.extra
    }
    if "sd" in score.extra:
        spread["sd"] = scale.score_error(levels, score.value, score.extra["sd"])
    planes = {name: scale.interpolated_score(levels, value) for name, value in score.extra.get("planes", {}).items()}
    moved = float(score.extra.get("p_motion", 0.0)) > MOTION_CUT
    causes = ["noise"] * (not passes) + ["motion"] * moved
    return Score(
        value=scale.interpolated_score(levels, score.value),
        uncertainty=scale.score_error(levels, score.value, score.uncertainty),
        unit="",
        slices=slices,
        extra={
            **score.extra,
            **spread,
            "planes": planes,
            "raw": score.value,
            "raw_uncertainty": score.uncertainty,
            "ruler": place,
            "cause": " and ".join(causes) or "none",
        },
    )
