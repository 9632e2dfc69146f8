# SPDX-License-Identifier: Apache-2.0
"""The study's tables, dictionaries and page, made from records on disk."""

from __future__ import annotations

import csv
import itertools
import json
import textwrap
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import bidsqa
from bidsqa.bids import names
from bidsqa.errors import UsageError
from bidsqa.group import read, read_records, sites
from bidsqa.group.cohort import judge_cohort
from bidsqa.group.dictionaries import dictionary
from bidsqa.group.rows import Row, row_of
from bidsqa.group.tables import tsv
from bidsqa.metrics import METRIC_KEYS
from bidsqa.models import SCORES
from bidsqa.record import Record
from bidsqa.study import run_group
from bidsqa.validation.example_records import example_record, failed_record
from bidsqa.verdict import decide, load_rules

RULES = load_rules()


def write(out: Path, *records: Record) -> None:
    for record in records:
        path = names.record_path(out, record.bids_name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(record.dumps(), encoding="utf-8")


def table(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two participants with sessions, three suffixes' worth of rows, one bad scan and one that failed."""
    write(
        tmp_path,
        example_record("sub-02_ses-a_T1w", seed=1, rules=RULES),
        example_record("sub-01_ses-a_T1w", seed=2, rules=RULES),
        example_record("sub-01_ses-b_acq-x_run-2_T1w", seed=3, damage=1.0, rules=RULES),
        example_record("sub-01_ses-a_T2w", "T2w", seed=4, damage=0.3, rules=RULES),
        failed_record("sub-02_ses-a_T2w", "T2w", rules=RULES),
    )
    return tmp_path


def test_files(study: Path) -> None:
    result = run_group(study)
    stems = (
        "group_T1w",
        "group_T2w",
        "group_exclusions",
        "group_sites",
        "group_site_effects",
        "group_protocols",
        "group_scans",
        "group_missing",
    )
    pictures = [
        f"group_{name}.{end}" for name in ("decisions", "severity", "ssim", "metrics") for end in ("png", "svg")
    ]
    assert {path.name for path in result.paths} == {
        *(f"{stem}.{end}" for stem in stems for end in ("tsv", "json")),
        *pictures,
        "group.html",
    }
    assert all((study / "figures" / name).stat().st_size > 1000 for name in pictures)
    page = result.paths[-1].read_text(encoding="utf-8")
    assert all(f'href="figures/{name}"' in page for name in pictures)
    assert all(path.is_file() for path in result.paths)
    assert (result.problems, result.scans) == ([], 5)


def test_first_column_and_metrics_are_mriqcs(study: Path) -> None:
    run_group(study)
    rows = table(study / "group_T1w.tsv")
    assert next(iter(rows[0])) == "bids_name"
    assert [row["bids_name"] for row in rows] == [
        "sub-01_ses-a_T1w",
        "sub-01_ses-b_acq-x_run-2_T1w",
        "sub-02_ses-a_T1w",
    ]
    frame = pd.read_csv(study / "group_T1w.tsv", sep="\t", na_values="n/a")
    assert {"cjv", "cnr", "snr_total", "efc", "fber", "summary_wm_median"} <= set(frame.columns)
    assert frame["cjv"].dtype == float


def test_values_are_the_records(study: Path) -> None:
    run_group(study)
    row = next(row for row in table(study / "group_T1w.tsv") if row["session_id"] == "ses-b")
    record = Record.loads(names.record_path(study, row["bids_name"]).read_text())
    assert (row["participant_id"], row["acquisition_label"], row["run_label"]) == ("sub-01", "x", "2")
    assert float(row["ssim"]) == record.scores["ssim"]["value"]
    assert float(row["severity_uncertainty"]) == record.scores["severity"]["uncertainty"]
    for key, value in record.metrics.items():
        assert value is None or float(row[key]) == value
    assert row["decision"] == record.verdict["decision"] == "fail"


def test_a_failed_scan_has_a_row_with_nothing_known(study: Path) -> None:
    run_group(study)
    row = next(row for row in table(study / "group_T2w.tsv") if row["participant_id"] == "sub-02")
    assert (row["status"], row["decision"], row["cjv"], row["ssim"]) == ("failed", "fail", "n/a", "n/a")


def test_exclusions_list_all_that_is_not_good_the_gravest_first(study: Path) -> None:
    run_group(study)
    rows = table(study / "group_exclusions.tsv")
    assert [row["proposal"] for row in rows] == ["exclude", "exclude", "look"]
    assert {row["bids_name"] for row in rows} == {
        "sub-01_ses-b_acq-x_run-2_T1w",
        "sub-02_ses-a_T2w",
        "sub-01_ses-a_T2w",
    }
    assert all(row["reasons"] != "n/a" and row["participant_id"].startswith("sub-") for row in rows)


def test_every_column_is_described(study: Path) -> None:
    run_group(study)
    for path in study.glob("group_*.tsv"):
        header = path.read_text(encoding="utf-8").split("\n", 1)[0].split("\t")
        described = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        assert list(described) == header
        assert all(entry["Description"].strip() for entry in described.values())
        unknown = {name for name, entry in described.items() if entry["Description"].startswith("As the sidecar")}
        assert unknown <= set(sites.SITE_KEYS)
    described = json.loads((study / "group_T1w.json").read_text(encoding="utf-8"))
    assert METRIC_KEYS["cjv"].keys["cjv"] in described["cjv"]["Description"]


def test_sites_are_told_by_scanner(study: Path) -> None:
    run_group(study)
    rows = table(study / "group_sites.tsv")
    assert {row["site"] for row in rows} >= {"GE Discovery MR750 3 T", "Philips Ingenia 1.5 T"}
    assert sum(int(row["scans"]) for row in rows) == 5
    assert all(int(row["scans"]) == sum(int(row[key]) for key in ("pass", "review", "fail")) for row in rows)


def test_damaged_records_are_named_and_cost_only_themselves(study: Path) -> None:
    folder = study / "sub-01" / "ses-a" / "anat"
    (folder / "sub-01_ses-a_run-1_desc-qa_T1w.json").write_text("{")
    (folder / "sub-01_ses-a_run-2_desc-qa_T1w.json").write_text("[]")
    (folder / "sub-01_ses-a_run-3_desc-qa_T1w.json").write_bytes(b"\xff\xfe")
    (folder / "sub-01_ses-a_run-4_desc-qa_T1w.json").write_text('{"bids_name": "../../etc/x_T1w", "status": "ok"}')
    (folder / "sub-01_ses-a_run-5_desc-qa_T1w.json").write_text("[" * 100_000)
    result = run_group(study)
    assert result.scans == 5
    assert len(result.problems) == 5
    assert all(f"run-{number}_desc-qa" in result.problems[number - 1] for number in range(1, 6))
    assert "run-1_desc-qa" in (study / "group.html").read_text(encoding="utf-8")


def test_new_thresholds_change_decisions_without_touching_records(study: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in names.record_paths(study)}
    mine = tmp_path / "mine.toml"
    mine.write_text("[rules.ssim]\nreview_below = 0.99\nfail_below = 0.98\n")
    result = run_group(study, load_rules(mine))
    assert {row["decision"] for row in table(study / "group_T1w.tsv")} == {"fail"}
    assert any("made anew" in note for note in result.notes)
    assert {path: path.read_bytes() for path in names.record_paths(study)} == before


def test_the_note_on_new_decisions_needs_other_rules(study: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text("[rules.ssim]\nreview_below = 0.99\nfail_below = 0.98\n")
    rules = load_rules(mine)
    for path in names.record_paths(study):
        record = Record.loads(path.read_text())
        record.verdict = decide(record, rules)
        path.write_text(record.dumps())
    assert run_group(study, rules).notes == []
    write(study, example_record("sub-03_T1w", rules=RULES))
    anew = [note for note in run_group(study, rules).notes if "made anew" in note]
    assert [note.partition(" scans")[0] for note in anew] == ["Decisions on 1 of 6"]


def test_the_same_records_give_the_same_files(study: Path) -> None:
    first = {path.name: path.read_bytes() for path in run_group(study).paths}
    assert {path.name: path.read_bytes() for path in run_group(study).paths} == first


def test_tables_of_vanished_suffixes_go(study: Path) -> None:
    run_group(study)
    for path in names.record_paths(study):
        if path.name.endswith("_T2w.json"):
            path.unlink()
    run_group(study)
    assert not list(study.glob("group_T2w.*"))
    assert (study / "group_T1w.tsv").is_file()


def test_mixed_versions_are_flagged(study: Path) -> None:
    record = example_record("sub-03_T1w", rules=RULES)
    record.provenance["bidsqa"] = "9.9"
    write(study, record)
    (note,) = run_group(study).notes
    assert "9.9" in note


def test_nothing_usable_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        run_group(tmp_path)


def test_names_that_would_collide_with_other_tables_are_refused() -> None:
    record = Record("sub-01_sites", provenance={"suffix": "sites"})
    with pytest.raises(ValueError, match="no suffix"):
        row_of(record)


def test_cells_cannot_break_the_table() -> None:
    text = tsv(["a", "b"], [["x\ty\nz\r\x0b", None], ["", 0.1]])
    assert text == "a\tb\nx y z\tn/a\nn/a\t0.1\n"


def test_whole_numbers_are_written_as_such() -> None:
    text = tsv(["a", "b", "c", "d", "e"], [[167.0, -3.0, 0.5, 1e20, 7]])
    assert text.splitlines()[1] == "167\t-3\t0.5\t1e+20\t7"


@pytest.mark.parametrize("name", SCORES)
def test_every_part_of_a_score_is_described_by_its_row(name: str) -> None:
    row = SCORES[name]
    columns = [name, *(f"{name}_{part}" for part in row.parts)]
    entries = dictionary(columns)
    assert all(entries[f"{name}_{part}"]["Description"] == told for part, told in row.parts.items())
    assert "slice" in dictionary([f"{name}_median"])[f"{name}_median"]["Description"]
    assert "scans" in dictionary([f"{name}_median"], sites=True)[f"{name}_median"]["Description"]
    assert len(set(row.parts.values())) == len(row.parts)
    assert all(len(told) > 20 for told in row.parts.values())


def test_data_frame(study: Path) -> None:
    frame = bidsqa.read(study)
    assert frame.equals(read(str(study)))
    assert len(frame) == 5
    assert list(frame.columns[:4]) == ["bids_name", "subject", "session", "acquisition"]
    assert frame["ssim"].dtype == float
    assert frame["ssim"].isna().sum() == 1
    records, problems = read_records(study)
    assert (len(records), problems) == (5, [])
    with pytest.raises(FileNotFoundError):
        bidsqa.read(study / "none")


def rows_with(values: list[float], key: str = "cjv") -> list[Row]:
    found = [row_of(example_record(f"sub-{at:02d}_T1w", seed=3 * at)) for at in range(len(values))]
    for row, value in zip(found, values, strict=True):
        row.values[key] = value
    sites.name_sites(found)
    judge_cohort(found, RULES)
    return found


def test_outliers_are_named_on_the_bad_side_only() -> None:
    usual = [0.40, 0.42, 0.41, 0.43, 0.39, 0.44, 0.40, 0.42]
    assert "cjv" in rows_with([*usual, 0.9])[-1].outliers
    assert "cjv" not in rows_with([*usual, 0.05])[-1].outliers
    assert not any("cjv" in row.outliers for row in rows_with(usual))
    assert not any("cjv" in row.outliers for row in rows_with([*usual[:5], 0.9])), "too few scans to tell"


def test_robust_z_is_the_textbooks() -> None:
    values = [1.0, 2.0, 3.0, 4.0, 100.0]
    assert sites.robust_z(values) == pytest.approx([(value - 3) / 1.4826 for value in values])
    assert sites.robust_z([2.0, 2.0, 2.0]) == [0.0, 0.0, 0.0]


def test_serial_numbers_tell_equal_scanners_apart() -> None:
    found = []
    for at, serial in enumerate(("111", "222", "222")):
        record = example_record(f"sub-{at}_T1w", seed=3)
        record.acquisition["DeviceSerialNumber"] = serial
        found.append(row_of(record))
    sites.name_sites(found)
    assert [row.site.rpartition("#")[2] for row in found] == ["111", "222", "222"]


@pytest.mark.parametrize(
    "mutate", [lambda record: record.acquisition.update(InstitutionName={"a": 1}, Manufacturer=["x"])]
)
def test_odd_sidecar_values_do_not_stop_the_group(study: Path, mutate: Callable[[Record], None]) -> None:
    record = example_record("sub-09_T1w", rules=RULES)
    mutate(record)
    record.warnings = None  # type: ignore[assignment]
    write(study, record)
    assert run_group(study).scans == 6


def test_pybids_reads_the_folder_and_its_subjects(study: Path) -> None:
    from bids import BIDSLayout

    run_group(study)
    description = {
        "Name": "out",
        "BIDSVersion": "1.9.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "bidsqa"}],
    }
    (study / "dataset_description.json").write_text(json.dumps(description))
    layout = BIDSLayout(study, validate=False, is_derivative=True)
    assert sorted(layout.get_subjects()) == ["01", "02"]
    assert len(layout.get(suffix="T1w", desc="qa", extension=".json")) == 3


def test_scans_proposal_names_file_and_row(study: Path) -> None:
    record = example_record("sub-05_T1w", rules=RULES)
    record.provenance["input"]["path"] = "sub-05/anat/sub-05_T1w.nii"
    write(study, record)
    run_group(study)
    rows = {(row["scans_file"], row["filename"]): row for row in table(study / "group_scans.tsv")}
    assert len(rows) == 6
    assert rows["sub-05/sub-05_scans.tsv", "anat/sub-05_T1w.nii"]["bidsqa_decision"] == "pass"
    bad = rows["sub-01/ses-b/sub-01_ses-b_scans.tsv", "anat/sub-01_ses-b_acq-x_run-2_T1w.nii.gz"]
    assert (bad["participant_id"], bad["session_id"], bad["bidsqa_decision"]) == ("sub-01", "ses-b", "fail")
    assert bad["bidsqa_reasons"] != "n/a"


def test_the_documented_lines_add_the_columns(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_group(study)
    text = (Path(__file__).parents[2] / "docs" / "outputs.rst").read_text(encoding="utf-8")
    lines = text.split(".. code-block:: python\n", 1)[1].splitlines()
    code = textwrap.dedent("\n".join(itertools.takewhile(lambda line: not line or line.startswith(" "), lines)))
    dataset = tmp_path / "BIDS_DIR"
    for place in ("sub-01/ses-a", "sub-01/ses-b", "sub-02/ses-a"):
        (dataset / place).mkdir(parents=True)
    mine = dataset / "sub-01/ses-a/sub-01_ses-a_scans.tsv"
    mine.write_text(
        "filename\tacq_time\tbidsqa_decision\nanat/sub-01_ses-a_T1w.nii.gz\t1877-01-01\told\nfunc/x_bold.nii.gz\tn/a\tn/a\n"
    )
    monkeypatch.chdir(tmp_path)
    (tmp_path / "OUT_DIR").symlink_to(study)
    exec(compile(code, "outputs.rst", "exec"), {})
    rows = table(mine)
    assert [row["bidsqa_decision"] for row in rows] == ["pass", "n/a"]
    assert [row["acq_time"] for row in rows] == ["1877-01-01", "n/a"]
    (other,) = table(dataset / "sub-01/ses-b/sub-01_ses-b_scans.tsv")
    assert other["bidsqa_decision"] == "fail"
