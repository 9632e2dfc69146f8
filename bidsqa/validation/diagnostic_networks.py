# SPDX-License-Identifier: Apache-2.0
"""Diagnostic networks on simulated grades: ``python -m bidsqa.validation.diagnostic_networks --data ../shared/data``.

Ma's ConvNet for three and for two classes and the ResNet-10 learn, as ``bidsqa-train diagnostic`` lets them, for the
same processor time from slices of the training's side that synthetic readers graded; the temperature comes from
subjects that were held out, and the test is on sites, label maps and phantoms never trained on. Started again, it goes
on with what is in the folder of checkpoints.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bidsqa.bids.writing import atomic_path, write_atomic
from bidsqa.models.ranking import LABELS_KEY
from bidsqa.training.curve import Curve
from bidsqa.training.diagnostic_grades import (
    CUTS,
    Panel,
    Simulated,
    clean_scans,
    fewer_classes,
    kept,
    pictures,
    simulate,
)
from bidsqa.training.export import half_rounded
from bidsqa.training.loop import fit, print_row
from bidsqa.training.machine import PRECISIONS, Machine, choose_machine
from bidsqa.training.plan import Plan
from bidsqa.training.pool import learned_from
from bidsqa.training.rated_diagnostic import DiagnosticTask, Graded, RatedDiagnostic
from bidsqa.validation.diagnostic_tables import (
    COMMAND,
    TITLES,
    Judged,
    Trained,
    classes_table,
    confusion,
    groups_table,
    learning_table,
    roc_of,
)
from bidsqa.validation.plots import roc_curves
from bidsqa.validation.tables import Table
from bidsqa.validation.temperature import fit_temperature

Array = np.ndarray[Any, Any]
# slices and seed of each side of the split
SIDES = {"train": (1000, 11), "watch": (160, 12), "test": (320, 13)}
RATED = (50, 200, 800)
LOOKS, LOOKED_AT, TIMED = 3, 48, 3
MAIN, SEED = "convnet_3", 1
FOLDER = "diagnostic"


@dataclass(frozen=True)
class Study:
    """What every training of the study shares.

    Parameters
    ----------
    sides : dict of Simulated
        ``train``, ``watch``, ``test``.
    out : Path
        Folder of checkpoints.
    machine : Machine
    about : dict of str
        For the weights files.
    """

    sides: dict[str, Simulated]
    out: Path
    machine: Machine
    about: dict[str, str]

    def examples(self, side: str, classes: int) -> Graded:
        """Graded slices of a side with two or three classes."""
        own = self.sides[side].graded
        return own if classes == own.votes.shape[1] else fewer_classes(own)


def affordable_steps(task: DiagnosticTask, machine: Machine, seconds: float) -> int:
    """How many steps take so much processor time, from three steps of a network that is thrown away."""
    import torch

    network = task.network().train()
    optimiser = torch.optim.AdamW(network.parameters())
    spent = []
    for step in range(TIMED + 1):
        began = time.process_time()
        batch = task.batch(step, 0.0)
        with machine.autocast():
            loss, _ = task.loss(network, batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        spent.append(time.process_time() - began)
    # the first one also prepares
    return max(1, round(seconds / float(np.mean(spent[1:]))))


def planned_steps(folder: Path, task: DiagnosticTask, machine: Machine, seconds: float) -> int:
    """The steps of a training, as they were counted when it began."""
    path = folder / "steps.txt"
    if not path.is_file():
        write_atomic(path, f"{affordable_steps(task, machine, seconds)}\n")
    return int(path.read_text(encoding="utf-8"))


def train(study: Study, architecture: str, name: str, train_on: Graded, seconds: float) -> Trained:
    """Train one network, calibrate it on the watched subjects, write its weights, ask it about the test.

    Parameters
    ----------
    study : Study
    architecture : str
        ``convnet_3`` and the like.
    name : str
        Of this training, for its folder: another length is another training.
    train_on : Graded
    seconds : float
        Processor time.
    """
    model, folder = RatedDiagnostic(), study.out / f"{name}-{seconds:g}s"
    family, classes = architecture.rsplit("_", 1)
    held, test = (study.examples(side, int(classes)) for side in ("watch", "test"))
    path = folder / "logits.npz"
    if not path.is_file():
        task = model.task(family, train_on, held.some(range(min(LOOKED_AT, len(held)))), model.batch, SEED, None)
        steps = planned_steps(folder, task, study.machine, seconds)
        plan = Plan(SEED, model.rates[family], steps=steps, look_steps=max(1, steps // LOOKS), **model.learning)
        print(f"{name}: {steps} steps, {len(train_on)} slices of {len(set(train_on.subject))} subjects", flush=True)
        curve = Curve(folder / "curve.csv")
        network = half_rounded(
            fit(task, plan, folder / "checkpoint.safetensors", curve, study.machine, print_row).network
        )
        predicted = model.predict(network, held)
        write_atomic(folder / f"{FOLDER}.onnx", model.finish(family, network, held, predicted, study.about).content)
        with atomic_path(path) as unfinished:
            np.savez(unfinished, held=predicted, test=model.predict(network, test), steps=steps)
    with np.load(path, allow_pickle=False) as kept_logits:
        temperature = fit_temperature(kept_logits["held"], held.votes.numpy().astype(np.float64))
        return Trained(kept_logits["test"], temperature, int(kept_logits["steps"]))


def judged(study: Study, panel: Panel) -> Judged:
    """The test, with what is known of it."""
    test, shares = study.sides["test"], study.sides["train"].graded.votes.sum(dim=0).numpy()
    votes = test.graded.votes.numpy().astype(np.float64)
    return Judged(votes, panel.chances(test.utility), shares / shares.sum(), test.graded.subject)


def describe(study: Study, minutes: float) -> str:
    """What the tables rest on."""
    counts = {side: (len(part.graded), len(set(part.graded.subject))) for side, part in study.sides.items()}
    test = study.sides["test"]
    readers = int(test.graded.votes[0].sum())
    shares = (test.graded.votes.sum(dim=0) / test.graded.votes.sum()).numpy()
    common = ", ".join(f"{100 * share:.0f} %" for share in shares)
    return (
        "No person graded anything: motion, blur, ghosting and noise of random strength, alone and together, give "
        f"each slice a utility; {readers} synthetic readers of differing strictness see it with noise of SD 1 and cut "
        f"at {CUTS[0]:g} and {CUTS[1]:g}. {counts['test'][0]} slices of {counts['test'][1]} subjects: the sites "
        "amsterdam, boston, fnndsc, martinos, utah, label maps and phantoms never trained on; classes of the answers, "
        f"worst first: {common}. Truth: the class that most readers gave. Learned from {counts['train'][0]} slices of "
        f"{counts['train'][1]} subjects, {60 * minutes:g} s of processor time each ({study.machine.words()}); "
        f"temperature from {counts['watch'][0]} slices of {counts['watch'][1]} subjects neither trained on nor "
        "judged. Best possible: somebody who knows what was simulated, but not the readers' noise. Calibration error: "
        "expected, ten bins of confidence, against the share of readers. Intervals (95 %) by bootstrap over subjects."
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate, train, judge, print."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="Diagnostic networks on simulated grades.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with scans/ and labels/")
    parser.add_argument("--checkpoints", type=Path, default=Path("checkpoints") / FOLDER)
    parser.add_argument("--tables", type=Path, default=Path("docs/validation_tables"))
    parser.add_argument("--minutes", type=float, default=5.0, help="processor time of each training")
    parser.add_argument("--rated", type=int, nargs="*", default=RATED, help="rated slices of the learning curve")
    parser.add_argument("--networks", nargs="+", choices=tuple(TITLES), default=tuple(TITLES))
    parser.add_argument("--precision", choices=PRECISIONS, default="auto")
    chosen = parser.parse_args(arguments)
    import torch

    torch.set_num_threads(1)
    sides = {
        side: kept(
            chosen.checkpoints / f"{side}.npz",
            lambda side=side, count=count, seed=seed: simulate(  # type: ignore[misc]
                pictures(clean_scans(chosen.data, side)), count, seed, Panel(seed)
            ),
        )
        for side, (count, seed) in SIDES.items()
    }
    about = {LABELS_KEY: "synthetic", "version": "simulated", **learned_from(chosen.data)}
    study = Study(sides, chosen.checkpoints, choose_machine("cpu", chosen.precision), about)
    found = {
        name: train(study, name, name, study.examples("train", int(name[-1])), 60 * chosen.minutes)
        for name in chosen.networks
    }
    test, note = judged(study, Panel(0)), describe(study, chosen.minutes)
    tables = {
        "diagnostic_networks": classes_table(test, found, 3, note),
        "diagnostic_networks_two": classes_table(test, found, 2, note),
    }
    if MAIN in found:
        tables["diagnostic_networks_confusion"] = confusion(test, found[MAIN], MAIN, note)
        tables["diagnostic_networks_scans"] = groups_table(test, found[MAIN], MAIN, note)
    write(tables, chosen.tables)
    roc_curves(roc_of(test, found), chosen.tables / "diagnostic_networks_roc.svg", "non-diagnostic slices")
    every = sides["train"].graded
    curve = {
        count: train(study, MAIN, f"{MAIN}_{count}", every.some(range(count)), 60 * chosen.minutes)
        for count in chosen.rated
    }
    if MAIN in found:
        curve[len(every)] = found[MAIN]
    if curve:
        subjects = {count: len(set(every.subject[:count])) for count in curve}
        write({"diagnostic_networks_learning": learning_table(test, curve, subjects, MAIN)}, chosen.tables)


def write(tables: dict[str, Table], folder: Path) -> None:
    """Print the tables and write them for the documentation."""
    for name, table in tables.items():
        table.write(folder / f"{name}.json")
        print(table.text(), flush=True)


if __name__ == "__main__":
    main()
