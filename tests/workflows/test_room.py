# SPDX-License-Identifier: Apache-2.0
"""Intermediate files go where there is room: small temporary folders of containers cost no scan."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from bidsqa.bids import Selection, collect_scans
from bidsqa.settings import Settings
from bidsqa.workflows import Event, run_scans
from bidsqa.workflows.job import Job
from bidsqa.workflows.room import BYTES_PER_SCAN, BYTES_PER_VOXEL, bytes_needed, folder_with_room
from bidsqa.workflows.scan import Need, scan_wf_name

Maker = Callable[..., Path]


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A work and an output folder that are told to have as much room as ``free`` says."""
    made = SimpleNamespace(work=tmp_path / "work", out=tmp_path / "out", free={"work": 64_000_000, "out": 10**10})
    made.work.mkdir()
    made.out.mkdir()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=made.free.get(Path(path).name, 0)))
    return made


def test_the_scans_in_hand_count() -> None:
    needs = [Need(10), Need(1000), Need(100)]
    assert bytes_needed(needs, 2) == 1100 * BYTES_PER_VOXEL + 2 * BYTES_PER_SCAN
    assert bytes_needed(needs, 8) == 1110 * BYTES_PER_VOXEL + 3 * BYTES_PER_SCAN


def test_enough_room_changes_nothing(folders: SimpleNamespace) -> None:
    said: list[str] = []
    with folder_with_room(folders.work, folders.out, 64_000_000, keep=False, tell=said.append) as place:
        assert place == folders.work
    assert not said
    assert folders.work.exists()


@pytest.mark.parametrize("keep", [False, True])
def test_too_little_room(folders: SimpleNamespace, keep: bool) -> None:
    said: list[str] = []
    with folder_with_room(folders.work, folders.out, 64_000_001, keep=keep, tell=said.append) as place:
        assert place.parent == folders.out
        assert place.name.startswith(".")
        (place / "volume.npy").touch()
    assert place.exists() == keep
    assert "--work-dir" in said[0]
    assert str(place) in said[0]


@pytest.mark.parametrize("case", ["the user's own", "the output is full too", "the output can't be written"])
def test_nowhere_else_to_go(folders: SimpleNamespace, case: str) -> None:
    said: list[str] = []
    spare = None if case == "the user's own" else folders.out
    if case == "the output is full too":
        folders.free["out"] = 10
    elif case == "the output can't be written":
        folders.out.rmdir()
    with folder_with_room(folders.work, spare, 10**9, keep=False, tell=said.append) as place:
        assert place == folders.work
    assert "has 64 MB, the scans need 1000 MB; give one with more room: --work-dir DIR" in said[0]
    assert folders.work.exists()


def test_a_run_with_a_small_temporary_folder(
    tmp_path: Path, bids_dataset: Maker, folders: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders.free["work"] = 0
    scans = collect_scans(bids_dataset("sub-01_T1w"), Selection()).scans
    events: list[Event] = []
    run = {"work_is_fixed": False, "on_event": events.append}
    result = run_scans(scans, folders.out, folders.work, Settings(models=()), **run)
    assert result.done == ["sub-01_T1w"]
    (notice,) = [event for event in events if event.kind == "notice"]
    assert str(folders.out) in notice.message
    assert not list(folders.out.glob(".bidsqa-work-*"))
    assert not (folders.work / "bidsqa").exists(), "nothing was written where there is no room"


def test_folders_of_long_names_are_short_and_each_scans_own() -> None:
    stem = "sub-" + "+" * 70 + "_acq-" + "+" * 70
    first, second = scan_wf_name(f"{stem}_T1w"), scan_wf_name(f"{stem}_T2w")
    assert first != second
    for name in (first, second):
        assert len(name) <= 200
        assert re.fullmatch(r"\w+", name)
    assert scan_wf_name("sub-01_T1w") == "scan_sub_2d_01_T1w"


def test_figures_of_an_output_folder_with_braces(bids_dataset: Maker, tmp_path: Path) -> None:
    (scan,) = collect_scans(bids_dataset("sub-01_T1w"), Selection()).scans
    out = tmp_path / "{name}" / "out"
    job = Job.of(scan, out, Settings())
    assert job.figure_path("mosaic.webp") == out / "sub-01" / "figures" / "sub-01_T1w_mosaic.webp"
