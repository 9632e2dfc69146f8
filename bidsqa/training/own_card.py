# SPDX-License-Identifier: Apache-2.0
"""The card of weights that a user trained: data, recipe, curve, validation, limits."""

from __future__ import annotations

import hashlib
import shlex
import textwrap
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy
import torch

import bidsqa
from bidsqa.models import MODELS
from bidsqa.settings import DEFAULT_MODELS
from bidsqa.training.loop import Outcome
from bidsqa.training.own_model import Finished
from bidsqa.training.own_recipe import Recipe
from bidsqa.training.own_scans import ONE_SITE, Reading, Split

CURVE_ROWS = 12
CURVE_COLUMNS = ("step", "seconds", "rate", "loss", "watch_loss", "watch_auc", "watch_rank", "watch_mae", "watch_bias")
ENDED = {
    "budget": "the budget was spent",
    "patience": "the loss on the watched subjects had stopped falling",
}
LIMITS = """
- What counts as clean is what was given: artifacts in these scans are learned as normal. Judge the scans before
  (`bidsqa BIDS_DIR OUT participant group`) and leave bad ones out.
- Artifacts are simulated, by the same simulators in training and validation; real artifacts may differ.
- The step was chosen by, and the score calibrated on, the watched subjects: their numbers above are optimistic. A site
  held out had no part in it. `bidsqa-train evaluate` judges these weights on any other dataset.
- Few subjects make uncertain numbers; other scanners, contrasts and age groups than those above were not tried.
- Not a medical device; no diagnosis.
"""
LICENCE = """
Not stated. Before you pass these weights on, choose a licence, ask what the consent and terms of the data above allow,
and mind that this card names their participants.
"""
STARTED = " The shipped weights that it started from are under Apache-2.0."


@dataclass(frozen=True)
class Told:
    """What a card is made of.

    Parameters
    ----------
    recipe : Recipe
    split : Split
    reading : Reading
    outcome : Outcome
    finished : Finished
    slices : int
        That were trained on.
    command : str
        That trains the same again.
    dataset : str
        Name of the dataset, for people.
    """

    recipe: Recipe
    split: Split
    reading: Reading
    outcome: Outcome
    finished: Finished
    slices: int
    command: str
    dataset: str


def use_of(model: str, weights: str) -> str:
    """The command that judges scans with a user's own weights; models that aren't run by default are asked for."""
    asked = "" if model in DEFAULT_MODELS else f" --models {' '.join([*DEFAULT_MODELS, model])}"
    return f"bidsqa BIDS_DIR OUT_DIR participant{asked} --weights {shlex.quote(f'{model}={weights}')}"


def write_card(path: Path, told: Told) -> None:
    """Write the card as Markdown."""
    from bidsqa.bids.writing import write_atomic

    write_atomic(path, card(told))


def card(told: Told) -> str:
    """The card, Markdown."""
    recipe = told.recipe
    digest = hashlib.sha256(told.finished.content).hexdigest()
    row = MODELS[recipe.model]
    licence = " ".join(LICENCE.split()) + (STARTED if recipe.start == "shipped" else "")
    tables = [
        part
        for table in told.finished.tables
        for part in (f"```\n{replace(table, note='').text()}```\n", *([_wrapped(table.note)] if table.note else []))
    ]
    return "\n".join(
        [
            f"# {recipe.model}: own weights\n",
            _wrapped(
                f"{row.says} Trained with bidsqa {bidsqa.__version__}; file `{recipe.model}.onnx`, SHA-256 {digest}. "
                "Use:"
            ),
            f"```\n{use_of(recipe.model, f'{recipe.model}.onnx')}\n```\n",
            "## Data\n",
            *_data(told),
            "## Recipe\n",
            _recipe(told),
            "## Curve\n",
            f"```\n{_curve(told)}```\n",
            "## Validation\n",
            *(_wrapped(note) for note in told.finished.notes),
            *tables,
            "## Limits\n",
            LIMITS.strip() + "\n",
            "## Licence\n",
            _wrapped(licence),
        ]
    )


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 118, break_long_words=False, break_on_hyphens=False) + "\n"


def _data(told: Told) -> list[str]:
    split, reading = told.split, told.reading
    parts = [_wrapped(f"Dataset: {told.dataset}. Split by subject with seed {told.recipe.seed}.")]
    titles = {
        "train": f"Trained on ({told.slices} slices)",
        "watch": "Watched, not trained on (early stopping, calibration, tables below)",
        "test": f"Held out with their site, {split.held_out}" if split.held_out else "",
    }
    for side, title in titles.items():
        subjects = split.subjects(side)
        if not subjects:
            continue
        scans = [name for name, own in reading.read.items() if own == side]
        kinds = ", ".join(
            f"{count} {kind}" for kind, count in sorted(Counter(n.rsplit("_", 1)[-1] for n in scans).items())
        )
        sites = sorted({split.sites[subject] for subject in subjects} - {ONE_SITE})
        named = f"; site{'s' if len(sites) > 1 else ''} {', '.join(sites)}" if sites else ""
        people = "1 subject" if len(subjects) == 1 else f"{len(subjects)} subjects"
        parts.append(_wrapped(f"**{title}**: {people}, {kinds or 'no scan read'}{named}."))
        parts.append(_wrapped(", ".join(f"sub-{subject}" for subject in subjects)))
    if reading.skipped:
        parts.append(_wrapped(f"**Passed over**: {len(reading.skipped)} scans that can't be used."))
        parts.append("\n".join(f"- {name}: {reason}" for name, reason in sorted(reading.skipped.items())) + "\n")
    return parts


def _recipe(told: Told) -> str:
    recipe, outcome = told.recipe, told.outcome
    size = sum(parameter.numel() for parameter in outcome.network.parameters())
    best = f" The weights are those of step {outcome.best[0]}, with the lowest watched loss." if outcome.best else ""
    if outcome.best and not outcome.best[0]:
        best = " No look was better than the first: these are the weights that it started from."
    artifacts = f" Artifacts: {', '.join(recipe.artifacts)}." if recipe.artifacts else ""
    return _wrapped(
        f"`{told.command}`: {outcome.step} steps of {recipe.batch} slices in {outcome.seconds / 60:.1f} minutes on "
        f"{' and '.join(outcome.machines)}; then {ENDED[outcome.ended]}.{best} Start: {recipe.start}. Seed "
        f"{recipe.seed}, highest rate {recipe.rate:g} with warm-up and cosine, AdamW, averaged weights; {size:,} "
        f"parameters.{artifacts} torch {torch.__version__}, NumPy {numpy.__version__}."
    )


def _curve(told: Told) -> str:
    rows = told.outcome.rows
    places = sorted({round(place * (len(rows) - 1) / (CURVE_ROWS - 1)) for place in range(CURVE_ROWS)}) if rows else []
    columns = [name for name in CURVE_COLUMNS if any(name in row for row in rows)]
    cells = [
        columns,
        *([_number(name, rows[place]) for name in columns] for place in places),
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(len(columns))]
    lines = ["  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)) for line in cells]
    return "\n".join([*lines, "", "All rows: curve.csv"]) + "\n"


def _number(name: str, row: dict[str, float]) -> str:
    if name not in row:
        return ""
    return f"{row[name]:.0f}" if name in ("step", "seconds") else f"{row[name]:.4g}"
