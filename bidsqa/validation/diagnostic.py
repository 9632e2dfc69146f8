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


def agreement(chances: Array, votes: Array, subjects: Sequence[str]) -> list[str]:
    """Accuracy, balanced accuracy and area for "non-diagnostic" against the class that most readers gave.

    Parameters
    ----------
    chances : ndarray, shape (N, K)
        Probabilities, worst class first.
    votes : ndarray, shape (N, K)
        Readers by class.
    subjects : sequence of str

    Returns
    -------
    list of str
        ``value [low, high]`` each, the interval by bootstrap over subjects; ``n/a`` where there is none.
    """
    truth, guess, classes, worst = majority_class(votes), chances.argmax(axis=1), chances.shape[1], chances[:, 0]
    statistics: tuple[Callable[[Array], float], ...] = (
        lambda rows: float((guess[rows] == truth[rows]).mean()),
        lambda rows: balanced_accuracy(guess[rows], truth[rows], classes),
        lambda rows: area(worst[rows][truth[rows] == 0], worst[rows][truth[rows] > 0]),
    )
    return [with_interval(subjects, statistic) for statistic in statistics]


def with_interval(subjects: Sequence[str], statistic: Callable[[Array], float]) -> str:
    """A statistic of all rows as ``value [low, high]``, 95 % by bootstrap over subjects."""
    value = statistic(np.arange(len(subjects)))
    if np.isnan(value):
        return "n/a"
    low, high = bootstrap(subjects, statistic)
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"


def accuracy_table(chances: Array, votes: Array, subjects: Sequence[str], more: str = "") -> Table:
    """Accuracy, balanced accuracy and the area for "non-diagnostic", beside the majority baseline.

    Parameters
    ----------
    chances, votes, subjects
        As for :func:`agreement`.
    more : str
        Further sentence for the note.
    """
    truth = majority_class(votes)
    common = np.zeros_like(chances)
    common[:, np.bincount(truth, minlength=chances.shape[1]).argmax()] = 1
    rows = [
        [name, *agreement(own, votes, subjects)]
        for name, own in (("network", chances), ("always the commonest class", common))
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
