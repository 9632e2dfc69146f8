# SPDX-License-Identifier: Apache-2.0
"""participants.tsv: copied by the participant level, joined by the group level, and whatever is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bidsqa.bids.participants import COPY, keep_copy, read_participants
from bidsqa.errors import UsageError
from bidsqa.group.participants import joined_names
from bidsqa.record import Record
from bidsqa.study import run_group

TSV = "participant_id\tage\tsite\tcjv\tsubject\nsub-00\t30\tLondon\t1\tx\nsub-01\tn/a\tParis\t2\ty\n02\t40\tn/a\t3\tz\n"
Read = Callable[[Path], list[dict[str, str]]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    root.mkdir()
    (root / "dataset_description.json").write_text("{}")
    (root / "participants.tsv").write_text(TSV, encoding="utf-8")
    entry = {"Description": "Age at scan.", "Units": "year", "Levels": {"a": "b", "c": 1}, "Nested": {"x": []}}
    (root / "participants.json").write_text(json.dumps({"age": entry, "other": entry, "site": ["no entry"]}))
    return root


@pytest.fixture
def out(tmp_path: Path, cohort_records: Callable[..., list[Record]], write: Callable[..., None]) -> Path:
    folder = tmp_path / "out"
    write(folder, *cohort_records(4))
    return folder


def test_the_copy_is_joined_where_the_dataset_is_gone(root: Path, out: Path, table: Read) -> None:
    before = (root / "participants.tsv").read_bytes()
    assert keep_copy(root, out) == ()
    assert (root / "participants.tsv").read_bytes() == before
    for path in root.iterdir():
        path.unlink()
    assert keep_copy(root, out) == (), "an empty folder is no dataset: the copy stays"
    run_group(out)
    rows = {row["participant_id"]: row for row in table(out / "group_T1w.tsv")}
    assert [rows[f"sub-{at:02d}"]["age"] for at in range(4)] == ["30", "n/a", "40", "n/a"]
    assert rows["sub-02"]["participants_cjv"] == "3"
    assert rows["sub-02"]["participants_subject"] == "z"
    assert float(rows["sub-02"]["cjv"]) < 1
    described = json.loads((out / "group_T1w.json").read_text(encoding="utf-8"))
    assert list(described) == list(rows["sub-00"])
    assert described["age"]["Units"] == "year"
    assert described["age"]["Description"].startswith("Age at scan (column age")
    assert described["age"]["Levels"] == {"a": "b"}
    assert "Nested" not in described["age"]


def test_sites_are_the_tables(root: Path, out: Path, table: Read) -> None:
    keep_copy(root, out)
    run_group(out)
    scanner = "Siemens Prisma 3 T"
    assert [row["site"] for row in table(out / "group_T1w.tsv")] == ["London", "Paris", scanner, scanner]
    assert {row["site"] for row in table(out / "group_sites.tsv")} == {"London", "Paris", scanner}
    for stem in ("group_T1w", "group_sites", "group_protocols"):
        entry = json.loads((out / f"{stem}.json").read_text(encoding="utf-8"))["site"]
        assert "Column site of participants.tsv" in entry["Description"]
    run_group(out, site_column="none")
    assert {row["site"] for row in table(out / "group_T1w.tsv")} == {scanner}
    run_group(out, site_column="age")
    assert [row["site"] for row in table(out / "group_T1w.tsv")][:3] == ["30", scanner, "40"]
    with pytest.raises(UsageError, match=r"no column 'sight'.*'site'"):
        run_group(out, site_column="sight")


def test_a_site_column_needs_a_table(out: Path) -> None:
    with pytest.raises(UsageError, match=r"no participants\.tsv"):
        run_group(out, site_column="site")


@pytest.mark.parametrize("name", ["Site", "SITE_ID", "center"])
def test_spellings_of_site(root: Path, out: Path, table: Read, name: str) -> None:
    (root / "participants.tsv").write_text(f"participant_id\t{name}\nsub-00\tA\n")
    keep_copy(root, out)
    run_group(out)
    assert table(out / "group_T1w.tsv")[0]["site"] == "A"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("participant\tage\nsub-00\t3\n", "no column participant_id"),
        ("participant_id\tage\nsub-00\t3\nsub-00\t4\n", "more than one row for sub-00"),
        ("participant_id\tage\nsub-00\t3\nsub-../../x\t4\nsub-\t1\n", "2 rows have no usable participant_id"),
        ("participant_id\tage\nsub-00\t3\t4\n", "more cells than the header"),
    ],
)
def test_broken_tables_cost_a_sentence(root: Path, out: Path, content: str, told: str) -> None:
    (root / "participants.tsv").write_text(content)
    assert any(told in problem for problem in keep_copy(root, out))
    assert run_group(out).scans == 4


def test_rows_of_one_participant_that_disagree_tell_nothing(root: Path) -> None:
    (root / "participants.tsv").write_text("﻿participant_id\tage\tsex\nsub-00\t3\tF\n00\t4\tF\n", encoding="utf-8")
    assert read_participants(root).rows == {"00": {"sex": "F"}}


def test_a_broken_file_leaves_the_copy_and_a_removed_one_takes_it_along(root: Path, out: Path) -> None:
    keep_copy(root, out)
    kept = (out / f"{COPY}.tsv").read_bytes()
    (root / "participants.tsv").write_text("nothing\n")
    assert keep_copy(root, out)
    assert (out / f"{COPY}.tsv").read_bytes() == kept
    (root / "participants.tsv").unlink()
    assert keep_copy(root, out) == ()
    assert not list(out.glob(f"{COPY}.*"))


def test_hostile_text_is_data(root: Path, out: Path, table: Read) -> None:
    bad = "<script>alert(1)</script>{0.__class__}%s"
    (root / "participants.tsv").write_text(f"participant_id\tsite\t{bad}\nsub-00\t{bad}\t{bad}\x1b[0m\n")
    keep_copy(root, out)
    run_group(out)
    first = table(out / "group_T1w.tsv")[0]
    assert (first["site"], first[bad]) == (bad, f"{bad} [0m")
    assert "<script>alert(1)" not in (out / "group.html").read_text(encoding="utf-8")


def test_names_never_collide() -> None:
    columns = ["age", "site", "participants_site", "run", "run_label"]
    names = joined_names(columns, ["site", "run_label"])
    assert names["age"] == "age"
    assert names["run"] == "participants_run", "PyBIDS would take it for an entity"
    assert len(set(names.values())) == len(columns)
    assert not set(names.values()) & {"site", "run_label", "run"}


def test_pybids_still_reads_the_folder(root: Path, out: Path) -> None:
    from bids import BIDSLayout

    keep_copy(root, out)
    run_group(out)
    described = {"Name": "o", "BIDSVersion": "1.9.0", "DatasetType": "derivative", "GeneratedBy": [{"Name": "bidsqa"}]}
    (out / "dataset_description.json").write_text(json.dumps(described))
    layout = BIDSLayout(out, validate=False, is_derivative=True)
    assert sorted(layout.get_subjects()) == ["00", "01", "02", "03"]
