# SPDX-License-Identifier: Apache-2.0
"""Both pages in Chromium: silent, self-contained, sortable, readable at any width and without script."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Visit = Callable[..., Any]

SCAN, BAD, FAILED, POISONED, STUDY = (
    "sub-00_T1w.html",
    "sub-05_T1w.html",
    "sub-20_T1w.html",
    "sub-21_T1w.html",
    "group.html",
)
EVERY = (SCAN, BAD, FAILED, POISONED, STUDY)
CONTRAST = """() => {
  const light = value => { const [r, g, b] = value.match(/[\\d.]+/g).map(Number)
      .map(c => c / 255).map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = element => { for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!/^rgba.*, 0\\)$/.test(colour)) return colour; } return 'rgb(255,255,255)'; };
  const poor = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    if (!own || element.closest('svg, script, style, .hidden, .skip, option') || !element.offsetParent) continue;
    const a = light(getComputedStyle(element).color), b = light(behind(element));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push(element.tagName + '.' + element.className + ' ' + ratio.toFixed(2));
  }
  return [...new Set(poor)];
}"""


@pytest.mark.parametrize("name", EVERY)
def test_quiet_complete_readable_at_any_width(visit: Visit, pages: Path, name: str) -> None:
    with visit(pages / name, folder=name == STUDY) as page:
        assert page.locator("h1").count() == 1
        assert page.evaluate("[...document.images].filter(image => !image.naturalWidth || !image.alt).length") == 0
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            assert page.evaluate(CONTRAST) == [], scheme
        for width in (360, 768, 1600):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("name", EVERY)
def test_readable_without_script(visit: Visit, pages: Path, name: str) -> None:
    with visit(pages / name, folder=name == STUDY, java_script_enabled=False) as page:
        text = page.inner_text("main")
    assert ("All scans" in text) if name == STUDY else ("Provenance" in text)


def test_outlines_can_be_switched(visit: Visit, pages: Path) -> None:
    with visit(pages / SCAN) as page:
        layer = page.locator("img.layer.brain").first
        assert layer.is_visible()
        page.get_by_label("brain", exact=True).uncheck()
        assert not layer.is_visible()
        assert not page.locator("img.layer.white").first.is_visible()
        page.get_by_label("white matter").focus()
        page.keyboard.press("Space")
        assert page.locator("img.layer.white").first.is_visible()


def test_outlines_lie_exactly_on_the_image(visit: Visit, pages: Path) -> None:
    with visit(pages / SCAN, viewport={"width": 700, "height": 800}) as page:
        for stack in page.locator(".stack").all():
            below = stack.locator("img").first.bounding_box()
            assert stack.locator("img.layer.brain").bounding_box() == below


def test_maps_lie_exactly_on_their_slice(visit: Visit, pages: Path) -> None:
    for width in (360, 1280):
        with visit(pages / SCAN, viewport={"width": width, "height": 800}) as page:
            assert page.locator("#local .over").count() == 4
            for over in page.locator("#local .over").all():
                below, layer = over.locator("img").first.bounding_box(), over.locator(".layer").bounding_box()
                assert below == layer
                assert below is not None and below["width"] > 150
            assert page.locator("#local .legend").count() == 2


def test_definitions_open(visit: Visit, pages: Path) -> None:
    with visit(pages / SCAN) as page:
        entry = page.locator(".metrics details").first
        assert not entry.locator("p").first.is_visible()
        entry.locator("summary").click()
        assert entry.locator("p").first.is_visible()


def test_hostile_texts_are_shown_as_text(visit: Visit, pages: Path) -> None:
    for name in (POISONED, STUDY):
        with visit(pages / name, folder=name == STUDY) as page:
            assert page.title() != "owned"
            assert "<img src=x onerror=alert(1)>" in page.inner_text("main")
            assert page.locator('img[src="x"]').count() == 0


def test_table_sorts(visit: Visit, pages: Path) -> None:
    with visit(pages / STUDY, folder=True) as page:
        first = page.locator("#table tbody tr").first
        assert first.get_attribute("data-decision") == "fail"
        page.get_by_role("button", name="Scan", exact=True).click()
        assert first.locator("th").inner_text() == "sub-00_T1w"
        page.get_by_role("button", name="Scan", exact=True).click()
        assert first.locator("th").inner_text() == "sub-21_T1w"
        for _ in range(2):  # missing values stay at the end in both directions
            page.get_by_role("button", name="Artifact severity").click()
            values = page.locator("#table tbody tr td:nth-child(4)").all_inner_texts()
            assert values[-1].startswith("–")
        numbers = [float(text.strip("★ outlier\n")) for text in values[:-1]]
        assert numbers == sorted(numbers, reverse=True)
        assert page.locator("th[aria-sort]").count() == 1


def test_table_filters(visit: Visit, pages: Path) -> None:
    with visit(pages / STUDY, folder=True) as page:
        rows = page.locator("#table tbody tr:visible")
        assert rows.count() == 20
        page.locator("#by-decision").select_option("fail")
        assert rows.count() == 3
        page.locator("#by-suffix").select_option("T2w")
        assert rows.count() == 1
        assert page.locator("#shown").inner_text() == "1 of 20 scans shown"
        page.locator("#by-decision").select_option("")
        page.locator("#by-suffix").select_option("")
        page.get_by_label("Find").fill("sub-20 damaged")
        assert rows.count() == 1


def test_hidden_columns_are_announced(visit: Visit, pages: Path) -> None:
    with visit(pages / STUDY, folder=True) as page:
        for width in (700, 1280):
            page.set_viewport_size({"width": width, "height": 800})
            table = page.locator("#table").bounding_box()
            box = page.locator(".wide").bounding_box()
            assert table and box
            assert page.locator("#sideways").is_visible() == (table["width"] > box["width"] + 1)
        assert not page.locator("#sideways").is_visible(), "ordinary names and all columns fit at 1280"


def test_links_lead_to_scans_and_back(visit: Visit, pages: Path) -> None:
    with visit(pages / STUDY, folder=True) as page:
        first = page.locator("#table tbody a").first
        target = first.get_attribute("href")
        assert target in ("sub-05_T1w.html", "sub-05_T2w.html")
        first.click()
        page.wait_for_url(f"**/{target}")
        page.get_by_role("link", name="Study").click()
        page.wait_for_url("**/group.html")
        hrefs = page.evaluate("[...document.querySelectorAll('main a')].map(link => link.getAttribute('href'))")
        assert all(href.startswith("#") or (pages / href).is_file() for href in hrefs)
        assert len(hrefs) > 25


@pytest.mark.parametrize("name", [BAD, STUDY])
def test_paper_holds_every_column_and_no_navigation(visit: Visit, pages: Path, name: str) -> None:
    width = 703  # A4 without its margins, in CSS pixels
    with visit(pages / name, folder=name == STUDY, viewport={"width": width, "height": 900}) as page:
        assert page.locator("nav").is_visible()
        page.emulate_media(media="print")
        assert not page.locator("nav").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for table in page.locator("table:visible").all():
            box = table.bounding_box()
            assert box
            assert box["x"] + box["width"] <= width
        assert page.pdf().startswith(b"%PDF")
