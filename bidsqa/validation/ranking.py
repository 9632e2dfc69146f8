# SPDX-License-Identifier: Apache-2.0
"""How well rankers agree with synthetic readers on sites not trained on: ``python -m bidsqa.validation.ranking``.

Every ranker is a number an image (a network's score, -MSE, SSIM); Davidson's model with ties, fitted on pairs of the
training's side, turns two numbers into the likeliest answer. The readers know the simulation's parameters alone, so the
best possible accuracy is known: the one of somebody who knows the parameters too, but not the reader's noise and taste.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from bidsqa.models.loading import load_network
from bidsqa.models.networks_ranking import ARCHITECTURES
from bidsqa.models.preference import fit_preference
from bidsqa.rating.synthetic_reader import best_guess
from bidsqa.training.export import SHOWN_DIGITS
from bidsqa.training.ranking import FREE, TASTE, TAU, Readers
from bidsqa.training.ranking_export import ranker_of, raw_scores
from bidsqa.training.ranking_pairs import RankedPairs, SyntheticPairs, majority
from bidsqa.training.ranking_start import SHIPPED
from bidsqa.training.segmentation_data import class_of_label
from bidsqa.training.ssim_pool import Slices, load_parts, map_slices, phantom_slices, real_slices
from bidsqa.validation.statistics import bootstrap
from bidsqa.validation.tables import Table

Array = np.ndarray[Any, Any]
COMMAND = "python -m bidsqa.validation.ranking"
PAIRS, CALIBRATION = 400, 240
READERS = 7
# how far apart utilities are in units of a reader's uncertainty: the same pairs, ever noisier readers
LEVELS = (("careful", 2.0), ("like those of Tang et al.", 1.0), ("noisy", 0.5), ("very noisy", 0.25))
UNSEEN_PHANTOMS = (901, 902)
TITLES = {
    "efficientnet_b0_free": "EfficientNet-B0, no reference",
    "efficientnet_b0": "EfficientNet-B0, with reference",
    "iq_net": "IQ-Net, with reference",
    "mse": "MSE, with reference",
    "ssim": "SSIM, with reference",
}
TRUTH, LARGEST = "best possible", "always the commonest answer"


class ShippedScorer:
    """Weights as they ship, read as the main job reads them, to be called as a network is.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self._network = load_network("ranking", weights=path)
        self.input_names = self._network.inputs

    def __call__(self, images: Tensor) -> Tensor:
        """Raw scores (N, 1)."""
        return torch.from_numpy(self._network.run({self.input_names[0]: images.numpy()})[0])


class Judged(NamedTuple):
    """Pairs and what each ranker says of them.

    Parameters
    ----------
    pairs : RankedPairs
    differences : Mapping of ndarray, shape (N,)
        Quality of the first less that of the second image by ranker, higher is better.
    """

    pairs: RankedPairs
    differences: Mapping[str, Array]


def classical(pairs: RankedPairs) -> dict[str, Array]:
    """Differences of -log MSE and of SSIM to the reference."""
    errors = [
        ((image - pairs.reference).abs().square().mean(dim=(1, 2, 3)) + 1e-12).log().numpy()
        for image in (pairs.first, pairs.second)
    ]
    ssim = pairs.ssim.numpy()
    return {"mse": errors[1] - errors[0], "ssim": ssim[:, 0] - ssim[:, 1]}


def judged(pairs: RankedPairs, networks: Mapping[str, Any]) -> Judged:
    """What networks and classical measures say of pairs."""
    return Judged(pairs, {**learned(pairs, networks), **classical(pairs)})


def learned(pairs: RankedPairs, networks: Mapping[str, Any]) -> dict[str, Array]:
    """Differences of networks' scores."""
    scores = {name: raw_scores(network, pairs) for name, network in networks.items()}
    return {name: second - first for name, (first, second) in scores.items()}


def answers(difference: Array, scale: float, tie: float) -> Array:
    """The likeliest class (0 second better, 1 similar, 2 first better) by Davidson's model."""
    half = difference / scale / 2
    logits = np.stack([-half, np.full_like(half, np.log(max(tie, 1e-12))), half], axis=1)
    chosen: Array = logits.argmax(axis=1)
    return chosen


def votes_of(pairs: RankedPairs, level: float, seed: int) -> Array:
    """Votes (N, 3) of seven readers for whom utilities lie ``level`` times as far apart."""
    apart = pairs.difference.numpy().astype(np.float64) * level
    return Readers(READERS, TAU, TASTE)(apart, np.zeros_like(apart), np.random.default_rng(seed))


def accuracies(known: Judged, unseen: Judged, level: float) -> dict[str, tuple[Array, Array]]:
    """Agreement of each ranker with one reader, and with the majority, by pair (NaN where there is no majority)."""
    calibration, votes = votes_of(known.pairs, level, 1), votes_of(unseen.pairs, level, 2)
    most = majority(votes)
    guesses = {
        name: answers(values, *fit_preference(known.differences[name], calibration))
        for name, values in unseen.differences.items()
    }
    apart = unseen.pairs.difference.numpy().astype(np.float64) * level
    guesses[TRUTH] = best_guess(apart, TAU) + 1
    guesses[LARGEST] = np.full(len(apart), int(calibration.sum(axis=0).argmax()))
    shares = votes / votes.sum(axis=1, keepdims=True)
    rows = np.arange(len(apart))
    return {name: (shares[rows, guess], np.where(most < 0, np.nan, guess == most)) for name, guess in guesses.items()}


def _cell(values: Array, subjects: Sequence[str]) -> str:
    low, high = bootstrap(subjects, lambda rows: float(np.nanmean(values[rows])))
    return f"{100 * np.nanmean(values):.0f} % [{100 * low:.0f}, {100 * high:.0f}]"


def tables(known: Judged, unseen: Judged, note: str) -> dict[str, Table]:
    """Accuracy by ranker for readers like Tang's, and by the noise of the readers."""
    subjects = unseen.pairs.subject
    by_level = {name: accuracies(known, unseen, level) for name, level in LEVELS}
    main = by_level[LEVELS[1][0]]
    title = "Rankers and synthetic readers on sites not trained on: share of pairs with the same answer"
    noisy = [
        [TITLES.get(name, name), *(_cell(by_level[level][name][0], subjects) for level, _ in LEVELS)] for name in main
    ]
    names = [f"{name} ({level:g})" for name, level in LEVELS]
    return {
        "ranking": _table(title, main, subjects, note),
        "ranking_readers": Table(
            "Rankers and ever noisier readers: agreement with one reader (in brackets: how far apart the same pairs "
            "are in units of the reader's uncertainty, against readers like those of Tang et al.)",
            ["ranker", *names],
            noisy,
            note,
            COMMAND,
        ),
    }


def across_table(known: Judged, unseen: Judged, note: str) -> Table:
    """Accuracy by ranker on pairs of two slices."""
    title = "Two heads, nothing to compare with: share of pairs with the same answer"
    told = "The second image is of another slice, mostly of another subject; the first's is the one that is drawn. "
    return _table(title, accuracies(known, unseen, 1.0), unseen.pairs.subject, told + note)


def _table(title: str, found: Mapping[str, tuple[Array, Array]], subjects: Sequence[str], note: str) -> Table:
    rows = [[TITLES.get(name, name), *(_cell(part, subjects) for part in found[name])] for name in found]
    columns = ["ranker", "agrees with one reader", f"agrees with the majority of {READERS}"]
    return Table(title, columns, rows, note, COMMAND)


def note_of(pairs: RankedPairs) -> str:
    """What a table was made from."""
    ties = votes_of(pairs, 1.0, 2)
    digests = [hashlib.sha256(path.read_bytes()).hexdigest()[:SHOWN_DIGITS] for path in SHIPPED.values()]
    return (
        f"{len(pairs)} pairs of {len(set(pairs.subject))} subjects: the sites amsterdam, boston, fnndsc, martinos, "
        f"utah, label maps and phantoms not trained on; intervals by bootstrap over subjects. Synthetic readers "
        f"(similar within {TAU}, taste {TASTE}); no person ranked anything. Utilities differ by "
        f"{float(pairs.difference.std()):.2f} (SD); {100 * ties[:, 1].sum() / ties.sum():.0f} % of the answers are "
        f"'similar'. Weights {', '.join(digests)}."
    )


def unseen_slices(data: Path) -> list[Slices]:
    """Clean slices of the sites, label maps and phantoms that nothing was trained on."""
    return [*real_slices(data, ("test",), 12), *map_slices(data, ("test",), 12), *phantom_slices(UNSEEN_PHANTOMS)]


def networks_to_judge(checkpoints: Path) -> dict[str, Any]:
    """Scoring networks: those that ship, and of the others those that have been trained."""
    found: dict[str, Any] = {}
    for name in ARCHITECTURES:
        checkpoint = checkpoints / f"ranking_{name}" / "checkpoint.safetensors"
        if name in SHIPPED:
            found[name] = ShippedScorer(SHIPPED[name])
        elif checkpoint.is_file():
            found[name] = ranker_of(checkpoint, name).scorer
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Judge the networks of checkpoints and print the tables."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="Rankers against synthetic readers.")
    parser.add_argument("--checkpoints", type=Path, default=Path("checkpoints"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with scans/ and labels/")
    parser.add_argument("--tables", type=Path, default=Path("docs/validation_tables"))
    parser.add_argument("--pairs", type=int, default=PAIRS)
    chosen = parser.parse_args(arguments)
    networks = networks_to_judge(chosen.checkpoints)
    classes, reader = class_of_label(chosen.data / "labels" / "labels.json"), Readers()
    sides = (load_parts(chosen.checkpoints / "ranking_pool.npz"), unseen_slices(chosen.data))
    counts = (CALIBRATION, chosen.pairs)
    known, unseen = (
        judged(SyntheticPairs(slices, classes, reader, augment=False).draw(5 + place, counts[place]), networks)
        for place, slices in enumerate(sides)
    )
    made = tables(known, unseen, note_of(unseen.pairs))
    if FREE in networks:
        two = [
            SyntheticPairs(slices, classes, reader, augment=False, across=1.0).draw(7 + place, counts[place])
            for place, slices in enumerate(sides)
        ]
        lone = [Judged(pairs, learned(pairs, {FREE: networks[FREE]})) for pairs in two]
        made["ranking_across"] = across_table(lone[0], lone[1], note_of(two[1]))
    for name, table in made.items():
        table.write(chosen.tables / f"{name}.json")
        print(table.text())


if __name__ == "__main__":
    main()
