# SPDX-License-Identifier: Apache-2.0
"""How well rankers agree with synthetic readers on sites not trained on: ``python -m bidsqa.validation.ranking``.

Every ranker is a number an image (a network's score, -MSE, SSIM); Davidson's model with ties, fitted on pairs of the
training's side, turns two numbers into the likeliest answer. The readers know the simulation's parameters alone, so the
best possible accuracy is known: the one of somebody who knows the parameters too, but not the reader's noise and taste.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bidsqa.models.networks_ranking import ARCHITECTURES
from bidsqa.models.preference import fit_preference
from bidsqa.rating.synthetic_reader import best_guess
from bidsqa.training.ranking import TASTE, TAU, Readers
from bidsqa.training.ranking_export import ranker_of, raw_scores, shipped_note
from bidsqa.training.ranking_pairs import RankedPairs, SyntheticPairs, majority
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
    found = {}
    for name, network in networks.items():
        first, second = raw_scores(network, pairs)
        found[name] = second - first
    return Judged(pairs, {**found, **classical(pairs)})


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
    rows = [[TITLES.get(name, name), *(_cell(part, subjects) for part in main[name])] for name in main]
    columns = ["ranker", "agrees with one reader", f"agrees with the majority of {READERS}"]
    title = "Rankers and synthetic readers on sites not trained on: share of pairs with the same answer"
    noisy = [
        [TITLES.get(name, name), *(_cell(by_level[level][name][0], subjects) for level, _ in LEVELS)] for name in main
    ]
    names = [f"{name} ({level:g})" for name, level in LEVELS]
    return {
        "ranking": Table(title, columns, rows, note, COMMAND),
        "ranking_readers": Table(
            "Rankers and ever noisier readers: agreement with one reader (in brackets: how far apart the same pairs "
            "are in units of the reader's uncertainty, against readers like those of Tang et al.)",
            ["ranker", *names],
            noisy,
            note,
            COMMAND,
        ),
    }


def unseen_slices(data: Path) -> list[Slices]:
    """Clean slices of the sites, label maps and phantoms that nothing was trained on."""
    return [*real_slices(data, ("test",), 12), *map_slices(data, ("test",), 12), *phantom_slices(UNSEEN_PHANTOMS)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Judge the networks of checkpoints and print the tables."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="Rankers against synthetic readers.")
    parser.add_argument("--checkpoints", type=Path, default=Path("checkpoints"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with scans/ and labels/")
    parser.add_argument("--tables", type=Path, default=Path("docs/validation_tables"))
    parser.add_argument("--pairs", type=int, default=PAIRS)
    chosen = parser.parse_args(arguments)
    folders = {name: chosen.checkpoints / f"ranking_{name}" for name in ARCHITECTURES}
    networks = {
        name: ranker_of(folder / "checkpoint.safetensors", name).scorer
        for name, folder in folders.items()
        if (folder / "checkpoint.safetensors").is_file()
    }
    classes, reader = class_of_label(chosen.data / "labels" / "labels.json"), Readers()
    seen = load_parts(chosen.checkpoints / "ranking_pool.npz")
    known = judged(SyntheticPairs(seen, classes, reader, augment=False).draw(5, CALIBRATION), networks)
    unseen = judged(
        SyntheticPairs(unseen_slices(chosen.data), classes, reader, augment=False).draw(6, chosen.pairs), networks
    )
    ties = votes_of(unseen.pairs, 1.0, 2)
    note = (
        f"{len(unseen.pairs)} pairs of {len(set(unseen.pairs.subject))} subjects: the sites amsterdam, boston, fnndsc, "
        f"martinos, utah, label maps and phantoms not trained on; intervals by bootstrap over subjects. Synthetic "
        f"readers (similar within {TAU}, taste {TASTE}); no person ranked anything. Utilities differ by "
        f"{float(unseen.pairs.difference.std()):.2f} (SD); {100 * ties[:, 1].sum() / ties.sum():.0f} % of the answers "
        f"are 'similar'.{shipped_note(folders.values())}"
    )
    for name, table in tables(known, unseen, note).items():
        table.write(chosen.tables / f"{name}.json")
        print(table.text())


if __name__ == "__main__":
    main()
