# SPDX-License-Identifier: Apache-2.0
"""A dataset full of bad scans: each costs only itself, and nothing that is written in them gets out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bidsqa.simulation.phantom import Phantom
from bidsqa.validation.bad_scans import BAD_SCANS, BadScan, write_dataset

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(
    tmp_path_factory: pytest.TempPathFactory, phantom_3mm: Phantom
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The output folder of the main job on the bad dataset, and how the command ended."""
    place = tmp_path_factory.mktemp("bad")
    head = phantom_3mm.image("T1w", seed=1)
    write_dataset(place / "bids", np.rint(head.data).astype(np.int16), head.affine)
    command = [sys.executable, "-m", "bidsqa.cli.main", str(place / "bids"), str(place / "out"), "participant", "group"]
    done = subprocess.run([*command, "-w", str(place / "work")], capture_output=True, text=True, check=False)
    return place / "out", done


def _record(out: Path, scan: BadScan) -> dict[str, Any]:
    return json.loads((out / f"sub-{scan.label}" / "anat" / f"sub-{scan.label}_desc-qa_T1w.json").read_text())


def test_exit_code_says_that_some_failed(run: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    assert run[1].returncode == 1, run[1].stderr


@pytest.mark.parametrize("scan", BAD_SCANS, ids=lambda scan: scan.label)
def test_each_scan_has_its_record_and_page(run: tuple[Path, subprocess.CompletedProcess[str]], scan: BadScan) -> None:
    record = _record(run[0], scan)
    expected = "ok" if scan.label == "unreadable" and os.geteuid() == 0 else scan.status
    assert record["status"] == expected, record["failure"]
    page = (run[0] / f"sub-{scan.label}_T1w.html").read_text()
    if expected == "failed":
        assert record["failure"]["cause"]
        assert record["failure"]["hint"]
        assert record["failure"]["crashfile"] is None, "a known cause, not a crash"
        assert record["verdict"]["decision"] == "fail"
    else:
        assert record["scores"]["severity"]["value"] >= 0
        assert 0 <= record["scores"]["ssim"]["value"] <= 1
        assert record["verdict"]["decision"] in ("pass", "review", "fail")
    assert "<title>" in page


def test_representation_does_not_change_the_scores(run: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    by_label = {scan.label: _record(run[0], scan) for scan in BAD_SCANS if scan.status == "ok"}
    good = by_label["good"]["scores"]
    for label in (
        "uint16",
        "int32",
        "float32",
        "float64",
        "badslope",
        "brokenjson",
        "listjson",
        "latinjson",
        "hostile",
    ):
        for name, score in by_label[label]["scores"].items():
            assert score["value"] == pytest.approx(good[name]["value"], abs=1e-6), (label, name)
    # without an orientation left and right may be swapped, which a network's score survives only nearly
    for label, tolerance in (("nosform", 0.05), ("slope", 0.02), ("uint8", 0.1), ("somenan", 0.02), ("negative", 0.02)):
        for name, score in by_label[label]["scores"].items():
            assert score["value"] == pytest.approx(good[name]["value"], abs=tolerance), (label, name)


def test_hostile_sidecar_stays_text(run: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    for page in (run[0] / "sub-hostile_T1w.html", run[0] / "group.html"):
        text = page.read_text()
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert ">49<" not in text


def test_group_has_a_row_for_every_scan(run: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    rows = (run[0] / "group_T1w.tsv").read_text().splitlines()
    assert {row.split("\t")[0] for row in rows[1:]} == {f"sub-{scan.label}_T1w" for scan in BAD_SCANS}
