# SPDX-License-Identifier: Apache-2.0
"""The commands of README.rst do what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def first_command() -> str:
    """README's line that installs and runs the demo."""
    lines = re.findall(r"^    (python3 -m venv .*)$", (ROOT / "README.rst").read_text(encoding="utf-8"), re.M)
    assert len(lines) == 1
    return lines[0]


def test_the_test_command_is_the_one_that_ci_runs() -> None:
    readme = (ROOT / "README.rst").read_text(encoding="utf-8")
    section = readme.split("Run the tests\n", 1)[1].split("\nRead on\n", 1)[0]
    commands = re.findall(r"^    (.+)$", section, re.M)
    assert len(commands) == 1, "one command, so that .ci/run finds it"
    assert (ROOT / commands[0].split()[1]).is_file()


@pytest.mark.slow
def test_first_command_runs_the_demo(tmp_path: Path) -> None:
    """Everything after the installation, word for word, in an empty folder whose .venv is this environment."""
    install, run = first_command().split("/pip install -c constraints.txt . && ", 1)
    assert install == "python3 -m venv .venv && .venv/bin"
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        run, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^Open \S*demo-out/group\.html$", done.stdout, re.M), "the last words say which page to open"
    assert (tmp_path / "demo-out" / "group.html").stat().st_size > 1000
    assert len(list((tmp_path / "demo-out").glob("sub-*/anat/*_desc-qa_T?w.json"))) == 4
    assert len(list((tmp_path / "demo-out").glob("sub-*_T?w.html"))) == 4
