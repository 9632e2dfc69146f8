# SPDX-License-Identifier: Apache-2.0
"""The scan's page in Chromium: slices by click and key, maps, the rating, the scan's place; hostile texts stay text."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from bidsqa.models import Score, SliceScores
from bidsqa.report import render_scan
from bidsqa.report.cohort_place import BLOCK_BYTES, OPENING, fill
from bidsqa.report.rating_form import rating_schema
from bidsqa.simulation.phantom import Phantom
from bidsqa.validation.example_records import example_record, failed_record
from bidsqa.verdict import load_rules

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

HOSTILE = "<img src=x onerror=alert(1)></script><script>document.title='owned'</script>\"'{{7*7}}%s"
NAME = "sub-01_T1w"
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


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory, phantom_3mm: Phantom, figures_of: Callable[..., Any]) -> Path:
    """A page whose verdict names slices, with maps of the middle axial and sagittal slice."""
    volume = phantom_3mm.image("T1w", seed=1)
    middle = volume.shape[2] // 2
    scores = {}
    for name, base in (("severity", 0.3), ("ssim", 0.95)):
        parts = []
        for plane, axis in (("axial", 2), ("sagittal", 0)):
            near = volume.shape[axis] // 2
            index = tuple(range(near - 12, near + 13, 3 if name == "severity" else 2))
            bad = [math.exp(-((at - near - 6) ** 2) / 8) for at in index]
            parts.append(
                SliceScores(plane, index, tuple(base + (2.5 if name == "severity" else -0.5) * b for b in bad))
            )
        scores[name] = Score(1.6 if name == "severity" else 0.8, 0.05, "", tuple(parts))
    record = example_record(NAME)
    record.scores = {name: score.to_dict() for name, score in scores.items()}
    record.verdict = example_record(NAME, damage=0.4, rules=load_rules()).verdict
    text = f"motion: severity 1.6 is above 1, axial slices {middle + 3}-{middle + 9} worst"
    record.verdict["reasons"] = [{"rule": "severity", "name": "scores.severity.value", "text": text, "level": "review"}]
    record.verdict["decision"] = "review"
    path = tmp_path_factory.mktemp("scan") / f"{NAME}.html"
    path.write_text(render_scan(record, figures_of(volume, scores)), encoding="utf-8")
    return path


@contextmanager
def visit(browser: Browser, path: Path, setup: str = "", **options: Any) -> Iterator[Page]:
    """A page in a window of its own; it must stay silent and ask for nothing but itself."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    if setup:
        page.add_init_script(setup)
    page.goto(path.as_uri())
    yield page
    assert said == []
    own = path.as_uri()
    assert [url for url in asked if not url.startswith(("data:", "blob:")) and url.partition("#")[0] != own] == []
    context.close()


def strip(page: Page) -> Locator:
    return page.get_by_role("slider", name="Slice")


def now(page: Page) -> int:
    return int(strip(page).get_attribute("aria-valuenow") or -1)


def test_it_opens_on_the_slice_that_the_verdict_names(browser: Browser, scan: Path) -> None:
    with visit(browser, scan) as page:
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


def test_keys_choose_the_slice(browser: Browser, scan: Path) -> None:
    with visit(browser, scan) as page:
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


def test_a_click_chooses_the_nearest_slice(browser: Browser, scan: Path) -> None:
    for options in ({}, {"viewport": {"width": 390, "height": 800}, "has_touch": True, "is_mobile": True}):
        with visit(browser, scan, **options) as page:
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


def test_the_map_is_shown_where_there_is_one_and_missed_where_not(browser: Browser, scan: Path) -> None:
    with visit(browser, scan) as page:
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


def test_an_address_leads_to_a_slice(browser: Browser, scan: Path) -> None:
    with visit(browser, scan) as page:
        page.evaluate("location.hash = 'slice-sagittal-2000'")
        page.wait_for_function("document.getElementById('slice-name').textContent.startsWith('Sagittal')")
        assert "(the nearest here to 2000)" in page.inner_text("#slice-name")


def rate(page: Page) -> None:
    page.locator("h1").click()
    for key in ("2", "m", "g", "+", "+"):
        page.keyboard.press(key)
    page.keyboard.press("c")
    page.keyboard.type("3 rings, motion <b>")
    page.get_by_label("Your name or initials").fill("A. B. 3")


def downloaded(page: Page, folder: Path) -> tuple[str, dict[str, Any]]:
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Save as file").click()
    target = folder / waiting.value.suggested_filename
    waiting.value.save_as(target)
    return target.name, json.loads(target.read_text(encoding="utf-8"))


def test_a_rating_is_made_by_keys_kept_saved_and_loaded(browser: Browser, scan: Path, tmp_path: Path) -> None:
    with visit(browser, scan, accept_downloads=True) as page:
        before = now(page)
        rate(page)
        assert now(page) == before, "typing chooses no slice"
        name, saved = downloaded(page, tmp_path)
        assert name == f"{NAME}_rater-AB3_rating.json"
        jsonschema.validate(saved, rating_schema(), format_checker=jsonschema.FormatChecker())
        wanted = {
            "bids_name": NAME,
            "image_sha256": "1" * 64,
            "decision": "review",
            "artifacts": ["motion", "ghosting"],
            "comment": "3 rings, motion <b>",
            "confidence": 3,
            "rater": "A. B. 3",
        }
        assert wanted.items() <= saved.items()
        assert saved["shown"] == {"decision": "review", "rules_version": load_rules().version, "group_decision": None}
        assert 0 <= saved["seconds"] < 60
        page.reload()
        assert page.get_by_label("Head motion").is_checked()
        assert page.get_by_label("Comment").input_value() == "3 rings, motion <b>"
        page.on("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Clear").click()
        assert not page.get_by_label("Head motion").is_checked()
        page.reload()
        assert not page.get_by_label("Head motion").is_checked()
        page.locator("#rating-file").set_input_files(tmp_path / name)
        page.wait_for_function("document.getElementById('rating-status').textContent.startsWith('Loaded')")
        assert page.locator("#rating input[value=review]").is_checked()
        assert downloaded(page, tmp_path)[1] == saved, "loading and saving changes nothing"


def test_no_decision_no_file(browser: Browser, scan: Path) -> None:
    with visit(browser, scan) as page:
        page.get_by_role("button", name="Save as file").click()
        assert page.inner_text("#rating-status") == "Choose pass, review or fail first."


def test_keys_can_be_switched_off(browser: Browser, scan: Path) -> None:
    with visit(browser, scan) as page:
        page.locator("#rating-keys").uncheck()
        page.keyboard.press("1")
        assert not page.locator("#rating input[value=pass]").is_checked()
        page.reload()
        assert not page.locator("#rating-keys").is_checked()
        page.locator("#rating-keys").check()
        page.keyboard.press("Control+1")
        page.keyboard.press("1")
        assert page.locator("#rating input[value=pass]").is_checked()


VALID = {
    "kind": "bidsqa rating",
    "schema_version": 1,
    "bids_name": NAME,
    "image_sha256": None,
    "rater": "",
    "decision": "fail",
    "artifacts": [],
    "comment": "",
    "confidence": None,
    "seconds": 1,
    "time": "2026-03-01T10:00:00Z",
    "bidsqa": "0.1.0",
    "shown": {},
}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "It is not JSON."),
        ("[]", "It is no rating"),
        ("null", "It is no rating"),
        ('{"bids_name": "sub-01_T1w"}', "It is no rating"),
        (json.dumps({**VALID, "schema_version": 7}), "another version"),
        (json.dumps({**VALID, "bids_name": "sub-02_T1w" + HOSTILE}), "a rating of sub-02_T1w<img src=x"),
        (json.dumps({**VALID, "decision": HOSTILE}), "Its decision is none"),
        (json.dumps({**VALID, "artifacts": {"length": 1}}), "Its artifacts is none"),
        (json.dumps({**VALID, "artifacts": [HOSTILE]}), "Its artifacts is none"),
        (json.dumps({**VALID, "comment": "x" * 4001}), "Its comment is none"),
        (json.dumps({**VALID, "confidence": 9}), "Its confidence is none"),
        (json.dumps({**VALID, "time": HOSTILE}), "Its time is none"),
        (json.dumps({**VALID, "__proto__": {"decision": "pass"}, "more": 1}), "fields that a rating doesn't have"),
        (" " * 200_000, "far too large"),
    ],
)
def test_what_is_no_rating_of_this_scan_is_refused(browser: Browser, scan: Path, content: str, told: str) -> None:
    with visit(browser, scan) as page:
        page.keyboard.press("1")
        file: Any = {"name": "rating.json", "mimeType": "application/json", "buffer": content.encode()}
        page.locator("#rating-file").set_input_files(file)
        page.wait_for_function("document.getElementById('rating-status').textContent.startsWith('Nothing was loaded')")
        assert told in page.inner_text("#rating-status")
        assert page.locator("#rating input[value=pass]").is_checked(), "what was there stays"
        assert page.title() != "owned"
        assert page.locator('img[src="x"]').count() == 0


def test_hostile_words_in_a_rating_stay_words(browser: Browser, scan: Path) -> None:
    with visit(browser, scan) as page:
        content = json.dumps({**VALID, "comment": HOSTILE, "rater": HOSTILE[:100]}).encode()
        file: Any = {"name": "rating.json", "mimeType": "application/json", "buffer": content}
        page.locator("#rating-file").set_input_files(file)
        page.wait_for_function("document.getElementById('rating-status').textContent.startsWith('Loaded')")
        assert page.get_by_label("Comment").input_value() == HOSTILE
        assert "another image of the same name" in page.inner_text("#rating-status")
        page.reload()
        assert page.get_by_label("Comment").input_value() == HOSTILE
        assert page.locator('img[src="x"]').count() == 0


@pytest.mark.parametrize(
    "setup",
    [
        "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('no', 'SecurityError'); }})",
        "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); }",
    ],
    ids=["forbidden", "full"],
)
def test_a_rating_works_where_nothing_may_be_kept(browser: Browser, scan: Path, tmp_path: Path, setup: str) -> None:
    with visit(browser, scan, setup, accept_downloads=True) as page:
        rate(page)
        assert "keeps nothing for this page" in page.inner_text("#rating-status")
        assert downloaded(page, tmp_path)[1]["decision"] == "review"


def test_rubbish_in_the_browsers_store_is_passed_over(browser: Browser, scan: Path) -> None:
    key = f"bidsqa-rating:{NAME}:{'1' * 12}"
    for rubbish in ("{", json.dumps({**VALID, "decision": HOSTILE}), "null"):
        with visit(browser, scan, f"localStorage.setItem({json.dumps(key)}, {json.dumps(rubbish)})") as page:
            assert page.locator("#rating input:checked").count() == 1, "the switch of the keys alone"


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


def test_the_place_among_the_studys_scans_is_told(browser: Browser, scan: Path, tmp_path: Path) -> None:
    with visit(browser, told_page(scan, tmp_path, PLACE)) as page:
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
        assert "The study's group level made this a fail" in note
        assert "outlier: snr_total is far from its site's" in note
        assert page.locator("#verdict-title").inner_text() == "Review", "the record's own verdict stays"
        for width in (360, 1280):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_same_decision_isnt_told_twice(browser: Browser, scan: Path, tmp_path: Path) -> None:
    with visit(browser, told_page(scan, tmp_path, {**PLACE, "decision": "review"})) as page:
        assert not page.locator("#group-note").is_visible()


def test_a_rating_says_what_the_group_level_made_of_the_scan(browser: Browser, scan: Path, tmp_path: Path) -> None:
    with visit(browser, told_page(scan, tmp_path, PLACE), accept_downloads=True) as page:
        rate(page)
        assert downloaded(page, tmp_path)[1]["shown"]["group_decision"] == "fail"


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
def test_hostile_and_odd_places_stay_text(browser: Browser, scan: Path, tmp_path: Path, content: Any) -> None:
    with visit(browser, told_page(scan, tmp_path, content)) as page:
        assert page.title() != "owned"
        assert page.locator('img[src="x"]').count() == 0
        if content.get("suffix") == HOSTILE:
            assert "<img src=x onerror=alert(1)>" in page.inner_text("#group-note")
            assert "<img src=x" in page.inner_text("p.place[data-key=severity]")
        elif content.get("decision") != "fail":
            assert not page.locator("p.place").first.is_visible()


def test_a_half_written_block_costs_only_the_place(browser: Browser, scan: Path, tmp_path: Path) -> None:
    content = scan.read_bytes()
    start = content.index(OPENING) + len(OPENING)
    path = tmp_path / scan.name
    path.write_bytes(content[:start] + b'{"values":{"cj'.ljust(BLOCK_BYTES) + content[start + BLOCK_BYTES :])
    with visit(browser, path) as page:
        assert now(page) > 0
        assert not page.locator("#group-note").is_visible()


def test_without_script_nothing_dead_is_offered(browser: Browser, scan: Path, tmp_path: Path) -> None:
    with visit(browser, told_page(scan, tmp_path, PLACE), java_script_enabled=False) as page:
        assert not page.locator("#slices").is_visible()
        assert not page.locator("#rating").is_visible()
        assert not page.get_by_role("link", name="Rate").is_visible()
        assert not page.locator("#group-note").is_visible()
        assert page.locator("#scores .chart").count() >= 4
        assert page.locator("#pictures img").first.is_visible()
        assert "worst" in page.inner_text("#verdict")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_has_a_name_and_fits_a_phone(browser: Browser, scan: Path, scheme: Any) -> None:
    with visit(browser, scan, color_scheme=scheme, viewport={"width": 360, "height": 740}) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        nameless = """() => [...document.querySelectorAll('input:not([hidden]), button, textarea, [role=slider]')]
          .filter(one => !(one.labels && one.labels.length) && !one.ariaLabel && !one.textContent.trim())
          .map(one => one.outerHTML)"""
        assert page.evaluate(nameless) == []
        canvas, pane = page.locator("#slice-picture").bounding_box(), page.locator(".pane").bounding_box()
        assert canvas and pane
        assert canvas["width"] <= pane["width"] <= 360
        assert canvas["width"] > 250


def test_print_leaves_out_what_paper_cannot_do(browser: Browser, scan: Path) -> None:
    with visit(browser, scan) as page:
        page.emulate_media(media="print")
        assert not page.locator("#slices").is_visible()
        assert not page.locator("#rating").is_visible()
        page.keyboard.press("3")
        assert page.locator("#rating .decisions").is_visible(), "a rating that was made is printed"
        assert not page.get_by_role("button", name="Save as file").is_visible()
        assert page.locator("#scores .chart").first.is_visible()
        page.emulate_media(media="screen")
        assert page.pdf().startswith(b"%PDF")


def test_a_failed_scan_can_be_rated(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "sub-09_T1w.html"
    path.write_text(render_scan(failed_record("sub-09_T1w", rules=load_rules()), {}), encoding="utf-8")
    with visit(browser, path, accept_downloads=True) as page:
        assert page.locator("#slices").count() == 0
        page.keyboard.press("j")
        page.keyboard.press("3")
        saved = downloaded(page, tmp_path)[1]
        jsonschema.validate(saved, rating_schema())
        assert saved["image_sha256"] is None
