# SPDX-License-Identifier: Apache-2.0
"""The work folder: what is left in it, two runs in one, and where caches go."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest

from bidsqa.cli.surroundings import work_folder


def test_work_folder_goes_or_stays(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    work = run()["work"]
    assert work.is_relative_to(tmp_path / "temporary")
    assert not work.exists()
    kept = run("--keep-work", "--force")["work"]
    assert (kept / "something").exists()
    own = run("-w", tmp_path / "own", "--force")
    assert own["work"] == tmp_path / "own"
    assert (tmp_path / "own" / "something").exists()


def test_two_runs_with_one_work_folder_keep_apart(run, fake_run, tmp_path: Path) -> None:
    own = tmp_path / "own"
    places = []

    def another() -> None:
        fake_run.interrupt = None
        with work_folder(own, keep=False) as place:
            (place / "scan").touch()
            places.append(place)

    fake_run.interrupt = another
    assert run("-w", own, "-m", "T2w")["work"] == own
    assert places[0].parent == own, "the other run is in a folder of its own"
    assert sorted(path.name for path in own.iterdir()) == ["something"], "which goes with it, and so does the lock"
    assert run("-w", own, "-m", "FLAIR")["work"] == own, "once it is over the folder is free"


def test_a_work_folder_without_locks_will_do(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", none)
    assert run("-w", tmp_path / "own")["work"] == tmp_path / "own"


def test_caches_of_a_folder_that_is_gone_are_forgotten(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MPLCONFIGDIR", raising=False)
    run()
    assert "MPLCONFIGDIR" not in os.environ, "Matplotlib would make the folder anew at the group level"


def test_caches_go_to_the_work_folder(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TEMPLATEFLOW_HOME", "MPLCONFIGDIR", "LOGNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/mine")
    run("--work-dir", tmp_path / "work")
    assert os.environ["TEMPLATEFLOW_HOME"] == str(tmp_path / "work" / "templateflow")
    assert os.environ["MPLCONFIGDIR"].startswith(str(tmp_path / "work"))
    assert os.environ["XDG_CACHE_HOME"] == "/mine"
    assert os.environ["NO_ET"] == os.environ["ORT_DISABLE_TELEMETRY"] == "1"
    assert os.environ["LOGNAME"]
