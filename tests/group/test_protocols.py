# SPDX-License-Identifier: Apache-2.0
"""Protocols of a study: the usual one, those that deviate, and scans that lack."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bidsqa.group import Row
from bidsqa.group.protocols import missing_scans, protocol_columns, protocol_rows, same
from bidsqa.record import Record
from bidsqa.study import run_group

Rows = Callable[..., list[Row]]


@pytest.mark.parametrize(
    ("key", "one", "other", "expected"),
    [
        ("EchoTime", "0.0029", "0.00293", True),
        ("EchoTime", "0.0029", "0.0031", False),
        ("VoxelSize", "1 x 1 x 1", "1 x 0.99 x 1", True),
        ("VoxelSize", "1 x 1 x 1", "1 x 1 x 1.2", False),
        ("Matrix", "176 x 240 x 256", "176 x 240", False),
        ("Orientation", "LAS", "RAS", True),
        ("Orientation", "LAS", "PSR", False),
        ("ReceiveCoilName", "Head_32", "Head_20", False),
        ("ReceiveCoilName", "1e999", "nan", False),
        ("FlipAngle", "0", "0.0", True),
    ],
)
def test_same(key: str, one: str, other: str, expected: bool) -> None:
    assert same(key, one, other, 0.02) is expected


def test_the_usual_protocol_comes_first_and_deviations_are_named(cohort_rows: Rows) -> None:
    def change(at: int, record: Record) -> None:
        if at in (2, 4):
            record.acquisition["FlipAngle"] = 12
        if at == 6:
            record.image["shape"] = [176, 320, 320]
        if at == 7:
            del record.acquisition["EchoTime"]

    usual, flip, matrix = protocol_rows(cohort_rows(12, change))
    assert (usual.scans, usual.deviating, usual.values["FlipAngle"]) == (9, frozenset(), "9")
    assert (flip.scans, flip.deviating, flip.values["FlipAngle"]) == (2, {"FlipAngle"}, "12")
    assert flip.names == ("sub-02_T1w", "sub-04_T1w")
    assert (matrix.deviating, matrix.values["Matrix"]) == ({"Matrix"}, "176 x 320 x 320")
    assert usual.site == "Siemens Prisma 3 T"
    assert protocol_columns([usual])[:2] == ["MagneticFieldStrength", "RepetitionTime"]


def test_values_without_a_majority_deviate_from_nothing(cohort_rows: Rows) -> None:
    rows = cohort_rows(12, lambda at, record: record.acquisition.update(RepetitionTime=2.0 + at))
    (only,) = protocol_rows(rows)
    assert only.values["RepetitionTime"] == "varies"


def test_small_differences_of_every_scan_are_one_protocol(cohort_rows: Rows) -> None:
    rows = cohort_rows(30, lambda at, record: record.acquisition.update(RepetitionTime=2.0 + 0.001 * at))
    assert [row.scans for row in protocol_rows(rows)] == [30]


def test_labels_of_bids_keep_protocols_apart(cohort_rows: Rows) -> None:
    rows = cohort_rows(8) + cohort_rows(
        8, lambda at, record: record.acquisition.update(FlipAngle=20), form="sub-{:02d}_acq-low_T1w"
    )
    assert [(row.labels, row.values["FlipAngle"], row.deviating) for row in protocol_rows(rows)] == [
        ("", "9", frozenset()),
        ("acq-low", "20", frozenset()),
    ]


def test_missing_scans(cohort_rows: Rows) -> None:
    rows = cohort_rows(6) + cohort_rows(5, form="sub-{:02d}_T2w")
    for row in rows[6:]:
        row.suffix = "T2w"
    (gap,) = missing_scans(rows)
    assert gap.sentence() == "sub-05 has no T2w scan; 5 of 6 visits have one."
    assert missing_scans(rows[:6]) == []
    assert missing_scans(rows[:3]) == [], "three visits tell nothing"
    nobody, one = missing_scans(rows, ["05", "77"])[::-1]
    assert one == gap
    assert nobody.sentence() == "sub-77 stands in participants.tsv and has no scan here."


def test_sessions_are_compared_with_the_same_session(cohort_rows: Rows) -> None:
    rows = cohort_rows(6, form="sub-{:02d}_ses-1_T1w") + cohort_rows(6, form="sub-{:02d}_ses-2_T1w")
    extra = cohort_rows(6, form="sub-{:02d}_ses-1_T2w")
    for row in extra:
        row.suffix = "T2w"
    assert missing_scans(rows + extra) == [], "no second session has a T2w scan"
    (gap,) = missing_scans(rows + extra[1:])
    assert (gap.participant, gap.session, gap.suffix, gap.having, gap.visits) == ("sub-00", "ses-1", "T2w", 5, 6)


def test_table(
    cohort_records: Callable[..., list[Record]],
    write: Callable[..., None],
    table: Callable[..., list[dict[str, str]]],
    tmp_path: Path,
) -> None:
    def change(at: int, record: Record) -> None:
        record.acquisition["ReceiveCoilName"] = "<b>\tcoil</b>" if at == 0 else "Head_32"

    write(tmp_path, *cohort_records(6, change))
    run_group(tmp_path)
    usual, other = table(tmp_path / "group_protocols.tsv")
    assert (usual["scans"], usual["deviates"], usual["ReceiveCoilName"]) == ("5", "n/a", "Head_32")
    assert (other["scans"], other["deviates"], other["ReceiveCoilName"]) == ("1", "ReceiveCoilName", "<b> coil</b>")
    assert list(json.loads((tmp_path / "group_protocols.json").read_text())) == list(usual)
