# SPDX-License-Identifier: Apache-2.0
"""The scan's page as text: complete, self-contained, and every string of a record only ever text."""

from __future__ import annotations

import json
import re
import struct
import zlib
from html.parser import HTMLParser
from typing import Any

import pytest

from bidsqa.image import Volume
from bidsqa.metrics import METRIC_KEYS
from bidsqa.models import Score
from bidsqa.record import Record
from bidsqa.report import render_scan
from bidsqa.report.page import picture
from bidsqa.validation.example_records import example_record, failed_record
from bidsqa.verdict import load_rules

RULES = load_rules()
NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'{{7*7}}{% raw %}%s${x}&lt;"
VOID = {"meta", "img", "input", "br", "hr", "link", "path", "rect", "polyline"}


class Reader(HTMLParser):
    """Collects elements, attributes and visible text, and checks that elements close in order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.text.append(data)


def parsed(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert not reader.open
    return reader


def visible(html: str) -> str:
    return " ".join(" ".join(parsed(html).text).split())


@pytest.fixture(scope="module")
def bad() -> Record:
    record = example_record("sub-01_ses-1_T1w", damage=1.0, rules=RULES)
    record.metrics["cnr"] = None
    record.reasons_missing["cnr"] = "the air was set to zero"
    record.warnings = ["12 voxels were not finite numbers"]
    return record


def test_the_verdict_and_its_reasons_come_first(bad: Record, figures: dict[str, bytes]) -> None:
    text = visible(render_scan(bad, figures))
    places = [
        text.index(part)
        for part in ("Don't use this scan", bad.verdict["reasons"][0]["text"], "Artifact severity", "What it tells")
    ]
    assert places == sorted(places)
    for reason in bad.verdict["reasons"]:
        assert reason["text"] in text
        assert reason["advice"] in text


def test_everything_known_is_on_the_page(bad: Record, figures: dict[str, bytes]) -> None:
    text = visible(render_scan(bad, figures))
    for key in bad.metrics:
        assert key in text
        assert METRIC_KEYS[key].keys[key] in text
    assert "Not available: the air was set to zero" in text
    assert "12 voxels were not finite numbers" in text
    assert bad.acquisition["ManufacturersModelName"] in text
    assert bad.provenance["input"]["sha256"] in text
    assert RULES.version in text


def test_nothing_is_loaded_from_elsewhere(bad: Record, figures: dict[str, bytes]) -> None:
    html = render_scan(bad, figures)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)
    assert policy
    assert "default-src &#39;none&#39;" in policy[1] or "default-src 'none'" in policy[1]
    assert "unsafe" not in policy[1]
    for tag, attributes in parsed(html).elements:
        assert tag not in ("link", "iframe", "object", "embed", "base", "form")
        if tag == "img":
            assert (attributes["src"] or "").startswith("data:image/")
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name != "style", "the policy would drop it"
            if name == "href":
                assert (value or "").startswith("#") or value == "group.html"
    assert "url(" not in html
    assert "@import" not in html


def test_it_is_small(bad: Record, figures: dict[str, bytes]) -> None:
    assert len(render_scan(bad, figures).encode()) < 2_500_000


def test_pictures_have_words(bad: Record, figures: dict[str, bytes]) -> None:
    images = [attributes for tag, attributes in parsed(render_scan(bad, figures)).elements if tag == "img"]
    assert len(images) == len(figures) - 1, "all but the thumbnail"
    assert all(attributes["alt"] for attributes in images)
    charts = [attributes for tag, attributes in parsed(render_scan(bad, figures)).elements if tag == "svg"]
    spoken = [attributes for attributes in charts if attributes.get("aria-hidden") != "true"]
    assert len(spoken) == 6
    assert len(charts) == 7, "and the viewer's strip, which is spoken as a slider"
    assert all(attributes["role"] == "img" and attributes["aria-label"] for attributes in spoken)


def test_a_record_before_and_after_json_has_the_same_page(
    t1w: Volume, made_up_scores: dict[str, Score], figures: dict[str, bytes]
) -> None:
    record = Record("sub-01_T1w", scores={name: score.to_dict() for name, score in made_up_scores.items()})
    record.image = {"shape": t1w.shape, "spacing": t1w.spacing}
    html = render_scan(record, figures)
    assert html.count("<svg") == 2, "the chart and the viewer's strip"
    assert html == render_scan(Record.loads(record.dumps()), figures)


def test_a_failed_scan_says_why_and_what_to_do() -> None:
    text = visible(render_scan(failed_record("sub-01_T1w", rules=RULES), {}))
    assert "could not be assessed" in text
    assert "the stream ended too early" in text
    assert "copy or convert the scan again" in text


def test_the_page_carries_its_record(bad: Record) -> None:
    html = render_scan(bad, {})
    block = re.search(r'<script type="application/json" id="record">(.*?)</script>', html, re.DOTALL)
    assert block
    assert json.loads(block[1]) == bad.to_dict()


def poisoned(value: Any) -> Any:
    """The same structure with every text and key poisoned."""
    if isinstance(value, str):
        return NASTY
    if isinstance(value, dict):
        return {f"{key}{NASTY}" if key.isupper() else key: poisoned(inner) for key, inner in value.items()}
    return [poisoned(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("failed", [False, True])
def test_hostile_texts_stay_text(bad: Record, failed: bool, figures: dict[str, bytes]) -> None:
    plain = poisoned((failed_record("sub-01_T1w") if failed else bad).to_dict())
    plain["status"] = "failed" if failed else "ok"
    plain["acquisition"] = {NASTY: NASTY, "Manufacturer": [NASTY, {NASTY: 1}]}
    plain["scores"][NASTY] = {
        "value": 1.0,
        NASTY: NASTY,
        "slices": [{"plane": NASTY, "index": [1, 2], "value": [1, 2]}],
    }
    plain["metrics"][NASTY] = 1.0
    plain["reasons_missing"][NASTY] = NASTY
    html = render_scan(Record.from_dict(plain), {} if failed else figures)
    reader = parsed(html)
    scripts = [attributes for tag, attributes in reader.elements if tag == "script"]
    blocks = [{"type": "application/json", "id": name} for name in ("cohort", "about", "record")]
    assert scripts == [*blocks, {}], "and the page's own, which the policy names by its checksum"
    sources = [attributes["src"] or "" for tag, attributes in reader.elements if tag == "img"]
    assert all(source.startswith("data:image/") for source in sources)
    assert NASTY in "".join(reader.text)
    assert "49" not in html[html.index("<title>") : html.index("<style>")]


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": {}},
        {"verdict": {"decision": "excellent", "reasons": "none"}},
        {"verdict": {"decision": "pass", "reasons": [None, 3, {"text": None}]}},
        {"scores": {"ssim": None, "severity": 4}},
        {"scores": {"ssim": {"value": "high", "slices": [None, {"index": 3}, {"index": [1], "value": ["x"]}]}}},
        {"image": {"anatomy": 3, "shape": None}},
        {"warnings": None},
        {"warnings": "text"},
        {"provenance": {"models": 3}},
        {"metrics": {"cjv": "high"}},
        {"status": "failed", "failure": None},
    ],
)
def test_odd_records_still_have_a_page(change: dict[str, Any]) -> None:
    plain = {**example_record("sub-01_T1w", rules=RULES).to_dict(), **change}
    assert "sub-01_T1w" in visible(render_scan(Record.from_dict(plain), {"mosaic-axial.webp": b"junk", "x": b""}))


def test_a_pass_is_never_claimed_where_none_was_given() -> None:
    record = example_record("sub-01_T1w")
    assert "Nothing speaks against" not in visible(render_scan(record, {}))


def test_a_picture_that_claims_to_be_huge_is_left_out() -> None:
    chunk = b"IHDR" + struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 6, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    with pytest.raises(ValueError, match="damaged picture"):
        picture(bomb)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("synthetic", "synthetic readers: a formula, no person"),
        ("readers", "readers of the site that trained it"),
        ("<b>", "<b>"),
    ],
)
def test_the_page_tells_whose_opinion_a_ranking_is(source: str, told: str) -> None:
    record = example_record("sub-01_T1w")
    record.scores["ranking"] = {"value": -1.5, "uncertainty": 0.3, "slices": [], "p_better_than_clean": 0.1673406}
    record.scores["ranking"]["label_source"] = source
    text = visible(render_scan(record, {}))
    assert f"whose opinion was learned {told}" in text
    assert "chance that a reader calls it better than a typical clean scan 0.167" in text
