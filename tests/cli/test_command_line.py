# SPDX-License-Identifier: Apache-2.0
"""The command as a user types it, in a process of its own."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import bidsqa

COMMAND = [sys.executable, "-m", "bidsqa.cli.main"]
HEAVY = ("numpy", "nibabel", "nipype", "bids", "pandas", "onnxruntime", "torch", "SimpleITK", "scipy", "jinja2")


def call(*words: object, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, words)], capture_output=True, text=True, timeout=600, check=False, **options
    )  # type: ignore[call-overload, no-any-return]


def test_version() -> None:
    answer = call("--version")
    assert (answer.returncode, answer.stdout.strip()) == (0, f"bidsqa {bidsqa.__version__}")


def test_help_has_groups_and_examples() -> None:
    answer = call("--help")
    assert answer.returncode == 0
    for part in ("Which scans", "How they are judged", "examples:", "exit codes:", "--participant-label"):
        assert part in answer.stdout
    assert "participant_label" not in answer.stdout


def test_help_imports_nothing_heavy_and_is_quick() -> None:
    code = (
        "import sys\n"
        "from bidsqa.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    assert answer.stderr.strip() == "[]"
    # processor time: other work on the machine doesn't count
    assert spent < 0.6


def test_wrong_usage_has_exit_code_2(tmp_path: Path) -> None:
    answer = call(tmp_path / "nowhere", tmp_path / "out", "participant")
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert len(answer.stderr.splitlines()) == 2


def test_a_closed_pipe_is_no_error(empty_scans: Path, tmp_path: Path) -> None:
    line = " ".join([*COMMAND, str(empty_scans), str(tmp_path / "out"), "participant --dry-run --models none"])
    answer = subprocess.run(f"{line} | true", shell=True, capture_output=True, text=True, check=False)
    assert "Traceback" not in answer.stderr


def test_networks_run_without_telemetry(tmp_path: Path) -> None:
    """ONNX Runtime's Linux wheels keep a device id and report their use, unless told not to before the import."""
    code = (
        "import sys\n"
        "from bidsqa.cli.main import main\n"
        "main([sys.argv[1], sys.argv[1] + '/out', 'participant', '--device', 'cpu'])\n"
        "import onnxruntime\n"
        "from bidsqa.models import MODELS\n"
        "path = MODELS['ssim'].path\n"
        "onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORT_")}
    places = {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], env={**environment, **places}, check=True)
    assert not list(tmp_path.rglob("deviceid"))
    assert not list(tmp_path.rglob("onnxruntime.db"))


def plain_environment(tmp_path: Path) -> dict[str, str]:
    """As in a container: HOME isn't there, no log-in name."""
    kept = {name: value for name, value in os.environ.items() if name not in ("LOGNAME", "USER", "XDG_CACHE_HOME")}
    return {**kept, "HOME": str(tmp_path / "no-home")}


@pytest.mark.slow
def test_both_levels_then_nothing_left(bids_dataset: Callable[..., Path], tmp_path: Path) -> None:
    root = bids_dataset("sub-01_T1w", "sub-02_ses-a_T2w")
    (root / "sub-01" / "anat" / "sub-01_run-2_T1w.nii.gz").touch()
    out = root / "derivatives" / "bidsqa"
    words = [root, out, "participant", "group", "--models", "none", "--nprocs", "2", "--mem-gb", "4"]
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    answer = call(*words, env=plain_environment(tmp_path), cwd="/")
    assert answer.returncode == 1, answer.stderr
    assert "failed  sub-01_run-2_T1w: " in answer.stderr
    assert "Traceback" not in answer.stderr
    assert answer.stdout.rstrip().endswith("group.html")
    after = {path: path.stat().st_mtime_ns for path in before if path != root}
    assert after == {path: when for path, when in before.items() if path != root}, "the input stays as it is"
    assert not (tmp_path / "no-home").exists()
    made = {name: json.loads(next(out.rglob(f"{name}.json")).read_text()) for name in
            ("sub-01_desc-qa_T1w", "sub-01_run-2_desc-qa_T1w", "sub-02_ses-a_desc-qa_T2w")}  # fmt: skip
    assert [record["status"] for record in made.values()] == ["ok", "failed", "ok"]
    (root / "sub-01" / "anat" / "sub-01_run-2_T1w.nii.gz").unlink()
    again = call(*words, env=plain_environment(tmp_path))
    assert again.returncode == 0
    assert again.stdout.startswith("2 scans: 2 done.")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_in_the_middle(
    bids_dataset: Callable[..., Path], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    root, out, temporary = bids_dataset("sub-01_T1w", "sub-02_T1w"), tmp_path / "out", tmp_path / "temporary"
    temporary.mkdir()
    words = [*COMMAND, str(root), str(out), "participant", "--models", "none", "--nprocs", "2", "-vv"]
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(temporary)}
    )
    end = time.monotonic() + 120
    while time.monotonic() < end and not any("step " in path.read_text() for path in out.glob("logs/*.log")):
        time.sleep(0.1)
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert process.returncode == code
    assert "the same command goes on from there" in told
    assert "Traceback" not in told
    assert not list(temporary.glob("bidsqa-*"))
    assert not list(out.rglob(".tmp-*"))
