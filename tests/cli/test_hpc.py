# SPDX-License-Identifier: Apache-2.0
"""``bidsqa-hpc``: its scripts are sound, quote everything, ask for what the images need, pass on what they are told."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from bidsqa.bids import names
from bidsqa.cli import hpc, hpc_scripts
from bidsqa.cli.hpc_sizes import JOB_SECONDS, Request, group_request, scan_seconds, slowness, task_request
from bidsqa.cli.main import main as bidsqa_main

Ask = Callable[..., tuple[int, list[str], list[str]]]
TABLES = Path(__file__).resolve().parents[2] / "docs" / "benchmark_tables"
ODD = 'it\'s a "study" $HOME & `x`'


def write_image(root: Path, label: str, shape: tuple[int, int, int], suffix: str = "T1w") -> None:
    folder = root / f"sub-{label}" / "anat"
    folder.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(np.zeros(shape, np.int16), np.eye(4))
    image.to_filename(folder / f"sub-{label}_{suffix}.nii.gz")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three participants, four scans, in a folder with an odd name."""
    root = tmp_path / ODD
    for label, shape in (("01", (20, 20, 20)), ("02", (50, 40, 30)), ("03", (20, 20, 20))):
        write_image(root, label, shape)
    write_image(root, "01", (10, 10, 10), "T2w")
    (root / "dataset_description.json").write_text(json.dumps({"Name": "Empty", "BIDSVersion": "1.9.0"}))
    return root


@pytest.fixture
def ask(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Runs ``bidsqa-hpc sbatch DATA OUT --job-dir JOBS ...``; code, output and errors."""
    monkeypatch.setattr("bidsqa.cli.hpc._most_tasks", lambda system: 1000)

    def run(*words: object, system: str = "sbatch", folders: bool = True) -> tuple[int, list[str], list[str]]:
        given = [system, str(data), str(tmp_path / "o u't")] if folders else []
        given += [] if "--job-dir" in words or not folders else ["--job-dir", str(tmp_path / "jo bs")]
        code = hpc.main([*given, *map(str, words)])
        told = capsys.readouterr()
        return code, told.out.splitlines(), told.err.splitlines()

    return run


@pytest.fixture
def echo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program with a space in its path that writes its words and TMPDIR into a file, one a line."""
    program, told = tmp_path / "pro grams" / "python", tmp_path / "told"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" "TMPDIR=$TMPDIR" "OMP=$OMP_NUM_THREADS" > {told}\n')
    program.chmod(0o755)
    monkeypatch.setattr(hpc_scripts.sys, "executable", str(program))
    return told


def run_task(folder: Path, task: int, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SLURM_ARRAY_TASK_ID": str(task), **more}
    script = folder / "array.sh"
    return subprocess.run(["bash", str(script)], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("system", ["sbatch", "slurm", "pbs", "sge"])
@pytest.mark.parametrize("container", [False, True])
def test_scripts_are_sound(ask: Ask, tmp_path: Path, data: Path, system: str, container: bool) -> None:
    options = ["--per-task", 2, "--at-once", 5, "--processes", 2, "--partition", "long", "--account", "lab"]
    options += ["--prepare", "true", "--native=--x='a b'"]
    if container:
        (tmp_path / "im age.sif").touch()
        options += ["--container", tmp_path / "im age.sif"]
    code, told, errors = ask(*options, system=system)
    assert code == 0, errors
    folder = tmp_path / "jo bs"
    scripts = [folder / name for name in ("array.sh", "group.sh", "submit.sh")]
    for script in scripts:
        assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
        assert os.access(script, os.X_OK)
    if shutil.which("shellcheck"):
        # SC2016 takes the dollar sign in the dataset's name for a forgotten expansion
        command = ["shellcheck", "--exclude=SC2016", *map(str, scripts)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
    array = scripts[0].read_text()
    sign = {"pbs": "#PBS", "sge": "#$"}.get(system, "#SBATCH")
    asked = "\n".join(line for line in array.splitlines() if line.startswith(f"{sign} "))
    for wanted in ("1-2", "5", "long", "lab", "00:10:00"):
        assert wanted in asked, wanted
    if sign == "#SBATCH":
        assert "--requeue" in asked
        assert "--open-mode=append" in asked
        assert "--cpus-per-task=2" in asked
    assert "'--x=a b'" in scripts[2].read_text()
    assert (folder / "logs").is_dir()
    assert f"bash '{folder}/submit.sh'" in told[-1]
    assert str(data) not in asked, "no path stands in a line that the batch system reads"


def test_a_task_judges_its_participants(ask: Ask, data: Path, tmp_path: Path, echo: Path) -> None:
    assert ask("--per-task", 2, "--processes", 3)[0] == 0
    folder, out = tmp_path / "jo bs", tmp_path / "o u't"
    scratch = tmp_path / "node's disk"
    scratch.mkdir()
    done = run_task(folder, 1, SLURM_TMPDIR=str(scratch))
    assert done.returncode == 0, done.stderr
    words = echo.read_text().splitlines()
    assert words[:6] == ["-P", "-m", "bidsqa.cli.main", str(data), str(out), "participant"]
    assert words[6:12] == ["--participant-label", "01", "02", "--nprocs", "3", "--mem-gb"]
    assert words[13:15] == ["--config-file", str(folder / "options" / "options.toml")]
    assert words[-2].startswith(f"TMPDIR={scratch}/bidsqa-")
    assert words[-1] == "OMP=1"
    assert not list(scratch.iterdir()), "it leaves nothing on the node's disk"
    assert run_task(folder, 2).returncode == 0
    assert echo.read_text().splitlines()[6:8] == ["--participant-label", "03"]
    beyond = run_task(folder, 3)
    assert beyond.returncode == 2
    assert "no participant" in beyond.stderr


def test_the_group_job_runs_the_group_level(ask: Ask, data: Path, tmp_path: Path, echo: Path) -> None:
    assert ask()[0] == 0
    assert subprocess.run(["bash", str(tmp_path / "jo bs" / "group.sh")], check=False).returncode == 0
    assert echo.read_text().splitlines()[3:7] == [str(data), str(tmp_path / "o u't"), "group", "--config-file"]


def test_without_a_disk_of_the_node_a_task_runs_all_the_same(ask: Ask, tmp_path: Path, echo: Path) -> None:
    assert ask()[0] == 0
    script = tmp_path / "jo bs" / "array.sh"
    script.write_text(script.read_text().replace('"${TMPDIR:-}" /tmp;', '"${TMPDIR:-}";'))
    assert run_task(tmp_path / "jo bs", 1, TMPDIR=str(tmp_path / "gone")).returncode == 0
    assert "TMPDIR=" in echo.read_text()


def test_the_container_sees_four_folders(ask: Ask, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "im age.sif").touch()
    (tmp_path / "my rules.toml").write_text("")
    told, engine = tmp_path / "told", tmp_path / "bin" / "apptainer"
    engine.parent.mkdir()
    engine.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {told}\n')
    engine.chmod(0o755)
    monkeypatch.setenv("PATH", f"{engine.parent}{os.pathsep}{os.environ['PATH']}")
    options = ["--thresholds", tmp_path / "my rules.toml", "--modalities", "T1w"]
    code, _, errors = ask("--container", tmp_path / "im age.sif", "--", *options)
    assert code == 0, errors
    folder, out = tmp_path / "jo bs", tmp_path / "o u't"
    done = run_task(folder, 2)
    assert done.returncode == 0, done.stderr
    words = told.read_text().splitlines()
    assert words[:4] == ["run", "--containall", "--cleanenv", "--no-home"]
    assert "OMP_NUM_THREADS=1" in words[words.index("--env") + 1]
    bound = [words[at + 1] for at, word in enumerate(words) if word == "-B"]
    assert bound[:3] == [f"{data}:/data:ro", f"{out}:/out", f"{folder}/options:/options:ro"]
    assert bound[3].endswith(":/tmp")
    at = words.index(str(tmp_path / "im age.sif"))
    assert words[at + 1 : at + 6] == ["/data", "/out", "participant", "--participant-label", "02"]
    assert words[-1] == "/options/options.toml"
    toml = (folder / "options" / "options.toml").read_text()
    assert re.search(r'thresholds = "/options/(.+)"', toml)[1] in os.listdir(folder / "options")


def test_a_signal_reaches_bidsqa_and_its_exit_code_comes_back(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "patient"
    body = (
        f"trap 'sleep 0.5; touch {tmp_path}/tidied; exit 143' TERM; touch {tmp_path}/begun; while :; do sleep 0.1; done"
    )
    program.write_text(f"#!/bin/bash\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setattr(hpc_scripts.sys, "executable", str(program))
    assert ask()[0] == 0
    environment = {**os.environ, "SLURM_ARRAY_TASK_ID": "1", "SLURM_TMPDIR": "", "TMPDIR": str(tmp_path)}
    task = subprocess.Popen(["bash", str(tmp_path / "jo bs" / "array.sh")], env=environment)
    deadline = time.monotonic() + 30
    while not (tmp_path / "begun").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    task.send_signal(signal.SIGTERM)
    assert task.wait(30) == 143
    assert (tmp_path / "tidied").exists()
    assert not list(tmp_path.glob("bidsqa-*"))


def test_options_are_passed_on_and_checked(ask: Ask, tmp_path: Path) -> None:
    weird = tmp_path / 'ru"les.toml'
    weird.write_text("")
    options = ["--modalities", "T1w", "--output-masks", "--thresholds", weird, "--participant-label", "02", "03"]
    assert ask("--", *options)[0] == 0
    folder = tmp_path / "jo bs"
    assert (folder / "participants.txt").read_text() == "02\n03\n"
    from bidsqa.cli.config import config_arguments

    words = config_arguments(folder / "options" / "options.toml")
    assert set(words) == {"--modalities", "T1w", "--output-masks", f"--thresholds={weird}"}


@pytest.mark.parametrize(
    ("words", "cause", "hint"),
    [
        (["--", "--nprocs", "3"], "--nprocs has no place", "--processes"),
        (["--", "--mem-gb", "3"], "--mem-gb has no place", "--mem"),
        (["--", "--use-plugin", "x"], "--use-plugin", "Leave it out"),
        (["--", "--modality", "T1w"], "no option --modality", "--modalities"),
        (["--", "--models", "sveerity"], "'sveerity'", "severity"),
        (["--partition", "a b"], "--partition", "taken"),
        (["--native=--x='a"], "--native", "quotes"),
        (["--per-task", "0"], "out of range", ""),
        (["--container", "none.sif"], "none.sif doesn't exist", "path"),
        (["--per-task", "1", "--most-tasks", "2"], "at most 2 tasks", "--per-task 2"),
        (["--mem", "much"], "'much'", "8"),
    ],
)
def test_wrong_usage(ask: Ask, tmp_path: Path, words: list[str], cause: str, hint: str) -> None:
    code, told, errors = ask(*words)
    assert code == 2
    assert not told
    assert cause in errors[0]
    assert hint in errors[-1]
    assert not (tmp_path / "jo bs").exists()


def test_no_words_at_all(ask: Ask) -> None:
    code, _, errors = ask(folders=False)
    assert code == 2
    assert "bidsqa-hpc sbatch BIDS_DIR OUT_DIR" in errors[1]


def test_a_job_folder_in_use_is_left_alone(ask: Ask, tmp_path: Path) -> None:
    assert ask()[0] == 0
    before = (tmp_path / "jo bs" / "participants.txt").read_text()
    code, _, errors = ask("--", "--participant-label", "03")
    assert code == 2
    assert "isn't empty" in errors[0]
    assert (tmp_path / "jo bs" / "participants.txt").read_text() == before


def test_what_is_done_is_left_out(ask: Ask, data: Path, tmp_path: Path, fake_run: object) -> None:
    out = tmp_path / "o u't"
    assert bidsqa_main([str(data), str(out), "participant", "--participant-label", "01", "02"]) == 0
    assert ask()[0] == 0
    assert (tmp_path / "jo bs" / "participants.txt").read_text() == "03\n"
    assert bidsqa_main([str(data), str(out), "participant"]) == 0
    code, _, errors = ask("--job-dir", tmp_path / "again")
    assert code == 2
    assert "All is done" in errors[-2]


def test_more_participants_than_tasks(ask: Ask, tmp_path: Path) -> None:
    code, told, _ = ask("--most-tasks", 2)
    assert code == 0
    assert any("2 tasks of up to 2 participants" in line for line in told)
    assert "#SBATCH --array=1-2\n" in (tmp_path / "jo bs" / "array.sh").read_text()


@pytest.mark.parametrize("answer", ["201", ""])
def test_slurm_s_own_limit_of_an_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    (tmp_path / "scontrol").write_text(f"#!/bin/sh\necho 'MaxArraySize            = {answer}'\n")
    (tmp_path / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert hpc._most_tasks("sbatch") == (200 if answer else 1000)
    assert hpc._most_tasks("pbs") == 1000


def test_images_without_content_say_no_size(ask: Ask, data: Path, tmp_path: Path) -> None:
    for path in data.glob("sub-*/anat/*.nii.gz"):
        path.write_bytes(b"")
    code, _, errors = ask()
    assert code == 2
    assert "--mem and --minutes" in errors[1]
    assert ask("--mem", "2G", "--minutes", 30)[0] == 0
    array = (tmp_path / "jo bs" / "array.sh").read_text()
    assert "#SBATCH --mem=1908M\n" in array
    assert "#SBATCH --time=00:30:00\n" in array


def test_submit_hands_over_the_group_after_the_array(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, sbatch = tmp_path / "calls", tmp_path / "bin" / "sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text(f'#!/bin/sh\necho "$PWD: $*" >> {calls}\necho "41;cluster"\n')
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", f"{sbatch.parent}{os.pathsep}{os.environ['PATH']}")
    code, told, errors = ask("--submit", "--native=--qos=long")
    assert code == 0, errors
    assert "array 41, then group 41" in told[-1]
    array, group = calls.read_text().splitlines()
    folder = tmp_path / "jo bs"
    assert array == f"{folder}: --parsable --qos=long array.sh"
    assert group == f"{folder}: --parsable --dependency=afterany:41 --qos=long group.sh"
    sbatch.write_text("#!/bin/sh\necho 'sbatch: error: no such qos' >&2\nexit 1\n")
    code, _, errors = ask("--submit", "--job-dir", tmp_path / "again")
    assert code == 2
    assert "no such qos" in errors[0]


def test_requests_grow_with_the_images() -> None:
    small = task_request([[10**6]], 1, 1)
    assert task_request([[10**6], [10**8]], 1, 1).memory_gb > small.memory_gb + 3
    assert task_request([[10**7] * 40], 1, 1).minutes > small.minutes == 10
    assert task_request([[10**7] * 40], 4, 2).cpus == 8
    assert task_request([[10**7] * 40], 4, 1).minutes < task_request([[10**7] * 40], 1, 1).minutes
    assert task_request([[10**7] * 40], 1, 1, slowness=3.0).minutes > task_request([[10**7] * 40], 1, 1).minutes
    assert group_request(100_000).memory_gb > 4
    assert Request(1, 0.9, 95).time == "01:35:00"
    assert Request(1, 0.9, 95).memory_mb == 954


def test_slow_machines_are_known_by_their_records(tmp_path: Path) -> None:
    paths = []
    for number, seconds in enumerate((5.0, 11.0, 12.0, 12.0)):
        path = names.record_path(tmp_path, f"sub-0{number}_T1w")
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"image": {"shape": [100, 100, 100]}, "provenance": {"seconds": {"a": seconds}}}))
        paths.append(path)
    (tmp_path / "broken.json").write_text("{")
    assert slowness([*paths, tmp_path / "broken.json", tmp_path / "none.json"]) == pytest.approx(
        12 / scan_seconds(10**6)
    )
    assert slowness(paths[:1]) == 1.0
    assert slowness([]) == 1.0


def test_what_was_measured_stays_below_what_is_asked_for() -> None:
    """The constants are upper bounds of the printed tables."""
    costs = json.loads((TABLES / "scan_costs.json").read_text())
    for row in costs["rows"]:
        cells = dict(zip(costs["columns"], row, strict=True))
        voxels = int(float(cells["million voxels"]) * 1e6)
        assert float(cells["CPU s a scan"]) < scan_seconds(voxels)
        assert float(cells["CPU s a job besides"]) < JOB_SECONDS
        assert float(cells["peak MB"]) < 1000 * task_request([[voxels]], 1, 1).memory_gb
    group = json.loads((TABLES / "group.json").read_text())
    for row in group["rows"]:
        cells = dict(zip(group["columns"], row, strict=True))
        request = group_request(int(cells["scans"]))
        assert float(cells["peak, MB"]) < 1000 * request.memory_gb
        assert float(cells["of these CPU"]) < 60 * request.minutes / 2
