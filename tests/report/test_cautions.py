# SPDX-License-Identifier: Apache-2.0
"""What limits a verdict is told at the top of the scan's page, and nothing where nothing does."""

from __future__ import annotations

from typing import Any

import pytest

from bidsqa.report import render_scan
from bidsqa.report.cautions import cautions
from bidsqa.validation.example_records import example_record

AIR = {"anatomy": {"facts": {}, "problems": {"air": "it is <b>zero</b>"}}}


def told(image: dict[str, Any], metrics: dict[str, Any]) -> list[str]:
    record = example_record("sub-01_T1w")
    record.image |= {"background": "natural"} | image
    record.metrics |= {"brain_cut": 0.0} | metrics
    return cautions(record)


def test_nothing_is_said_where_nothing_limits() -> None:
    assert told({"background": "natural"}, {"brain_cut": 0.01, "wrap_around": 0.0}) == []


@pytest.mark.parametrize(
    ("image", "metrics", "words"),
    [
        (AIR, {"efc": None, "fber": None}, "were not judged, and 2 metrics are empty: it is <b>zero</b>."),
        (AIR, {}, "were not judged: it is <b>zero</b>."),
        ({"background": "denoised"}, {}, "may be understated"),
        ({"background": "wrapped"}, {"wrap_around": 0.1596}, "(16 % of its largest cross-section)"),
        ({"background": "wrapped"}, {"wrap_around": None}, "field of view: look"),
        ({}, {"brain_cut": 0.0856}, "8.6 % of its surface lies on the border"),
    ],
)
def test_what_limits_is_said(image: dict[str, Any], metrics: dict[str, Any], words: str) -> None:
    (sentence,) = told(image, metrics)
    assert words in sentence


@pytest.mark.parametrize("anatomy", [None, "x", {"problems": None}, {"problems": ["air"]}])
def test_odd_records_say_nothing(anatomy: Any) -> None:
    assert told({"anatomy": anatomy}, {"brain_cut": "much"}) == []


def test_it_stands_beside_the_verdict_as_text() -> None:
    record = example_record("sub-01_T1w")
    record.image |= AIR
    record.warnings = ["odd <i>file</i>"]
    html = render_scan(record, {})
    part = html[html.index('id="verdict"') : html.index('id="scores"')]
    assert "odd &lt;i&gt;file&lt;/i&gt;" in part
    assert "it is &lt;b&gt;zero&lt;/b&gt;." in part
