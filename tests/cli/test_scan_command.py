# SPDX-License-Identifier: Apache-2.0
"""``bidsqa-scan``: one image, in words for the person at the scanner."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from bidsqa.cli.scan import describe, guess_suffix, main
from bidsqa.record import Record
from bidsqa.simulation.phantom import Phantom


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("sub-01_T1w.nii.gz", "T1w"),
        ("sub-01_acq-t1_T2w.nii", "T2w"),
        ("t1_mprage_sag.nii.gz", "T1w"),
        ("MP2RAGE_UNI.nii", "T1w"),
        ("3D_BRAVO.nii", "T1w"),
        ("ax_t2_tse.nii", "T2w"),
        ("AX_FLAIR_5mm.nii", "FLAIR"),
        ("t2_flair.nii", "FLAIR"),
        ("t2_tirm_dark-fluid.nii", "FLAIR"),
        ("pd_tse.nii", "PDw"),
        ("updated.nii", None),
        ("brain.nii", None),
    ],
)
def test_the_name_tells_the_kind(name: str, suffix: str | None) -> None:
    assert guess_suffix(name) == suffix


def test_words_put_the_verdict_first() -> None:
    reason = {"rule": "noise", "text": "Noise is high (2.1, limit 1).", "advice": "Repeat the scan."}
    record = Record(
        "t1\x1b[2J",
        verdict={"decision": "review", "reasons": [reason]},
        scores={"severity": {"value": 1.234, "uncertainty": 0.1, "unit": "", "slices": []}, "other": {"value": None}},
        reasons_missing={"cjv": "no"},
        warnings=["Odd header."],
        provenance={"seconds": {"conform": 1.5, "anatomy": 3}, "bidsqa": "0.1.0"},
    )
    lines = list(describe(record))
    assert lines[0].endswith(": REVIEW")
    assert lines[1:3] == ["  - Noise is high (2.1, limit 1).", "    Repeat the scan."]
    assert any("1.23 ± 0.10" in line for line in lines)
    assert "Odd header" in "".join(lines)
    assert "4 s" in lines[-1]
    assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize(
    ("value", "error", "told"),
    [
        (0.9517, 0.0034, "0.9517 ± 0.0034"),
        (0.9517, 0.031, "0.952 ± 0.031"),
        (1.8, 2.5, "1.80 ± 2.50"),
        (0.9, 1e-6, "0.9000 ± less than 0.0001"),
        (0.9, 0, "0.90"),
        (0.9, None, "0.90"),
    ],
)
def test_errors_have_digits_that_tell(value: float, error: float | None, told: str) -> None:
    score = {"value": value, "uncertainty": error}
    line = list(describe(Record("x", scores={"other": score})))[1]
    assert line == f"  other: {told}"


def test_a_failed_scan_says_why() -> None:
    failure = {"step": "conform", "cause": "the file is empty", "hint": "copy it again", "crashfile": None}
    lines = list(describe(Record("x", status="failed", verdict={"decision": "fail"}, failure=failure)))
    assert lines == ["x: FAIL", "  It could not be judged: the file is empty", "  copy it again"]


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ([], "FILE"),
        (["nowhere.nii"], "doesn't exist"),
        (["."], "is a folder"),
        (["t1.nii", "--suffix", "bold"], "'bold'"),
        (["t1.nii", "--models", "severty"], "'severty'"),
        (["t1.nii", "--threads", "0"], "--threads"),
        (["t1.nii", "--thresholds", "none.toml"], "none.toml"),
        (["t1.nii", "t1.nii"], "can't be written"),
        (["t1.nii", "."], "scan's own"),
        (["ds"], "The path ds is a folder"),
    ],
)
def test_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], cause: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t1.nii").touch()
    (tmp_path / "ds").mkdir()
    assert main(words) == 2
    told = capsys.readouterr().err
    assert told.startswith("bidsqa-scan: ")
    assert cause in told


def test_an_image_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t1.nii.gz").write_bytes(b"no image")
    (tmp_path / "t1.json").write_text("{broken")
    assert main([str(tmp_path / "t1.nii.gz"), str(tmp_path / "out"), "--models", "none"]) == 1
    assert "It could not be judged" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "t1.json").read_text())["status"] == "failed"
    assert (tmp_path / "out" / "t1.html").stat().st_size > 1000


def test_record_and_page_of_a_scan(tmp_path: Path, phantom_3mm: Phantom, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t1.nii.gz"
    phantom_3mm.to_nifti(phantom_3mm.image("T1w", seed=1)).to_filename(path)
    (tmp_path / "t1.json").write_text('{"Manufacturer": "Phantom"}')
    assert main([str(path), str(tmp_path / "out"), "--models", "none", "--json", "--suffix", "t1w"]) == 0
    told = capsys.readouterr()
    printed = json.loads(told.out)
    assert printed["status"] == "ok"
    assert printed["acquisition"] == {"Manufacturer": "Phantom"}
    assert printed["provenance"]["suffix"] == "T1w"
    assert printed == json.loads((tmp_path / "out" / "t1.json").read_text())
    assert sorted(os.listdir(tmp_path / "out")) == ["t1.html", "t1.json"]
    assert "t1.html" in told.err
