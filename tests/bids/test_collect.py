# SPDX-License-Identifier: Apache-2.0
"""Collecting scans: what is found, what is skipped and why, what PyBIDS says to it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from bidsqa.bids import Collection, Selection, collect_scans
from bidsqa.bids.choosing import choose_records
from bidsqa.bids.selection import bare_labels, load_filters, suggestion
from bidsqa.errors import UsageError

GOOD = (
    "sub-01/anat/sub-01_T1w.nii.gz",
    "sub-01/anat/sub-01_T2w.nii",
    "sub-02/ses-1/anat/sub-02_ses-1_run-01_T1w.nii.gz",
    "sub-02/ses-1/anat/sub-02_ses-1_run-02_T1w.nii.gz",
    "sub-02/ses-2/anat/sub-02_ses-2_acq-iso_FLAIR.nii.gz",
    "sub-02/ses-2/anat/sub-02_ses-2_task-rest_rec-n_echo-1_part-mag_PDw.nii.gz",
    "sub-10/ses-1/anat/sub-10_ses-1_T1w.nii.gz",
)


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    # a folder above the dataset that looks like a participant must not matter
    root = tmp_path / "sub-above" / "data"
    touch(root, *GOOD)
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.9.0"}')
    return root


def found(collection: Collection) -> list[str]:
    return [scan.relative_path for scan in collection.scans]


def why(collection: Collection) -> dict[str, str]:
    return dict(collection.skipped)


def test_finds_everything_that_is_there(tree: Path) -> None:
    collection = collect_scans(tree)
    assert found(collection) == sorted(GOOD)
    assert collection.skipped == ()
    assert [scan.suffix for scan in collection.scans].count("T1w") == 4


def test_agrees_with_pybids_own_index(tmp_path: Path) -> None:
    from bids import BIDSLayout

    root = tmp_path / "data"
    touch(root, *GOOD)
    layout = BIDSLayout(root, validate=False)
    theirs = {
        Path(file.path).relative_to(root).as_posix(): file.get_entities()
        for file in layout.get(suffix=["T1w", "T2w", "FLAIR", "PDw"], extension=[".nii", ".nii.gz"])
    }
    ours = {scan.relative_path: scan for scan in collect_scans(root).scans}
    assert set(ours) == set(theirs)
    for path, entities in theirs.items():
        assert ours[path].subject == entities["subject"]
        assert ours[path].session == entities.get("session")
        assert ours[path].entities.get("run") == (str(entities["run"]) if "run" in entities else None)


@pytest.mark.parametrize(
    ("selection", "count"),
    [
        (Selection(participants=("01",)), 2),
        (Selection(participants=("02", "10")), 5),
        (Selection(sessions=("1",)), 3),
        (Selection(runs=("1",)), 1),
        (Selection(runs=("02", "1")), 2),
        (Selection(tasks=("rest",)), 1),
        (Selection(suffixes=("FLAIR", "T2w")), 2),
        (Selection(participants=("02",), sessions=("2",), suffixes=("T1w",)), 0),
    ],
)
def test_labels_narrow_it_down(tree: Path, selection: Selection, count: int) -> None:
    assert len(collect_scans(tree, selection).scans) == count


@pytest.mark.parametrize(
    ("selection", "says"),
    [
        (Selection(participants=("1",)), "no participant '1'"),
        (Selection(participants=("01", "../..", "/etc")), "no participants '../..'"),
        (Selection(sessions=("3",)), "session '3'"),
        (Selection(runs=("3",)), "run '3'"),
        (Selection(tasks=("rets",)), "task 'rets'"),
    ],
)
def test_unknown_labels_are_named(tree: Path, selection: Selection, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        collect_scans(tree, selection)
    assert says in caught.value.cause
    assert caught.value.hint


def test_what_is_skipped_has_a_reason(tree: Path) -> None:
    touch(
        tree,
        "sub-01/anat/sub-01_part-phase_T1w.nii.gz",
        "sub-01/anat/sub-01_bad-name_T1w.nii.gz",
        "sub-01/anat/sub-01_T1w.nii",
        "sub-01/anat/sub-02_T1w.nii.gz",
        "sub-01/anat/sub-01_ses-9_T1w.nii.gz",
        "sub-01/anat/sub-01_run-;rm_T1w.nii.gz",
        "sub-01/anat/sub-01_T1map.nii.gz",
        "sub-01/anat/sub-01_run-1_T1map.nii.gz",
        "sub-01/anat/._sub-01_T1w.nii.gz",
        "sub-01/func/sub-01_task-rest_bold.nii.gz",
        "sub-a b/anat/sub-a b_T1w.nii.gz",
        "derivatives/other/sub-01/anat/sub-01_desc-x_T1w.nii.gz",
        "sourcedata/sub-99/anat/sub-99_T1w.nii.gz",
    )
    os.mkfifo(tree / "sub-01/anat/sub-01_run-7_T1w.nii.gz")
    collection = collect_scans(tree)
    assert found(collection) == sorted(GOOD)
    reasons = why(collection)
    assert "magnitude" in reasons["sub-01/anat/sub-01_part-phase_T1w.nii.gz"]
    assert "bad" in reasons["sub-01/anat/sub-01_bad-name_T1w.nii.gz"]
    assert "same name" in reasons["sub-01/anat/sub-01_T1w.nii"]
    assert "disagree" in reasons["sub-01/anat/sub-02_T1w.nii.gz"]
    assert "disagree" in reasons["sub-01/anat/sub-01_ses-9_T1w.nii.gz"]
    assert "characters" in reasons["sub-01/anat/sub-01_run-;rm_T1w.nii.gz"]
    assert reasons["anat/*_T1map"].startswith("2 images")
    assert reasons["func/"].startswith("1 folder")
    assert "characters" in reasons["sub-a b"]
    assert "regular" in reasons["sub-01/anat/sub-01_run-7_T1w.nii.gz"]
    assert len(reasons) == 10


def test_names_that_break_bids_are_taken_on_request(tree: Path) -> None:
    touch(tree, "sub-01/anat/sub-01_bad-name_T1w.nii.gz")
    names = [scan.bids_name for scan in collect_scans(tree, Selection(strict_names=False)).scans]
    assert "sub-01_bad-name_T1w" in names


def test_links_are_scans_with_and_without_content(tree: Path, tmp_path: Path) -> None:
    content = tmp_path / "annex"
    content.write_bytes(b"x")
    (tree / "sub-01/anat/sub-01_run-1_T1w.nii.gz").symlink_to(content)
    (tree / "sub-01/anat/sub-01_run-2_T1w.nii.gz").symlink_to(tmp_path / "absent")
    names = [scan.bids_name for scan in collect_scans(tree).scans]
    assert {"sub-01_run-1_T1w", "sub-01_run-2_T1w"} <= set(names)


def test_only_the_participants_asked_for_are_read(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bidsqa.bids import folders

    seen: list[str] = []
    scandir = os.scandir

    def watched(path: str | Path) -> object:
        seen.append(str(path))
        return scandir(path)

    monkeypatch.setattr(folders.os, "scandir", watched)
    collect_scans(tree, Selection(participants=("10",)))
    assert not [path for path in seen if "sub-01" in path or "sub-02" in path]


def test_a_poisoned_dataset_description_costs_nothing(tree: Path) -> None:
    for text in ("[]", '{"DatasetType": "derivative", "GeneratedBy": 3}', "{", "null"):
        (tree / "dataset_description.json").write_text(text)
        assert found(collect_scans(tree)) == sorted(GOOD)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"t1w": {"session": "Query.NONE"}}, {"sub-01_T1w"}),
        ({"t1w": {"session": None}}, {"sub-01_T1w"}),
        ({"T1w": {"ses": "<Query.ANY: 2>", "run": "Query.NONE"}}, {"sub-10_ses-1_T1w"}),
        ({"t1w": {"run": "*"}}, {"sub-02_ses-1_run-01_T1w", "sub-02_ses-1_run-02_T1w"}),
        ({"t1w": {"run": [2, "Query.NONE"], "session": "1"}}, {"sub-02_ses-1_run-02_T1w", "sub-10_ses-1_T1w"}),
        ({"t1w": {"run": "Query.OPTIONAL", "session": ["1"], "subject": "10"}}, {"sub-10_ses-1_T1w"}),
        ({"t1w": {"session": "nothing"}, "bold": {"task": "rest"}}, set()),
    ],
)
def test_filter_file_speaks_fmripreps_language(
    tree: Path, tmp_path: Path, wanted: dict[str, object], expected: set[str]
) -> None:
    path = tmp_path / "filter.json"
    path.write_text(json.dumps(wanted))
    scans = collect_scans(tree, Selection(filters=load_filters(path), suffixes=("T1w",))).scans
    assert {scan.bids_name for scan in scans} == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "JSON"),
        ("[]", "object"),
        ('{"t1w": {"sesion": "1"}}', "sesion"),
        ('{"t1w": {"session": "Query.NOE"}}', "Query.NOE"),
        ('{"t1w": {"session": {"a": 1}}}', "value"),
        ('{"t1w": {"run": true}}', "value"),
    ],
)
def test_filter_file_errors_are_named(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "filter.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=says):
        load_filters(path)


def test_database_gives_the_same_and_is_checked(tree: Path, tmp_path: Path) -> None:
    data = tmp_path / "plain"  # PyBIDS' own index takes labels from folders above the dataset
    tree.rename(data)
    database = tmp_path / "index"
    first = collect_scans(data, Selection(sessions=("1",)), database)
    assert (database / "layout_index.sqlite").exists()
    assert found(first) == found(collect_scans(data, Selection(sessions=("1",))))
    (data / "sub-10/ses-1/anat/sub-10_ses-1_T1w.nii.gz").unlink()
    again = collect_scans(data, Selection(), database)
    assert "no longer" in why(again)["sub-10/ses-1/anat/sub-10_ses-1_T1w.nii.gz"]
    other = tmp_path / "other"
    touch(other, *GOOD)
    with pytest.raises(UsageError, match="belongs to the dataset"):
        collect_scans(other, Selection(), database)
    (database / "layout_index.sqlite").write_bytes(b"nonsense" * 100)
    with pytest.raises(UsageError, match="index"):
        collect_scans(data, Selection(), database)


def test_the_database_skips_the_same_with_the_same_words(tmp_path: Path) -> None:
    data = tmp_path / "data"
    touch(
        data,
        *GOOD,
        "sub-01/anat/sub-01_part-phase_T1w.nii.gz",
        "sub-01/anat/sub-01_bad-name_T1w.nii.gz",
        "sub-01/anat/sub-01_T1w.nii",
        "sub-01/anat/sub-01_ses-9_T1w.nii.gz",
        "sub-01/anat/sub-01_T1map.nii.gz",
        "sub-01/func/sub-01_task-rest_bold.nii.gz",
        "sub-02/ses-1/dwi/sub-02_ses-1_dwi.nii.gz",
        "sub-10/ses-1/mri/notes.txt",
    )
    os.mkfifo(data / "sub-01/anat/sub-01_run-7_T1w.nii.gz")
    plain = collect_scans(data)
    assert "func/" in why(plain)
    for _ in range(2):  # made, then used
        indexed = collect_scans(data, None, tmp_path / "index")
        assert found(indexed) == found(plain)
        assert why(indexed) == why(plain)


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"t1w": {"session": "zz"}}, ["t1w, session 'zz', fits no T1w image. There is 1."]),
        ({"t1w": {"session": ["1", "ses-3"], "run": "*"}}, ["session '3'"]),
        ({"flair": {"acquisition": "ISO2"}}, ["flair, acquisition 'ISO2', fits no FLAIR image. Did you mean 'iso'?"]),
        ({"flair": {"session": "Query.NONE"}}, ["flair, session Query.NONE,"]),
        ({"t1w": {"session": "Query.NONE", "run": 1}}, ["t1w (session, run together) fits none of the T1w images"]),
        ({"t1w": {"session": "ses-1", "subject": "sub-02", "run": "run-1"}}, []),
        ({"pdw": {"extension": ".nii.gz", "task": "Query.OPTIONAL"}, "bold": {"task": "x"}}, []),
    ],
)
def test_filters_that_fit_nothing_are_named(
    tree: Path, tmp_path: Path, wanted: dict[str, object], told: list[str]
) -> None:
    path = tmp_path / "filter.json"
    path.write_text(json.dumps(wanted))
    warnings = collect_scans(tree, Selection(filters=load_filters(path))).warnings
    assert len(warnings) == len(told)
    assert all(part in warning for part, warning in zip(told, warnings, strict=True))
    asked = Selection(filters=load_filters(path), suffixes=("T2w",))
    assert not collect_scans(tree, asked).warnings, "other kinds of images are not asked for"


def test_values_of_filters_may_carry_their_key(tree: Path, tmp_path: Path) -> None:
    path = tmp_path / "filter.json"
    path.write_text('{"T1w": {"session": "ses-1", "subject": ["sub-02"], "run": "run-01"}}')
    assert load_filters(path) == {"T1w": {"session": ["1"], "subject": ["02"], "run": ["01"]}}
    scans = collect_scans(tree, Selection(filters=load_filters(path), suffixes=("T1w",))).scans
    assert [scan.bids_name for scan in scans] == ["sub-02_ses-1_run-01_T1w"]


def test_suggestions_keep_the_letters_of_labels() -> None:
    assert suggestion("CTL01", ["CTL001", "PAT7"]) == "Did you mean 'CTL001'?"
    assert suggestion("baseline", ["BaseLine"]) == "Did you mean 'BaseLine'?"
    assert suggestion("x", ["Abc", "def"]) == "There is Abc, def."
    assert suggestion("x", []) == "There is none."
    assert suggestion("zz", map(str, range(100, 120))).endswith("111 and 8 more.")


def test_fault_23_the_group_level_chooses_records_by_the_same_selection(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "sub-01/anat/sub-01_desc-qa_T1w.json",
        "sub-01/anat/sub-01_desc-qa_T2w.json",
        "sub-02/ses-A/anat/sub-02_ses-A_run-01_desc-qa_T1w.json",
        "sub-02/ses-B/anat/sub-02_ses-B_run-02_desc-qa_T1w.json",
        "sub-02/ses-B/anat/sub-02_ses-B_task-x_desc-qa_FLAIR.json",
    )

    def chosen(**asked: object) -> list[str]:
        return [path.name for path in choose_records(tmp_path, Selection(**asked))[0]]

    assert len(chosen()) == 5
    assert chosen(participants=("01",)) == ["sub-01_desc-qa_T1w.json", "sub-01_desc-qa_T2w.json"]
    assert chosen(sessions=("A",)) == chosen(runs=("1",)) == ["sub-02_ses-A_run-01_desc-qa_T1w.json"]
    assert chosen(tasks=("x",)) == chosen(suffixes=("FLAIR",))
    filters = {"T1w": {"run": [2], "extension": [".nii"]}}
    assert chosen(suffixes=("T1w",), filters=filters) == ["sub-02_ses-B_run-02_desc-qa_T1w.json"]
    with pytest.raises(UsageError, match="participant 'O1'") as caught:
        chosen(participants=("02", "O1"))
    assert caught.value.hint == "There is 01, 02."
    assert choose_records(tmp_path / "none", Selection()) == ([], [])


def test_labels_with_and_without_key() -> None:
    assert bare_labels(["sub-01", "02,sub-03", "01", " "], "sub") == ("01", "02", "03")


def test_links_in_circles_and_pipes_cost_nothing(tmp_path: Path) -> None:
    touch(tmp_path, *GOOD)
    (tmp_path / "sub-03").symlink_to("sub-03")
    (tmp_path / "sub-01" / "ses-9").symlink_to("ses-9")
    (tmp_path / "sub-01" / "anat" / "sub-01_acq-x_T1w.nii.gz").symlink_to("/dev/zero")
    (tmp_path / "sub-01" / "anat" / "sub-01_acq-y_T1w.nii.gz").symlink_to("sub-01_acq-y_T1w.nii.gz")
    os.mkfifo(tmp_path / "sub-01" / "anat" / "sub-01_acq-z_T1w.nii.gz")
    found = collect_scans(tmp_path, Selection())
    assert {scan.relative_path for scan in found.scans} >= set(GOOD)
    assert ("sub-01/anat/sub-01_acq-x_T1w.nii.gz", "no regular file") in found.skipped
    assert ("sub-01/anat/sub-01_acq-z_T1w.nii.gz", "no regular file") in found.skipped


def test_a_name_too_long_for_its_results_is_skipped(tmp_path: Path) -> None:
    long = f"sub-01/anat/sub-01_acq-{'a' * 80}_rec-{'b' * 80}_T1w.nii.gz"
    touch(tmp_path, *GOOD, long)
    found = collect_scans(tmp_path, Selection())
    assert long not in {scan.relative_path for scan in found.scans}
    assert dict(found.skipped)[long].startswith("the name has more than 160 letters")
