# SPDX-License-Identifier: Apache-2.0
"""Surroundings as containers have them: no temporary folder, no home, a disk that is full, an image without torch."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from bidsqa.bids.dataset import describe
from bidsqa.cli import demo, surroundings
from bidsqa.cli.main import main
from bidsqa.cli.progress import Progress
from bidsqa.settings import Settings, Source
from bidsqa.steps import failure_record
from bidsqa.workflows import Event


@pytest.fixture
def no_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container with a read-only root and nothing mounted at /tmp."""
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(
        tempfile, "_candidate_tempdir_list", lambda: [os.environ.get("TMPDIR", str(tmp_path / "missing"))]
    )
    monkeypatch.setattr(surroundings, "SHARED_MEMORY", tmp_path / "shm")
    (tmp_path / "shm").mkdir()


@pytest.mark.usefixtures("no_temporary_folder")
@pytest.mark.parametrize("options", [[], ["--work-dir", "WORK"], ["--dry-run"]])
def test_no_temporary_folder(options: list[str], empty_scans: Path, tmp_path: Path, fake_run) -> None:
    out, work = tmp_path / "out", tmp_path / "work"
    words = [str(work) if word == "WORK" else word for word in options]
    assert main([str(empty_scans), str(out), "participant", *words]) == 0
    assert not list((tmp_path / "shm").iterdir())
    if options == ["--dry-run"]:
        assert not out.exists()
        return
    used = fake_run.calls[-1]["work"]
    assert used == work or used.parent == out
    assert fake_run.calls[-1]["work_is_fixed"] == bool(options)
    assert Path(os.environ["TMPDIR"]) == used, "libraries and workers ask for one as well"
    assert not list(out.glob(".bidsqa-work-*"))


@pytest.mark.usefixtures("no_temporary_folder")
def test_nothing_can_be_written(
    empty_scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(surroundings, "SHARED_MEMORY", tmp_path / "missing")
    assert main([str(empty_scans), str(tmp_path / "out"), "participant", "--dry-run"]) == 2
    assert "--work-dir DIR, or set the variable TMPDIR" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        OSError("8388608 requested and 123 written"),
    ],
)
def test_a_full_disk_is_no_fault_of_bidsqa(error: OSError) -> None:
    source = Source(bids_name="sub-01_T1w", suffix="T1w", path="sub-01_T1w.nii.gz")
    failure = failure_record(source, "anatomy", error, Settings(), "crash.txt").failure
    assert failure is not None
    assert "no room left" in failure["cause"]
    assert "--work-dir" in failure["hint"]
    broken = failure_record(source, "anatomy", OSError(errno.EIO, "broken"), Settings(), None).failure
    assert broken is not None
    assert "look after the disk" in broken["hint"]
    other = failure_record(source, "anatomy", OSError(errno.EINVAL, "broken"), Settings(), "crash.txt").failure
    assert other is not None
    assert "fault of bidsqa" in other["hint"]


def test_notices_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    import sys

    Progress(1, sys.stdout, live=False)(Event("notice", "", message="The folder is small\x1b[2J."))
    assert capsys.readouterr().out == "Note: The folder is small\N{REPLACEMENT CHARACTER}[2J.\n"


def test_an_image_made_from_our_docker_image_says_what_it_runs_in(tmp_path: Path) -> None:
    ours = {"BIDSQA_CONTAINER_TYPE": "docker", "BIDSQA_CONTAINER_TAG": "bidsqa:1"}
    told = describe(tmp_path, None, {**ours, "APPTAINER_CONTAINER": "/images/bidsqa.sif"})["GeneratedBy"][0]
    assert told["Container"] == {"Type": "apptainer", "Tag": "bidsqa:1"}


def test_the_demo_without_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "find_spec", lambda name: None if name == "torch" else SimpleNamespace())
    assert demo.main([str(tmp_path / "demo")]) == 2
    assert "The demo needs torch" in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()


def test_a_templateflow_home_at_its_usual_place_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"HOME": str(tmp_path / "home"), "LOGNAME": "someone"})
    (tmp_path / "home" / ".cache" / "templateflow").mkdir(parents=True)
    surroundings.prepare_environment(tmp_path / "work")
    assert os.environ["TEMPLATEFLOW_HOME"] == str(tmp_path / "home" / ".cache" / "templateflow")
    assert os.environ["XDG_CACHE_HOME"].startswith(str(tmp_path / "work"))
