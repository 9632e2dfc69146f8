# SPDX-License-Identifier: Apache-2.0
"""The similarity score against the truth on a user's dataset, on known answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from bidsqa.validation.own_results import Result
from bidsqa.validation.own_similarity import clinical_accuracy, draw_similarity, similarity, within


def moved(number: int, truth: float, score: float, uncertainty: float = 0.05, artifact: str = "motion") -> Result:
    return Result(
        f"sub-{number % 4}_T1w", f"{number % 4}", f"site-{number % 2}", "T1w", artifact, 0.5, 0.1,
        {"ssim": score}, {"ssim": uncertainty}, baselines={"efc": truth, "field range": float(number % 3)}, truth=truth,
    )  # fmt: skip


def study(error: float = 0.0) -> list[Result]:
    rows = [moved(number, truth, truth + error) for number, truth in enumerate(np.linspace(0.3, 0.95, 20))]
    clean = Result("sub-0_T1w", "0", "site-0", "T1w", "none", 0.0, 0.0, {"ssim": 0.97}, {"ssim": 0.05}, truth=1.0)
    return [*rows, clean]


def test_residuals_coverage_and_classes_of_a_known_error() -> None:
    table = similarity(study(0.06), "note")
    assert table is not None
    names, line = [row[0] for row in table.rows], dict(zip(table.columns, table.rows[0], strict=True))
    assert names[:4] == ["ssim: all moved copies", "strength 0.5", "contrast T1w", "site 0"]
    assert line["copies"] == 20 and line["subjects"] == 4
    assert line["mean error [95 %]"] == "+0.060 [+0.060, +0.060]"
    assert line["SD of error [95 %]"].startswith("0.000")
    assert line["truth within 1 uncertainty"].startswith("0 %")
    assert line["within 2"].startswith("100 %")
    clean = next(row for row in table.rows if row[0].startswith("clean"))
    assert clean[3].startswith("-0.030")


def test_baselines_learn_from_the_other_subjects() -> None:
    table = similarity(study(), "note")
    assert table is not None
    lines = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    fitted = lines["baseline: classical measures, least squares"]
    assert float(fitted["r"]) > 0.99, "the measure holds the truth"
    assert fitted["within 2"] == ""
    assert float(lines["baseline: constant"]["SD of error [95 %]"].split()[0]) > 0.15
    one = [row for row in study() if row.subject == "0"]
    alone = similarity(one, "note")
    assert alone is not None
    assert not any(row[0].startswith("baseline") for row in alone.rows), "nobody else to learn from"


def test_clinical_classes_and_the_largest() -> None:
    truth = np.array([0.9, 0.95, 0.7, 0.5])
    assert clinical_accuracy(truth, truth) == (1.0, 0.5)
    assert clinical_accuracy(truth, np.full(4, 0.9)) == (0.5, 0.5)
    assert within([moved(0, 0.5, 0.56), moved(1, 0.5, 0.54)], 1) == (1, 2)


def test_without_motion_there_is_nothing_to_tell(tmp_path: Path) -> None:
    rows = [moved(0, float("nan"), 0.9, artifact="noise"), study()[-1]]
    assert similarity(rows, "note") is None
    draw_similarity(rows, tmp_path / "none.svg")
    assert not (tmp_path / "none.svg").exists()
