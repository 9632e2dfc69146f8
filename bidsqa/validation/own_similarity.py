# SPDX-License-Identifier: Apache-2.0
"""The ssim score of a user's scans after motion against the true similarity: residuals, coverage, classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bidsqa.models.ssim import CLASS_COUNTS, clinical_class
from bidsqa.validation.own_results import Result
from bidsqa.validation.own_separation import COMMAND
from bidsqa.validation.plots import predicted_against_true
from bidsqa.validation.separation import percent
from bidsqa.validation.ssim import summarise
from bidsqa.validation.tables import Table

Array = np.ndarray[Any, Any]
MODEL = "ssim"
# fewer copies can't carry a fit of the classical measures
FEWEST = 12


def moved(results: Sequence[Result]) -> list[Result]:
    """Copies whose true similarity is known and not 1 by definition."""
    return [row for row in results if not row.clean and not np.isnan(row.truth)]


def similarity(results: Sequence[Result], note: str) -> Table | None:
    """Predicted minus true SSIM of whole scans after motion; None where there are none."""
    rows = moved(results)
    if not rows:
        return None
    groups = [("ssim: all moved copies", rows)]
    for label, values in (
        ("strength", sorted({row.strength for row in rows})),
        ("contrast", sorted({row.contrast for row in rows})),
        ("site", sorted({row.site for row in rows})),
    ):
        for value in values:
            name = f"{value:g}" if isinstance(value, float) else value.removeprefix("site-")
            groups.append((f"{label} {name}", [row for row in rows if getattr(row, label) == value]))
    lines = [_line(name, part, np.array([row.scores[MODEL] for row in part]), known=True) for name, part in groups]
    lines.append(_line("clean scans, whose similarity is 1", *_clean(results), known=True))
    lines += [_line(f"baseline: {name}", rows, values) for name, values in _baselines(rows).items()]
    columns = [
        "scans", "copies", "subjects", "mean error [95 %]", "SD of error [95 %]", "r",
        *(f"{count} classes (largest class)" for count in CLASS_COUNTS), "clinical classes, weighted kappa",
        "clinical classes (largest class)", "truth within 1 uncertainty", "within 2",
    ]  # fmt: skip
    text = (
        f"{note} Truth: median SSIM of the very slices that are scored, at 1 mm, moved against clean. Error: score "
        "minus truth. The largest class is what always naming the most frequent one would get. Baselines are fitted on "
        "the copies of the other subjects, which the score is not."
    )
    return Table("SSIM score after motion against the true similarity", columns, lines, text, COMMAND)


def _clean(results: Sequence[Result]) -> tuple[list[Result], Array]:
    rows = [row for row in results if row.clean]
    return rows, np.array([row.scores[MODEL] for row in rows])


def _line(name: str, rows: Sequence[Result], predicted: Array, known: bool = False) -> list[Any]:
    """One row; the coverage where the predictions are the score's, which alone has an uncertainty."""
    coverage = [percent(within(rows, widths)) for widths in (1, 2)] if known else ["", ""]
    right, most = clinical_accuracy(np.array([row.truth for row in rows]), predicted)
    return [*summarise(name, rows, predicted), f"{right:.2f} ({most:.2f})", *coverage]


def within(rows: Sequence[Result], widths: float) -> tuple[int, int]:
    """How many scores lie within that many of their uncertainties of the truth, of how many that have both."""
    known = [row for row in rows if MODEL in row.uncertainties and not np.isnan(row.truth)]
    return sum(abs(row.scores[MODEL] - row.truth) <= widths * row.uncertainties[MODEL] for row in known), len(known)


def clinical_accuracy(truth: Array, predicted: Array) -> tuple[float, float]:
    """Share of right clinical classes (good, usable, rescan), and the share of the most frequent one."""
    true = [clinical_class(float(value)) for value in truth]
    named = [clinical_class(float(value)) for value in predicted]
    right = sum(one == other for one, other in zip(true, named, strict=True))
    return right / len(true), max(true.count(name) for name in set(true)) / len(true)


def _baselines(rows: Sequence[Result]) -> dict[str, Array]:
    """Predictions of a constant and of the classical measures, for each subject from the other subjects."""
    truth = np.array([row.truth for row in rows])
    subject = np.array([row.subject for row in rows])
    measures = np.array([list(row.baselines.values()) for row in rows], dtype=np.float64).reshape(len(rows), -1)
    constant, fitted = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    for name in sorted(set(subject)):
        own = subject == name
        if own.all():
            return {}
        constant[own] = truth[~own].mean()
        fitted[own] = _fit(measures[~own], truth[~own], measures[own])
    found = {"constant": constant}
    if measures.shape[1] and len(rows) >= FEWEST:
        found["classical measures, least squares"] = fitted
    return found


def _fit(inputs: Array, truth: Array, wanted: Array) -> Array:
    """Least squares on standardised measures, kept to 0-1."""
    middle, spread = inputs.mean(axis=0), inputs.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    first, second = (
        np.column_stack([np.ones(len(part)), np.clip((part - middle) / spread, -4, 4)]) for part in (inputs, wanted)
    )
    weights = np.linalg.lstsq(first, truth, rcond=1e-6)[0]
    return np.asarray(np.clip(second @ weights, 0, 1))


def draw_similarity(results: Sequence[Result], path: Path) -> None:
    """Predicted against true SSIM of the moved copies by contrast, as SVG; nothing where there are none."""
    rows = moved(results)
    if rows:
        truth, predicted = np.array([row.truth for row in rows]), np.array([row.scores[MODEL] for row in rows])
        predicted_against_true(truth, predicted, [row.contrast for row in rows], path)
