# SPDX-License-Identifier: Apache-2.0
"""The examples for clusters: sound by their languages' own rules, shown in the documentation, and up to date."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from bidsqa.cli.hpc import build_parser as hpc_parser
from bidsqa.cli.parser import build_parser
from bidsqa.cli.plugin import read_plugin

DOCS = Path(__file__).resolve().parents[1] / "docs"
EXAMPLES = sorted((DOCS / "examples").iterdir())
SHELL = [path for path in EXAMPLES if path.suffix in (".sh", ".sbatch")]
each = pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)


@each
def test_every_example_is_shown(path: Path) -> None:
    assert f".. literalinclude:: examples/{path.name}\n" in (DOCS / "hpc.rst").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", SHELL, ids=lambda path: path.name)
def test_shell_examples_are_sound(path: Path) -> None:
    assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0
    if shutil.which("shellcheck"):
        done = subprocess.run(["shellcheck", str(path)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_the_plugin_file_is_taken() -> None:
    plugin = read_plugin(DOCS / "examples" / "plugin_slurm.yml")
    assert plugin["plugin"] == "SLURM"
    assert "--partition" in plugin["plugin_args"]["sbatch_args"]


def test_babs_gives_options_that_there_are() -> None:
    content = yaml.safe_load((DOCS / "examples" / "babs.yaml").read_text(encoding="utf-8"))
    known = set(build_parser()._option_string_actions)
    given = {name for name in content["bids_app_args"] if name.startswith("-")}
    assert given | {content["bids_app_args"]["$SUBJECT_SELECTION_FLAG"]} <= known
    assert {"--nprocs", "--mem-gb"} <= given


@each
def test_every_option_of_bidsqa_exists(path: Path) -> None:
    known = set(build_parser()._option_string_actions), set(hpc_parser()._option_string_actions)
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        if match := re.search(r"\b(bidsqa(?:-hpc)?) (?:sbatch )?['\"{$/A-Z].*", line):
            options = set(re.findall(r"(?<=\s)--[a-z][a-z-]*", match[0]))
            assert options <= known[match[1] == "bidsqa-hpc"], line
