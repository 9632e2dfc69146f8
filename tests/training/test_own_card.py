# SPDX-License-Identifier: Apache-2.0
"""The card of a user's weights says what was learned from, how, and what it is worth."""

from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from bidsqa.cli.checks import check_models, check_used  # noqa: E402
from bidsqa.cli.parser import parse  # noqa: E402
from bidsqa.training.loop import Outcome  # noqa: E402
from bidsqa.training.own_card import Told, card, use_of  # noqa: E402
from bidsqa.training.own_model import Finished  # noqa: E402
from bidsqa.training.own_recipe import Recipe  # noqa: E402
from bidsqa.training.own_scans import Reading, Split  # noqa: E402
from bidsqa.training.own_training import OWN  # noqa: E402
from bidsqa.validation.tables import Table  # noqa: E402

SIDES = {"01": "train", "02": "train", "03": "train", "04": "watch", "05": "test"}
ROWS = [{"step": float(step), "seconds": 2.0 * step, "rate": 1e-4, "watch_loss": 1 - step / 99} for step in range(40)]


def told(**changes: object) -> Told:
    recipe = Recipe("ssim", "shipped", 3, 16, 4e-4, "auto", (), "B", SIDES, "0" * 64)
    split = Split(SIDES, {**dict.fromkeys(SIDES, "A"), "05": "B"}, "B")
    reading = Reading({"sub-01_T1w": "train", "sub-01_T2w": "train", "sub-04_T1w": "watch"}, {"sub-02_T1w": "is empty"})
    outcome = Outcome(torch.nn.Linear(2, 1), 39, 78.0, "patience", (31, 0.69), ROWS, ["CPU, float32"])
    table = Table("Watched subjects", ["contrast", "error"], [["T1w", "0.01"]], "What the table rests on.")
    finished = Finished(b"weights", [table], ["A note."])
    plain = Told(recipe, split, reading, outcome, finished, 120, "bidsqa-train ssim BIDS_DIR OUT_DIR", "My study")
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_the_card_names_data_recipe_curve_validation_and_limits() -> None:
    text = card(told())
    for part in (
        "# ssim: own weights", "ssim=ssim.onnx", "Dataset: My study", "seed 3",
        "**Trained on (120 slices)**: 3 subjects, 1 T1w, 1 T2w; site A.", "sub-01, sub-02, sub-03",
        "**Watched, not trained on (early stopping, calibration, tables below)**: 1 subject, 1 T1w; site A.", "sub-04",
        "**Held out with their site, B**: 1 subject", "sub-05", "- sub-02_T1w: is empty",
        "`bidsqa-train ssim BIDS_DIR OUT_DIR`: 39 steps of 16 slices in 1.3 minutes on CPU, float32",
        "had stopped falling", "those of step 31", "Start: shipped", "3 parameters", "A note.", "Watched subjects",
        "What the table rests on.", "simulated", "choose a licence", "under Apache-2.0",
    ):  # fmt: skip
        assert part in " ".join(text.split()) or part in text, part
    curve = text.split("## Curve")[1].split("```")[1].strip().splitlines()
    assert curve[0].split() == ["step", "seconds", "rate", "watch_loss"]
    assert len(curve) == 1 + 12 + 2
    assert curve[12].split()[0] == "39"


def test_the_card_admits_that_nothing_was_gained() -> None:
    text = card(told(outcome=replace(told().outcome, best=(0, 0.5))))
    assert "these are the weights that it started from" in " ".join(text.split())


def test_random_weights_owe_nothing_to_the_shipped_ones() -> None:
    text = card(told(recipe=replace(told().recipe, start="none")))
    assert "under Apache-2.0" not in text
    assert "Start: none" in text


@pytest.mark.parametrize("model", OWN)
def test_the_command_of_the_card_asks_for_the_model(model: str) -> None:
    words = use_of(model, "own.onnx").split()
    given = parse(words[1:])
    models = check_models(getattr(given, "models", ()))
    check_used(models, ((model, "own.onnx"),))
    assert {"severity", "ssim"} <= set(models)
    assert given.weights == [f"{model}=own.onnx"]
    text = card(told(recipe=replace(told().recipe, model=model)))
    assert f"\n{use_of(model, f'{model}.onnx')}\n" in text
