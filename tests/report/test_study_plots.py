# SPDX-License-Identifier: Apache-2.0
"""The interactive plots' numbers and empty figures, and what the page lets them do."""

from __future__ import annotations

import json
import math
import re

import pytest

from bidsqa.report import render_study, study_plots
from bidsqa.report.study_scan import ProtocolRow, StudyProtocols, StudyScan, StudyValue

VALUES = [StudyValue("ssim", "Motion", "", "higher is better"), StudyValue("cjv", "cjv", "Spread.", "", chief=False)]


def scan(name: str, site: str, ssim: float | None, **more: object) -> StudyScan:
    fields: dict[str, object] = {"suffix": "T1w", "entities": {}, "status": "ok", "decision": "pass", "outliers": []}
    fields |= {"reasons": [("a: b", ""), ("c: d", "")], "values": {"ssim": ssim}, "page": f"{name}.html"}
    return StudyScan(name=name, site=site, **{**fields, **more})  # type: ignore[arg-type]


def test_numbers_keep_the_order_and_leave_out_what_nobody_has() -> None:
    scans = [
        scan("b", "Hill", 0.123456789),
        scan("a", "Bay", math.nan, outliers=["ssim", "cjv"], acquired="2024-02-01"),
    ]
    told = study_plots.numbers(scans, VALUES)
    assert (told["sites"], told["site"]) == (["Bay", "Hill"], [1, 0])
    assert [value["key"] for value in told["values"]] == ["ssim"]
    assert told["values"][0]["numbers"] == [0.12346, None]
    assert told["outliers"] == {"1": [0]}
    assert told["reasons"] == {"0": ["c: d"], "1": ["c: d"]}
    assert told["acquired"] == [None, 1706745600000]
    json.dumps(told, allow_nan=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-02", 86_400_000),
        ("1970-01-01T00:00:01.5", 1500),
        ("1970-01-01T01:00:00+01:00", 0),
        ("", None),
        ("2024-13-45", None),
        ("19700102", None),
        ("<b>", None),
    ],
)
def test_dates(text: str, expected: int | None) -> None:
    assert study_plots.milliseconds(text) == expected


def test_empty_figures_are_the_same_for_every_study_and_hold_no_code() -> None:
    figures = study_plots.figures()
    assert list(figures) == list(study_plots.VIEWS)
    text = json.dumps(figures)
    assert "CustomJS" not in text
    for name in ("points", "lines", "words", "boxes", "x_range", "y_range", "zoom"):
        assert f'"{name}"' in text


def test_the_page_lets_nothing_in_from_outside() -> None:
    html = render_study([scan("a", "Bay", 0.9)], VALUES)
    policy = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)[0].replace("&#39;", "'")
    assert "default-src 'none'" in policy
    assert "img-src data: 'self'" in policy
    script = re.findall(r"script-src ([^;]*)", policy)[0].split()
    assert len(script) == 3
    assert all(source.startswith("'sha256-") for source in script)


def test_protocols_say_what_deviates_and_what_is_missing() -> None:
    rows = [
        ProtocolRow("Bay", "T1w", 7, ("2.3", "")),
        ProtocolRow("Hill", "T1w", 1, ("<2.5>", ""), frozenset({"RepetitionTime", "EchoTime"}), ("a",)),
    ]
    protocols = StudyProtocols(("RepetitionTime", "EchoTime"), rows, ("sub-9 has no <T2w>",))
    html = render_study([scan("a", "Bay", 0.9)], VALUES, protocols=protocols)
    part = html[html.index('<section id="protocols"') : html.index('<section id="distributions"')]
    assert part.count('class="deviates"') == 2
    assert "&lt;2.5&gt;</td>" in part
    assert "not known</td>" in part
    assert "sub-9 has no &lt;T2w&gt;" in part
    assert '<section id="protocols"' not in render_study([scan("a", "Bay", 0.9)], VALUES)
