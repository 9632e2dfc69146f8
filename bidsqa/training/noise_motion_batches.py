# SPDX-License-Identifier: Apache-2.0
"""Mini-batches of the noise and motion network: versions with their labels, pairs, cut-outs, what comes again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bidsqa.models.noise_motion_inputs import standardise
from bidsqa.training.label_calibration import automatic_pick, calibrate, iedd_scores, targets
from bidsqa.training.noise_motion_sets import Windows, motion_pair, noise_set, numbered_noise_set

Array = np.ndarray[Any, Any]
MEAN_SETS = 48
# share of a mini-batch that is simulated anew, and for how many steps of its task a set may come again
FRESH, KEPT = 0.2, 150
# SD of what is added to pairs that come again, at most, in units of an image's SD
GRAIN = 0.15


@dataclass(frozen=True)
class Recipe:
    """What a training depends on besides the data.

    Parameters
    ----------
    architecture : str
        Key of ``networks_noise_motion.ARCHITECTURES``.
    labels : str
        ``snr`` (Equation 1: the noise that was added) or ``iedd`` (all noise, also the slice's own).
    eta : float
        Of the calibration by the automatic rule's picks; 0: none. A calibration moves all versions of a slice alike,
        also those so noisy that what sets the slice apart doesn't show.
    seconds : float
        Time budget, pool excluded.
    steps : int, optional
        Budget in steps instead of time.
    noise_slices, motion_slices : int
        A mini-batch.
    rate : float
        Highest learning rate.
    seed : int
    drawn : int
        Scans drawn from label maps.
    motion_turns : int
        Mini-batches of motion after each of noise; the paper alternates.
    largest_moves : float
        Half of the pairs have moves of up to so many times the paper's size.
    cut : int
        Side of the cut-outs that the first 60 % of the budget are spent on; whole windows afterwards.
    start : Path, optional
        Exported weights to go on from instead of random ones.
    """

    architecture: str = "dual"
    labels: str = "iedd"
    eta: float = 0.0
    seconds: float = 1800.0
    steps: int | None = None
    noise_slices: int = 2
    motion_slices: int = 5
    rate: float = 1e-3
    seed: int = 1
    drawn: int = 26
    motion_turns: int = 1
    largest_moves: float = 1.0
    cut: int = 128
    start: Path | None = None


@dataclass(frozen=True)
class Batch:
    """A mini-batch of one task.

    Parameters
    ----------
    slices : tensor of float32, shape (N, 1, 256, 256)
    target : tensor of float32, shape (N,)
        Label of noise (dB), or 1 for slices without motion and 0 for those with it.
    task : str
    """

    slices: Tensor
    target: Tensor
    task: str


def labels_of(levels: Array, iedd: Array, recipe: Recipe, mean: float) -> Array:
    """Labels of a set's versions, calibrated where the recipe wants it.

    Parameters
    ----------
    levels, iedd : ndarray, shape (m,)
        dB that the versions were made at (Equation 1), and by IEDD.
    recipe : Recipe
    mean : float
        Of the calibration's targets (:func:`target_mean`).
    """
    scores = plain_labels(levels, iedd, recipe.labels)
    if not recipe.eta:
        return scores
    return np.asarray(calibrate(scores[None], [automatic_pick(iedd)], recipe.eta, mean)[0])


def plain_labels(levels: Array, iedd: Array, labels: str) -> Array:
    """Heuristic scores of the versions; where IEDD isn't known, those that they were made at."""
    return levels if labels == "snr" else np.where(np.isfinite(iedd), iedd, levels)


def target_mean(windows: Windows, recipe: Recipe) -> float:
    """Mean target of the calibration, over a sample of sets."""
    rng = np.random.default_rng((recipe.seed, 77))
    made = [noise_set(windows, rng) for _ in range(MEAN_SETS if recipe.eta else 0)]
    if not made:
        return 0.0
    iedd = [iedd_scores(versions) for versions, _ in made]
    scores = [plain_labels(levels, found, recipe.labels) for (_, levels), found in zip(made, iedd, strict=True)]
    return float(targets(np.stack(scores), [automatic_pick(found) for found in iedd]).mean())


class Reserve:
    """Recent sets: simulating one costs more than learning from it, so each is used a few times, turned anew.

    A set follows from its seed, so that a training that goes on makes those that it needs again.

    Parameters
    ----------
    windows : Windows
    recipe : Recipe
    mean : float
        Of the calibration's targets.
    """

    def __init__(self, windows: Windows, recipe: Recipe, mean: float) -> None:
        self._windows, self._recipe, self._mean = windows, recipe, mean
        self._made: dict[tuple[str, int], tuple[Array, Array]] = {}

    def batch(self, task: str, turn: int, cut: int | None = None) -> Batch:
        """The mini-batch of a task's ``turn``-th step: some new sets, the others of the last 150 steps."""
        recipe = self._recipe
        count = recipe.noise_slices if task == "noise" else recipe.motion_slices
        fresh = max(1, round(FRESH * count))
        rng = np.random.default_rng((recipe.seed, turn, task == "noise"))
        # the sets of a step are numbered from fresh * turn on
        numbers = [fresh * turn + place for place in range(fresh)]
        numbers += rng.integers(max(0, fresh * (turn - KEPT)), fresh * (turn + 1), size=count - fresh).tolist()
        first = fresh * (turn - KEPT)
        self._made = {key: made for key, made in self._made.items() if key[0] != task or key[1] >= first}
        sets = [self._set(task, number) for number in numbers]
        parts = [turned(versions, rng) for versions, _ in sets]
        if cut is not None:
            parts = [cut_out(part, cut, rng) for part in parts]
        if task == "motion":
            parts = [grainy(part, rng) for part in parts]
        slices = np.concatenate(parts).astype(np.float32)
        target = np.concatenate([labels for _, labels in sets]).astype(np.float32)
        return Batch(torch.from_numpy(slices)[:, None], torch.from_numpy(target), task)

    def _set(self, task: str, number: int) -> tuple[Array, Array]:
        key = (task, number)
        if key not in self._made:
            rng = np.random.default_rng((self._recipe.seed, number, 7 if task == "noise" else 8))
            if task == "noise":
                versions, levels, row = numbered_noise_set(self._windows, rng)
                labels = labels_of(levels, iedd_scores(versions), self._recipe, self._mean)
                labels = self._windows.labels(row, labels)
            else:
                versions, labels = (
                    np.stack(motion_pair(self._windows, rng, largest=self._recipe.largest_moves)),
                    np.array([1.0, 0.0]),
                )
            self._made[key] = (standardise(versions).astype(np.float16), labels)
        return self._made[key]


def turned(versions: Array, rng: np.random.Generator) -> Array:
    """All versions of a slice turned by quarters and mirrored alike."""
    turned = np.rot90(versions, int(rng.integers(4)), axes=(1, 2))
    return turned[:, ::-1] if rng.random() < 0.5 else turned


def grainy(pair: Array, rng: np.random.Generator) -> Array:
    """A pair with a little noise of its own, drawn anew each time, so that none is known by heart."""
    size = np.float32(GRAIN * rng.uniform() ** 2)
    return pair.astype(np.float32) + size * rng.standard_normal(pair.shape, dtype=np.float32)


def cut_out(versions: Array, side: int, rng: np.random.Generator) -> Array:
    """The same square of all versions, somewhere about the middle; what was standardised stays so."""
    spare = versions.shape[1] - side
    top, left = (int(rng.integers(spare // 4, spare - spare // 4 + 1)) for _ in range(2))
    return versions[:, top : top + side, left : left + side]


def motion_batch(windows: Windows, count: int, rng: np.random.Generator) -> Batch:
    """Watched slices without and with motion."""
    pairs = [motion_pair(windows, rng, augment=False) for _ in range(count)]
    slices = standardise(np.concatenate([np.stack(pair) for pair in pairs]))
    target = torch.tensor([1.0, 0.0]).repeat(count)
    return Batch(torch.from_numpy(slices)[:, None], target, "motion")
