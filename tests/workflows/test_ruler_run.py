# SPDX-License-Identifier: Apache-2.0
"""Noise and motion through the graph: the same place on a ruler as in one process, its page, and the study's tables."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bidsqa import report, steps
from bidsqa.bids import Selection, collect_scans, names
from bidsqa.models import MODELS
from bidsqa.outputs import pending, redraw
from bidsqa.record import Record
from bidsqa.rulers import Threshold, own_rulers, shipped_rulers, write_ruler, write_threshold
from bidsqa.rulers.ruler import PERSON
from bidsqa.settings import Settings
from bidsqa.study import run_group
from bidsqa.workflows import run_scans

NAME = "sub-01_T1w"
pytestmark = pytest.mark.skipif(not MODELS["noise_motion"].sha256, reason="no weights")


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A site's own ruler: the shipped one with a threshold that a phantom at 3 mm doesn't reach."""
    (ruler,) = (ruler for ruler in shipped_rulers() if ruler.name == "T1w-3D")
    write_ruler(ruler.with_threshold(Threshold(7.0, PERSON, "AB")), tmp_path / "rulers" / "ours")
    return tmp_path / "rulers"


def test_the_graph_and_one_process_agree(tmp_path: Path, bids_dataset: Callable[..., Path], shelf: Path) -> None:
    (scan,) = collect_scans(bids_dataset(NAME), Selection()).scans
    out, settings = tmp_path / "out", Settings(models=("noise_motion",), rulers=str(shelf))
    assert run_scans([scan], out, tmp_path / "work", settings).done == [NAME]
    record = Record.loads(names.record_path(out, NAME).read_text())
    score = record.scores["noise_motion"]
    assert 0 <= score["value"] <= 7
    assert score["ruler"]["name"] == "T1w-3D"
    assert score["ruler"]["why"][0] == "the site's own ruler"
    assert score["ruler"]["threshold"] == 7.0
    assert score["ruler"]["passes"] is False
    assert score["cause"].startswith("noise")
    assert [reason["rule"] for reason in record.verdict["reasons"]].count("ruler") == 1
    assert record.provenance["models"]["noise_motion"]["sha256"] == MODELS["noise_motion"].sha256
    examination = steps.examine(scan.path, "T1w", settings)
    assert json.loads(examination.record.dumps())["scores"] == record.scores

    page = names.page_path(out, NAME).read_text()
    assert '<div class="ruler-row">' in page
    assert "This study accepts from 7: not accepted." in page
    assert sum(name.startswith("ruler-") for name in names.figure_paths(out, NAME)) == 2
    redraw(out, names.record_path(out, NAME))
    assert names.page_path(out, NAME).read_text().count("data:image/png") == page.count("data:image/png")

    assert pending(scan, out, settings) == "done"
    write_threshold(shelf / "ours", Threshold(6.5, PERSON, "AB"))
    assert pending(scan, out, settings) == "changed: settings"

    run_group(out)
    with open(out / "group_T1w.tsv", encoding="utf-8", newline="") as stream:
        (row,) = csv.DictReader(stream, delimiter="\t")
    told = json.loads((out / "group_T1w.json").read_text())
    assert float(row["noise_motion"]) == pytest.approx(score["value"])
    assert row["noise_motion_ruler_name"] == "T1w-3D"
    assert row["noise_motion_ruler_passes"] == "no"
    assert row["noise_motion_ruler_threshold"] == "7"
    columns = [name for name in row if name.startswith("noise_motion_")]
    assert len(columns) > 12
    assert not [name for name in columns if told[name]["Description"].startswith("As the record holds it")]


def test_maps_of_noise_and_of_motion_are_on_the_page(bids_dataset: Callable[..., Path]) -> None:
    (scan,) = collect_scans(bids_dataset(NAME), Selection()).scans
    examination = steps.examine(scan.path, "T1w", Settings(models=("noise_motion",)))
    kinds = {name.rpartition("-axial")[0] for name in examination.figures if name.startswith(report.LOCAL_MAP)}
    assert {"local-noise_motion", "local-noise_motion-motion"} <= kinds
    page = report.render_scan(examination.record, examination.figures)
    assert "Local noise output of the network" in page
    assert "Local probability of motion" in page
    (group,) = (one for one in report.local_maps.local_maps(*_shown(examination)) if one["name"].endswith("-motion"))
    (first,) = (entry for entry in group["maps"] if entry["plane"] == "axial")
    (part,) = (
        part for part in examination.record.scores["noise_motion"]["p_motion_slices"] if part["plane"] == "axial"
    )
    value = part["value"][part["index"].index(first["index"])]
    assert float(first["value"]) == pytest.approx(value, abs=5e-3)
    assert value == max(part["value"])


def _shown(examination: steps.Examination) -> tuple[dict[str, dict[str, object]], dict[str, object], list[str]]:
    from bidsqa.report.page import picture

    ready = {name: picture(content) for name, content in examination.figures.items()}
    return ready, examination.record.scores, ["axial", "coronal", "sagittal"]


def test_without_a_fitting_ruler_there_is_no_score(bids_dataset: Callable[..., Path]) -> None:
    root = bids_dataset(NAME, sidecar={"BodyPart": "KNEE"})
    (scan,) = collect_scans(root, Selection()).scans
    record = steps.assess(scan.path, "T1w", Settings(models=("noise_motion",)))
    assert record.status == "ok"
    assert "noise_motion" not in record.scores
    assert record.reasons_missing["noise_motion"].startswith("there is no ruler for T1w of the knee")
    assert "ruler_missing" in [reason["rule"] for reason in record.verdict["reasons"]]


def test_a_changed_threshold_is_read_in_the_same_process(bids_dataset: Callable[..., Path], shelf: Path) -> None:
    (scan,) = collect_scans(bids_dataset(NAME), Selection()).scans
    settings = Settings(models=("noise_motion",), rulers=str(shelf))
    assert steps.assess(scan.path, "T1w", settings).scores["noise_motion"]["ruler"]["threshold"] == 7.0
    write_threshold(shelf / "ours", Threshold(0.0, PERSON))
    changed = steps.assess(scan.path, "T1w", settings)
    assert changed.scores["noise_motion"]["ruler"]["threshold"] == 0.0
    assert own_rulers(shelf)[0].threshold.value == 0.0


def test_rulers_count_only_where_they_are_read(shelf: Path) -> None:
    plain = Settings().changing_numbers()
    assert Settings(rulers=str(shelf)).changing_numbers() == plain
    assert "rulers" not in Settings(models=("noise_motion",)).changing_numbers()
    assert Settings(models=("noise_motion",), rulers=str(shelf)).changing_numbers()["rulers"]
