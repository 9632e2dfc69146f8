# SPDX-License-Identifier: Apache-2.0
"""Train a model on a site's ratings: cross-validation by subject, then all of them; started again, it goes on."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import bidsqa
from bidsqa.bids.writing import write_atomic
from bidsqa.errors import UsageError
from bidsqa.models import MODELS, load_network
from bidsqa.models.ranking import LABELS_KEY
from bidsqa.training.curve import Curve
from bidsqa.training.export import printed_table
from bidsqa.training.loop import Outcome, fit
from bidsqa.training.machine import Machine
from bidsqa.training.own_training import Stop, Voice
from bidsqa.training.plan import Plan
from bidsqa.training.rated_diagnostic import RatedDiagnostic
from bidsqa.training.rated_model import RatedModel, Result, folds
from bidsqa.training.rated_ranking import RatedRanking

Array = np.ndarray[Any, Any]
RATED: Mapping[str, RatedModel] = {"ranking": RatedRanking(), "diagnostic": RatedDiagnostic()}
FOLDER, KEPT = "training", "rated.json"
LOOKS = 10
CARD = """# {model}: {title}, learned from your readers

* File: `{file}`, architecture `{architecture}`, SHA-256 {sha256}; bidsqa {version}
* **label_source: readers.** {examples} images or pairs of {subjects} subjects from `{ratings}`, task `{task}`.
* Use: `{use}`

## Recipe
`{command}`: from {start}, seed {seed}, {steps} steps, batch {batch}; {folds} folds by subject judged it, the weights
then learned from all of it. Source of the method: {citation} ({source}).

## Judged on subjects that were not trained on
{doubt}{tables}

## Limits
* It repeats the opinion of these readers on this kind of images; another site or contrast needs its own ratings.
* {limits}
* {few}
"""
DOUBT = (
    "The weights that it started from had learned from readers already. Where these were the same ratings, the numbers "
    "below are too good.\n\n"
)


@dataclass(frozen=True)
class RatedRecipe:
    """What decides the weights; a training goes on only where all of it is the same.

    Parameters
    ----------
    model, architecture : str
    seed, batch : int
    rate : float
    minutes : float or None
    steps : int or None
        One of the two: the whole length, folds included.
    data : str
        Fingerprint of the answers.
    start : str
        Beginning of the SHA-256 of the weights that it goes on from; empty for random ones.
    """

    model: str
    architecture: str
    seed: int
    batch: int
    rate: float
    minutes: float | None
    steps: int | None
    data: str = ""
    start: str = ""


@dataclass(frozen=True)
class RatedJob:
    """One start of the command.

    Parameters
    ----------
    recipe : RatedRecipe
    ratings, root, out : Path
        Ratings, dataset, output folder.
    machine : Machine
    command : str
        For the card.
    start : Path, optional
        Weights to go on from.
    """

    recipe: RatedRecipe
    ratings: Path
    root: Path
    out: Path
    machine: Machine
    command: str
    start: Path | None = None

    @property
    def model(self) -> RatedModel:
        """The model's own ways."""
        return RATED[self.recipe.model]


def plan_of(recipe: RatedRecipe, model: RatedModel, parts: int) -> Plan:
    """The length of one of so many trainings."""
    seconds = None if recipe.minutes is None else 60 * recipe.minutes / parts
    steps = None if recipe.steps is None else max(1, recipe.steps // parts)
    return Plan(
        seed=recipe.seed,
        rate=recipe.rate,
        seconds=seconds,
        steps=steps,
        look_seconds=None if seconds is None else max(seconds / LOOKS, 5.0),
        look_steps=None if steps is None else max(1, steps // LOOKS),
        **model.learning,
    )


def train_rated(job: RatedJob, voice: Voice, stop: Stop, force: bool = False) -> Path | None:
    """Read the ratings, judge by folds, train on all, export.

    Parameters
    ----------
    job : RatedJob
    voice : Voice
    stop : Stop
        True ends the training so that it can go on later.
    force : bool
        Forget what an earlier start did.

    Returns
    -------
    Path or None
        The weights; None where it was stopped.

    Raises
    ------
    UsageError
        No usable ratings, too few subjects, or an output folder of another training.
    """
    model = job.model
    examples = model.read(job.ratings, job.root, lambda name, why: voice.say(f"skipped  {name}: {why}"), voice.reading)
    parts = folds(examples.subject, job.recipe.seed)
    recipe = _checked(job, examples, force)
    if len(examples) < model.advised:
        voice.say(f"{len(examples)} rated; {model.advised} and more are advised, so expect wide intervals below.")
    plan = plan_of(recipe, model, len(parts) + 1)
    predicted: Array | None = None
    with stop:
        for number, held in enumerate(parts, start=1):
            voice.say(f"Fold {number} of {len(parts)}")
            own = set(held)
            train = examples.some([row for row in range(len(examples)) if row not in own])
            outcome = _fit(job, recipe, plan, train, examples.some(held), f"fold-{number}", voice, stop)
            if outcome is None:
                return None
            found = model.predict(outcome.network, examples.some(held))
            predicted = np.zeros((len(examples), found.shape[1])) if predicted is None else predicted
            predicted[held] = found
        voice.say("All ratings")
        # watched rows are part of what is learned: nothing is chosen by them
        last = _fit(job, recipe, plan, examples, examples.some(parts[0]), "all", voice, stop)
    if last is None or predicted is None:
        return None
    digest = recipe.data[:8]
    about = {"version": f"own-{digest}"}
    result = model.finish(recipe.architecture, last.network, examples, predicted, about)
    return _write(job, recipe, result, examples, last, len(parts), voice)


def _fit(
    job: RatedJob, recipe: RatedRecipe, plan: Plan, train: Any, watch: Any, name: str, voice: Voice, stop: Stop
) -> Outcome | None:
    """One training; None where it was stopped."""
    folder = job.out / FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    task = job.model.task(recipe.architecture, train, watch, recipe.batch, recipe.seed, job.start)
    curve = Curve(folder / "curve.csv")
    outcome = fit(task, plan, folder / "checkpoint.safetensors", curve, job.machine, voice.step, stop)
    return None if stop() else outcome


def fingerprint(examples: Any) -> str:
    """What tells these answers from others."""
    digest = hashlib.sha256(json.dumps(examples.subject).encode())
    digest.update(examples.votes.numpy().tobytes())
    return digest.hexdigest()


def _checked(job: RatedJob, examples: Any, force: bool) -> RatedRecipe:
    """The recipe with its data, kept in the output folder; an earlier one must be the same.

    Raises
    ------
    UsageError
    """
    recipe = RatedRecipe(**{**asdict(job.recipe), "data": fingerprint(examples)})
    path = job.out / FOLDER / KEPT
    if force:
        shutil.rmtree(job.out / FOLDER, ignore_errors=True)
    elif path.is_file():
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(f"{path} can't be read: {error}.", "Start anew with --force.") from error
        changed = [
            name for name, value in asdict(recipe).items() if not isinstance(kept, dict) or kept.get(name) != value
        ]
        if changed:
            raise UsageError(
                f"{job.out} holds a training with another {', '.join(changed)}.",
                "Give another folder, or start anew with --force.",
            )
    write_atomic(path, json.dumps(asdict(recipe), indent=1) + "\n")
    return recipe


def _write(
    job: RatedJob, recipe: RatedRecipe, result: Result, examples: Any, last: Outcome, count: int, voice: Voice
) -> Path:
    """Weights, card, and the tables to the terminal."""
    row = MODELS[recipe.model]
    path = job.out / f"{recipe.model}{result.suffix}"
    write_atomic(path, result.content)
    few = f"{len(examples)} examples" + (
        "" if len(examples) >= job.model.advised else f", fewer than the advised {job.model.advised}"
    )
    doubt = (
        job.start is not None and load_network(recipe.model, weights=job.start).settings.get(LABELS_KEY) == "readers"
    )
    card = CARD.format(
        model=recipe.model, title=row.title.lower(), file=path.name, architecture=recipe.architecture,
        sha256=hashlib.sha256(result.content).hexdigest(), version=bidsqa.__version__, examples=len(examples),
        subjects=len(set(examples.subject)), ratings=job.ratings.name, task=job.model.task_name,
        use=result.use.replace("FILE", path.name), command=job.command, seed=recipe.seed,
        start="random weights" if job.start is None else f"`{job.start.name}` ({recipe.start}…)", steps=last.step,
        batch=recipe.batch, folds=count, citation=row.citation, source=row.source, limits=row.limits,
        doubt=DOUBT if doubt else "",
        tables="\n\n".join(printed_table(table) for table in result.tables), few=few[0].upper() + few[1:],
    )  # fmt: skip
    write_atomic(job.out / f"{recipe.model}.md", card)
    for table in result.tables:
        voice.say("\n" + table.text())
    voice.say(f"Use: {result.use.replace('FILE', str(path))}")
    return path


__all__ = ["RATED", "RatedJob", "RatedRecipe", "fingerprint", "plan_of", "train_rated"]
