# SPDX-License-Identifier: Apache-2.0
"""What ``bidsqa-train`` does with the ratings of a site's own readers.

``ranking`` and ``diagnostic`` learn from them alone, ``noise_motion`` calibrates its labels by them.
"""

from __future__ import annotations

import hashlib
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsqa.cli.console import FINE
from bidsqa.cli.gentle_stop import GentleStop
from bidsqa.errors import UsageError, WeightsError
from bidsqa.stopping import Stopped

if TYPE_CHECKING:
    from bidsqa.cli.train_parser import Asked
    from bidsqa.training.rated_training import RatedJob
    from bidsqa.training.readers_limits import Pick

DEFAULT_MINUTES = 30.0
DIGITS = 16


def train_on_ratings(asked: Asked) -> int:
    """Run one training.

    Raises
    ------
    UsageError
        Something is wrong with options or ratings.
    Stopped
        By a signal; the same command goes on.
    """
    from bidsqa.cli.checks import check_writable
    from bidsqa.cli.train_progress import TrainingProgress
    from bidsqa.training.rated_training import train_rated

    job = make_rated_job(asked)
    # made when the ratings turn out to be usable, which takes a while
    check_writable(job.out, "output")
    progress = TrainingProgress(sys.stderr, live=sys.stderr.isatty())
    stop = GentleStop()
    try:
        path = train_rated(job, progress, stop, force=asked.options["force"])
    finally:
        progress.close()
    if path is None:
        raise Stopped(stop.number or signal.SIGINT)
    print(f"Weights: {path}\nCard: {path.with_suffix('.md')}")
    return FINE


def make_rated_job(asked: Asked) -> RatedJob:
    """What is to be trained, checked.

    Raises
    ------
    UsageError
    """
    from bidsqa.cli.train_parser import command_of
    from bidsqa.training.machine import choose_machine
    from bidsqa.training.ranking import WARM_RATE
    from bidsqa.training.rated_training import RATED, RatedJob, RatedRecipe

    options = asked.options
    if options["ratings"] is None:
        raise UsageError(
            "The ratings are missing.",
            f"Say where they are: bidsqa-train {asked.task} BIDS_DIR OUT_DIR --ratings RATINGS",
        )
    if not options["ratings"].exists():
        raise UsageError(f"There are no ratings at {options['ratings']}.", "Make them: bidsqa-rate BIDS_DIR RATINGS")
    if options["minutes"] is not None and options["steps"] is not None:
        raise UsageError("--minutes and --steps can't both tell the length.", "Give one of them.")
    minutes = DEFAULT_MINUTES if options["minutes"] is None and options["steps"] is None else options["minutes"]
    model, architecture = RATED[asked.task], options["architecture"]
    start = start_of(options.get("start"), model.starts.get(architecture))
    if start is not None:
        model.check_start(architecture, start)
    recipe = RatedRecipe(
        model=asked.task,
        architecture=architecture,
        seed=options["seed"],
        batch=options["batch"],
        rate=options["rate"] or model.rates[architecture] * (1.0 if start is None else WARM_RATE),
        minutes=minutes,
        steps=options["steps"],
        start="" if start is None else hashlib.sha256(start.read_bytes()).hexdigest()[:DIGITS],
    )
    machine = choose_machine(options["device"], options["precision"])
    return RatedJob(recipe, options["ratings"], asked.bids_dir, asked.output_dir, machine, command_of(asked), start)


def start_of(asked: str | None, shipped: Path | None) -> Path | None:
    """The weights that ``--start`` speaks of; None for random ones.

    Parameters
    ----------
    asked : str, optional
        As the user wrote it.
    shipped : Path, optional
        Of the architecture, where some ship.

    Raises
    ------
    UsageError
    """
    if asked == "none":
        return None
    if asked in (None, "shipped"):
        if asked and shipped is None:
            raise UsageError("--start: no weights of this architecture ship.", "Give none, or the path of some.")
        if shipped is not None and not shipped.is_file():
            raise WeightsError(f"This installation has no {shipped.name} to start from.", "Install bidsqa again.")
        return shipped
    from bidsqa.training.own_recipe import start_file

    return start_file(asked, "weights")


def readers_picks(asked: Asked) -> list[Pick]:
    """What readers accept, where labels of noise are to be calibrated by it; empty else.

    Raises
    ------
    UsageError
        There are no such answers, or the options don't go together.
    """
    ratings, eta = asked.options["ratings"], asked.options["eta"]
    if ratings is None:
        if eta is not None:
            raise UsageError("--eta calibrates by your readers' answers.", "Say where they are: --ratings RATINGS")
        return []
    if asked.task != "noise_motion":
        raise UsageError(
            "--ratings is for noise_motion here.", "Of the other tasks ranking, diagnostic and verdict learn from them."
        )
    from bidsqa.training.readers_limits import read_picks

    return read_picks(ratings)


def calibration_of(asked: Asked, picks: Sequence[Pick]) -> dict[str, Any]:
    """The recipe's part about readers."""
    if not picks:
        return {}
    from bidsqa.training.label_calibration import ETA
    from bidsqa.training.readers_limits import fingerprint

    return {"ratings": fingerprint(picks), "eta": ETA if asked.options["eta"] is None else asked.options["eta"]}
