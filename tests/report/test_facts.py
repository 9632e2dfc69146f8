# SPDX-License-Identifier: Apache-2.0
"""Facts of a record as rows: units, versions that are mostly the same, times and sizes for the eye, odd values."""

from __future__ import annotations

from typing import Any

import pytest

from bidsqa.record import Record
from bidsqa.report import facts

SAME = dict.fromkeys((f"metric_{at}" for at in range(20)), 1)


def test_keys_of_the_sidecar_have_their_units() -> None:
    told = {
        "EchoTime": 0.003,
        "FlipAngle": 9,
        "MagneticFieldStrength": "3T",
        "RepetitionTime": [2.0, 2.5],
        "BodyPart": "X",
    }
    assert facts.of_acquisition(Record(bids_name="sub-01_T1w", acquisition=told)) == [
        ("EchoTime", "0.003 s"),
        ("FlipAngle", "9 degrees"),
        ("MagneticFieldStrength", "3T"),
        ("RepetitionTime", "2, 2.5"),
        ("BodyPart", "X"),
    ]


@pytest.mark.parametrize(
    ("versions", "told"),
    [
        (SAME, "1 (all 20)"),
        (SAME | {"qi_1": 2}, "1 (20 of 21); qi_1 2"),
    ],
)
def test_versions_that_are_mostly_the_same_are_one_row(versions: dict[str, int], told: str) -> None:
    record = Record(bids_name="sub-01_T1w", provenance={"metric_versions": versions})
    assert facts.of_provenance(record) == [("metric versions", told)]


def test_few_or_different_entries_stay_rows() -> None:
    record = Record(bids_name="sub-01_T1w", provenance={"software": {"numpy": "2.0", "scipy": "1.2"}, "weights": {}})
    assert facts.of_provenance(record) == [
        ("software · numpy", "2.0"),
        ("software · scipy", "1.2"),
        ("weights", "none"),
    ]
    different = {f"metric_{at}": at for at in range(20)}
    assert len(facts.of_provenance(Record(bids_name="x", provenance={"metric_versions": different}))) == 20


@pytest.mark.parametrize(
    ("changed", "told"),
    [(86400, "1970-01-02 00:00:00 UTC"), ("soon", "soon"), (-1, "-1"), (1e300, "1e+300"), (None, "none")],
)
def test_when_the_input_was_changed(changed: Any, told: str) -> None:
    record = Record(bids_name="sub-01_T1w", provenance={"input": {"mtime": changed, "size": 8271533}})
    assert facts.of_provenance(record) == [("input · last changed", told), ("input · size", "8.27 MB")]


def test_facts_of_image_and_anatomy() -> None:
    image = {
        "shape": [176, 240, 256],
        "spacing": [1.0, 1.5, 1.25],
        "zero_fraction": 0.5,
        "anatomy": {"facts": {"brain_ml": 1432.772}, "problems": {"air": "too <b>small</b>"}},
    }
    assert facts.of_image(Record(bids_name="sub-01_T1w", image=image)) == [
        ("voxels", "176, 240, 256"),
        ("voxel edges (mm)", "1, 1.5, 1.25"),
        ("share of zeros", "0.5"),
        ("anatomy: brain (ml)", "1433"),
        ("problem: air", "too <b>small</b>"),
    ]
    assert facts.of_image(Record(bids_name="sub-01_T1w", image={"anatomy": "none"})) == []
