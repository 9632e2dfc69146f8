# SPDX-License-Identifier: Apache-2.0
"""``bidsqa-import-mriqc`` on made-up results in MRIQC's layout."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bidsqa.bids import names
from bidsqa.bids.participants import keep_copy
from bidsqa.cli.import_mriqc import build_parser
from bidsqa.group.mriqc_import import IMPORTED
from bidsqa.group.schema import record_schema
from bidsqa.metrics import METRIC_KEYS
from bidsqa.record import Record
from bidsqa.study import run_group
from bidsqa.validation.example_records import example_record
from bidsqa.verdict import load_rules

Place = Callable[..., Path]
Make = Callable[..., dict[str, Any]]
Import = Callable[..., int]
Imported = Callable[..., Record]
Table = Callable[..., None]


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))


def test_a_study_becomes_records_pages_and_tables(
    place: Place,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    import_mriqc: Import,
    imported: Imported,
    content: Make,
) -> None:
    for at in range(12):
        place(f"sub-{at:02d}_T1w", content(at))
    place("sub-00_ses-b_acq-x_run-1_T2w", content(0))
    before = {path: path.read_bytes() for path in (tmp_path / "mriqc").rglob("*.json")}
    assert import_mriqc() == 0
    assert {path: path.read_bytes() for path in (tmp_path / "mriqc").rglob("*") if path.is_file()} == before
    told = capsys.readouterr()
    assert told.out.startswith("13 scans imported.")
    assert told.out.rstrip().endswith("group.html")
    assert told.err == ""
    record = imported()
    jsonschema.Draft202012Validator(record_schema()).validate(record.to_dict())
    assert record.scores == {}
    assert record.reasons_missing["severity"] == IMPORTED
    assert record.metrics["cjv"] == pytest.approx(0.38)
    assert record.image == {"shape": [176, 240, 256], "spacing": [1.0, 1.0, 1.0]}
    assert record.acquisition["EchoTime"] == 0.0029
    assert record.provenance["imported"]["version"] == "0.16.1"
    assert record.provenance["imported"]["warnings"] == {"small_air_mask": False, "large_rot_frame": True}
    rows = table(tmp_path / "out" / "group_T1w.tsv")
    assert len(rows) == 12
    assert float(rows[0]["snr_total"]) == 9.0
    page = (tmp_path / "out" / "sub-00_ses-b_acq-x_run-1_T2w.html").read_text(encoding="utf-8")
    assert "imported from MRIQC" in page
    assert (tmp_path / "out" / "group.html").is_file()
    description = json.loads((tmp_path / "out" / "dataset_description.json").read_text(encoding="utf-8"))
    assert description["DatasetType"] == "derivative"
    citation = (tmp_path / "out" / "CITATION.md").read_text(encoding="utf-8")
    assert "read no image" in " ".join(citation.split())
    assert "Each scan was read" not in citation


def test_no_scan_passes_and_what_stands_out_comes_first(
    place: Place, tmp_path: Path, import_mriqc: Import, content: Make
) -> None:
    for at in range(20):
        place(f"sub-{at:02d}_T1w", content(at))
    place("sub-07_T1w", content(7, cjv=1.4))
    place("sub-08_T1w", content(8, snr_total=4.0))
    odd = content(9)
    odd["bids_meta"]["EchoTime"] = 0.0045
    place("sub-09_T1w", odd)
    assert import_mriqc() == 0
    rows = table(tmp_path / "out" / "group_exclusions.tsv")
    assert len(rows) == 20
    assert {row["decision"] for row in rows} == {"review"}
    assert [row["bids_name"][:6] for row in rows[:3]] == ["sub-07", "sub-08", "sub-09"]
    assert [row["proposal"] for row in rows] == ["look"] * 3 + ["unjudged"] * 17
    page = (tmp_path / "out" / "group.html").read_text(encoding="utf-8")
    assert re.findall(r'<th scope="row"><a href="(sub-\d+)', page)[:3] == ["sub-07", "sub-08", "sub-09"]
    assert "17 scans are unjudged: imported without scores" in page
    first = {row["bids_name"][:6]: row["reasons"] for row in rows}
    assert first["sub-07"].startswith("contrast: ")
    assert first["sub-08"].startswith("unlike its site: snr_total")
    assert "EchoTime 0.0045 s, but 0.0029 s in 19 of 20" in first["sub-09"]
    assert first["sub-00"].count("not known") == 2, "one reason for the image, one for the bias field"


def test_own_rules(place: Place, tmp_path: Path, import_mriqc: Import, imported: Imported, content: Make) -> None:
    place("sub-00_T1w", content(0))
    rules = tmp_path / "mine.toml"
    rules.write_text("[rules.cjv]\nfail_above = 0.3\n")
    assert import_mriqc("--thresholds", str(rules)) == 0
    assert imported().verdict["decision"] == "fail"
    assert import_mriqc("--thresholds", str(tmp_path / "none.toml")) == 2


@pytest.mark.parametrize(
    ("version", "lost"),
    [
        ("0.16.1", set()),
        ("22.0.6", {"fber", "cnr", "efc", "wm2max", "snrd_total", "summary_bg_mad"}),
        ("23.1.0rc0", {"fber", "cnr", "efc", "wm2max", "snrd_total", "summary_bg_mad", "qi_1"}),
    ],
)
def test_faulty_numbers_are_null_with_the_fault(
    place: Place, version: str, lost: set[str], import_mriqc: Import, imported: Imported, content: Make, iqms: Make
) -> None:
    place("sub-00_T1w", content(0, version))
    assert import_mriqc() == 0
    record = imported()
    always = {"qi_2", "inu_med", "inu_range", "rpve_wm", "summary_wm_n"}
    some = {
        "fber",
        "cnr",
        "efc",
        "wm2max",
        "snrd_total",
        "summary_bg_mad",
        "qi_1",
        "cjv",
        "snr_total",
        "fwhm_avg",
        "size_x",
    }
    assert {key for key in always | some if record.metrics[key] is None} == always | lost
    original = record.provenance["imported"]["original"]
    for key in always | lost:
        assert record.reasons_missing[key].startswith("not taken over from MRIQC: ")
        assert f"it tells {iqms()[key]:.5g}" in record.reasons_missing[key]
        assert original[key] == pytest.approx(iqms()[key])
    assert not set(original) & {key for key, value in record.metrics.items() if value is not None}


@pytest.mark.parametrize(
    ("key", "changes", "told"),
    [
        ("fber", {"fber": -1.0}, "-1"),
        ("snrd_total", {"snrd_gm": -1}, "-1"),
        ("qi_1", {"qi_1": -1}, "-1"),
        ("efc", {"efc": 1.7}, "outside"),
        ("icvs_gm", {"icvs_gm": None}, "no number"),
        ("cjv", {"cjv": "high"}, "no number"),
        ("cjv", {"cjv": True}, "no number"),
        ("cjv", {"cjv": float("nan")}, "no number"),
        ("cjv", {"cjv": [0.4]}, "no number"),
    ],
)
def test_sentinels_and_impossible_numbers(
    place: Place, key: str, changes: Any, told: str, import_mriqc: Import, imported: Imported, content: Make
) -> None:
    place("sub-00_T1w", content(0, **changes))
    assert import_mriqc() == 0
    record = imported()
    assert record.metrics[key] is None
    assert told in record.reasons_missing[key]


def test_an_unknown_version_counts_as_any(
    place: Place, import_mriqc: Import, imported: Imported, content: Make
) -> None:
    told = content(0)
    del told["provenance"]["version"]
    place("sub-00_T1w", told)
    assert import_mriqc() == 0
    record = imported()
    assert record.metrics["fber"] is None
    assert "version is not known" in record.reasons_missing["fber"]
    assert import_mriqc("--mriqc-version", "0.16.1") == 0
    assert imported().metrics["fber"] == 300.0
    assert import_mriqc("--mriqc-version", "new") == 2


def test_group_tables_alone(tmp_path: Path, mriqc_table: Table, import_mriqc: Import, imported: Imported) -> None:
    mriqc_table()
    description = {"Name": "MRIQC", "GeneratedBy": [{"Name": "MRIQC", "Version": "0.15.2"}]}
    (tmp_path / "mriqc" / "dataset_description.json").write_text(json.dumps(description))
    assert import_mriqc() == 0
    record = imported("sub-02_T1w")
    assert record.provenance["imported"] | {"original": {}} == {
        "from": "MRIQC",
        "version": "0.15.2",
        "file": "group_T1w.tsv",
        "original": {},
    }
    assert record.metrics["fber"] == pytest.approx(300 * 1.02)


def test_json_files_win_over_the_table(
    place: Place, mriqc_table: Table, import_mriqc: Import, imported: Imported, content: Make
) -> None:
    mriqc_table()
    place("sub-00_T1w", content(0, cjv=0.5))
    assert import_mriqc() == 0
    assert imported().metrics["cjv"] == 0.5
    assert imported("sub-01_T1w").provenance["imported"]["file"] == "group_T1w.tsv"


def test_mixed_versions_are_told(
    place: Place, capsys: pytest.CaptureFixture[str], import_mriqc: Import, content: Make
) -> None:
    place("sub-00_T1w", content(0, "0.16.1"))
    place("sub-01_T1w", content(1, "23.1.0"))
    assert import_mriqc() == 0
    assert "The scans differ in origin: MRIQC 0.16.1 (1 scan), MRIQC 23.1.0 (1 scan)" in capsys.readouterr().out


def test_records_of_bidsqa_itself_stay(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str], import_mriqc: Import, content: Make
) -> None:
    place("sub-00_T1w", content(0))
    place("sub-01_T1w", content(1))
    own = example_record("sub-00_T1w", rules=load_rules())
    path = names.record_path(tmp_path / "out", "sub-00_T1w")
    path.parent.mkdir(parents=True)
    path.write_text(own.dumps(), encoding="utf-8")
    assert import_mriqc() == 0
    assert path.read_text(encoding="utf-8") == own.dumps()
    told = capsys.readouterr().out
    assert "1 scan imported." in told
    assert "1 scan left as they are" in told
    assert "differ in origin" in told


def test_importing_again_gives_the_same(place: Place, tmp_path: Path, import_mriqc: Import, content: Make) -> None:
    place("sub-00_T1w", content(0))
    assert import_mriqc() == 0
    first = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert import_mriqc() == 0
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == first


def test_the_keys_are_those_of_mriqc(iqms: Make) -> None:
    assert len(iqms()) == 68
    assert set(iqms()) <= set(METRIC_KEYS)


def test_help_says_what_it_is_for() -> None:
    text = build_parser().format_help()
    assert "group_T1w.tsv" in text
    assert "--mriqc-version" in text
    assert "no scan passes" in " ".join(text.split())


def test_validator_finds_no_error(place: Place, tmp_path: Path, import_mriqc: Import, content: Make) -> None:
    program = shutil.which("bids-validator-deno") or shutil.which(
        "bids-validator-deno", path=Path(sys.executable).parent
    )
    if program is None:
        pytest.skip("bids-validator-deno is not installed")
    for at in range(3):
        place(f"sub-{at:02d}_ses-a_T1w", content(at))
    assert import_mriqc() == 0
    dataset = tmp_path / "data"
    dataset.mkdir()
    (dataset / "dataset_description.json").write_text("{}")
    (dataset / "participants.tsv").write_text("participant_id\tage\tsubject\nsub-00\t30\tx\nsub-77\t31\ty\n")
    assert keep_copy(dataset, tmp_path / "out") == ()
    run_group(tmp_path / "out")
    answer = subprocess.run([program, str(tmp_path / "out"), "--json"], capture_output=True, text=True, check=False)
    issues = json.loads(answer.stdout)["issues"]["issues"]
    assert [(issue["code"], issue.get("location")) for issue in issues if issue["severity"] == "error"] == []
