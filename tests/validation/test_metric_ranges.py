# SPDX-License-Identifier: Apache-2.0
"""Ranges of the metrics on real scans: the arithmetic, and that the documentation shows them."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from bidsqa.metrics import METRIC_KEYS
from bidsqa.validation import metric_ranges
from bidsqa.validation.metric_ranges import Measured, range_table, words

ROOT = Path(__file__).resolve().parents[2]
SCANS = [
    Measured("T1w", "a", "here", {"cjv": 0.4, "cnr": None}),
    Measured("T1w", "b", "here", {"cjv": 0.6}),
    Measured("FLAIR", "b", "there", {"cjv": 0.9}),
]


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The extension that makes the pages, with an empty folder of printed tables."""
    spec = importlib.util.spec_from_file_location("docs_tables_of_ranges", ROOT / "docs" / "_ext" / "tables.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(module.PRINTED, "validation", tmp_path)
    return module


def test_percentiles_in_words() -> None:
    assert words([float(value) for value in range(101)]) == "50 (5 to 95; 101 of 101)"
    assert words([None, 1.0, 2.0, 3.0]) == "2 (1.1 to 2.9; 3 of 4)"
    assert words([1.0, None, 3.0]) == "2 (2 of 3)"
    assert words([None]) == words([]) == "none"


def test_every_metric_has_a_row_and_nulls_are_counted() -> None:
    table = range_table(SCANS)
    rows = {row[0]: row[1:] for row in table.rows}
    assert list(rows) == list(METRIC_KEYS)
    assert rows["cjv"] == ["0.5 (2 of 2)", "none", "0.9 (1 of 1)"]
    assert rows["cnr"] == ["none", "none", "none"]
    assert "2 T1w, 0 T2w, 1 FLAIR, of 2 people from 2 sites" in table.note


def test_the_documentation_shows_them(tmp_path: Path, tables: ModuleType) -> None:
    range_table(SCANS).write(tmp_path / "metric_ranges.json")
    text = tables.metrics()
    assert text.count("- on real scans") == 1
    row = "   * - ``cjv``\n     - 0.5 (2 of 2)\n     - none\n     - 0.9 (1 of 1)\n"
    assert row in text
    assert "2 people from 2 sites" in text
    assert "Metrics of real scans" not in tables.SOURCES["validation"]()


def test_the_documentation_does_without(tables: ModuleType) -> None:
    assert "on real scans" not in tables.metrics()


def test_without_scans_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["metric_ranges", "--data", str(tmp_path), "--out", str(tmp_path / "out")])
    metric_ranges.main()
    assert "No real scans" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_scans_are_measured_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bids_dataset: Callable[..., Path]
) -> None:
    scans = bids_dataset("sub-a01_T1w", "sub-b02_T2w", folder="scans")
    rows = [f"sub-{name}/anat/sub-{name}_{suffix}.nii.gz\tsub-{name}\tone\t{suffix}" for name, suffix in
            (("a01", "T1w"), ("b02", "T2w"))]  # fmt: skip
    (scans / "scans_table.tsv").write_text("\n".join(["file\tparticipant_id\tsite\tsuffix", *rows]) + "\n")
    monkeypatch.setattr(sys, "argv", ["metric_ranges", "--data", str(scans.parent), "--out", str(tmp_path)])
    metric_ranges.main()
    table = json.loads((tmp_path / "metric_ranges.json").read_text(encoding="utf-8"))
    cells = {row[0]: row[1:] for row in table["rows"]}
    assert cells["cjv"][0].endswith("(1 of 1)") and cells["cjv"][1].endswith("(1 of 1)") and cells["cjv"][2] == "none"
