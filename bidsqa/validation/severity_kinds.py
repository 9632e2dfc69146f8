# SPDX-License-Identifier: Apache-2.0
"""Fit the model that names the kind of artifact from the readings of the severity score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bidsqa.models.severity_scale import FAMILIES, KINDS, Kinds, evidence

FEATURES = (*FAMILIES, "field", "echo", "grain")
# stronger shrinkage than usual: few scans; chosen, as the features, by leaving out one development subject at a time
INVERSE_PENALTY = 0.1
NAMED_FROM = 0.25


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
