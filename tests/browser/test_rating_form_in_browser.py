# SPDX-License-Identifier: Apache-2.0
"""The rating on a scan's page in Chromium: keys, keeping, saving, loading, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from bidsqa.report import render_scan
from bidsqa.report.cohort_place import fill
from bidsqa.report.rating_form import rating_schema
from bidsqa.validation.example_records import failed_record
from bidsqa.verdict import load_rules

if TYPE_CHECKING:
    from playwright.sync_api import Page

Visit = Callable[..., Any]
NAME = "sub-01_T1w"
HOSTILE = "<img src=x onerror=alert(1)></script><script>document.title='owned'</script>\"'{{7*7}}%s"


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


def test_a_rating_is_made_by_keys_kept_saved_and_loaded(visit: Visit, scan: Path, tmp_path: Path) -> None:
    with visit(scan, agrees="Clear your rating", accept_downloads=True) as page:
        before = page.inner_text("#slice-name")
        rate(page)
        assert page.inner_text("#slice-name") == before, "typing chooses no slice"
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
        page.get_by_role("button", name="Clear").click()
        assert not page.get_by_label("Head motion").is_checked()
        page.reload()
        assert not page.get_by_label("Head motion").is_checked()
        page.locator("#rating-file").set_input_files(tmp_path / name)
        page.wait_for_function("document.getElementById('rating-status').textContent.startsWith('Loaded')")
        assert page.locator("#rating input[value=review]").is_checked()
        assert downloaded(page, tmp_path)[1] == saved, "loading and saving changes nothing"


def test_no_decision_no_file(visit: Visit, scan: Path) -> None:
    with visit(scan) as page:
        page.get_by_role("button", name="Save as file").click()
        assert page.inner_text("#rating-status") == "Choose pass, review or fail first."


def test_keys_can_be_switched_off(visit: Visit, scan: Path) -> None:
    with visit(scan) as page:
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
    "shown": {"decision": "pass", "rules_version": "1", "group_decision": None},
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
        (json.dumps({key: value for key, value in VALID.items() if key != "shown"}), "It lacks its shown."),
        (json.dumps({**VALID, "shown": {"decision": HOSTILE}}), "Its shown is none"),
        (json.dumps({**VALID, "confidence": 1.5}), "Its confidence is none"),
        (json.dumps({**VALID, "artifacts": ["motion", "motion"]}), "Its artifacts is none"),
        (json.dumps({**VALID, "seconds": -1}), "Its seconds is none"),
        (json.dumps({**VALID, "image_sha256": 5}), "Its image_sha256 is none"),
        (" " * 200_000, "far too large"),
    ],
)
def test_what_is_no_rating_of_this_scan_is_refused(visit: Visit, scan: Path, content: str, told: str) -> None:
    with visit(scan) as page:
        page.keyboard.press("1")
        file: Any = {"name": "rating.json", "mimeType": "application/json", "buffer": content.encode()}
        page.locator("#rating-file").set_input_files(file)
        page.wait_for_function("document.getElementById('rating-status').textContent.startsWith('Nothing was loaded')")
        assert told in page.inner_text("#rating-status")
        assert page.locator("#rating input[value=pass]").is_checked(), "what was there stays"
        assert page.title() != "owned"
        assert page.locator('img[src="x"]').count() == 0


def test_hostile_words_in_a_rating_stay_words(visit: Visit, scan: Path) -> None:
    with visit(scan) as page:
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
def test_a_rating_works_where_nothing_may_be_kept(visit: Visit, scan: Path, tmp_path: Path, setup: str) -> None:
    with visit(scan, setup=setup, accept_downloads=True) as page:
        rate(page)
        assert "keeps nothing for this page" in page.inner_text("#rating-status")
        assert downloaded(page, tmp_path)[1]["decision"] == "review"


def test_rubbish_in_the_browsers_store_is_passed_over(visit: Visit, scan: Path) -> None:
    key = f"bidsqa-rating:{NAME}:{'1' * 12}"
    for rubbish in ("{", json.dumps({**VALID, "decision": HOSTILE}), "null"):
        with visit(scan, setup=f"localStorage.setItem({json.dumps(key)}, {json.dumps(rubbish)})") as page:
            assert page.locator("#rating input:checked").count() == 1, "the switch of the keys alone"


def test_a_rating_says_what_the_group_level_made_of_the_scan(visit: Visit, scan: Path, tmp_path: Path) -> None:
    path = tmp_path / scan.name
    path.write_bytes(scan.read_bytes())
    assert fill(path, {"decision": "fail"})
    with visit(path, accept_downloads=True) as page:
        rate(page)
        assert downloaded(page, tmp_path)[1]["shown"]["group_decision"] == "fail"


def test_a_failed_scan_can_be_rated(visit: Visit, tmp_path: Path) -> None:
    path = tmp_path / "sub-09_T1w.html"
    path.write_text(render_scan(failed_record("sub-09_T1w", rules=load_rules()), {}), encoding="utf-8")
    with visit(path, accept_downloads=True) as page:
        assert page.locator("#slices").count() == 0
        page.keyboard.press("j")
        page.keyboard.press("3")
        saved = downloaded(page, tmp_path)[1]
        jsonschema.validate(saved, rating_schema())
        assert saved["image_sha256"] is None
