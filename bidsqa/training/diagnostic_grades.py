# SPDX-License-Identifier: Apache-2.0
"""Slices with simulated artifacts and grades of synthetic readers: what diagnostic networks are compared on.

Nobody graded anything: the classes come from the utility of what was simulated
(:mod:`bidsqa.rating.synthetic_reader`), read by several readers of differing strictness.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bidsqa.bids.writing import atomic_path
from bidsqa.image import rough_head, take_slice
from bidsqa.models.aggregation import choose_slices
from bidsqa.models.diagnostic_inputs import prepare
from bidsqa.rating.synthetic_reader import SyntheticReader, utility
from bidsqa.simulation import degrade
from bidsqa.training.pool import Clean, drawn_scans, real_scans
from bidsqa.training.rated_diagnostic import Graded

Array = np.ndarray[Any, Any]
Recipe = list[dict[str, Any]]
# kinds in the order in which a scan gets them, and the chance of each; the first is the one of Ma et al.
KINDS = {"motion": 0.65, "blur": 0.25, "ghosting": 0.25, "noise": 0.25}
UNTOUCHED, LEAST = 0.15, 0.02
# utilities below which a slice is non-diagnostic, and above which it is excellent, and what each reader adds to them
CUTS, STRICTNESS = (-4.0, -1.0), (-0.5, 0.0, 0.5)
FRACTION, PER_PLANE = 0.6, 12
CONTRASTS = ("T1w", "T2w", "FLAIR", "PDw")
# seeds of phantoms, and scans drawn from label maps, by side of the split
PHANTOMS = {"train": (101, 102, 103, 104), "watch": (151, 152, 153, 154), "test": (901, 902)}
DRAWN = {"train": 13, "watch": 0, "test": 6}
# share of pixels at exactly 0 from which a scanner is taken to blank the air
BLANKED = 0.01


@dataclass(frozen=True)
class Picture:
    """A clean slice as it is cut from a scan.

    Parameters
    ----------
    subject : str
    plane : ndarray of float32, shape (H, W)
        As :func:`bidsqa.image.take_slice` lays it out.
    pixel : tuple of float
        Height and width of a pixel, mm.
    """

    subject: str
    plane: Array
    pixel: tuple[float, float]


@dataclass(frozen=True)
class Simulated:
    """Graded slices and what is known of them.

    Parameters
    ----------
    graded : Graded
        Votes of all readers, three classes.
    utility : ndarray, shape (N,)
        Of what was simulated, 0 (nothing) and less.
    """

    graded: Graded
    utility: Array

    def some(self, rows: Sequence[int]) -> Simulated:
        """These rows."""
        return Simulated(self.graded.some(rows), self.utility[np.asarray(rows, dtype=int)])


def pictures(scans: Iterable[Clean]) -> list[Picture]:
    """Slices of clean scans in each plane worth judging, as the scorer chooses them, at most twelve a plane."""
    found = []
    for scan in scans:
        volume = scan.volume
        for axis, indices in choose_slices(volume, rough_head(volume), FRACTION, PER_PLANE):
            height, width = [edge for place, edge in enumerate(volume.spacing) if place != axis][::-1]
            found += [
                Picture(scan.subject, take_slice(volume.data, axis, int(index)).astype(np.float32), (height, width))
                for index in indices
            ]
    return found


def clean_scans(data: Path, side: str) -> Iterable[Clean]:
    """Real scans, scans drawn from label maps and phantoms of one side of the split (:mod:`bidsqa.training.pool`).

    The side ``"watch"`` has no label maps: its subjects are for calibration, which needs few.
    """
    drawn = drawn_scans(data, DRAWN[side], 1, (side,)) if DRAWN[side] else ()
    return chain(real_scans(data, (side,)), drawn, _phantoms(PHANTOMS[side], side))


def _phantoms(seeds: Sequence[int], side: str) -> Iterable[Clean]:
    from bidsqa.simulation.phantom import make_phantom

    for place, seed in enumerate(seeds):
        contrast, name = CONTRASTS[place % len(CONTRASTS)], f"phantom{seed}"
        yield Clean(name, name, "phantom", contrast, side, make_phantom(seed=seed).image(contrast, seed=seed))


def draw_recipe(chance: np.random.Generator) -> Recipe:
    """Artifacts with their strengths (0-1): none, or one and more, motion most often.

    Returns
    -------
    list of dict
        ``name`` and ``strength`` of each, as :func:`bidsqa.rating.synthetic_reader.utility` reads them.
    """
    if chance.random() < UNTOUCHED:
        return []
    on = chance.random(len(KINDS)) < np.array(list(KINDS.values()))
    if not on.any():
        on[0] = True
    return [
        {"name": name, "strength": float(chance.uniform(LEAST, 1))}
        for name, wanted in zip(KINDS, on, strict=True)
        if wanted
    ]


def spoiled(picture: Picture, recipe: Recipe, seed: int) -> Array:
    """The slice with all artifacts of a recipe, float32, shape (H, W).

    Air that the scanner blanked stays at 0, as in :func:`bidsqa.simulation.degrade_volume`: else a network could tell
    spoiled slices by their air alone, which it will not find in real ones.
    """
    plane, blank = picture.plane, picture.plane == 0
    for place, artifact in enumerate(recipe):
        name, strength = str(artifact["name"]), float(artifact["strength"])
        plane = degrade(plane, name, strength, seed + place, picture.pixel, monotone=False).image
    return np.where(blank, np.float32(0), plane) if blank.mean() > BLANKED else plane


class Panel:
    """Synthetic readers who grade slices of known utility.

    Parameters
    ----------
    seed : int
    cuts : tuple of float
        Utilities between the classes, rising.
    strictness : tuple of float
        What each reader adds to a utility, negative for a strict one; as many readers as numbers.
    """

    def __init__(self, seed: int, cuts: tuple[float, ...] = CUTS, strictness: tuple[float, ...] = STRICTNESS) -> None:
        self._cuts, self._strictness = cuts, strictness
        self._readers = [
            SyntheticReader(seed=seed + 1000 * place, cuts=cuts, offset=offset)
            for place, offset in enumerate(strictness)
        ]

    def votes(self, utilities: Array) -> Array:
        """Readers by class, worst first, shape (N, cuts + 1); every reader grades every slice once."""
        votes = np.zeros((len(utilities), len(self._cuts) + 1))
        for reader in self._readers:
            classes = [reader.likert(float(value)) - 1 for value in utilities]
            votes[np.arange(len(classes)), classes] += 1
        return votes

    def chances(self, utilities: Array) -> Array:
        """Chance that one of the readers, drawn by lot, gives each class, shape (N, cuts + 1).

        What somebody can say at best who knows the utility, but not the readers' noise (normal, SD 1).
        """
        from scipy.special import ndtr

        below = np.stack(
            [np.mean([ndtr(cut - utilities - offset) for offset in self._strictness], axis=0) for cut in self._cuts],
            axis=1,
        )
        edges = np.concatenate([np.zeros((len(below), 1)), below, np.ones((len(below), 1))], axis=1)
        chances: Array = np.diff(edges, axis=1)
        return chances


def simulate(clean: Sequence[Picture], count: int, seed: int, panel: Panel) -> Simulated:
    """Graded slices; every subject gives about as many.

    Parameters
    ----------
    clean : sequence of Picture
    count : int
    seed : int
        Of slices and artifacts.
    panel : Panel
    """
    chance = np.random.default_rng(seed)
    by_subject: dict[str, list[Picture]] = {}
    for picture in clean:
        by_subject.setdefault(picture.subject, []).append(picture)
    subjects = sorted(by_subject)
    images, values, names = [], [], []
    for number in range(count):
        own = by_subject[subjects[number % len(subjects)]]
        picture, recipe = own[int(chance.integers(len(own)))], draw_recipe(chance)
        plane = spoiled(picture, recipe, int(chance.integers(2**31)))
        images.append(prepare([np.abs(plane)])[0].astype(np.float16))
        values.append(utility(recipe))
        names.append(picture.subject)
    votes = panel.votes(np.array(values))
    graded = Graded(torch.from_numpy(np.stack(images)), torch.from_numpy(votes).float(), tuple(names))
    return Simulated(graded, np.array(values))


def fewer_classes(graded: Graded) -> Graded:
    """The same slices with two classes: non-diagnostic, and all that is better."""
    worst = graded.votes[:, :1]
    return Graded(graded.image, torch.cat([worst, graded.votes[:, 1:].sum(dim=1, keepdim=True)], dim=1), graded.subject)


def kept(path: Path, make: Callable[[], Simulated]) -> Simulated:
    """What lies in the npz file ``path``, made and written there where nothing does."""
    if path.is_file():
        with np.load(path, allow_pickle=False) as content:
            graded = Graded(
                torch.from_numpy(content["image"]),
                torch.from_numpy(content["votes"]),
                tuple(content["subject"].tolist()),
            )
            return Simulated(graded, content["utility"])
    made = make()
    with atomic_path(path) as unfinished:
        np.savez(
            unfinished,
            image=made.graded.image.numpy(),
            votes=made.graded.votes.numpy(),
            subject=np.array(made.graded.subject),
            utility=made.utility,
        )
    return made
