# SPDX-License-Identifier: Apache-2.0
"""The maps of the worst slices through the graph: the same on the page as in one process; left out without harm."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bidsqa import report, steps
from bidsqa.bids import Selection, collect_scans, names
from bidsqa.models import MODELS
from bidsqa.outputs import pending
from bidsqa.settings import Settings
from bidsqa.workflows import run_scans

SECTION = '<section id="local"'
NAME = "sub-01_T1w"
needs_weights = pytest.mark.skipif(not all(MODELS[name].sha256 for name in ("severity", "ssim")), reason="no weights")


def section(html: str) -> str:
    """The part of a page about the maps."""
    start = html.index(SECTION)
    return html[start : html.index("</section>", start)]


@needs_weights
def test_the_graph_and_one_process_draw_the_same_maps(tmp_path: Path, bids_dataset: Callable[..., Path]) -> None:
    (scan,) = collect_scans(bids_dataset(NAME), Selection()).scans
    out = tmp_path / "out"
    assert run_scans([scan], out, tmp_path / "work", Settings()).done == [NAME]
    page = names.page_path(out, NAME)
    local = [name for name in names.figure_paths(out, NAME) if name.startswith(report.LOCAL_MAP)]
    assert {name.split("-")[1] for name in local} == {"severity", "ssim"}
    examination = steps.examine(scan.path, "T1w")
    assert section(page.read_text()) == section(report.render_scan(examination.record, examination.figures))

    settings = Settings(saliency=False)
    assert settings.changing_numbers() == Settings().changing_numbers()
    assert pending(scan, out, settings) == "done", "a finished scan is not judged again for its page's sake"
    record = json.loads(names.record_path(out, NAME).read_text())
    stale = names.figure_path(out, NAME, f"{report.LOCAL_MAP}ssim-axial-001.webp")
    stale.write_bytes(b"of an earlier run")
    assert run_scans([scan], out, tmp_path / "work", settings).done == [NAME]
    assert SECTION not in page.read_text()
    assert not [name for name in names.figure_paths(out, NAME) if name.startswith(report.LOCAL_MAP)]
    without = json.loads(names.record_path(out, NAME).read_text())
    for key in ("scores", "metrics", "verdict"):
        assert without[key] == record[key]
    assert without["provenance"]["settings"] == record["provenance"]["settings"]


def test_without_models_there_are_no_maps(tmp_path: Path, bids_dataset: Callable[..., Path]) -> None:
    (scan,) = collect_scans(bids_dataset(NAME), Selection()).scans
    examination = steps.examine(scan.path, "T1w", Settings(models=()))
    assert SECTION not in report.render_scan(examination.record, examination.figures)


@needs_weights
def test_nothing_is_mapped_for_a_record_alone(
    bids_dataset: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("no page, no maps")

    monkeypatch.setattr("bidsqa.models.ssim.ssim_maps", never)
    (scan,) = collect_scans(bids_dataset(NAME), Selection()).scans
    settings = Settings(models=("ssim",))
    assert steps.examine(scan.path, "T1w", settings, pictures=False).record.scores["ssim"]
    with pytest.raises(AssertionError, match="no maps"):
        steps.examine(scan.path, "T1w", settings)
