# SPDX-License-Identifier: Apache-2.0
"""``bidsqa-train TASK BIDS_DIR OUT_DIR``: the networks on a user's own scans."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsqa.cli.console import FINE, run_command
from bidsqa.cli.gentle_stop import GentleStop
from bidsqa.errors import UsageError
from bidsqa.stopping import Stopped

if TYPE_CHECKING:
    from bidsqa.bids import Scan
    from bidsqa.cli.train_parser import Asked
    from bidsqa.cli.train_progress import TrainingProgress
    from bidsqa.training.loop import Outcome
    from bidsqa.training.own_scans import Split
    from bidsqa.training.own_training import Job
    from bidsqa.training.pool import Clean
    from bidsqa.validation.own_results import Result

NAME = "bidsqa-train"
MOST_THREADS = 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments : sequence of str, optional
        The process's by default, without the program's name.

    Returns
    -------
    int
        0 fine, 2 wrong usage or scans that can't be used, 130 or 143 stopped by a signal.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    return run_command(NAME, lambda: _start(given), "; the same command goes on from there")


def _start(given: list[str]) -> int:
    from bidsqa.cli import checks
    from bidsqa.cli.surroundings import prepare_environment, work_folder
    from bidsqa.cli.train_options import ARCHITECTURES
    from bidsqa.cli.train_parser import parse
    from bidsqa.cli.train_rated import train_on_ratings
    from bidsqa.cli.train_verdict import fit_from_ratings

    asked = parse(given)
    if asked.task == "verdict":
        return fit_from_ratings(asked)
    warnings = checks.check_input(asked.bids_dir, strict=not asked.options["skip_bids_validation"])
    checks.check_folders(asked.bids_dir, asked.output_dir, None)
    check_packages(tensorboard=asked.options.get("log") == "tensorboard")
    for warning in warnings:
        print(f"Warning: {warning}", file=sys.stderr)
    with work_folder(None, keep=False, spare=asked.output_dir) as work:
        prepare_environment(work)
        _set_threads(asked.options["omp_nthreads"])
        if asked.task in ARCHITECTURES:
            return train_on_ratings(asked)
        return _evaluate(asked) if asked.task == "evaluate" else _train(asked)


def check_packages(*, tensorboard: bool) -> None:
    """What the training needs besides the plain installation is there.

    Raises
    ------
    UsageError
    """
    from importlib.util import find_spec

    if tensorboard and find_spec("tensorboard") is None:
        raise UsageError(
            "--log tensorboard: TensorBoard is not installed.", "Use --log csv, or: pip install tensorboard"
        )

    missing = [name for name in ("torch", "onnx", "onnxscript", "matplotlib") if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"Training needs packages that are not installed: {', '.join(missing)}.",
            "Install bidsqa with its extra: pip install 'bidsqa[training]'",
        )


def _set_threads(asked: int | None) -> None:
    import torch

    from bidsqa.cli.memory import available_processors

    torch.set_num_threads(asked or min(available_processors(), MOST_THREADS))


def find_scans(asked: Asked) -> list[Scan]:
    """The scans that are asked for; what is passed over is told.

    Raises
    ------
    UsageError
        There is none.
    """
    from bidsqa.bids import JUDGED_SUFFIXES, Selection, collect_scans
    from bidsqa.bids.selection import bare_labels
    from bidsqa.cli.participant import MANY_SKIPPED
    from bidsqa.cli.plan import describe_skipped

    options = asked.options
    selection = Selection(
        participants=bare_labels(options["participant_label"], "sub"),
        suffixes=tuple(name for name in JUDGED_SUFFIXES if name in (options["modalities"] or JUDGED_SUFFIXES)),
        strict_names=not options["skip_bids_validation"],
    )
    collection = collect_scans(asked.bids_dir, selection)
    for line in describe_skipped(collection.skipped[:MANY_SKIPPED]) if collection.skipped else ():
        print(line, file=sys.stderr)
    for warning in collection.warnings:
        print(f"Warning: {warning}", file=sys.stderr)
    if not collection.scans:
        narrowed = options["participant_label"] or options["modalities"]
        raise UsageError(
            f"The dataset {asked.bids_dir} has no structural scan{' that fits the selection' if narrowed else ''}.",
            "T1w, T2w, FLAIR and PDw images in anat folders are what is learned from.",
        )
    return list(collection.scans)


def _train(asked: Asked) -> int:
    from bidsqa.cli.checks import make_folder
    from bidsqa.cli.train_progress import TrainingProgress
    from bidsqa.training.own_training import train_own

    job = make_job(asked)
    make_folder(job.out, "output")
    print("\n".join(describe(job.split, job.scans)), flush=True)
    progress = TrainingProgress(sys.stderr, live=sys.stderr.isatty(), steps=job.budget.steps)
    stop = GentleStop()
    try:
        outcome = train_own(job, progress, stop, force=asked.options["force"])
    finally:
        progress.close()
    if outcome is not None and outcome.ended == "stopped":
        raise Stopped(stop.number or signal.SIGINT)
    _say_end(job, outcome)
    return FINE


def make_job(asked: Asked) -> Job:
    """What is to be trained, checked.

    Raises
    ------
    UsageError, WeightsError
        Something is wrong with options, scans or weights.
    """
    from bidsqa.cli.train_options import MINUTES
    from bidsqa.cli.train_parser import command_of
    from bidsqa.cli.train_rated import calibration_of, readers_picks
    from bidsqa.training.machine import choose_machine
    from bidsqa.training.own_recipe import Budget
    from bidsqa.training.own_scans import read_sites, split_subjects
    from bidsqa.training.own_training import OWN, Job, start_weights

    options = asked.options
    if options["minutes"] is not None and options["steps"] is not None:
        raise UsageError("--minutes and --steps can't both tell the length.", "Give one of them.")
    minutes = MINUTES if options["minutes"] is None and options["steps"] is None else options["minutes"]
    machine = choose_machine(options["device"], options["precision"])
    start = start_weights(asked.task, options["start"])
    scans = find_scans(asked)
    sites = read_sites(asked.bids_dir, options["site_column"])
    split = split_subjects([scan.subject for scan in scans], sites, options["seed"], options["hold_out_site"])
    picks = readers_picks(asked)
    recipe = replace(_recipe(asked, scans, split, start), **calibration_of(asked, picks))
    OWN[asked.task].check(recipe)
    return Job(
        recipe=recipe,
        budget=Budget(minutes, options["steps"], options["patience"]),
        scans=scans,
        split=split,
        root=asked.bids_dir,
        out=asked.output_dir,
        start=start,
        machine=machine,
        tensorboard=options["log"] == "tensorboard",
        command=command_of(asked),
        picks=picks,
    )


def _recipe(asked: Asked, scans: Sequence[Scan], split: Split, start: Path | None) -> Any:
    import hashlib

    from bidsqa.training.own_recipe import Recipe
    from bidsqa.training.own_scans import fingerprint
    from bidsqa.training.own_training import OWN

    options, own = asked.options, OWN[asked.task]
    named = options["start"] in ("shipped", "none") or start is None
    origin = options["start"] if named else hashlib.sha256(start.read_bytes()).hexdigest()  # type: ignore[union-attr]
    return Recipe(
        model=asked.task,
        start=origin,
        seed=options["seed"],
        batch=options["batch"] or own.batch,
        rate=options["rate"] or own.rates["none" if start is None else "shipped"],
        precision=options["precision"],
        artifacts=tuple(sorted(set(options["artifacts"]))),
        held_out=split.held_out,
        sides=dict(split.sides),
        data=fingerprint(scans),
    )


def describe(split: Split, scans: Sequence[Scan]) -> list[str]:
    """Who is trained on, watched and held out, in words."""
    from bidsqa.cli.progress import count, printable

    lines = [f"{count(len(scans), 'scan')} of {count(len(split.sides), 'subject')}."]
    titles = {
        "train": "Trained on",
        "watch": "Watched, not trained on",
        "test": f"Held out with the site {split.held_out}",
    }
    for side, title in titles.items():
        subjects = split.subjects(side)
        if subjects:
            names = ", ".join(f"sub-{subject}" for subject in subjects[:12])
            more = f" and {len(subjects) - 12} more" if len(subjects) > 12 else ""
            lines.append(printable(f"{title}: {names}{more}."))
    return lines


def _say_end(job: Job, outcome: Outcome | None) -> None:
    if outcome is None:
        print(f"Nothing left to do: {job.weights} is finished. A longer training goes on from it; --force starts anew.")
        return
    from bidsqa.cli.progress import count, say_duration
    from bidsqa.training.own_card import use_of

    why = "; the watched loss had stopped falling" if outcome.ended == "patience" else ""
    best = f", best at step {outcome.best[0]}" if outcome.best else ""
    print(f"Trained {count(outcome.step, 'step')} in {say_duration(outcome.seconds)}{best}{why}.")
    if outcome.best and not outcome.best[0]:
        print("Nothing was better on the watched subjects than the start; the result is the start.", file=sys.stderr)
    print(f"Weights: {job.weights}\nCard: {job.card}\nCurve: {job.out / 'curve.csv'}")
    print(f"Next: {use_of(job.recipe.model, str(job.weights))}")


def _evaluate(asked: Asked) -> int:
    from bidsqa.bids.writing import write_atomic
    from bidsqa.cli.checks import check_device, make_folder
    from bidsqa.cli.train_progress import TrainingProgress
    from bidsqa.models import load
    from bidsqa.validation import own_dataset
    from bidsqa.validation.own_results import as_csv, read_results

    options = asked.options
    strengths = _strengths(options["strengths"]) or own_dataset.STRENGTHS
    artifacts = tuple(dict.fromkeys(options["artifacts"])) or own_dataset.ARTIFACTS
    copies = own_dataset.copies_of(strengths, artifacts, not options["no_paper_protocol"])
    check_device(options["device"])
    files = _weights_of(options["models"], options["weights"])
    scorers = {name: load(name, options["device"], path) for name, path in files.items()}
    digests = {name: scorer.provenance()["sha256"] for name, scorer in scorers.items()}
    scans = find_scans(asked)
    own_dataset.check_subjects({scan.subject for scan in scans})
    make_folder(asked.output_dir, "output")
    path = asked.output_dir / "results.csv"
    kept = {row.key: row for row in read_results(path, digests)}
    names = {scan.bids_name for scan in scans}
    done = sum(scan in names and (artifact, strength) in copies for scan, artifact, strength in kept)
    progress = TrainingProgress(sys.stderr, live=sys.stderr.isatty())
    number, total, results = 0, len(scans) * len(copies) - done, []
    try:
        judging = own_dataset.judge(_unlearned(asked, scans, files, progress), scorers, copies, list(kept.values()))
        for result in judging:
            results.append(result)
            earlier = kept.get(result.key)
            if earlier != result:
                kept[result.key] = result
                write_atomic(path, as_csv(list(kept.values()), digests))
            if earlier is None or earlier.image != result.image:
                number += 1
                progress.count("judged", number, max(total, number), f"{result.scan} {result.artifact}")
    finally:
        progress.close()
    own_dataset.check_subjects({result.subject for result in results})
    _tell(results, digests, strengths, asked.output_dir)
    print(f"Every result: {path}; tables (JSON, CSV) and plots (SVG) lie beside it.")
    return FINE


def _tell(results: Sequence[Result], digests: dict[str, str], strengths: Sequence[float], folder: Path) -> None:
    """Print and write tables and plots."""
    from bidsqa.validation import own_dataset

    note = own_dataset.describe(results, digests)
    made = own_dataset.shared_tables(results, list(digests), note, strengths)
    for name in digests:
        made |= own_dataset.tables(results, name, note, strengths)
    for key, table in made.items():
        table.write(folder / f"{key}.json")
        if key.endswith("_strengths"):
            table.write_csv(folder / f"{key}.csv")
        print(replace(table, note=table.note.removeprefix(note).strip()).text(), flush=True)
    print(f"{note}\n")
    own_dataset.draw(results, list(digests), strengths, folder)


def _strengths(words: Sequence[str]) -> tuple[float, ...]:
    try:
        values = tuple(sorted({float(part) for word in words for part in word.split(",") if part}))
    except ValueError as error:
        raise UsageError(f"--strengths: {error}.", "Write for example --strengths 0.25 0.5 1.") from error
    if not all(0 < value <= 1 for value in values):
        raise UsageError("--strengths must lie above 0 and not above 1.", "Write for example --strengths 0.25 0.5 1.")
    return values


def _weights_of(models: Sequence[str], pairs: Sequence[str]) -> dict[str, Path | None]:
    """The file of each model that is judged; None for the shipped one. Weights alone choose the models too."""
    from bidsqa.cli.checks import check_weights
    from bidsqa.models import MODELS
    from bidsqa.settings import DEFAULT_MODELS

    named = [pair.partition("=")[0] for pair in pairs]
    unused = [name for name in named if name in MODELS and models and name not in models]
    if unused:
        raise UsageError(
            f"--weights {unused[0]}=...: {unused[0]} is not among the models to be judged ({', '.join(models)}).",
            f"Add {unused[0]} to --models, or leave its weights out.",
        )
    own = {name: Path(path) for name, path in check_weights(pairs)}
    return {name: own.get(name) for name in models or own or DEFAULT_MODELS}


def _unlearned(
    asked: Asked, scans: Sequence[Scan], files: dict[str, Path | None], progress: TrainingProgress
) -> Iterator[Clean]:
    """The scans that can be read and that none of the weights learned from; the others are told."""
    from bidsqa.models import load_network
    from bidsqa.training.own_scans import ONE_SITE, Reading, Split, read_clean, read_sites
    from bidsqa.training.pool import DIGEST, LEARNED

    sites = read_sites(asked.bids_dir, asked.options["site_column"])
    subjects = {scan.subject for scan in scans}
    split = Split(dict.fromkeys(subjects, "test"), {name: sites.get(name, ONE_SITE) for name in subjects})
    learned: set[str] = set()
    for name, path in files.items():
        learned |= set(load_network(name, weights=path).settings.get(LEARNED, "").split())
    reading = Reading()
    for clean in read_clean(scans, split, reading, lambda *_: None):
        if clean.volume.facts.sha256[:DIGEST] in learned:
            progress.say(f"left out  {clean.name}: the weights learned from it")
        else:
            yield clean
    for name, why in reading.skipped.items():
        progress.say(f"skipped  {name}: {why}")


if __name__ == "__main__":
    sys.exit(main())
