# SPDX-License-Identifier: Apache-2.0
"""The scan's page in Chromium: slices by click and key, maps, the scan's place; phone, print, without script."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bidsqa.report.cohort_place import BLOCK_BYTES, OPENING, fill
from bidsqa.verdict import load_rules

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

Visit = Callable[..., Any]
HOSTILE = "<img src=x onerror=alert(1)></script><script>document.title='owned'</script>\"'{{7*7}}%s"
# the sum of the greys and how colourful the slice is: tells pictures apart
LOOK = """() => { const canvas = document.getElementById('slice-picture'), copy = canvas.cloneNode();
  const pen = copy.getContext('2d', {willReadFrequently: true});
  pen.drawImage(canvas, 0, 0);
  const values = pen.getImageData(0, 0, canvas.width, canvas.height).data;
  let grey = 0, colour = 0;
  for (let at = 0; at < values.length; at += 4) {
    grey += values[at];
    colour += Math.abs(values[at] - values[at + 2]);
  }
  return [grey, colour / values.length]; }"""


def strip(page: Page) -> Locator:
    return page.get_by_role("slider", name="Slice")


def now(page: Page) -> int:
    return int(strip(page).get_attribute("aria-valuenow") or -1)


def test_it_opens_on_the_slice_that_the_verdict_names(visit: Visit, scan: Path) -> None:
    with visit(scan) as page:
        link = page.locator("#verdict .where a")
        at = int(page.locator(".where").get_attribute("data-at") or -1)
        assert now(page) == at
        words = page.inner_text("#slice-told")
        assert "Artifact severity" in words
        assert "severe" in words
        strip(page).press("Home")
        assert now(page) < at
        page.evaluate("window.scrollTo(0, 0)")
        link.click()
        assert now(page) == at
        page.wait_for_function("document.activeElement.id === 'slice-strip'")
        top = page.locator("#slices").bounding_box()
        assert top is not None
        assert abs(top["y"]) < 60


def test_keys_choose_the_slice(visit: Visit, scan: Path) -> None:
    with visit(scan) as page:
        first, last = (int(strip(page).get_attribute(f"aria-value{end}") or -1) for end in ("min", "max"))
        pictures = set()
        strip(page).press("Home")
        assert now(page) == first
        seen = [first]
        for _ in range(60):
            pictures.add(tuple(page.evaluate(LOOK)))
            strip(page).press("ArrowRight")
            if now(page) == seen[-1]:
                break
            seen.append(now(page))
        assert seen[-1] == last
        assert seen == sorted(seen)
        assert len(pictures) == len(seen), "every slice is another picture"
        strip(page).press("ArrowLeft")
        assert now(page) == seen[-2]
        strip(page).press("End")
        strip(page).press("PageDown")
        assert now(page) == seen[-6]
        page.locator("h1").click()
        page.keyboard.press("j")
        assert now(page) == seen[-5]
        page.keyboard.press("k")
        assert now(page) == seen[-6]
        assert f"slice {seen[-6]}:" in (strip(page).get_attribute("aria-valuetext") or "")
        page.keyboard.press("p")
        assert page.inner_text("#slice-name").startswith("Sagittal slice")


def test_a_click_chooses_the_nearest_slice(visit: Visit, scan: Path) -> None:
    for options in ({}, {"viewport": {"width": 390, "height": 800}, "has_touch": True, "is_mobile": True}):
        with visit(scan, **options) as page:
            strip(page).scroll_into_view_if_needed()
            chart = page.locator("#slice-strip svg:visible")
            box = chart.bounding_box()
            assert box is not None
            first, last = (int(chart.get_attribute(f"data-{end}") or -1) for end in ("first", "last"))
            left, right = (float(chart.get_attribute(f"data-{end}") or -1) for end in ("left", "right"))
            for share in (0.0, 0.5, 1.0):
                x = box["x"] + (left + share * (right - left)) / 360 * box["width"]
                (page.touchscreen.tap if options else page.mouse.click)(x, box["y"] + 60)
                assert abs(now(page) - (first + share * (last - first))) <= 1
            cursor = page.locator("#slice-strip svg:visible .cursor").bounding_box()
            assert cursor is not None
            assert abs(cursor["x"] + cursor["width"] / 2 - x) < 2
            page.get_by_role("button", name="Slice before").click()
            assert now(page) < last
            page.get_by_role("button", name="Worst slice").click()
            assert "severe" in page.inner_text("#slice-told")


def test_the_map_is_shown_where_there_is_one_and_missed_where_not(visit: Visit, scan: Path) -> None:
    with visit(scan) as page:
        none, severity = page.get_by_label("none", exact=True), page.get_by_label("Artifact severity", exact=True)
        severity.check()
        told = page.locator("#slice-map")
        assert "No map of this slice" in told.inner_text()
        plain = page.evaluate(LOOK)
        assert plain[1] == 0, "grey"
        told.get_by_role("button").click()
        page.wait_for_function(f"({LOOK})()[1] > 1")
        assert told.inner_text() == ""
        assert page.locator("#slices .legend").first.is_visible()
        none.check()
        assert page.evaluate(LOOK)[1] == 0
        page.locator("h1").click()
        page.keyboard.press("v")
        assert severity.is_checked()
        assert page.evaluate(LOOK)[1] > 1
        page.keyboard.press("t")
        assert page.get_by_label("outline of the brain").is_checked()


def test_an_address_leads_to_a_slice(visit: Visit, scan: Path) -> None:
    with visit(scan) as page:
        page.evaluate("location.hash = 'slice-sagittal-2000'")
        page.wait_for_function("document.getElementById('slice-name').textContent.startsWith('Sagittal')")
        assert "(the nearest here to 2000)" in page.inner_text("#slice-name")


def told_page(scan: Path, folder: Path, content: Any) -> Path:
    path = folder / scan.name
    path.write_bytes(scan.read_bytes())
    assert fill(path, content)
    return path


PLACE = {
    "suffix": "T1w",
    "site": "Somewhere",
    "decision": "fail",
    "rules": load_rules().version,
    "reasons": ["outlier: snr_total is far from its site's"],
    "outliers": ["snr_total"],
    "values": {
        "severity": [197, 0, 212, 27, 0, 31],
        "snr_total": [0, 0, 212],
        "cjv": [211, 0, 212],
        "efc": [0, 211, 212],
        "fber": [0, 150, 212],
        "cnr": [40, 81, 202],
        "qi_1": [0, 3, 212],
    },
}


def test_the_place_among_the_studys_scans_is_told(visit: Visit, scan: Path, tmp_path: Path) -> None:
    with visit(told_page(scan, tmp_path, PLACE)) as page:
        said = page.inner_text("p.place[data-key=severity]")
        assert said.strip() == "higher than 93 % of 212 T1w scans; at its site higher than 90 % of 31"
        row = {
            key: page.inner_text(f"tr[data-key={key}] .place").strip()
            for key in ("snr_total", "cjv", "efc", "fber", "cnr", "qi_1")
        }
        assert row == {
            "snr_total": "lowest of 212 T1w scans ★ stands out at its site",
            "cjv": "highest of 212 T1w scans",
            "efc": "the same in all 212 T1w scans",
            "fber": "the same as 150 of the 211 other T1w scans",
            "cnr": "higher than 40 % of 202 T1w scans",
            "qi_1": "lowest of 212 T1w scans, with 3 more",
        }
        assert not page.locator("tr[data-key=qi_2] .place").is_visible()
        note = page.inner_text("#group-note")
        assert "Compared with the study's other scans this is a fail" in note
        assert "outlier: snr_total is far from its site's" in note
        assert page.locator("#verdict-title").inner_text() == "Review", "the record's own verdict stays"
        assert page.locator("#headline").inner_text() == "Judged by itself: Look at this scan before using it."
        for width in (360, 1280):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_same_decision_isnt_told_twice(visit: Visit, scan: Path, tmp_path: Path) -> None:
    with visit(told_page(scan, tmp_path, {**PLACE, "decision": "review"})) as page:
        assert not page.locator("#group-note").is_visible()


@pytest.mark.parametrize(
    "content",
    [
        {**PLACE, "suffix": HOSTILE, "site": HOSTILE, "rules": HOSTILE, "reasons": [HOSTILE], "outliers": [HOSTILE]},
        {"decision": HOSTILE, "values": {"severity": [HOSTILE, 1, 2]}},
        {"decision": "constructor", "values": {"severity": [5, 5, 5], "cjv": [1], "cnr": None, "efc": [0, 0, 1]}},
        {"values": 3, "reasons": 3, "outliers": 3},
        {"decision": "fail", "values": None, "reasons": [None, 3, {"a": 1}]},
    ],
)
def test_hostile_and_odd_places_stay_text(visit: Visit, scan: Path, tmp_path: Path, content: Any) -> None:
    with visit(told_page(scan, tmp_path, content)) as page:
        assert page.title() != "owned"
        assert page.locator('img[src="x"]').count() == 0
        if content.get("suffix") == HOSTILE:
            assert "<img src=x onerror=alert(1)>" in page.inner_text("#group-note")
            assert "<img src=x" in page.inner_text("p.place[data-key=severity]")
        elif content.get("decision") != "fail":
            assert not page.locator("p.place").first.is_visible()


def test_a_half_written_block_costs_only_the_place(visit: Visit, scan: Path, tmp_path: Path) -> None:
    content = scan.read_bytes()
    start = content.index(OPENING) + len(OPENING)
    path = tmp_path / scan.name
    path.write_bytes(content[:start] + b'{"values":{"cj'.ljust(BLOCK_BYTES) + content[start + BLOCK_BYTES :])
    with visit(path) as page:
        assert now(page) > 0
        assert not page.locator("#group-note").is_visible()


def test_without_script_nothing_dead_is_offered(visit: Visit, scan: Path, tmp_path: Path) -> None:
    with visit(told_page(scan, tmp_path, PLACE), java_script_enabled=False) as page:
        assert not page.locator("#slices").is_visible()
        assert not page.locator("#rating").is_visible()
        assert not page.get_by_role("link", name="Rate").is_visible()
        assert not page.locator("#group-note").is_visible()
        assert page.locator("#scores .chart").count() >= 4
        assert page.locator("#pictures img").first.is_visible()
        assert "worst" in page.inner_text("#verdict")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_has_a_name_and_fits_a_phone(visit: Visit, scan: Path, scheme: Any) -> None:
    with visit(scan, color_scheme=scheme, viewport={"width": 360, "height": 740}) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        nameless = """() => [...document.querySelectorAll('input:not([hidden]), button, textarea, [role=slider]')]
          .filter(one => !(one.labels && one.labels.length) && !one.ariaLabel && !one.textContent.trim())
          .map(one => one.outerHTML)"""
        assert page.evaluate(nameless) == []
        canvas, pane = page.locator("#slice-picture").bounding_box(), page.locator(".pane").bounding_box()
        assert canvas and pane
        assert canvas["width"] <= pane["width"] <= 360
        assert canvas["width"] > 250


def test_print_leaves_out_what_paper_cannot_do(visit: Visit, scan: Path) -> None:
    with visit(scan) as page:
        page.emulate_media(media="print")
        assert not page.locator("#slices").is_visible()
        assert not page.locator("#rating").is_visible()
        page.keyboard.press("3")
        assert page.locator("#rating .decisions").is_visible(), "a rating that was made is printed"
        assert not page.get_by_role("button", name="Save as file").is_visible()
        assert page.locator("#scores .chart").first.is_visible()
        page.emulate_media(media="screen")
        assert page.pdf().startswith(b"%PDF")
