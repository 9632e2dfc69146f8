# SPDX-License-Identifier: Apache-2.0
"""The demo dataset: valid, reproducible, and never written over somebody's data."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bidsqa.cli import demo
from bidsqa.errors import UsageError
from bidsqa.image import load_volume

SMALL = tuple(
    replace(scan, spacing=(3.0, 3.0, 3.0) if scan.contrast == "T1w" else (2.0, 2.0, 6.0)) for scan in demo.SCANS
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("demo") / "demo"
    demo.write_demo(root, scans=SMALL, quiet=True)
    return root


def test_two_heads_two_contrasts_two_faults(written: Path) -> None:
    images = sorted(path.relative_to(written).as_posix() for path in written.rglob("*.nii.gz"))
    assert images == [f"sub-0{n}/anat/sub-0{n}_{suffix}.nii.gz" for n in (1, 2) for suffix in ("T1w", "T2w")]
    faults = {}
    for image in images:
        sidecar = json.loads((written / image.replace(".nii.gz", ".json")).read_text())
        faults[image[:6] + image[-10:-7]] = sidecar.get("SimulatedDegradation", {}).get("Name")
        assert sidecar["EchoTime"] < 0.2 and sidecar["RepetitionTime"] < 10  # seconds
    assert faults == {"sub-01T1w": None, "sub-01T2w": "noise", "sub-02T1w": "motion", "sub-02T2w": None}


def test_images_are_int16_scans(written: Path) -> None:
    for path in written.rglob("*.nii.gz"):
        volume = load_volume(path)
        assert volume.facts.dtype == "int16"
        assert 100 < np.percentile(volume.data, 90) < 5000


def test_heads_differ(written: Path) -> None:
    first, second = (load_volume(written / f"sub-0{n}/anat/sub-0{n}_T1w.nii.gz").data for n in (1, 2))
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] < 0.97


def test_an_earlier_demo_is_written_again_alike(written: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(written, tmp_path / "copy"))
    path = "sub-01/anat/sub-01_T1w.nii.gz"
    (copy / path).write_bytes(b"half a file")
    demo.write_demo(copy, scans=SMALL[:1], quiet=True)
    assert (copy / path).read_bytes() == (written / path).read_bytes()


def test_somebody_elses_folder_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    assert demo.main([str(tmp_path)]) == 2
    shown = capsys.readouterr()
    assert "isn't empty" in shown.err and "Give a new folder." in shown.err
    assert "Traceback" not in shown.err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("description", ['{"Name": "My study"}', "[]", "{", ""])
def test_another_dataset_is_left_alone(tmp_path: Path, description: str) -> None:
    (tmp_path / "dataset_description.json").write_text(description)
    with pytest.raises(UsageError, match="isn't empty"):
        demo.write_demo(tmp_path)


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("")
    assert demo.main([str(tmp_path / "demo")]) == 2


def test_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main([]) == 2
    assert demo.main([str(tmp_path / "new"), "--seed", "-1"]) == 2
    assert "seed" in capsys.readouterr().err


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        demo.main(["--help"])
    assert stop.value.code == 0
    assert "bidsqa demo demo-out participant group" in capsys.readouterr().out


def test_validator_finds_no_error(written: Path) -> None:
    validator = shutil.which("bids-validator-deno", path=str(Path(sys.executable).parent)) or shutil.which(
        "bids-validator-deno"
    )
    if validator is None:
        pytest.skip("bids-validator-deno isn't installed")
    run = subprocess.run([validator, str(written), "--format", "json"], capture_output=True, text=True, check=False)
    issues = json.loads(run.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue.get("severity") == "error"] == []


@pytest.mark.slow
def test_the_real_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main([str(tmp_path / "demo")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5 and "participant group" in lines[-1]
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.nii.gz")) < 40e6
