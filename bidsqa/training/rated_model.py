# SPDX-License-Identifier: Apache-2.0
"""What training on a site's ratings needs to know of a model, and the folds by subject that it is judged by."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from bidsqa.errors import InputError, UsageError
from bidsqa.training.loop import Task
from bidsqa.validation.tables import Table

FOLDS = 5
LEAST_SUBJECTS = 5


@dataclass(frozen=True)
class Result:
    """Weights ready for use.

    Parameters
    ----------
    content : bytes
    suffix : str
        ``.onnx`` or ``.safetensors``.
    tables : list of Table
        For the card.
    use : str
        How to use them, a command or a line of Python.
    """

    content: bytes
    suffix: str
    tables: list[Table]
    use: str


class RatedModel(Protocol):
    """One of the models that learn from ratings."""

    name: str
    task_name: str
    """Of the rating app's task whose answers are learned from."""
    architectures: tuple[str, ...]
    """The first is the default."""
    rates: Mapping[str, float]
    starts: Mapping[str, Path]
    """Shipped weights to go on from, by architecture."""
    batch: int
    learning: Mapping[str, Any]
    advised: int
    """So many answers are advised."""

    def read(
        self, ratings: Path, root: Path, skipped: Callable[[str, str], None], reading: Callable[[int, int, str], None]
    ) -> Any:
        """Examples with ``subject``, ``__len__`` and ``some(rows)``; UsageError where there are none."""

    def check_start(self, architecture: str, start: Path) -> None:
        """The weights can be gone on from; WeightsError where not."""

    def task(self, architecture: str, train: Any, watch: Any, batch: int, seed: int, start: Path | None) -> Task:
        """What the loop asks; ``start``: weights to go on from."""

    def predict(self, network: Any, examples: Any) -> Any:
        """What a trained network says of examples, an ndarray with a row for each."""

    def finish(
        self, architecture: str, network: Any, examples: Any, predicted: Any, about: Mapping[str, str]
    ) -> Result:
        """Export with what the numbers mean, fitted on ``predicted``: each example by a network not trained on it."""


def check_unchanged(content: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """The scan is the one that was rated, as far as checksums tell.

    Parameters
    ----------
    content : mapping
        Of the item, with what was ``shown``.
    found : mapping
        What its pictures show now (:meth:`bidsqa.rating.pictures.Gallery.look`).

    Raises
    ------
    InputError
    """
    rated = content.get("shown", {}).get("image", {}).get("sha256")
    if rated is not None and rated != found["sha256"]:
        raise InputError("the scan's data are others than those that were rated", "rate it again")


def folds(subjects: Sequence[str], seed: int, count: int = FOLDS) -> list[list[int]]:
    """Rows of each fold; a subject is in one fold only, folds are about equally large.

    Parameters
    ----------
    subjects : sequence of str
        Subject of each row.
    seed : int
    count : int

    Raises
    ------
    UsageError
        Too few subjects.
    """
    names = sorted(set(subjects))
    if len(names) < LEAST_SUBJECTS:
        raise UsageError(
            f"Training on ratings needs answers on at least {LEAST_SUBJECTS} subjects; there are {len(names)}.",
            "Rate images of more subjects: a network judged on the subjects it learned from would tell nothing.",
        )
    rows = {name: [row for row, own in enumerate(subjects) if own == name] for name in names}
    parts: list[list[int]] = [[] for _ in range(min(count, len(names)))]
    order = sorted(names, key=lambda name: (-len(rows[name]), hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()))
    for name in order:
        min(parts, key=len).extend(rows[name])
    return [sorted(part) for part in parts]
