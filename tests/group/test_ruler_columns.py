# SPDX-License-Identifier: Apache-2.0
"""A scan's place on its ruler in the study's tables."""

from __future__ import annotations

from typing import Any

import pytest

from bidsqa.group.dictionaries import dictionary, known_columns
from bidsqa.group.rows import row_of
from bidsqa.record import Record
from bidsqa.validation.example_records import example_record


def placed(**other: Any) -> Record:
    record = example_record("sub-01_T1w", seed=1)
    ruler = {"name": "T1w-3D", "why": ["T1w"], "sha256": "ab" * 32, "levels": [1.0], "version_score": 3, "place": 3.2}
    ruler |= {"threshold": 4.5, "threshold_set_by": "a person", "passes": False, "outside": None}
    record.scores["noise_motion"] = {
        "value": 3.2,
        "uncertainty": 0.2,
        "slices": [],
        "raw": 21.6,
        "ruler": ruler | other,
    }
    return record


def test_columns() -> None:
    values = row_of(placed()).values
    told = {key.removeprefix("noise_motion"): value for key, value in values.items() if key.startswith("noise_motion")}
    assert told == {
        "": 3.2,
        "_uncertainty": 0.2,
        "_raw": 21.6,
        "_ruler_name": "T1w-3D",
        "_ruler_sha256": "ab" * 32,
        "_ruler_version_score": 3.0,
        "_ruler_place": 3.2,
        "_ruler_threshold": 4.5,
        "_ruler_threshold_set_by": "a person",
        "_ruler_passes": "no",
    }
    assert row_of(placed(passes=True)).values["noise_motion_ruler_passes"] == "yes"
    columns = [key for key in values if key.startswith("noise_motion")]
    assert set(columns) <= known_columns()
    assert all(len(entry["Description"]) > 15 for entry in dictionary(columns).values())


def test_a_ruler_that_changed_under_its_name_makes_scans_incomparable() -> None:
    before, after, other = (row_of(placed(**about)).versions for about in ({}, {"threshold": 5.0}, {"name": "T1w-2D"}))
    assert before["the ruler T1w-3D"] == "abababababab with threshold 4.5"
    assert after["the ruler T1w-3D"] != before["the ruler T1w-3D"]
    assert set(other) & set(before) == set(before) - {"the ruler T1w-3D"}


@pytest.mark.parametrize("score", [None, [], {"ruler": []}, {"ruler": None}, {"ruler": {"name": [1], "threshold": {}}}])
def test_a_score_of_any_shape_breaks_no_row(score: Any) -> None:
    record = placed()
    record.scores["noise_motion"] = score
    assert row_of(record).values["severity"] is not None
