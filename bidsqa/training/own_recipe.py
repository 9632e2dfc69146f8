# SPDX-License-Identifier: Apache-2.0
"""What a training on a user's own scans was told; a second start with the same settings goes on from it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import bidsqa
from bidsqa.bids.writing import write_atomic
from bidsqa.errors import UsageError

FOLDER = "training"
FILE = "recipe.json"


def start_file(asked: str, what: str) -> Path:
    """The file of a user's ``--start``.

    Parameters
    ----------
    asked : str
        As the user wrote it.
    what : str
        What is wanted, for the hint.

    Raises
    ------
    UsageError
        It is missing or a folder.
    """
    path = Path(asked).expanduser().absolute()
    if path.is_file():
        return path
    problem = f"{path} is a folder" if path.is_dir() else f"the file {path} doesn't exist"
    raise UsageError(f"--start: {problem}.", f"Give shipped, none or the path of {what}.")


@dataclass(frozen=True)
class Recipe:
    """What decides the weights besides the length; a training goes on only where all of it is the same.

    Parameters
    ----------
    model : str
        ``severity``, ``ssim`` or ``noise_motion``.
    start : str
        ``shipped``, ``none`` or the SHA-256 of the file that is gone on from.
    seed, batch : int
    rate : float
        Highest learning rate.
    precision : str
        As asked for: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
    artifacts : tuple of str
        Of the severity's training; empty for the others.
    held_out : str
        Site that is held out, empty for none.
    sides : dict of str
        ``train``, ``watch`` or ``test`` by subject.
    data : str
        Fingerprint of the scans.
    ratings : str
        Fingerprint of the readers' answers that labels are calibrated by; empty without any.
    eta : float
        Of that calibration.
    """

    model: str
    start: str
    seed: int
    batch: int
    rate: float
    precision: str
    artifacts: tuple[str, ...]
    held_out: str
    sides: dict[str, str]
    data: str
    ratings: str = ""
    eta: float = 0.0


@dataclass(frozen=True)
class Budget:
    """How long; may change from one start to the next.

    Parameters
    ----------
    minutes, steps
        One of them.
    patience : int
        Looks at the watched scans without improvement after which the training ends; 0: never.
    """

    minutes: float | None
    steps: int | None
    patience: int


@dataclass
class Kept:
    """The recipe file.

    Parameters
    ----------
    recipe : Recipe
    finished : dict
        The budget that was spent and what for (``ended``); empty while the training isn't done.
    """

    recipe: Recipe
    finished: dict[str, Any] = field(default_factory=dict)

    def write(self, out: Path) -> None:
        """Write it into the output folder."""
        content = {"bidsqa": bidsqa.__version__, "recipe": asdict(self.recipe), "finished": self.finished}
        write_atomic(out / FOLDER / FILE, json.dumps(content, indent=1, sort_keys=True) + "\n")

    def done(self, budget: Budget) -> bool:
        """Whether this budget was spent already."""
        return self.finished.get("budget") == asdict(budget)


WORDS = {
    "model": "another model",
    "start": "other weights to start from (--start)",
    "seed": "another --seed",
    "batch": "another --batch",
    "rate": "another --rate",
    "precision": "another --precision",
    "artifacts": "other --artifacts",
    "held_out": "another site held out",
    "sides": "other subjects",
    "data": "other scans",
    "ratings": "other ratings",
    "eta": "another --eta",
}


def read_kept(out: Path) -> Kept | None:
    """The recipe of an earlier start; None where there is none.

    Raises
    ------
    UsageError
        It can't be read.
    """
    path = out / FOLDER / FILE
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        values = content["recipe"]
        recipe = Recipe(**{part.name: values[part.name] for part in fields(Recipe) if part.name in values})
        recipe = Recipe(**{**recipe.__dict__, "artifacts": tuple(recipe.artifacts)})
        return Kept(recipe, dict(content["finished"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"The recipe of the earlier start, {path}, can't be read: {' '.join(str(error).split())[:120]}.",
            "Start anew with --force, or give another folder.",
        ) from error


def check_same(kept: Recipe, recipe: Recipe, out: Path) -> None:
    """The earlier start had the same recipe.

    Raises
    ------
    UsageError
        It names the first difference.
    """
    for name, words in WORDS.items():
        old, new = getattr(kept, name), getattr(recipe, name)
        if old != new:
            shown = isinstance(old, (str, int, float)) and name not in ("data", "held_out") and len(str(old)) < 32
            values = f": {old}, not {new}" if shown and len(str(new)) < 32 else ""
            raise UsageError(
                f"{out} holds a training with {words}{values}.",
                "Give the same settings to go on, another folder, or --force to start anew.",
            )
