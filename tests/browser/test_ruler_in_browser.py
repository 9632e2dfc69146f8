# SPDX-License-Identifier: Apache-2.0
"""Choosing a threshold on a ruler's page, as a person does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest

from bidsqa.image import Volume
from bidsqa.models import Score, SliceScores
from bidsqa.report import draw_ruler_strip, render_ruler, render_scan
from bidsqa.rulers import Kind, Ruler, Threshold, read_ruler, write_ruler
from bidsqa.rulers.ruler import PERSON
from bidsqa.validation.example_records import example_record

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    images = [rng.normal(100, 60 - 8 * version, (120, 100)).clip(1) for version in range(8)]
    ruler = Ruler("our-T1w", np.stack(images).astype(np.uint8), Kind("T1w", "3D", 3.0), Threshold(3.0))
    place = tmp_path_factory.mktemp("rulers") / "our-T1w"
    written = write_ruler(ruler, place)
    (place.parent / "page.html").write_text(render_ruler(written, str(place)), encoding="utf-8")
    return place


@pytest.fixture
def page(browser: Browser, folder: Path) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1200, "height": 900}, accept_downloads=True)
    opened = context.new_page()
    problems: list[str] = []
    opened.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.goto(f"file://{folder.parent / 'page.html'}")
    yield opened
    assert not problems
    context.close()


def test_keys_show_versions_and_move_the_threshold(page: Page) -> None:
    assert page.inner_text("#seen-name") == "Version 7 (the original)"
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("#seen-name") == "Version 6"
    page.keyboard.press("2")
    assert page.inner_text("#seen-name") == "Version 2"
    assert page.inner_text("#seen-word") == "not accepted"
    assert page.inner_text("#choice-value") == "3"
    page.keyboard.press("+")
    assert page.inner_text("#choice-value") == "3.5"
    assert "Versions 4 to 7 pass; a scan between 3 and 4 passes from half way." in page.inner_text("#choice-words")
    page.keyboard.press("a")
    assert page.inner_text("#choice-value") == "2"
    assert page.inner_text("#seen-word") == "accepted"
    for _ in range(9):
        page.keyboard.press("-")
    assert page.inner_text("#choice-value") == "0"
    assert "All versions pass" in page.inner_text("#choice-words")


def test_clicks_do_the_same(page: Page) -> None:
    page.click(".thumb[data-version='5']")
    assert page.inner_text("#seen-name") == "Version 5"
    page.click("#here")
    page.click("#milder")
    assert page.inner_text("#choice-value") == "4.5"
    assert page.get_attribute(".thumb[data-version='5']", "aria-current") == "true"
    assert page.locator(".thumb.accepted").count() == 3
    page.click("#zoom")
    assert page.evaluate("document.getElementById('seen').getBoundingClientRect().width") == 300


def test_what_is_saved_is_what_the_command_takes(
    page: Page, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from bidsqa.cli import ruler as command

    page.fill("#set-by", "A. s+1 'B'")  # letters that are keys elsewhere
    assert page.inner_text("#choice-value") == "3"
    page.click("#stricter")
    assert "--by 'A. s+1 '\\''B'\\'''" in page.inner_text("#command")
    assert f"bidsqa-ruler set {folder} 3.5" in page.inner_text("#command")
    with page.expect_download() as download:
        page.click("#save")
    saved = tmp_path / download.value.suggested_filename
    download.value.save_as(saved)
    assert saved.name == "our-T1w_threshold.json"
    assert json.loads(saved.read_text())["threshold"] == 3.5
    assert command.main(["set", str(folder), "--from", str(saved)]) == 0
    found = read_ruler(folder).threshold
    assert (found.value, found.set_by, found.by_person) == (3.5, "A. s+1 'B'", True)


def test_the_choice_is_kept_over_a_reload(page: Page, folder: Path) -> None:
    page.keyboard.press("+")
    page.reload()
    assert page.inner_text("#choice-value") == "3.5"
    assert "isn't in the ruler" in page.inner_text("#saved")
    file = folder.parent / "page.html"
    before = file.read_text(encoding="utf-8")
    changed = read_ruler(folder).with_threshold(Threshold(3.5, PERSON))
    file.write_text(render_ruler(changed, str(folder)), encoding="utf-8")
    page.reload()
    assert page.inner_text("#choice-value") == "3.5"
    assert page.inner_text("#saved") == "", "it was set meanwhile"
    file.write_text(before, encoding="utf-8")


@pytest.mark.parametrize("width", [360, 1200])
def test_it_fits(browser: Browser, folder: Path, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto(f"file://{folder.parent / 'page.html'}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_without_javascript(browser: Browser, folder: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"file://{folder.parent / 'page.html'}")
    assert not page.is_visible("#choose")
    assert page.locator("#versions figure").count() == 8
    assert "Without JavaScript" in page.inner_text("noscript")
    context.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (375, "light")])
def test_the_scan_beside_its_ruler(
    browser: Browser, tmp_path: Path, width: int, scheme: Literal["light", "dark"]
) -> None:
    volume = Volume.from_array(np.random.default_rng(0).uniform(50, 100, (60, 70, 50)), (1.0, 1.0, 1.0))
    images = np.random.default_rng(1).integers(1, 200, (8, 120, 100)).astype(np.uint8)
    ruler = Ruler("our-T1w", images, Kind("T1w", "3D"), Threshold(4.5), sha256="a" * 64)
    about = {"name": "our-T1w", "why": ["T1w as the scan"], "sha256": "a" * 64, "version_score": 3, "place": 3.2}
    about |= {"threshold": 4.5, "threshold_set_by": "a person", "passes": False, "outside": None}
    score = Score(3.2, 0.2, "", (SliceScores("axial", (20, 25), (3.0, 3.4)),), {"ruler": about})
    record = example_record("sub-01_T1w", seed=1)
    record.scores["noise_motion"] = score.to_dict()
    (tmp_path / "page.html").write_text(render_scan(record, draw_ruler_strip(volume, score, [ruler])), encoding="utf-8")
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.goto(f"file://{tmp_path / 'page.html'}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    boxes = {
        name: page.locator(name).bounding_box() for name in (".ruler-strip img", ".ruler-axis", ".ruler-axis .here")
    }
    strip, axis, here = boxes.values()
    assert strip is not None
    assert axis is not None
    assert here is not None
    assert (axis["x"], axis["width"]) == pytest.approx((strip["x"], strip["width"]), abs=1)
    assert (here["x"] + here["width"] / 2 - axis["x"]) / axis["width"] == pytest.approx(3.7 / 8, abs=0.005)
    label = page.get_attribute(".ruler-axis", "aria-label") or ""
    assert label.startswith("As noisy as version 3 of ruler our-T1w (3.2 of 7). This study accepts from 4.5")
    context.close()
