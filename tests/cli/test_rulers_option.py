# SPDX-License-Identifier: Apache-2.0
"""``--rulers``: reaches the steps, and what is wrong with a ruler is said before the first scan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bidsqa.cli import scan
from bidsqa.cli.main import main
from bidsqa.record import Record
from bidsqa.rulers import shipped_rulers, write_ruler

MODELS = ["--models", "severity", "noise_motion"]


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    write_ruler(shipped_rulers()[0], tmp_path / "rulers" / "ours")
    return tmp_path / "rulers"


def test_it_reaches_the_steps(empty_scans: Path, tmp_path: Path, fake_run: Any, shelf: Path) -> None:
    words = [str(empty_scans), str(tmp_path / "out"), "participant", *MODELS]
    assert main([*words, "--rulers", str(shelf)]) == 0
    assert fake_run.calls[-1]["settings"].rulers == str(shelf)
    assert fake_run.calls[-1]["settings"].models == ("severity", "noise_motion")


def test_a_single_ruler_is_a_folder_of_rulers_too(
    empty_scans: Path, tmp_path: Path, fake_run: Any, shelf: Path
) -> None:
    words = [str(empty_scans), str(tmp_path / "out"), "participant", *MODELS]
    assert main([*words, "--rulers", str(shelf / "ours")]) == 0


@pytest.mark.parametrize("kind", ["nowhere", "empty", "damaged", "mixed", "not asked for"])
def test_what_is_wrong_is_said_first(
    empty_scans: Path, tmp_path: Path, fake_run: Any, shelf: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    words = {
        "nowhere": "doesn't exist",
        "empty": "holds no ruler",
        "damaged": "checksum differs",
        "mixed": "no better than",
        "not asked for": "--models severity ssim noise_motion",
    }
    given, models = shelf, MODELS
    if kind == "nowhere":
        given = tmp_path / "nowhere"
    elif kind == "empty":
        given = tmp_path / "empty"
        given.mkdir()
    elif kind == "damaged":
        (shelf / "ours" / "versions.npz").write_bytes(b"PK")
    elif kind == "mixed":
        ruler = shipped_rulers()[0]
        write_ruler(replace(ruler, name="mixed", versions=ruler.versions[::-1].copy()), shelf / "mixed")
    else:
        models = []
    assert main([str(empty_scans), str(tmp_path / "out"), "participant", *models, "--rulers", str(given)]) == 2
    said = capsys.readouterr().err
    assert words[kind] in said
    assert len(said.splitlines()) == 2
    assert not fake_run.calls


def test_two_rulers_of_one_name(
    empty_scans: Path, tmp_path: Path, fake_run: Any, shelf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_ruler(shipped_rulers()[0], shelf / "again")
    assert main([str(empty_scans), str(tmp_path / "out"), "participant", *MODELS, "--rulers", str(shelf)]) == 2
    assert "have the name" in capsys.readouterr().err


def test_the_place_is_told_on_the_terminal() -> None:
    ruler = {"name": "T1w-3D\x1b[2J", "version_score": 3, "outside": None}
    score = {"value": 3.2, "uncertainty": 0.2, "ruler": ruler}
    lines = list(scan.describe(Record("t1", scores={"noise_motion": score})))
    (told,) = (line for line in lines if "ruler" in line and "Noise" in line)
    assert "3.20 ± 0.20: as noisy as version 3 of ruler T1w-3D" in told
    assert "\x1b" not in told
    ruler["outside"] = "below"
    assert any(
        "noisier than the worst version" in line for line in scan.describe(Record("t1", scores={"noise_motion": score}))
    )


def test_a_single_scan_takes_it(tmp_path: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def examine(path: Path, suffix: str, settings: Any, **_: Any) -> Any:
        asked.append(settings)
        raise SystemExit(7)

    monkeypatch.setattr("bidsqa.steps.examine", examine)
    (tmp_path / "a_T1w.nii").write_bytes(b"")
    with pytest.raises(SystemExit):
        scan.main([str(tmp_path / "a_T1w.nii"), *MODELS, "--rulers", str(shelf)])
    assert asked[0].rulers == str(shelf)
    assert asked[0].models == ("severity", "noise_motion")
