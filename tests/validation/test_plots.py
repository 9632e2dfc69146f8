# SPDX-License-Identifier: Apache-2.0
"""The validation's plots show what they are given and are the same bytes twice."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from bidsqa.models.severity_inputs import Prepared
from bidsqa.validation.plots import (
    area_bars,
    areas_by_strength,
    dose_response,
    learning_curves,
    main,
    predicted_against_true,
    read_curve,
)
from bidsqa.validation.severity import evaluate
from bidsqa.validation.severity_cases import JUDGED, STRENGTHS, Case
from bidsqa.validation.severity_judging import Found, Judged


def found(scan: str, artifact: str, strength: float) -> Found:
    case = Case(scan, scan, "a", "T1w", "test", artifact, strength, 0.0, Prepared((), {}), {"efc": strength})
    return Found(Judged(case, {"noise": strength}), strength, {}, "none")


def study() -> list[Found]:
    rows = [found(scan, "none", 0.0) for scan in ("sub-a", "sub-b")]
    return rows + [found(scan, name, level) for scan in ("sub-a", "sub-b") for name in JUDGED for level in STRENGTHS]


def scored(rows: list[Found]) -> list[tuple[Case, float]]:
    return [(row.row.case, row.value) for row in rows]


def texts(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_plots_are_reproducible_svg(tmp_path: Path) -> None:
    draw = {
        "dose": lambda path: dose_response(scored(study()), path, "severity", 1.0),
        "auc": lambda path: areas_by_strength(evaluate(study()), path),
        "scatter": lambda path: predicted_against_true(
            np.array([0.2, 0.9, 0.5]), np.array([0.3, 0.8, 0.5]), ["T1w", "T2w", "T1w"], path
        ),
        "curves": lambda path: learning_curves({"ours": [(10, 0.2), (100, 0.1)]}, "SD", path),
    }
    for name, act in draw.items():
        first, again = tmp_path / f"{name}.svg", tmp_path / f"{name}_2.svg"
        act(first)
        act(again)
        assert first.read_bytes() == again.read_bytes()
        root = ElementTree.fromstring(texts(first))
        assert root.tag.endswith("svg")
        assert len(texts(first)) < 300_000
        assert str(tmp_path) not in texts(first)


def test_every_scan_has_its_line_in_every_panel(tmp_path: Path) -> None:
    dose_response(scored(study()), tmp_path / "dose.svg", "severity", 1.0)
    one = [row for row in study() if row.row.case.scan == "sub-a"]
    dose_response(scored(one), tmp_path / "one.svg", "severity", 1.0)
    assert texts(tmp_path / "dose.svg").count("line2d_") > texts(tmp_path / "one.svg").count("line2d_")


def test_learning_curves_are_read_from_the_trainings_files(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("step,watch_sd\n10,0.2\n20,\n30,0.1\n", encoding="utf-8")
    assert read_curve(tmp_path / "a.csv", before=1000) == [(1160.0, 0.2), (1480.0, 0.1)]
    main([str(tmp_path / "out.svg"), f"first={tmp_path / 'a.csv'}", f"second={tmp_path / 'a.csv'}@500"])
    assert texts(tmp_path / "out.svg").count("<path") > 10
    (tmp_path / "b.csv").write_text("step,watch_auc\n1,0.7\n", encoding="utf-8")
    assert read_curve(tmp_path / "b.csv", batch=42, column="watch_auc") == [(42.0, 0.7)]


def test_area_bars_leave_out_what_is_not_known(tmp_path: Path) -> None:
    bars = {
        "severity": {"noise": (0.9, 0.8, 1.0), "bias": (0.7, 0.5, 0.8)},
        "efc": {"noise": (0.6, 0.5, 0.7), "bias": (float("nan"),) * 3},
        "missing": {"noise": (float("nan"),) * 3, "bias": (float("nan"),) * 3},
    }
    area_bars(bars, tmp_path / "bars.svg", learned=1)
    area_bars(bars, tmp_path / "again.svg", learned=1)
    assert (tmp_path / "bars.svg").read_bytes() == (tmp_path / "again.svg").read_bytes()
    assert texts(tmp_path / "bars.svg").count("<pattern") == 1


def test_panels_without_an_artifact_are_left_blank(tmp_path: Path) -> None:
    chosen = [row for row in study() if row.row.case.artifact in ("none", *JUDGED[:4])]
    dose_response(scored(chosen), tmp_path / "dose.svg", "severity", 1.0)
    assert texts(tmp_path / "dose.svg").count('id="matplotlib.axis_1"') == 1
    assert texts(tmp_path / "dose.svg").count('id="matplotlib.axis_') == 2 * 4
