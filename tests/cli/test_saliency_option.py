# SPDX-License-Identifier: Apache-2.0
"""``--no-saliency``: reaches the steps, never makes work, and leaves the maps off pages that are drawn again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bidsqa.bids import names
from bidsqa.cli import scan
from bidsqa.cli.main import main
from bidsqa.errors import UsageError


def test_it_reaches_the_steps_and_makes_no_work(empty_scans: Path, tmp_path: Path, fake_run: Any) -> None:
    words = [str(empty_scans), str(tmp_path / "out"), "participant", "-m", "T1w"]
    assert main(words) == 0
    assert fake_run.calls[-1]["settings"].saliency
    assert main([*words, "--no-saliency"]) == 0
    assert len(fake_run.calls) == 1, "what is done stays done"
    assert main([*words, "--no_saliency", "--force"]) == 0
    assert not fake_run.calls[-1]["settings"].saliency


def test_pages_are_drawn_again_without_maps(
    empty_scans: Path, tmp_path: Path, fake_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [str(empty_scans), str(tmp_path / "out"), "participant", "-m", "T2w"]
    assert main(words) == 0
    asked: list[bool] = []
    monkeypatch.setattr("bidsqa.outputs.redraw", lambda out, path, saliency: asked.append(saliency))
    assert main([*words, "--reports-only"]) == 0
    assert main([*words, "--reports-only", "--no-saliency"]) == 0
    assert asked == [True, False]
    assert names.record_paths(tmp_path / "out")


def test_a_single_scan_knows_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def examine(path: Path, suffix: str, settings: Any, **_: Any) -> Any:
        asked.append(settings.saliency)
        raise UsageError("That was all.", "")

    monkeypatch.setattr("bidsqa.steps.examine", examine)
    (tmp_path / "t1.nii").touch()
    for words in ([], ["--no-saliency"]):
        assert scan.main([str(tmp_path / "t1.nii"), "--models", "none", *words]) == 2
    assert asked == [True, False]
