# SPDX-License-Identifier: Apache-2.0
"""Pairs of spoiled slices and which of the two somebody called better: what the ranking networks learn from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from bidsqa.models.networks_ranking import FIRST_BETTER, SECOND_BETTER, SIMILAR
from bidsqa.models.quality_loss import parts
from bidsqa.models.ssim_inputs import CEILING
from bidsqa.simulation.visible_damage import damage_batch
from bidsqa.training.ranking_corruption import COSTS, Corruption, Costs, corrupt, draw_corruption, smooth_phase
from bidsqa.training.ssim import part_chances
from bidsqa.training.ssim_pairs import draw_clean
from bidsqa.training.ssim_pool import Slices

Array = np.ndarray[Any, Any]
CLASSES = 3
# images of a pair are alike to this in SSIM, else everybody sees which is better
CLOSE = 0.09
TRIES = 12
Reader = Callable[[Array, Array, np.random.Generator], Array]
"""Votes (N, 3) of somebody or several on pairs with these utilities, shape (N,) each."""


@dataclass(frozen=True)
class RankedPairs:
    """Pairs with votes.

    Parameters
    ----------
    first, second, reference : Tensor of complex64, shape (N, 1, H, W)
        The head's 99th percentile of the reference is near 1.
    votes : Tensor of float32, shape (N, 3)
        How many said "second better", "similar", "first better".
    subject : tuple of str
        Of each pair, for splits.
    difference : Tensor of float32, shape (N,)
        Utility of the first less that of the second, where it is known, else NaN.
    ssim : Tensor of float32, shape (N, 2)
        SSIM of both images to the reference in the head.
    """

    first: Tensor
    second: Tensor
    reference: Tensor
    votes: Tensor
    subject: tuple[str, ...]
    difference: Tensor
    ssim: Tensor

    def __len__(self) -> int:
        return len(self.subject)

    def some(self, rows: Sequence[int]) -> RankedPairs:
        """These rows."""
        index = torch.as_tensor(list(rows), dtype=torch.long)
        subject = tuple(self.subject[row] for row in index.tolist())
        tensors = {
            name: getattr(self, name)[index] for name in ("first", "second", "reference", "votes", "difference", "ssim")
        }
        return RankedPairs(subject=subject, **tensors)


@dataclass(frozen=True)
class Inputs:
    """A batch as networks take it.

    Parameters
    ----------
    first, second : Tensor of float32, shape (N, 2 or 1, H, W)
        Differences to the reference, or slices.
    votes : Tensor of float32, shape (N, 3)
    """

    first: Tensor
    second: Tensor
    votes: Tensor


class Source(Protocol):
    """Where pairs come from."""

    def draw(self, seed: int, count: int) -> RankedPairs:
        """Pairs, the same for the same seed."""


def inputs_of(pairs: RankedPairs, reference: bool) -> Inputs:
    """Differences to the reference on the scale of its maximum, or magnitudes as the shipped scores see slices."""
    images = (pairs.first, pairs.second)
    if reference:
        top = pairs.reference.abs().amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-20)
        first, second = (parts((image - pairs.reference) / top) for image in images)
    else:
        first, second = (image.abs().clamp(max=CEILING) for image in images)
    return Inputs(first, second, pairs.votes)


def cut_out(inputs: Inputs, side: int, chance: np.random.Generator) -> Inputs:
    """The same square of both images of each pair, about the middle, where the head is.

    Parameters
    ----------
    inputs : Inputs
    side : int
        Pixels; images that aren't larger stay as they are.
    chance : numpy.random.Generator
    """
    spare = [max(size - side, 0) for size in inputs.first.shape[-2:]]
    if not any(spare):
        return inputs
    places = [[int(chance.integers(room // 4, room - room // 4 + 1)) for room in spare] for _ in inputs.first]
    first, second = (
        torch.stack(
            [image[:, top : top + side, left : left + side] for image, (top, left) in zip(part, places, strict=True)]
        )
        for part in (inputs.first, inputs.second)
    )
    return Inputs(first, second, inputs.votes)


def spoiled_pair(
    image: Array, head: Array, air: Array, chance: np.random.Generator
) -> tuple[tuple[Array, Corruption, float], tuple[Array, Corruption, float]]:
    """Two spoiled versions of a complex slice that are alike in SSIM, as nearly as twelve tries bring it.

    Parameters
    ----------
    image : ndarray of complex, shape (H, W)
    head, air : ndarray of bool, shape (H, W)
        Air that the scanner zeroed stays zero in both.
    chance : numpy.random.Generator

    Returns
    -------
    two of (image, corruption, SSIM in the head)
    """
    first = _spoiled(image, head, air, draw_corruption(chance))
    best = None
    for _ in range(TRIES):
        other = _spoiled(image, head, air, draw_corruption(chance))
        if best is None or abs(other[2] - first[2]) < abs(best[2] - first[2]):
            best = other
        if abs(best[2] - first[2]) < CLOSE:
            break
    assert best is not None
    return first, best


def _spoiled(image: Array, head: Array, air: Array, corruption: Corruption) -> tuple[Array, Corruption, float]:
    spoiled = corrupt(image, corruption)
    spoiled[air] = 0
    clean, degraded, mask = (torch.from_numpy(array)[None, None] for array in (np.abs(image), np.abs(spoiled), head))
    similarity = damage_batch(clean.float(), degraded.float(), mask)["ssim_head"]
    return spoiled, corruption, float(similarity[0])


class SyntheticPairs:
    """Pairs without end, ranked by a synthetic reader.

    Parameters
    ----------
    slices : sequence of Slices
        Clean windows (:mod:`bidsqa.training.ssim_pool`).
    classes : ndarray
        Class of each label value, for parts that are label windows.
    reader : callable
    augment : bool
        Change contrast and orientation of the clean slices.
    costs : Costs
        What the reader minds.
    across : float
        Share of the pairs whose second image is of another slice, mostly of another head: what compares scans of a
        study. Their ``reference`` is the first image's, so that only rankers without one can learn from them.
    """

    def __init__(
        self,
        slices: Sequence[Slices],
        classes: Array,
        reader: Reader,
        augment: bool = True,
        costs: Costs = COSTS,
        across: float = 0.0,
    ) -> None:
        self._slices, self._classes, self._reader, self._augment = slices, classes, reader, augment
        self._costs, self._across = costs, across
        self._chances = part_chances(slices)

    def draw(self, seed: int, count: int) -> RankedPairs:
        """Pairs of ``count`` clean slices."""
        chance = np.random.default_rng((seed, 1))
        clean, heads, airs = draw_clean(self._slices, self._chances, self._classes, count, seed, self._augment)
        # draw_clean chooses the parts with its first numbers
        chosen = np.random.default_rng(seed).choice(len(self._slices), size=count, p=self._chances)
        images, references, found = [], [], []
        for plane, head, air in zip(clean[:, 0].numpy(), heads[:, 0].numpy(), airs[:, 0].numpy(), strict=True):
            whole = (plane * np.exp(1j * smooth_phase(plane.shape, chance))).astype(np.complex64)
            pair = spoiled_pair(whole, head, air, chance)
            references.append(whole)
            images.append([part[0] for part in pair])
            found.append([(part[1].worth(self._costs), part[2]) for part in pair])
        values: Array = np.array(found)
        spoiled: Array = np.array(images)
        if self._across:
            rows = np.flatnonzero(chance.random(count) < self._across)
            values[rows, 1], spoiled[rows, 1] = values[np.roll(rows, 1), 1], spoiled[np.roll(rows, 1), 1]
        utilities = values[..., 0]
        votes = self._reader(utilities[:, 0], utilities[:, 1], chance)
        stacked = torch.from_numpy(spoiled)
        return RankedPairs(
            first=stacked[:, :1],
            second=stacked[:, 1:],
            reference=torch.from_numpy(np.array(references))[:, None],
            votes=torch.from_numpy(votes.astype(np.float32)),
            subject=tuple(self._slices[int(place)].subject for place in chosen),
            difference=torch.from_numpy(utilities[:, 0] - utilities[:, 1]).float(),
            ssim=torch.from_numpy(values[..., 1]).float(),
        )


def turned(pairs: RankedPairs, chance: np.random.Generator) -> RankedPairs:
    """Quarter turns, flips, translations and a phase, alike for both images and the reference; sides swapped."""
    stack = torch.stack([pairs.first, pairs.second, pairs.reference])
    rows = []
    swap = chance.random(len(pairs)) < 0.5
    for number in range(len(pairs)):
        part = torch.rot90(stack[:, number], int(chance.integers(4)), (-2, -1))
        part = part.flip(-1) if chance.random() < 0.5 else part
        shift = tuple(int(value) for value in chance.integers(-12, 13, 2))
        phase = complex(np.exp(1j * chance.uniform(-np.pi, np.pi)))
        part = part.roll(shift, (-2, -1)) * phase
        rows.append(part[[1, 0, 2]] if swap[number] else part)
    first, second, reference = torch.stack(rows, dim=1).to(torch.complex64)
    flipped = torch.from_numpy(swap)
    votes = torch.where(flipped[:, None], pairs.votes.flip(1), pairs.votes)
    sign = torch.where(flipped, -1.0, 1.0)
    ssim = torch.where(flipped[:, None], pairs.ssim.flip(1), pairs.ssim)
    return RankedPairs(first, second, reference, votes, pairs.subject, pairs.difference * sign, ssim)


class RatedPairs:
    """A fixed set of pairs that people ranked; each draw turns them another way.

    Parameters
    ----------
    pairs : RankedPairs
    """

    def __init__(self, pairs: RankedPairs) -> None:
        self._pairs = pairs

    def draw(self, seed: int, count: int) -> RankedPairs:
        """``count`` of the pairs, with equal chances."""
        chance = np.random.default_rng(seed)
        return turned(self._pairs.some(chance.integers(len(self._pairs), size=count).tolist()), chance)


def majority(votes: Array) -> Array:
    """The class with most votes of each pair, shape (N,); -1 where two or more lead."""
    top = votes.max(axis=1, keepdims=True)
    alone = (votes == top).sum(axis=1) == 1
    chosen: Array = np.where(alone, votes.argmax(axis=1), -1)
    return chosen


__all__ = [
    "FIRST_BETTER",
    "SECOND_BETTER",
    "SIMILAR",
    "Inputs",
    "RankedPairs",
    "RatedPairs",
    "Reader",
    "Source",
    "SyntheticPairs",
    "cut_out",
    "inputs_of",
    "majority",
    "spoiled_pair",
    "turned",
]
