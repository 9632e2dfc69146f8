# SPDX-License-Identifier: Apache-2.0
"""A file that changes while it is judged: the record is about what was read, says so, and is made anew."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import bidsqa
from bidsqa import steps
from bidsqa.bids import Selection, collect_scans
from bidsqa.bids.names import record_path
from bidsqa.outputs import pending
from bidsqa.record import Record
from bidsqa.settings import Settings
from bidsqa.workflows import run_scans

Maker = Callable[..., Path]
NAME = "sub-01_T1w"


@pytest.fixture
def scan(bids_dataset: Maker):
    return collect_scans(bids_dataset(NAME), Selection()).scans[0]


def _replaced(path: Path) -> None:
    copy = path.with_name("copy")
    shutil.copyfile(path, copy)
    os.utime(copy, (1_000_000_000, 1_000_000_000))
    os.replace(copy, path)


@pytest.mark.parametrize("by", ["graph", "assess"])
def test_a_file_replaced_after_it_was_read_is_named(
    tmp_path: Path, scan, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    before, delineate = Path(scan.path).stat(), steps.delineate

    def replaced(*given: object) -> object:
        _replaced(Path(scan.path))
        return delineate(*given)

    monkeypatch.setattr(steps, "delineate", replaced)
    if by == "graph":
        run_scans([scan], tmp_path / "out", tmp_path / "work", Settings(models=()))
        record = Record.loads(record_path(tmp_path / "out", NAME).read_text())
        assert pending(scan, tmp_path / "out", Settings(models=())) == "changed: input"
    else:
        record = bidsqa.assess(scan.path, settings=Settings(models=()))
    assert record.status == "ok"
    assert any("changed after it was read" in text for text in record.warnings)
    known = record.provenance["input"]
    assert (known["size"], known["mtime"]) == (before.st_size, int(before.st_mtime)), "of what was judged"


def test_a_file_that_changes_while_it_is_read_is_no_scan(tmp_path: Path, scan, monkeypatch: pytest.MonkeyPatch) -> None:
    load = steps.load_volume

    def replaced(path: Path) -> object:
        _replaced(Path(path))
        return load(path)

    monkeypatch.setattr(steps, "load_volume", replaced)
    run_scans([scan], tmp_path / "out", tmp_path / "work", Settings(models=()))
    failure = Record.loads(record_path(tmp_path / "out", NAME).read_text()).failure
    assert failure is not None
    assert failure["cause"] == "the file changed while it was read"
    assert failure["crashfile"] is None
    assert pending(scan, tmp_path / "out", Settings(models=())) == "failed before"
    monkeypatch.undo()
    run_scans([scan], tmp_path / "out", tmp_path / "work", Settings(models=()))
    assert pending(scan, tmp_path / "out", Settings(models=())) == "done"


def test_an_undisturbed_scan_has_no_such_warning(scan) -> None:
    record = bidsqa.assess(scan.path, settings=Settings(models=()))
    assert not [text for text in record.warnings if "changed" in text]
