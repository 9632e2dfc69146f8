# SPDX-License-Identifier: Apache-2.0
"""The words beside a score: which kind leads it, and why its slices may lie elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from bidsqa.report import render_scan
from bidsqa.report.score_words import leading_kind
from bidsqa.validation.example_records import example_record

BIASED = {"value": 1.6, "median": 0.3, "families": {"noise": 0.2, "bias": 1.55}, "family": "bias"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {},
            "Led by a bias field (1.55), which is also read from the whole head: most slices show less of it "
            "and lie lower.",
        ),
        ({"median": 1.5}, "Led by a bias field (1.55)."),
        ({"median": None}, "Led by a bias field (1.55)."),
        (
            {"median": 1.5, "family": "motion"},
            "Led by a bias field (1.55); all readings together look most like motion.",
        ),
        ({"median": 1.5, "family": "none"}, "Led by a bias field (1.55)."),
        ({"families": {"motion": 1.5, "bias": 1.0}, "family": "motion"}, "Led by motion (1.50)."),
        ({"families": {"unheard of": 9.0}}, ""),
        ({"families": {"noise": 0.0, "bias": "x"}}, ""),
        ({"families": None}, ""),
        ({"families": [1, 2], "family": ["bias"]}, ""),
    ],
)
def test_the_leading_kind_in_words(change: dict[str, Any], said: str) -> None:
    assert leading_kind(BIASED | change) == said


def test_an_odd_kind_is_no_kind() -> None:
    assert leading_kind(BIASED | {"median": 1.5, "family": ["motion"]}) == "Led by a bias field (1.55)."


def test_the_page_names_the_leading_kind() -> None:
    record = example_record("sub-01_T1w")
    record.scores["severity"] |= {"families": BIASED["families"], "value": 1.6, "median": 0.3}
    html = render_scan(record, {})
    assert html.count("Led by a bias field (1.55)") == 1
