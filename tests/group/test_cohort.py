# SPDX-License-Identifier: Apache-2.0
"""The cohort rules: who is called an outlier or of another protocol, in which words, and what that decides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bidsqa.bids import names
from bidsqa.group import Row
from bidsqa.group.cohort import judge_cohort, outlier_limit, uncompared
from bidsqa.group.sites import distances
from bidsqa.record import Record
from bidsqa.study import run_group
from bidsqa.validation.example_records import failed_record
from bidsqa.verdict import Rules, load_rules

RULES = load_rules()
Rows = Callable[..., list[Row]]
Records = Callable[..., list[Record]]


def rules_with(folder: Path, text: str) -> Rules:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return load_rules(path)


def spoken(row: Row, rule: str) -> list[str]:
    return [str(entry["text"]) for entry in row.reasons if entry["rule"] == f"cohort.{rule}"]


def test_an_outlier_is_told_with_value_median_and_advice(cohort_rows: Rows) -> None:
    rows = cohort_rows(20)
    rows[7].values["cjv"] = 0.95
    judge_cohort(rows, RULES)
    (text,) = spoken(rows[7], "outlier")
    assert rows[7].outliers == ["cjv"]
    assert rows[7].decision == "review"
    assert rows[7].record_decision == "pass"
    assert "cjv 0.950 is far above 0.4" in text
    assert "20 T1w scans of Siemens Prisma 3 T" in text
    (entry,) = [entry for entry in rows[7].reasons if entry["rule"] == "cohort.outlier"]
    assert (entry["name"], entry["value"], entry["level"]) == ("metrics.cjv", 0.95, "review")
    assert 0.45 < entry["threshold"] < 0.95
    assert "page" in entry["advice"]


def test_clean_scans_of_a_protocol_are_left_in_peace(cohort_rows: Rows) -> None:
    rows = cohort_rows(60)
    judge_cohort(rows, RULES)
    assert sum(row.decision != row.record_decision for row in rows) <= 1


def test_sites_and_suffixes_are_not_mixed(cohort_rows: Rows) -> None:
    rows = cohort_rows(20)
    for row in rows[10:]:
        row.site = "elsewhere"
        row.values["cjv"] = 0.9 + 0.001 * len(row.name)
    judge_cohort(rows, RULES)
    assert not any("cjv" in row.outliers for row in rows)


def test_numbers_of_other_programs_are_not_mixed_in(cohort_rows: Rows) -> None:
    rows = cohort_rows(30)
    for row in rows[20:]:
        row.origin = "MRIQC 23.1.0"
        row.values["cjv"] = 0.9
    judge_cohort(rows, RULES)
    assert not any("cjv" in row.outliers for row in rows)
    for row in rows:
        row.origin = ""
    judge_cohort(rows, RULES)
    assert all("cjv" in row.outliers for row in rows[20:])


@pytest.mark.parametrize(("count", "flagged"), [(8, True), (7, False)])
def test_small_groups_say_nothing(cohort_rows: Rows, count: int, flagged: bool) -> None:
    rows = cohort_rows(count)
    rows[0].values["cjv"] = 5.0
    judge_cohort(rows, RULES)
    assert bool(rows[0].outliers) is flagged


def test_the_limit_is_wider_where_the_spread_is_uncertain() -> None:
    rule = RULES.outlier_rule("T1w")
    assert rule is not None
    assert outlier_limit(rule, 8) > 1.5 * rule.z
    assert outlier_limit(rule, 10_000) == pytest.approx(rule.z, rel=1e-3)


def test_sides(cohort_rows: Rows, tmp_path: Path) -> None:
    rows = cohort_rows(20)
    rows[3].values["cjv"] = 0.01
    judge_cohort(rows, RULES)
    assert rows[3].outliers == []
    judge_cohort(rows, rules_with(tmp_path, '[cohort.outlier]\nsides = "both"\n'))
    assert rows[3].outliers == ["cjv"]
    assert "far below" in spoken(rows[3], "outlier")[0]


def test_other_thresholds_replace_what_was_said_before(cohort_rows: Rows, tmp_path: Path) -> None:
    rows = cohort_rows(20)
    rows[7].values["cjv"] = 0.95
    judge_cohort(rows, RULES)
    before = [dict(entry) for entry in rows[7].reasons]
    judge_cohort(rows, rules_with(tmp_path, "[cohort.outlier]\nz = 1000\n"))
    assert (rows[7].reasons, rows[7].outliers, rows[7].decision) == ([], [], "pass")
    judge_cohort(rows, rules_with(tmp_path, '[cohort.outlier]\nlevel = "fail"\n'))
    assert rows[7].decision == "fail"
    judge_cohort(rows, rules_with(tmp_path, '[cohort.outlier.T1w]\nvalues = ["efc"]\n'))
    assert rows[7].decision == "pass"
    judge_cohort(rows, RULES)
    assert rows[7].reasons == before


def test_the_worse_decides_and_stands_first(cohort_rows: Rows) -> None:
    rows = cohort_rows(20)
    own = {
        "rule": "ssim",
        "name": "",
        "value": 0.2,
        "threshold": 0.6,
        "text": "motion: x",
        "advice": "",
        "level": "fail",
    }
    unknown = {**own, "rule": "inu", "value": None, "text": "not known: inu", "level": "review"}
    rows[7].reasons, rows[7].record_decision = [own, unknown], "fail"
    rows[7].values["cjv"] = 0.95
    judge_cohort(rows, RULES)
    assert rows[7].decision == "fail"
    assert [entry["rule"] for entry in rows[7].reasons] == ["ssim", "cohort.outlier", "inu"]


def set_echo(at: int, record: Record) -> None:
    record.acquisition["EchoTime"] = 0.0045 if at == 5 else 0.0029 + 0.00001 * (at % 3)


def test_scans_with_too_few_others_are_counted(cohort_rows: Rows) -> None:
    many, few = cohort_rows(9), cohort_rows(5, form="sub-9{:01d}_T1w")
    for row in few:
        row.site = "elsewhere"
    few[0].status = "failed"
    assert uncompared([*many, *few], RULES) == (4, 8)
    assert uncompared(many, RULES) == (0, 0)


def test_the_distance_is_the_largest_on_the_bad_side(cohort_rows: Rows) -> None:
    rows = cohort_rows(20)
    rows[7].values |= {"cjv": 2.0, "snr_total": 1e6}
    rows[8].values["snr_total"] = 1e6
    rows[9].values = {}
    found = distances(rows)
    assert max(range(20), key=found.__getitem__) == 7
    assert found[8] < 10, "a value that is too good puts no scan first"
    assert found[9] == 0
    assert distances([]) == []


def test_another_protocol_is_told_with_both_values(cohort_rows: Rows) -> None:
    rows = cohort_rows(12, set_echo)
    judge_cohort(rows, RULES)
    assert [row.name for row in rows if spoken(row, "protocol")] == ["sub-05_T1w"]
    (text,) = spoken(rows[5], "protocol")
    assert "EchoTime 0.0045 s, but 0.0029 s in 11 of 12 T1w scans of Siemens Prisma 3 T" in text
    (entry,) = [entry for entry in rows[5].reasons if entry["rule"] == "cohort.protocol"]
    assert (entry["value"], entry["threshold"]) == (0.0045, 0.0029)
    assert rows[5].decision == "review"


def test_keys_and_tolerance_can_be_chosen(cohort_rows: Rows, tmp_path: Path) -> None:
    rows = cohort_rows(12, set_echo)
    judge_cohort(rows, rules_with(tmp_path, '[cohort.protocol]\nkeys = ["FlipAngle"]\n'))
    assert rows[5].decision == "pass"
    judge_cohort(rows, rules_with(tmp_path, "[cohort.protocol]\ntolerance = 0.9\n"))
    assert rows[5].decision == "pass"
    judge_cohort(rows, rules_with(tmp_path, "[cohort.protocol]\noff = true\n"))
    assert rows[5].decision == "pass"
    judge_cohort(rows, rules_with(tmp_path, "[cohort.protocol]\ntolerance = 0\nshare = 0.3\n"))
    assert sum(bool(spoken(row, "protocol")) for row in rows) == 8, "rounding counts where nothing is tolerated"


def test_tables_page_and_exclusions_follow_and_records_stay(
    cohort_records: Records, write: Callable[..., None], table: Callable[..., list[dict[str, str]]], tmp_path: Path
) -> None:
    write(tmp_path, *cohort_records(12, set_echo), failed_record("sub-90_T1w", rules=RULES))
    before = {path: path.read_bytes() for path in names.record_paths(tmp_path)}
    result = run_group(tmp_path)
    rows = {row["bids_name"]: row for row in table(tmp_path / "group_T1w.tsv")}
    assert (rows["sub-05_T1w"]["decision"], rows["sub-05_T1w"]["record_decision"]) == ("review", "pass")
    assert rows["sub-90_T1w"]["decision"] == "fail"
    listed = {row["bids_name"]: row for row in table(tmp_path / "group_exclusions.tsv")}
    assert listed["sub-05_T1w"]["rules"] == "cohort.protocol"
    assert "another protocol" in (tmp_path / "group.html").read_text(encoding="utf-8")
    (note,) = (note for note in result.notes if note.startswith("1 scan got a graver decision"))
    assert note.endswith("the same suffix and site (another protocol: 1): sub-05_T1w.")
    run_group(tmp_path, rules_with(tmp_path, "[cohort.protocol]\noff = true\n"))
    assert [row["bids_name"] for row in table(tmp_path / "group_exclusions.tsv")] == ["sub-90_T1w"]
    assert {path: path.read_bytes() for path in names.record_paths(tmp_path)} == before
