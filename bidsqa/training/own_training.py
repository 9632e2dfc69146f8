# SPDX-License-Identifier: Apache-2.0
"""Train a model on a user's own scans, from the files to weights with a card; started again, it goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from bidsqa.bids import Scan
from bidsqa.bids.dataset import read_description
from bidsqa.bids.writing import write_atomic
from bidsqa.errors import InputError, UsageError, WeightsError
from bidsqa.models import load_network
from bidsqa.models.table import MODELS
from bidsqa.training.curve import Curve
from bidsqa.training.loop import Event, Outcome, fit
from bidsqa.training.machine import Machine
from bidsqa.training.own_card import Told, write_card
from bidsqa.training.own_model import OwnModel
from bidsqa.training.own_noise_motion import OwnNoiseMotion
from bidsqa.training.own_recipe import FOLDER, Budget, Kept, Recipe, check_same, read_kept, start_file
from bidsqa.training.own_scans import MINIMUM_SUBJECTS, Reading, Split, evenly, of_side, read_clean
from bidsqa.training.own_severity import OwnSeverity
from bidsqa.training.own_ssim import OwnSsim
from bidsqa.training.plan import Plan
from bidsqa.training.pool import LEARNED, Clean
from bidsqa.training.readers_limits import Pick, measure

OWN: dict[str, OwnModel] = {"severity": OwnSeverity(), "ssim": OwnSsim(), "noise_motion": OwnNoiseMotion()}
MOST_SLICES = 5000
PLANES = 3
LOOKS = 25
LOOK_SECONDS = (10.0, 240.0)
POOLS = ("train", "watch")


class Voice(Protocol):
    """Who tells the user."""

    def say(self, line: str) -> None:
        """A line that stays."""

    def reading(self, number: int, total: int, name: str) -> None:
        """Before each scan is read."""

    def step(self, event: Event) -> None:
        """After each step."""


class Stop(Protocol):
    """Whether the user wants the training to end; watched for within its context."""

    def __call__(self) -> bool:
        """True from when it was asked for."""

    def __enter__(self) -> Any:
        """Begin to watch."""

    def __exit__(self, *problem: object) -> None:
        """Stop watching."""


@dataclass(frozen=True)
class Job:
    """One start of the command.

    Parameters
    ----------
    recipe : Recipe
    budget : Budget
    scans : sequence of Scan
    split : Split
    root, out : Path
        Dataset and output folder.
    start : Path, optional
        Weights to go on from.
    machine : Machine
    tensorboard : bool
        Also write TensorBoard's files.
    command : str
        For the card.
    picks : sequence of Pick
        What readers accept, for the labels of noise.
    """

    recipe: Recipe
    budget: Budget
    scans: Sequence[Scan]
    split: Split
    root: Path
    out: Path
    start: Path | None
    machine: Machine
    tensorboard: bool
    command: str
    picks: Sequence[Pick] = ()

    @property
    def model(self) -> OwnModel:
        """The model's own ways."""
        return OWN[self.recipe.model]

    @property
    def weights(self) -> Path:
        """The result."""
        return self.out / f"{self.recipe.model}.onnx"

    @property
    def card(self) -> Path:
        """The result's card."""
        return self.out / f"{self.recipe.model}.md"


def start_weights(model: str, start: str) -> Path | None:
    """The file that ``--start`` speaks of, checked; None for ``none``.

    Raises
    ------
    UsageError, WeightsError
        No such file, no weights of this model, or of another architecture.
    """
    if start == "none":
        return None
    path = MODELS[model].path if start == "shipped" else start_file(start, "an .onnx file")
    if path.suffix != ".onnx":
        raise UsageError(f"--start: {path.name} is no .onnx file.", "Give weights that bidsqa-train wrote.")
    network = load_network(model, weights=None if start == "shipped" else path)
    found = network.settings.get("architecture", "")
    if found != OWN[model].architecture:
        raise WeightsError(
            f"--start: {path.name} holds the architecture {found or 'of no name'}, not {OWN[model].architecture}.",
            "Give weights that bidsqa-train wrote, or begin from random ones: --start none",
        )
    return path


def forget(out: Path) -> None:
    """Remove what earlier starts left in the output folder."""
    shutil.rmtree(out / FOLDER, ignore_errors=True)
    shutil.rmtree(out / "tensorboard", ignore_errors=True)
    for name in ("curve.csv", *(f"{model}.{kind}" for model in OWN for kind in ("onnx", "md"))):
        (out / name).unlink(missing_ok=True)


def train_own(job: Job, voice: Voice, stop: Stop, force: bool = False) -> Outcome | None:
    """Train, export, judge.

    Parameters
    ----------
    job : Job
    voice : Voice
    stop : Stop
        Asked before each step; True ends the training so that it can go on later.
    force : bool
        Forget what earlier starts did.

    Returns
    -------
    Outcome or None
        How the training ended; without a card where it was stopped. None: there was nothing left to do.

    Raises
    ------
    UsageError
        The output folder holds something else; scans that can't be used.
    """
    job.model.check(job.recipe)
    kept = _earlier(job, force)
    if kept.done(job.budget) and job.weights.is_file():
        return None
    model = job.model
    if job.picks:
        model = OwnNoiseMotion(measure(job.picks, job.root, job.split, voice.say, voice.reading))
    kept.finished = {}
    kept.write(job.out)
    pools, reading = _pools(job, voice)
    task = model.task(*pools, job.recipe, job.start)
    curve = Curve(job.out / "curve.csv", job.out / "tensorboard" if job.tensorboard else None)
    checkpoint = job.out / FOLDER / "checkpoint.safetensors"
    with stop:
        outcome = fit(task, plan_of(job.recipe, job.budget), checkpoint, curve, job.machine, voice.step, stop)
    if stop():
        outcome.ended = "stopped"
        return outcome
    _finish(job, model, voice, outcome, pools, reading)
    kept.finished = {"budget": asdict(job.budget), "ended": outcome.ended}
    kept.write(job.out)
    for name in POOLS:  # they hold images of heads
        (job.out / FOLDER / f"{name}.npz").unlink(missing_ok=True)
    return outcome


def _earlier(job: Job, force: bool) -> Kept:
    """The earlier start's recipe, which must be the same, or this one's."""
    if force:
        forget(job.out)
    kept = read_kept(job.out)
    if kept is not None:
        check_same(kept.recipe, job.recipe, job.out)
        return kept
    foreign = [path.name for path in (job.weights, job.card, job.out / "curve.csv") if path.exists()]
    if foreign:
        raise UsageError(
            f"{job.out} holds {foreign[0]}, which is of no training that could be gone on with.",
            "Give another folder, or --force to replace it.",
        )
    return Kept(job.recipe)


def plan_of(recipe: Recipe, budget: Budget) -> Plan:
    """The loop's plan: about 25 looks at the watched scans, the best of which is kept."""
    seconds = None if budget.minutes is None else 60 * budget.minutes
    return Plan(
        seed=recipe.seed,
        rate=recipe.rate,
        seconds=seconds,
        steps=budget.steps,
        look_seconds=None if seconds is None else min(max(seconds / LOOKS, LOOK_SECONDS[0]), LOOK_SECONDS[1]),
        look_steps=None if budget.steps is None else max(1, budget.steps // LOOKS),
        look_first=True,
        keep_best=True,
        patience=budget.patience or None,
        **OWN[recipe.model].learning,
    )


def _pools(job: Job, voice: Voice) -> tuple[tuple[Any, Any], Reading]:
    """Slices to learn from and to watch, from the files of an earlier start or from the scans."""
    folder = job.out / FOLDER
    notes = folder / "scans.json"
    if notes.is_file() and all((folder / f"{name}.npz").is_file() for name in POOLS):
        reading = Reading(**json.loads(notes.read_text(encoding="utf-8")))
        train, watch = (job.model.load(folder / f"{name}.npz") for name in POOLS)
        return (train, watch), reading
    reading = Reading()
    most = job.model.per_plane
    per_plane = max(1, min(most, MOST_SLICES // (PLANES * max(len(of_side(job.scans, job.split, "train")), 1))))
    pools = []
    for name in POOLS:
        scans = of_side(job.scans, job.split, name)
        try:
            pools.append(job.model.cut(_read(scans, job.split, reading, voice), per_plane, job.recipe.seed))
        except InputError as error:
            raise UsageError(
                f"None of the {len(scans)} scans to be {'trained on' if name == 'train' else 'watched'} can be used: "
                f"{next(iter(reading.skipped.values()), error.cause)}.",
                "Repair or leave out these scans (--participant-label, --modalities).",
            ) from error
    _check_subjects(job, reading)
    for name, pool in zip(POOLS, pools, strict=True):
        job.model.save(pool, folder / f"{name}.npz")
    write_atomic(notes, json.dumps(asdict(reading), indent=1) + "\n")
    return (pools[0], pools[1]), reading


def _check_subjects(job: Job, reading: Reading) -> None:
    names = {scan.bids_name: scan.subject for scan in job.scans}
    found = {names[name] for name in reading.read}
    if len(found) < MINIMUM_SUBJECTS:
        raise UsageError(
            f"Training needs readable scans of at least {MINIMUM_SUBJECTS} subjects; there are {len(found)}.",
            "Repair the scans named above, or add subjects.",
        )


def _read(scans: Sequence[Scan], split: Split, reading: Reading, voice: Voice) -> Iterator[Clean]:
    known = set(reading.skipped)
    for clean in read_clean(scans, split, reading, voice.reading):
        known = _tell_skipped(reading, known, voice)
        yield clean
    _tell_skipped(reading, known, voice)


def _tell_skipped(reading: Reading, known: set[str], voice: Voice) -> set[str]:
    for name in reading.skipped.keys() - known:
        voice.say(f"skipped  {name}: {reading.skipped[name]}")
    return set(reading.skipped)


def _finish(
    job: Job, model: OwnModel, voice: Voice, outcome: Outcome, pools: tuple[Any, Any], reading: Reading
) -> None:
    """Export, judge and describe what was trained."""
    voice.say("Judging the trained weights on scans they were not trained on.")

    def read(side: str, most: int) -> Iterator[Clean]:
        yield from _read(evenly(of_side(job.scans, job.split, side), most), job.split, reading, voice)

    train, watch = pools
    earlier = load_network(job.recipe.model, weights=job.start).settings.get(LEARNED, "") if job.start else ""
    learned = " ".join(sorted({*reading.learned().split(), *earlier.split()}))
    about = {"version": f"own-{job.recipe.data[:8]}", LEARNED: learned}
    finished = model.finish(outcome.network, job.start, watch, read, job.recipe, about)
    write_atomic(job.weights, finished.content)
    name = read_description(job.root).get("Name")
    told = Told(
        recipe=job.recipe,
        split=job.split,
        reading=reading,
        outcome=outcome,
        finished=finished,
        slices=count_slices(train),
        command=job.command,
        dataset=" ".join(str(name).split())[:200] if isinstance(name, str) and name.strip() else job.root.name,
    )
    write_card(job.card, told)
    for table in finished.tables:
        voice.say("\n" + table.text())


def count_slices(pool: Any) -> int:
    """Slices of a pool of any model."""
    return sum(len(part.images) for part in pool) if isinstance(pool, list) else len(pool.image)
