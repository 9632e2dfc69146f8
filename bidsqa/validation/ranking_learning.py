# SPDX-License-Identifier: Apache-2.0
"""How many answers a site needs: ``python -m bidsqa.validation.ranking_learning``.

A reader who minds other things than those whose opinion the shipped network learned (motion most, noise little)
answers some pairs of slices, once each. A network learns from these answers, from random weights or from the shipped
ones, as ``bidsqa-train ranking`` does, and is judged by the same reader's answers on sites not trained on.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bidsqa.models.preference import fit_preference
from bidsqa.rating.synthetic_reader import best_guess
from bidsqa.training.curve import Curve
from bidsqa.training.export import SHOWN_DIGITS
from bidsqa.training.loop import fit
from bidsqa.training.machine import choose_machine
from bidsqa.training.plan import Plan
from bidsqa.training.ranking import LEARNING, RATES, TAU, WARM_RATE, Readers
from bidsqa.training.ranking_corruption import Costs
from bidsqa.training.ranking_export import oriented, raw_scores
from bidsqa.training.ranking_pairs import RankedPairs, SyntheticPairs
from bidsqa.training.ranking_start import SHIPPED
from bidsqa.training.rated_ranking import RatedRanking
from bidsqa.training.segmentation_data import class_of_label
from bidsqa.training.ssim_pool import load_parts
from bidsqa.validation.ranking import LARGEST, TITLES, TRUTH, ShippedScorer, answers, classical, unseen_slices
from bidsqa.validation.statistics import bootstrap
from bidsqa.validation.tables import Table

Array = np.ndarray[Any, Any]
COMMAND = "python -m bidsqa.validation.ranking_learning"
ANSWERS = (50, 200, 800)
STEPS, BATCH, SEED = 60, 16, 3
PAIRS, CALIBRATION, JUDGES = 200, 240, 7
SITE = Costs(noise=1.5, blur=4.0, jump=8.0, dropped=1.5)


def learned(pairs: RankedPairs, start: Path | None, architecture: str, steps: int, folder: Path) -> torch.nn.Module:
    """A scoring network after so many steps on these pairs."""
    rate = RATES[architecture] * (1.0 if start is None else WARM_RATE)
    task = RatedRanking().task(architecture, pairs, pairs.some(range(2)), BATCH, SEED, start)
    plan = Plan(seed=SEED, rate=rate, seconds=None, steps=steps, look_seconds=None, look_steps=steps, **LEARNING)
    folder.mkdir(parents=True, exist_ok=True)
    outcome = fit(task, plan, folder / "checkpoint.safetensors", Curve(folder / "curve.csv"), choose_machine("cpu"))
    network: Any = outcome.network
    scorer: torch.nn.Module = oriented(network.eval()).scorer
    return scorer


def cells(differences: Mapping[str, Array], known: RankedPairs, unseen: RankedPairs) -> dict[str, str]:
    """Agreement with the readers on sites not trained on, by ranker; scale and ties from the training's side."""
    found = {}
    for name, values in differences.items():
        scale, tie = fit_preference(values[: len(known)], known.votes.numpy().astype(np.float64))
        found[name] = _cell(answers(values[len(known) :], scale, tie), unseen)
    best = best_guess(unseen.difference.numpy().astype(np.float64), TAU) + 1
    common = np.full(len(unseen), int(known.votes.numpy().sum(axis=0).argmax()))
    return {**found, TRUTH: _cell(best, unseen), LARGEST: _cell(common, unseen)}


def _cell(guess: Array, pairs: RankedPairs) -> str:
    votes = pairs.votes.numpy().astype(np.float64)
    shares = (votes / votes.sum(axis=1, keepdims=True))[np.arange(len(guess)), guess]
    low, high = bootstrap(pairs.subject, lambda rows: float(shares[rows].mean()))
    return f"{100 * shares.mean():.0f} % [{100 * low:.0f}, {100 * high:.0f}]"


def trained(answered: RankedPairs, architecture: str, counts: Sequence[int], steps: int, out: Path) -> dict[str, Any]:
    """The shipped scorer, and for each number of answers one from random weights and one from the shipped ones."""
    start = SHIPPED[architecture]
    networks: dict[str, Any] = {"the shipped network, no answers": ShippedScorer(start)}
    for count in counts:
        for name, first in (("random", None), ("the shipped", start)):
            folder = out / f"{architecture}_{count}_{name.split()[-1]}"
            networks[f"{count} answers, from {name} weights"] = learned(
                answered.some(range(count)), first, architecture, steps, folder
            )
            print(f"{count} answers, from {name} weights: trained", flush=True)
    return networks


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, judge, print."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="Ranking networks from few and many answers.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with scans/ and labels/")
    parser.add_argument("--checkpoints", type=Path, default=Path("checkpoints"), help="folder with ranking_pool.npz")
    parser.add_argument("--tables", type=Path, default=Path("docs/validation_tables"))
    parser.add_argument("--architecture", choices=sorted(SHIPPED), default="iq_net")
    parser.add_argument("--answers", type=int, nargs="+", default=ANSWERS)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    classes = class_of_label(chosen.data / "labels" / "labels.json")
    pool = load_parts(chosen.checkpoints / "ranking_pool.npz")
    # many readers judge, so that the noise of one isn't in the comparison
    judges = Readers(JUDGES)
    answered = SyntheticPairs(pool, classes, Readers(1), costs=SITE).draw(SEED, max(chosen.answers))
    known = SyntheticPairs(pool, classes, judges, False, SITE).draw(SEED + 1, CALIBRATION)
    unseen = SyntheticPairs(unseen_slices(chosen.data), classes, judges, False, SITE).draw(SEED + 2, chosen.pairs)
    both = (known, unseen)
    digest = hashlib.sha256(SHIPPED[chosen.architecture].read_bytes()).hexdigest()[:SHOWN_DIGITS]
    # another length or other shipped weights are other trainings, which must not go on from these
    folder = chosen.checkpoints / "ranking_learning" / f"{chosen.steps}_{digest}"
    networks = trained(answered, chosen.architecture, chosen.answers, chosen.steps, folder)
    differences = {name: np.concatenate([classical(part)[name] for part in both]) for name in ("mse", "ssim")}
    for name, network in networks.items():
        scores = [raw_scores(network, part) for part in both]
        differences[name] = np.concatenate([second - first for first, second in scores])
    rows = [[TITLES.get(name, name), cell] for name, cell in cells(differences, known, unseen).items()]
    note = (
        f"{len(unseen)} pairs of {len(set(unseen.subject))} subjects of sites, maps and phantoms not trained on, by "
        f"{JUDGES} synthetic readers who mind motion most and noise little, unlike those that the shipped network "
        f"learned from; the answers learned from are one reader's, each pair answered once. {chosen.steps} steps of "
        f"{BATCH} pairs each. Intervals by bootstrap over subjects. Weights {digest}."
    )
    title = f"Answers that a site needs ({chosen.architecture}): agreement with one of its readers"
    command = f"{COMMAND} --architecture {chosen.architecture}"
    table = Table(title, ["ranker", "agrees with a reader"], rows, note, command)
    table.write(chosen.tables / f"ranking_learning_{chosen.architecture}.json")
    print(table.text())


if __name__ == "__main__":
    main()
