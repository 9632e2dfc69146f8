# SPDX-License-Identifier: Apache-2.0
"""What the options of the group level do, and what both levels do with participants.tsv."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bidsqa.bids import names
from bidsqa.cli.main import main
from bidsqa.record import Record
from bidsqa.validation.example_records import example_record
from bidsqa.verdict import load_rules

ALL = ["sub-01_T1w", "sub-02_ses-a_run-01_T1w", "sub-02_ses-b_task-rest_T2w", "sub-03_ses-a_FLAIR"]


@pytest.fixture
def group(empty_scans: Path, tmp_path: Path) -> Callable[..., int]:
    """Runs the group level on records of the scans in `empty_scans`."""
    for at, name in enumerate(ALL):
        path = names.record_path(tmp_path / "out", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        record = example_record(name, name.rpartition("_")[2], seed=at, rules=load_rules())
        path.write_text(record.dumps(), encoding="utf-8")

    def call(*options: object) -> int:
        return main([str(empty_scans), str(tmp_path / "out"), "group", *map(str, options)])

    return call


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def test_site_column(
    group: Callable[..., int], empty_scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (empty_scans / "participants.tsv").write_text("participant_id\tplace\tage\nsub-01\tBonn\t30\nsub-01\tBonn\t31\n")
    assert group("--site-column", "place") == 0
    assert "more than one row for sub-01" in capsys.readouterr().err
    first = rows(tmp_path / "out" / "group_T1w.tsv")[0]
    assert (first["site"], first["place"], first["age"]) == ("Bonn", "Bonn", "n/a")
    assert group("--site-column", "plaice") == 2
    assert "Did you mean 'place'?" in capsys.readouterr().err
    shutil.rmtree(empty_scans)
    assert group("--site-column", "place") == 0, "the copy serves where the dataset isn't mounted"


def test_the_participant_level_brings_participants_over(
    empty_scans: Path, tmp_path: Path, fake_run: object, capsys: pytest.CaptureFixture[str]
) -> None:
    table = empty_scans / "participants.tsv"
    table.write_text("participant_id\tage\nsub-01\t30\textra\nsub-02\t40\n")
    before = table.read_bytes()
    call = [str(empty_scans), str(tmp_path / "out"), "participant"]
    assert main([*call, "--dry-run"]) == 0
    assert not (tmp_path / "out").exists()
    assert main(call) == 0
    assert capsys.readouterr().err.count("participants.tsv: 1 row has more cells than the header") == 1
    assert (tmp_path / "out" / "group_participants.tsv").read_text() == "participant_id\tage\nsub-02\t40\n"
    assert table.read_bytes() == before
    table.write_text("participant_id\tage\nsub-02\t41\n")
    assert main(call) == 0, "nothing to judge, but the table is new"
    assert "41" in (tmp_path / "out" / "group_participants.tsv").read_text()


def test_strict_refuses_what_cannot_be_compared(
    group: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert group("--strict") == 0
    path = names.record_path(tmp_path / "out", ALL[1])
    record = Record.loads(path.read_text(encoding="utf-8"))
    record.verdict["rules_version"] = "1+other.0"
    path.write_text(record.dumps(), encoding="utf-8")
    before = {file: file.read_bytes() for file in (tmp_path / "out").glob("group*")}
    capsys.readouterr()
    assert group("--strict") == 2
    told = capsys.readouterr().err
    assert "The scans differ in rules: 1 (3 scans), 1+other.0 (1 scan)" in told
    assert "run group with --thresholds" in told
    assert "Without --strict" in told
    assert {file: file.read_bytes() for file in (tmp_path / "out").glob("group*")} == before
    assert group() == 0
    assert "differ in rules" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["bidsqa", "slice fraction", "severity", "models"])
def test_strict_knows_versions_settings_and_weights(
    group: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    path = names.record_path(tmp_path / "out", ALL[0])
    record = Record.loads(path.read_text(encoding="utf-8"))
    if kind == "bidsqa":
        record.provenance["bidsqa"] = "9.9"
    elif kind == "slice fraction":
        record.provenance["settings"]["slice_fraction"] = 0.3
    elif kind == "severity":
        record.provenance["models"]["severity"]["sha256"] = "f" * 64
    else:
        record.provenance["settings"]["models"] = ["ssim"]
    path.write_text(record.dumps(), encoding="utf-8")
    assert group("--strict") == 2
    assert f"differ in {'scores' if kind == 'models' else ''}" in capsys.readouterr().err


def test_harmonise_needs_sites_of_some_size(
    group: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert group("--harmonise") == 0
    assert "Note: Nothing was harmonised: that takes two sites" in capsys.readouterr().out
    assert not any(name.endswith("_harmonised") for name in rows(out / "group_T1w.tsv")[0])
    for at in range(30):
        name = f"sub-1{at:02d}_T1w"
        path = names.record_path(out, name)
        path.parent.mkdir(parents=True)
        path.write_text(example_record(name, seed=at, rules=load_rules()).dumps(), encoding="utf-8")
    assert group("--harmonise") == 0
    assert float(rows(out / "group_T1w.tsv")[-1]["cjv_harmonised"]) > 0
    assert "Nothing was harmonised" not in capsys.readouterr().out
    assert group() == 0
    assert "cjv_harmonised" not in rows(out / "group_T1w.tsv")[-1]
