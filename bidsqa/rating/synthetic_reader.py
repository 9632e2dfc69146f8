# SPDX-License-Identifier: Apache-2.0
"""Readers made of formulas, for tests and for weights without human labels; they see parameters, never pictures.

The utility of an image is computed from what the simulation put on it, so nothing that a network computes from the
image can be right by construction. A reader adds noise, a taste of their own that persists when they see the same
pair again, a range of differences that they call similar, and, if wanted, a preference for one side.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
BASE_NOISE = 0.02  # noise SD of a good scan over the head's median
# loss of utility per unit of each damage: dB of noise, mm of blur, degrees of motion, shares
WEIGHTS = {"noise_db": 0.25, "blur_mm": 0.8, "motion": 0.9, "ghosting": 4.0, "aliasing": 6.0, "other": 3.0}


def damage_amounts(recipe: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """What artifacts do, in the units of `WEIGHTS`.

    Parameters
    ----------
    recipe : sequence of mapping
        Artifacts with ``name`` and ``strength`` (0-1), as in an item's versions.

    Returns
    -------
    dict of float
        ``noise_db``: loss of signal-to-noise against a good scan, dB; ``blur_mm``: full width at half maximum;
        ``motion``: RMS of the pose, degrees and mm; ``ghosting``: modulation amplitude; ``aliasing``: share of signal
        aliased; ``other``: strength.
    """
    amounts = dict.fromkeys(WEIGHTS, 0.0)
    variance = BASE_NOISE**2
    for artifact in recipe:
        name, strength = str(artifact["name"]), float(artifact["strength"])
        if name in ("noise", "gaussian_noise", "coil_noise"):
            variance += (0.2 * strength) ** 2
        elif name == "blur":
            amounts["blur_mm"] = math.hypot(amounts["blur_mm"], 4.0 * strength)
        elif name in ("motion", "slice_motion"):
            amounts["motion"] += 5.0 * strength
        elif name == "ghosting":
            amounts["ghosting"] += 0.6 * strength
        elif name == "undersampling":
            amounts["aliasing"] += 0.5 * strength
        else:
            amounts["other"] += strength
    amounts["noise_db"] = 10 * math.log10(variance / BASE_NOISE**2)
    return amounts


def utility(recipe: Sequence[Mapping[str, Any]], weights: Mapping[str, float] = WEIGHTS) -> float:
    """Utility of an image with these artifacts: 0 for the clean one, lower the worse."""
    return -sum(weights.get(name, 0.0) * amount for name, amount in damage_amounts(recipe).items())


@dataclass
class SyntheticReader:
    """A reader who knows the utilities.

    Parameters
    ----------
    seed : int
        Of everything that is drawn; another seed is another person.
    tau : float
        Differences up to this are called similar.
    taste : float
        SD of the reader's own persistent opinion on each pair (b); the noise of a reading has the variance 1 - b².
    side_bias : float
        Added to the difference of left minus right.
    davidson : float or None
        With nu given, answers follow P1 : P2 : Ptie = e^u1 : e^u2 : nu e^((u1+u2)/2) instead.
    criterion, cuts, offset : float, tuple of float, float
        For the noise series (the least utility that is acceptable) and for 1 to 5 (four cut points, rising), to which
        the offset is added.
    """

    seed: int
    tau: float = 0.2
    taste: float = 0.0
    side_bias: float = 0.0
    davidson: float | None = None
    criterion: float = -2.0
    cuts: tuple[float, ...] = (-6.0, -4.0, -2.5, -1.0)
    offset: float = 0.0
    _noise: np.random.Generator = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.taste < 1:
            raise ValueError("taste must lie in 0-1, without 1")
        self._noise = np.random.default_rng((self.seed, 1))

    def opinion(self, pair: int) -> float:
        """The reader's persistent taste on a pair, for its first minus its second image."""
        return self.taste * float(np.random.default_rng((self.seed, 2, pair)).normal())

    def compare(self, left: Array | float, right: Array | float, tastes: Array | float = 0.0) -> Array:
        """Read pairs once.

        Parameters
        ----------
        left, right : float or ndarray, shape (N,)
            Utilities.
        tastes : float or ndarray, shape (N,)
            :meth:`opinion` of each pair, for left minus right.

        Returns
        -------
        ndarray of int, shape (N,)
            1 left is better, 0 similar, -1 right is better.
        """
        one, two = np.atleast_1d(np.asarray(left, dtype=float)), np.atleast_1d(np.asarray(right, dtype=float))
        apart = one - two + tastes + self.side_bias
        if self.davidson is not None:
            return self._davidson(apart)
        noise = self._noise.normal(0, math.sqrt(1 - self.taste**2), apart.shape)
        return np.where(np.abs(apart + noise) <= self.tau, 0, np.sign(apart + noise)).astype(int)

    def _davidson(self, apart: Array) -> Array:
        assert self.davidson is not None
        odds = np.stack([np.exp(0.5 * apart), np.full_like(apart, self.davidson), np.exp(-0.5 * apart)])
        limits = np.cumsum(odds / odds.sum(axis=0), axis=0)
        drawn = self._noise.random(apart.shape)
        return np.where(drawn < limits[0], 1, np.where(drawn < limits[1], 0, -1))

    def min_acceptable(self, utilities: Sequence[float]) -> int:
        """First version (1 and up) of a series, worst first, that is still acceptable; its length + 1 where none is."""
        seen = np.asarray(utilities) + self._noise.normal(0, 1, len(utilities))
        fine = np.flatnonzero(seen > self.criterion + self.offset)
        return int(fine[0]) + 1 if len(fine) else len(utilities) + 1

    def likert(self, value: float) -> int:
        """1 to 5 for an image of this utility."""
        seen = value + self.offset + float(self._noise.normal())
        return 1 + int(np.searchsorted(self.cuts, seen))


def ceilings(spread: float, tau: float, taste: float, pairs: int = 100_000, seed: int = 0) -> dict[str, float]:
    """What can be reached at best on pairs whose utilities differ by N(0, spread²).

    Parameters
    ----------
    spread : float
        SD of the difference of utilities.
    tau, taste : float
        As for :class:`SyntheticReader`.
    pairs, seed : int

    Returns
    -------
    dict of float
        ``ties``: share called similar; ``two_readers``, ``retest``: chance that two readers, or one reader twice,
        agree; ``model_one``, ``model_majority``: accuracy of the best possible model against one reader and against
        the majority of seven; ``one_majority``: a reader against the majority they are part of. Votes that leave a
        tie are broken by lot.
    """
    generator = np.random.default_rng(seed)
    apart = generator.normal(0, spread, pairs)
    readings, tastes = [], []
    for number in range(7):
        reader = SyntheticReader(seed=seed + 1000 * (number + 1), tau=tau, taste=taste)
        tastes.append(generator.normal(0, taste, pairs))
        readings.append(reader.compare(apart, 0.0, tastes[-1]))
        if number == 0:
            again = reader.compare(apart, 0.0, tastes[0])
    votes = np.stack([(np.stack(readings) == answer).sum(axis=0) for answer in (1, 0, -1)])
    winner = np.array([1, 0, -1])[np.argmax(votes + generator.random(votes.shape) * 0.5, axis=0)]
    best = best_guess(apart, tau)
    return {
        "ties": float(np.mean(np.stack(readings) == 0)),
        "two_readers": float(np.mean(readings[0] == readings[1])),
        "retest": float(np.mean(readings[0] == again)),
        "model_one": float(np.mean(best == readings[0])),
        "model_majority": float(np.mean(best == winner)),
        "one_majority": float(np.mean(readings[0] == winner)),
    }


def best_guess(apart: Array, tau: float) -> Array:
    """The most likely answer (1, 0, -1) to pairs of known difference, taste and noise having variance 1 together."""
    from scipy.special import ndtr

    left, right = ndtr(apart - tau), ndtr(-apart - tau)
    similar = 1 - left - right
    return np.array([1, 0, -1])[np.argmax(np.stack([left, similar, right]), axis=0)]
