# SPDX-License-Identifier: Apache-2.0
"""Tables of diagnostic networks on simulated grades: what :mod:`bidsqa.validation.diagnostic_networks` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bidsqa.models.diagnostic import CLASSES, softmax
from bidsqa.validation.diagnostic import agreement, confusion_table, majority_class, with_interval
from bidsqa.validation.tables import Table
from bidsqa.validation.temperature import calibration_error

Array = np.ndarray[Any, Any]
COMMAND = "python -m bidsqa.validation.diagnostic_networks"
COLUMNS = (
    "classifier", "accuracy", "balanced accuracy", "AUC of non-diagnostic", "calibration error before",
    "after the temperature", "temperature", "steps",
)  # fmt: skip
CEILING, COMMONEST = "best possible", "always the commonest class"
TITLES = {
    "convnet_3": "ConvNet, 3 classes",
    "convnet_2": "ConvNet, 2 classes",
    "resnet10_3": "ResNet-10, 3 classes",
}


@dataclass(frozen=True)
class Trained:
    """A network's word on the slices of the test.

    Parameters
    ----------
    logits : ndarray, shape (N, K)
    temperature : float
        Fitted on subjects that were neither trained on nor are judged.
    steps : int
        Of its training.
    """

    logits: Array
    temperature: float
    steps: int

    def chances(self, classes: int, *, tempered: bool = True) -> Array:
        """Probabilities (N, classes) with or without the temperature; the better classes of three may become one."""
        own = softmax(self.logits, self.temperature if tempered else 1.0)
        return own if own.shape[1] == classes else merged(own)


def merged(values: Array) -> Array:
    """Chances or votes of several classes as two: the worst, and all better ones, shape (N, 2)."""
    return np.stack([values[:, 0], values[:, 1:].sum(axis=1)], axis=1)


@dataclass(frozen=True)
class Judged:
    """The slices of the test.

    Parameters
    ----------
    votes : ndarray, shape (N, 3)
        Readers by class.
    best : ndarray, shape (N, 3)
        Chances of the classes by somebody who knows what was simulated.
    shares : ndarray, shape (3,)
        How common the classes are among the slices that were trained on.
    subject : tuple of str
    """

    votes: Array
    best: Array
    shares: Array
    subject: tuple[str, ...]

    def some(self, rows: Array) -> Judged:
        """These rows."""
        return Judged(self.votes[rows], self.best[rows], self.shares, tuple(self.subject[row] for row in rows))


def calibration(chances: Array, votes: Array, subjects: Sequence[str]) -> str:
    """Expected calibration error with its interval."""
    return with_interval(subjects, lambda rows: calibration_error(chances[rows], votes[rows]))


def classes_table(judged: Judged, trained: Mapping[str, Trained], classes: int, note: str) -> Table:
    """All networks that know so many classes or more, beside the best possible and the commonest class.

    Parameters
    ----------
    judged : Judged
    trained : Mapping of Trained
        By architecture.
    classes : int
        2 or 3.
    note : str
    """
    votes, best, shares = (
        (judged.votes, judged.best, judged.shares[None])
        if classes == judged.votes.shape[1]
        else (merged(judged.votes), merged(judged.best), merged(judged.shares[None]))
    )
    constant = np.repeat(shares / shares.sum(), len(votes), axis=0)
    rows: list[list[Any]] = []
    for name, network in trained.items():
        if network.logits.shape[1] < classes:
            continue
        raw, own = network.chances(classes, tempered=False), network.chances(classes)
        errors = [calibration(part, votes, judged.subject) for part in (raw, own)]
        figures = [f"{network.temperature:.2f}", network.steps]
        rows.append([TITLES.get(name, name), *agreement(own, votes, judged.subject), *errors, *figures])
    for name, own in ((CEILING, best), (COMMONEST, constant)):
        error = calibration(own, votes, judged.subject)
        rows.append([name, *agreement(own, votes, judged.subject), error, error, "", ""])
    title = f"Diagnostic networks on simulated grades of {classes} classes, sites not trained on"
    return Table(title, COLUMNS, rows, note, COMMAND)


def confusion(judged: Judged, trained: Trained, name: str, note: str) -> Table:
    """Counts of true and found classes of one network."""
    found = confusion_table(trained.logits.argmax(axis=1), judged.votes, CLASSES)
    title = f"Confusion of diagnostic classes on simulated grades: {TITLES.get(name, name)}"
    return Table(title, found.columns, found.rows, note, COMMAND)


def groups_table(judged: Judged, trained: Trained, name: str, note: str) -> Table:
    """One network by where the slices come from: real scans, scans drawn from label maps, phantoms."""
    groups = {
        "real scans": lambda subject: not subject.startswith(("training_seg", "phantom")),
        "scans drawn from label maps": lambda subject: subject.startswith("training_seg"),
        "phantoms": lambda subject: subject.startswith("phantom"),
    }
    rows: list[list[Any]] = []
    for group, belongs in groups.items():
        own = np.flatnonzero([belongs(subject) for subject in judged.subject])
        if not len(own):
            continue
        part, chances = judged.some(own), trained.chances(3)[own]
        cells = agreement(chances, part.votes, part.subject)
        highest = agreement(part.best, part.votes, part.subject)
        rows.append([group, len(set(part.subject)), len(own), *cells, highest[0], highest[2]])
    columns = [
        "slices of", "subjects", "slices", "accuracy", "balanced accuracy", "AUC of non-diagnostic",
        "accuracy, best possible", "AUC, best possible",
    ]  # fmt: skip
    title = f"Simulated grades by kind of scan: {TITLES.get(name, name)}"
    return Table(title, columns, rows, note, COMMAND)


def learning_table(judged: Judged, curve: Mapping[int, Trained], subjects: Mapping[int, int], name: str) -> Table:
    """What more rated slices bring to one network, all else being equal.

    Parameters
    ----------
    judged : Judged
    curve : Mapping of int to Trained
        By the number of rated slices.
    subjects : Mapping of int to int
        Subjects among them.
    name : str
        Architecture.
    """
    rows: list[list[Any]] = []
    for count, network in curve.items():
        chances = network.chances(judged.votes.shape[1])
        cells = agreement(chances, judged.votes, judged.subject)
        error = calibration(chances, judged.votes, judged.subject)
        rows.append([count, subjects[count], *cells, error, network.steps])
    note = (
        f"{len(judged.subject)} slices of {len(set(judged.subject))} subjects of the test as in the other tables, "
        "intervals by bootstrap over subjects; each training had the same processor time, and each slice three "
        "synthetic readers."
    )
    columns = ["rated slices", "subjects", *COLUMNS[1:4], COLUMNS[5], "steps"]
    title = f"Simulated grades: what more rated slices bring ({TITLES.get(name, name)})"
    return Table(title, columns, rows, note, COMMAND)


def roc_of(judged: Judged, trained: Mapping[str, Trained]) -> dict[str, tuple[Array, Array]]:
    """Chance of "non-diagnostic" of the slices that are, and of those that are not, by classifier."""
    truth = majority_class(merged(judged.votes)) == 0
    worst = {TITLES.get(name, name): network.chances(2)[:, 0] for name, network in trained.items()}
    worst[CEILING] = judged.best[:, 0]
    return {name: (values[truth], values[~truth]) for name, values in worst.items()}
