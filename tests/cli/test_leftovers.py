# SPDX-License-Identifier: Apache-2.0
"""What a killed run was writing is removed by the next one, in every folder that it writes to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bidsqa.bids.writing import _host
from bidsqa.cli.main import main


@pytest.mark.parametrize("done", ["01", "01 02 03"])
@pytest.mark.parametrize("folder", [".", "logs", "sub-01/anat", "sub-01/figures", "sub-02/ses-a/figures"])
def test_half_written_files_of_a_killed_run_go(
    folder: str, done: str, empty_scans: Path, tmp_path: Path, fake_run: object
) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    host = _host()
    out = tmp_path / "out"
    arguments = [str(empty_scans), str(out), "participant"]
    assert main([*arguments, "--participant-label", *done.split()]) == 0
    (out / folder).mkdir(parents=True, exist_ok=True)
    half, others = (out / folder / f".tmp-{host}-{process}-01234567-x" for process in (dead.pid, os.getpid()))
    half.touch()
    others.touch()
    assert main(arguments) == 0
    assert not half.exists()
    assert others.exists(), "another run may be writing it"


def test_folder_of_a_run_that_died_early_is_taken(
    empty_scans: Path, tmp_path: Path, fake_run: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [str(empty_scans), str(tmp_path / "out"), "participant"]
    with monkeypatch.context() as patch:
        patch.setattr("bidsqa.cli.participant._write_down", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            main(arguments)
    assert main(arguments) == 0
