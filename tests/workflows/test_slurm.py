# SPDX-License-Identifier: Apache-2.0
"""On a real Slurm of one node: tasks killed and requeued, and Nipype's plugins, give what one command gives."""

from __future__ import annotations

import importlib.util
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = Path(__file__).resolve().parents[1] / "slurm"
METRICS_ONLY = ("--models", "none")


def _load(name: str) -> ModuleType:
    specification = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module


one_node = _load("one_node")
study = _load("faults_and_plugins")
missing = one_node.missing_programs()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}"),
]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in study.THREADS:
            patch.setenv(name, "1")
        yield


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder with a short path, for Slurm's sockets; its dataset has a scan cut short among four."""
    with tempfile.TemporaryDirectory(prefix="bq-") as folder:
        data = Path(folder) / "data"
        study.write_small_study(data, 4, ("T1w",))
        broken = data / "sub-004" / "anat" / "sub-004_T1w.nii.gz"
        broken.write_bytes(broken.read_bytes()[:3000])
        yield Path(folder)


@pytest.fixture(scope="module")
def expected(place: Path) -> dict[str, Any]:
    """Records of the same study by one command with two processes."""
    words = study.command("main", place / "data", place / "plain", "participant", "--nprocs", 2, *METRICS_ONLY)
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    found: dict[str, Any] = study.records(place / "plain")
    assert [record["status"] for record in found.values()] == ["ok", "ok", "ok", "failed"]
    return found


@pytest.fixture(scope="module")
def node(place: Path, _one_thread: None) -> Iterator[Any]:
    """The cluster."""
    with one_node.one_node(place / "slurm") as running:
        yield running


def test_killed_and_requeued_tasks_lose_and_double_nothing(place: Path, expected: dict[str, Any], node: Any) -> None:
    out = place / "a study's out"
    outcome = study.array_with_faults(node, place / "data", out, place, expected, "--", *METRICS_ONLY)
    assert outcome.equal == len(expected)
    assert not outcome.missing
    assert not outcome.leftovers
    rows = [line.split("\t")[0] for line in (out / "group_T1w.tsv").read_text().splitlines()[1:]]
    assert sorted(rows) == sorted(expected)


@pytest.mark.parametrize("name", ["SLURM", "SLURMGraph"])
def test_plugins_give_what_multiproc_gives(place: Path, expected: dict[str, Any], node: Any, name: str) -> None:
    labels = ["003", "004"]
    outcome = study.with_plugin(node, name, place / "data", place, expected, labels, *METRICS_ONLY)
    assert outcome.equal == outcome.scans == 2
    assert not outcome.missing
    assert not outcome.leftovers
    for label in labels:
        page = f"sub-{label}_T1w.html"
        assert (place / f"out-{name}" / page).stat().st_size > 5000
    shutil.rmtree(place / f"out-{name}")


@pytest.mark.parametrize("name", ["SLURM", "SLURMGraph"])
def test_a_stopped_run_leaves_nothing_in_the_queue(place: Path, node: Any, name: str) -> None:
    file, out = place / "stop.yml", place / f"stopped-{name}"
    file.write_text(f"plugin: {name}\nplugin_args: {{sbatch_args: --comment=own}}\n")
    words = study.command("main", place / "data", out, "participant", "--use-plugin", file, *METRICS_ONLY)
    with subprocess.Popen(words, env=node.environment, stderr=subprocess.PIPE, text=True) as run:
        assert node.until(lambda: node.run("squeue", "-h", "-t", "running").strip(), 120)
        run.send_signal(signal.SIGTERM)
        told = run.communicate(timeout=60)[1]
    assert run.returncode == 143, told
    assert "was stopped" in told
    assert node.until(lambda: not node.run("squeue", "-h").strip(), 60)
    assert not study.records(out)
    assert not list(out.glob(".bidsqa-work-*"))


def test_what_slurm_refuses_is_told_before_anything_is_done(place: Path, node: Any) -> None:
    file = place / "wrong.yml"
    file.write_text("plugin: SLURM\nplugin_args: {sbatch_args: --partition=nowhere}\n")
    words = study.command("main", place / "data", place / "none", "participant", "--use-plugin", file)
    done = subprocess.run(words, env=node.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "partition" in done.stderr
    assert "sbatch_args" in done.stderr
    assert not list((place / "none").iterdir())
