# SPDX-License-Identifier: Apache-2.0
"""What Nipype's Slurm plugins lack, with a queue made of shell scripts."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bidsqa.errors import UsageError
from bidsqa.workflows import batch_system
from bidsqa.workflows.batch_system import PoliteSlurmPlugin, check_submission, given_plugin, requests

Programs = Callable[..., Path]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Puts shell scripts in front of PATH: ``programs(squeue="echo 7")``; each notes its calls in ``calls``."""

    def make(**scripts: str) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        calls = tmp_path / "calls"
        calls.touch()
        for name, body in scripts.items():
            (folder / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {calls}\n{body}\n')
            (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        return calls

    return make


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("", "--mem=1145M --cpus-per-task=2"),
        ("--partition=a --time=5", "--mem=1145M --cpus-per-task=2"),
        ("--mem=3G", "--cpus-per-task=2"),
        ("--mem-per-cpu 2G -c 4", ""),
        ("--cpus-per-task=4", "--mem=1145M"),
        ("--comment=--memory", "--mem=1145M --cpus-per-task=2"),
    ],
)
def test_a_node_asks_for_what_it_declares_unless_the_user_did(given: str, wanted: str) -> None:
    assert requests(SimpleNamespace(mem_gb=1.0, n_procs=2), given) == wanted


def test_the_queue_is_asked_once_for_all_jobs(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = programs(squeue="printf '11\\n12\\n'")
    now = [0.0]
    monkeypatch.setattr(batch_system.time, "monotonic", lambda: now[0])
    plugin = PoliteSlurmPlugin(plugin_args={"status_callback": print})
    plugin._pending = {11: "a", 13: "b"}
    assert [plugin._is_pending(job) for job in (11, 13)] == [True, False]
    plugin._pending[14] = "c"
    assert plugin._is_pending(14), "it was handed over after the queue was asked"
    assert calls.read_text().count("squeue") == 1
    now[0] += 1000
    assert not plugin._is_pending(14)
    assert calls.read_text().count("squeue") == 2


def test_a_queue_that_gives_no_answer_ends_no_job(programs: Programs) -> None:
    programs(squeue="exit 1")
    plugin = PoliteSlurmPlugin(plugin_args={})
    plugin._pending = {11: "a"}
    assert plugin._is_pending(11)


def test_a_stopped_run_takes_its_jobs_back(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = programs(scancel="exit 0", squeue="printf '11 mine\\n12 mine\\n13 other\\n14 (null)\\n'")
    plugin = PoliteSlurmPlugin(plugin_args={})
    plugin._mark = "mine"

    def stopped(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nipype.pipeline.plugins.slurm.SLURMPlugin.run", stopped)
    with pytest.raises(KeyboardInterrupt):
        plugin.run(None, {})
    assert "scancel 11 12\n" in calls.read_text()


def test_sbatch_is_asked_first(programs: Programs) -> None:
    calls = programs(sbatch='echo "sbatch: error: invalid partition" >&2; exit 1')
    with pytest.raises(UsageError, match="invalid partition"):
        check_submission("--partition=x")
    assert "--test-only --partition=x" in calls.read_text()


def test_other_plugins_are_nipype_s_own() -> None:
    def watcher(*_: Any) -> None:
        pass

    asked = given_plugin({"plugin": "MultiProc", "plugin_args": {"n_procs": 2}}, watcher)
    assert asked == {"plugin": "MultiProc", "plugin_args": {"n_procs": 2, "status_callback": watcher}}
    assert given_plugin({"plugin": "PBS"}, watcher)["plugin"] == "PBS"
