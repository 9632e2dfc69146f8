# SPDX-License-Identifier: Apache-2.0
"""Fit the model that names the kind of artifact from the readings of the severity score; count what it names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from bidsqa.models.severity_scale import FAMILIES, KINDS, Kinds, evidence
from bidsqa.validation.separation import percent
from bidsqa.validation.severity_cases import FAMILY_OF
from bidsqa.validation.tables import Table

FEATURES = (*FAMILIES, "field", "echo", "grain")
# stronger shrinkage than usual: few scans; chosen, as the features, by leaving out one development subject at a time
INVERSE_PENALTY = 0.1
NAMED_FROM = 0.25
NAMED = 0.5


def fit_kinds(
    places: Sequence[Mapping[str, float]],
    families: Sequence[str],
    strengths: Sequence[float],
    features: Sequence[str] = FEATURES,
) -> Kinds:
    """Multinomial logistic regression with ridge penalty; kinds weigh alike.

    Parameters
    ----------
    places : sequence of Mapping
        Readings of each case on the scale of clean scans (:meth:`bidsqa.models.severity_scale.Scale.place`).
    families : sequence of str
        Of ``KINDS``: ``"none"`` for clean scans.
    strengths : sequence of float
        Cases weaker than 0.25 are left out: they can hardly be seen.
    features : sequence of str

    Returns
    -------
    Kinds
        Kinds that no case shows get an offset of -20.
    """
    from sklearn.linear_model import LogisticRegression

    kept = [number for number, name in enumerate(families) if name == "none" or strengths[number] >= NAMED_FROM]
    inputs = np.array([[places[number].get(name, 0.0) for name in features] for number in kept])
    names = np.array([families[number] for number in kept])
    model = LogisticRegression(C=INVERSE_PENALTY, class_weight="balanced", max_iter=5000)
    model.fit(evidence(inputs), names)
    # two classes give one row: the second against the first
    rows, offsets = (
        (model.coef_, model.intercept_)
        if len(model.classes_) > 2
        else (
            np.stack([-model.coef_[0] / 2, model.coef_[0] / 2]),
            np.array([-model.intercept_[0] / 2, model.intercept_[0] / 2]),
        )
    )
    place = {str(name): number for number, name in enumerate(model.classes_)}
    weights = [rows[place[kind]] if kind in place else np.zeros(len(features)) for kind in KINDS]
    offset = [float(offsets[place[kind]]) if kind in place else -20.0 for kind in KINDS]
    return Kinds(tuple(features), tuple(tuple(map(float, row)) for row in weights), tuple(offset))


def count_kinds(named: Iterable[tuple[str, float, str]]) -> dict[str, dict[str, int]]:
    """How often each kind is named, by true kind: clean scans and copies at 0.5 and more.

    Parameters
    ----------
    named : iterable of (artifact, strength, kind named)
        The artifact is ``none`` for clean scans.
    """
    counts = {kind: dict.fromkeys(KINDS, 0) for kind in KINDS}
    for artifact, strength, kind in named:
        if artifact == "none" or strength >= NAMED:
            counts[FAMILY_OF[artifact]][kind] += 1
    return counts


def kinds_table(counts: Mapping[str, Mapping[str, int]], note: str, command: str) -> Table:
    """True kinds against named ones, from :func:`count_kinds`; beside it the largest kind's share."""
    rows, right, total = [], 0, 0
    for kind, own in counts.items():
        number = sum(own.values())
        rows.append([kind, number, *(own[name] for name in KINDS), percent((own[kind], number))])
        if kind != "none":
            right, total = right + own[kind], total + number
    largest = max((sum(own.values()) for kind, own in counts.items() if kind != "none"), default=0)
    title = "Which kind of artifact the severity names: clean scans, and copies of strength 0.5 and more"
    columns = ["true kind", "scans", *(f"named {name}" for name in KINDS), "right"]
    text = f"{note} Kind right in all degraded copies: {percent((right, total))}."
    if total:
        text += f" Always naming the most frequent kind: {100 * largest / total:.0f} %."
    return Table(title, columns, rows, text, command)
