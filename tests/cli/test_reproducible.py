# SPDX-License-Identifier: Apache-2.0
"""The same scan and version give the same record, by whatever way, and the logs are enough to repeat a run."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import bidsqa
from bidsqa.bids import names
from bidsqa.settings import Settings
from bidsqa.simulation.phantom import Phantom

pytestmark = pytest.mark.slow
SCANS = ("sub-01_T1w", "sub-02_T1w")
SIDECAR = {"Manufacturer": "Ünï & <co>", "RepetitionTime": 2.3, "AcquisitionDateTime": "2021-03-04T10:20:30"}
# what tells how a run went, not what it found
CIRCUMSTANCES = ("provenance/seconds", "provenance/peak_mb")
THREADS_TOLERANCE = 1e-5
Run = Callable[..., subprocess.CompletedProcess[str]]


def leaves(content: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every number, text and null with its place, but the circumstances."""
    if place in CIRCUMSTANCES:
        return
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield from leaves(value, f"{place}/{key}" if place else key)
    elif isinstance(content, list):
        for number, value in enumerate(content):
            yield from leaves(value, f"{place}/{number}")
    else:
        yield place, content


def differences(first: Any, second: Any, tolerance: float = 0.0, without: tuple[str, ...] = ()) -> list[str]:
    """Places where two records differ by more than the tolerance, relative above 1."""
    one, other = (
        {place: value for place, value in leaves(record) if place not in without} for record in (first, second)
    )
    found = sorted(one.keys() ^ other.keys())
    for place in one.keys() & other.keys():
        values = one[place], other[place]
        numbers = all(isinstance(value, float) for value in values)
        near = numbers and abs(values[0] - values[1]) <= tolerance * max(1.0, *map(abs, values))
        # the words of a reason hold its number
        if values[0] != values[1] and not near and not (tolerance and place.endswith("/text")):
            found.append(f"{place}: {values[0]!r} is not {values[1]!r}")
    return found


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, phantom_3mm: Phantom) -> Path:
    """Two scans with sidecars, one of them noisy enough for reasons."""
    root = tmp_path_factory.mktemp("repeat") / "data"
    for seed, name in enumerate(SCANS):
        folder = root / name.partition("_")[0] / "anat"
        folder.mkdir(parents=True)
        head = phantom_3mm.image("T1w", seed=seed)
        phantom_3mm.to_nifti(head).to_filename(folder / f"{name}.nii.gz")
        (folder / f"{name}.json").write_text(json.dumps(SIDECAR), encoding="utf-8")
    (root / "dataset_description.json").write_text('{"Name": "Twice", "BIDSVersion": "1.9.0"}')
    return root


@pytest.fixture(scope="module")
def run() -> Run:
    """Runs a module of the command line in another process, with its own variables, folder and permissions."""

    def act(
        module: str, *arguments: object, cwd: Path | None = None, umask: int = 0o022, code: int = 0, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONHASHSEED": "0", **variables}
        done = subprocess.run(
            [sys.executable, "-P", "-m", f"bidsqa.cli.{module}", *map(str, arguments)],
            capture_output=True,
            encoding="utf-8",
            cwd=cwd,
            env=environment,
            umask=umask,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done

    return act


def records(out: Path) -> list[Any]:
    return [json.loads(names.record_path(out, name).read_text(encoding="utf-8")) for name in SCANS]


@pytest.fixture(scope="module")
def first_out(dataset: Path, run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of the BIDS app with one process and one thread."""
    out = tmp_path_factory.mktemp("first") / "out"
    run("main", dataset, out, "participant", "--nprocs", 1)
    return out


@pytest.fixture(scope="module")
def first(first_out: Path) -> list[Any]:
    """Its records."""
    return records(first_out)


def test_two_processes_elsewhere_in_other_surroundings(
    dataset: Path, run: Run, first: list[Any], tmp_path: Path
) -> None:
    moved = tmp_path / "moved {name} 'ü"
    shutil.copytree(dataset, moved)  # keeps the times of the files
    out, work = tmp_path / "out {name} %s", tmp_path / "work"
    surroundings = {"LANG": "C", "LC_ALL": "C", "TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "4711"}
    again = ("main", moved, out, "participant", "--nprocs", 2, "--work-dir", work, "--output-masks")
    run(*again, cwd=tmp_path, umask=0o077, **surroundings)
    for one, other in zip(first, records(out), strict=True):
        assert not differences(one, other)
    before = {path: path.stat().st_mtime_ns for path in out.glob("sub-*/anat/*.json")}
    run(*again, "--force", "--participant-label", "01", cwd=dataset, TZ="America/New_York", PYTHONHASHSEED="1")
    made = names.record_path(out, SCANS[0])
    assert made.stat().st_mtime_ns > before[made]
    for one, other in zip(first, records(out), strict=True):
        assert not differences(one, other)


@pytest.mark.parametrize("threads", [1, 2])
def test_any_number_of_threads(dataset: Path, run: Run, first: list[Any], tmp_path: Path, threads: int) -> None:
    path = dataset / "sub-01" / "anat" / f"{SCANS[0]}.nii.gz"
    whole = bidsqa.assess(path, settings=Settings(threads=threads)).to_dict()
    run("scan", path, tmp_path / "out", "--threads", threads, LC_ALL="C", TZ="Asia/Kolkata")
    single = json.loads((tmp_path / "out" / f"{SCANS[0]}.json").read_text(encoding="utf-8"))
    tolerance = 0.0 if threads == 1 else THREADS_TOLERANCE
    # outside of a dataset's run the input is told by its name alone
    for record in (whole, single):
        assert not differences(first[0], record, tolerance, without=("provenance/input/path",))
    assert not differences(whole, single)


def test_the_comparison_notices_differences(first: list[Any]) -> None:
    other = json.loads(json.dumps(first[0]))
    assert not differences(first[0], other)
    other["scores"]["ssim"]["value"] += 2e-5
    assert len(differences(first[0], other, THREADS_TOLERANCE)) == 1
    del other["metrics"]["cjv"]
    assert len(differences(first[0], other, 1e-3)) == 1


def test_the_logs_are_enough_to_repeat_a_run(dataset: Path, run: Run, tmp_path: Path) -> None:
    rules, filters = tmp_path / "own.toml", tmp_path / "filter.json"
    rules.write_text('version = "lab 7"\n[rules.ssim]\nreview_below = 0.999\n')
    filters.write_text('{"t1w": {"subject": ["01", "02"]}}')
    weights = tmp_path / "mine.onnx"
    shutil.copy(Path(bidsqa.__file__).parent / "models" / "weights" / "ssim.onnx", weights)
    out = tmp_path / "out"
    options = ["--thresholds", rules, "--bids-filter-file", filters, "--models", "ssim", "--slice-fraction", 0.4]
    run("main", dataset, out, "participant", *options, "--weights", f"ssim={weights}", "-m", "T1w")
    made = records(out)
    rules.unlink()
    filters.unlink()
    (log,) = (out / "logs").glob("*.log")
    (repeat,) = [line for line in log.read_text().splitlines() if "to repeat the run: " in line]
    name, *command = shlex.split(repeat.partition("to repeat the run: ")[2])
    assert name == "bidsqa"
    config = Path(command[-1])
    told = tomllib.loads(config.read_text())
    assert (told["slice-fraction"], told["models"]) == (0.4, ["ssim"])
    for checksum in (made[0]["provenance"]["models"]["ssim"]["sha256"], bidsqa.__version__):
        assert checksum in config.read_text()
        assert checksum in log.read_text()
    command[1] = str(tmp_path / "again")
    run("main", *command)
    for one, other in zip(made, records(tmp_path / "again"), strict=True):
        assert "lab-7" in one["verdict"]["rules_version"]
        assert not differences(one, other)


def test_the_group_level_leaves_its_options_too(dataset: Path, first_out: Path, run: Run) -> None:
    run("main", dataset, first_out, "group", "--harmonise")
    told = [tomllib.loads(path.read_text()) for path in (first_out / "logs").glob("bidsqa-*.toml")]
    assert {"harmonise": True} in told
