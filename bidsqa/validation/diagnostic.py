# SPDX-License-Identifier: Apache-2.0
"""How well diagnostic classes are found, beside always naming the commonest: tables for cards and documentation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bidsqa.validation.statistics import area, bootstrap
from bidsqa.validation.tables import Table

Array = np.ndarray[Any, Any]


def majority_class(votes: Array) -> Array:
    """Class with most readers of each row, the worse one of equals, shape (N,)."""
    chosen: Array = votes.argmax(axis=1)
    return chosen


def balanced_accuracy(guess: Array, truth: Array, classes: int) -> float:
    """Mean recall over the classes that occur."""
    recalls = [float((guess[truth == number] == number).mean()) for number in range(classes) if (truth == number).any()]
    return float(np.mean(recalls)) if recalls else float("nan")


def accuracy_table(chances: Array, votes: Array, subjects: Sequence[str], more: str = "") -> Table:
    """Accuracy, balanced accuracy and the area for "non-diagnostic", beside the majority baseline.

    Parameters
    ----------
    chances : ndarray, shape (N, K)
        Probabilities, worst class first.
    votes : ndarray, shape (N, K)
        Readers by class.
    subjects : sequence of str
    more : str
        Further sentence for the note.
    """
    truth, guess, classes = majority_class(votes), chances.argmax(axis=1), chances.shape[1]
    common = np.full(len(truth), int(np.bincount(truth, minlength=classes).argmax()))
    worst = chances[:, 0]

    def shown(statistic: Callable[[Array], float]) -> str:
        value = statistic(np.arange(len(truth)))
        low, high = bootstrap(subjects, statistic)
        return "n/a" if np.isnan(value) else f"{value:.2f} [{low:.2f}, {high:.2f}]"

    rows = [
        [
            name,
            shown(lambda rows, own=own: float((own[rows] == truth[rows]).mean())),  # type: ignore[misc]
            shown(lambda rows, own=own: balanced_accuracy(own[rows], truth[rows], classes)),  # type: ignore[misc]
            shown(lambda rows: area(worst[rows][truth[rows] == 0], worst[rows][truth[rows] > 0]))
            if number == 0
            else ".50",
        ]
        for number, (name, own) in enumerate((("network", guess), ("always the commonest class", common)))
    ]
    note = (
        f"{len(truth)} slices of {len(set(subjects))} subjects, each judged by a network that was not trained on its "
        f"subject; truth: the class that most readers gave. Intervals by bootstrap over subjects. {more}"
    )
    columns = ["classifier", "accuracy", "balanced accuracy", "AUC of non-diagnostic"]
    return Table("Diagnostic classes", columns, rows, note.strip())


def confusion_table(guess: Array, votes: Array, names: Sequence[str]) -> Table:
    """Counts of true (rows) and found classes, with recall."""
    truth = majority_class(votes)
    rows = []
    for number, name in enumerate(names):
        own = guess[truth == number]
        counts = [int((own == other).sum()) for other in range(len(names))]
        recall = f"{counts[number] / len(own):.2f}" if len(own) else "n/a"
        rows.append([name, *counts, recall])
    return Table("Confusion of diagnostic classes", ["truth", *(f"found {name}" for name in names), "recall"], rows)
