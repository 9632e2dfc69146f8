# SPDX-License-Identifier: Apache-2.0
"""The study's page in Chromium: plots, filters, gallery, what a link keeps, hostile texts, keys, phone, dark, print."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from bidsqa.report import render_study
from bidsqa.report.study_scan import Limit, ProtocolRow, StudyProtocols, StudyScan, StudyValue

if TYPE_CHECKING:
    from playwright.sync_api import Page

Visit = Callable[..., Any]

HOSTILE = (
    "<img src=x onerror=alert(1)></script>$$\\frac{1}{2}$$<script>document.title='owned'</script>\"'@{name}{{7*7}}"
)
SITES = ("Harbour", "Hill", HOSTILE)
VALUES = [
    StudyValue(
        "severity",
        "Artifact severity",
        "How strongly.",
        "lower is better",
        limits=[Limit(1.0, "review above"), Limit(2.0, "fail above")],
    ),
    StudyValue("ssim", "Similarity", "How similar.", "higher is better"),
    StudyValue("cjv", "cjv", "Spread.", "lower is better", limits=[Limit(0.9, "review above", "T1w")]),
    StudyValue("fber", "fber", "Energy.", "", unit="a.u.", chief=False),
]


def made_up(at: int) -> StudyScan:
    """Every tenth scan is bad, every fifteenth lacks its values, a third has no picture, T2w scans have no date."""
    bad, lost, suffix = at % 10 == 7, at % 15 == 14, "T2w" if at % 4 == 3 else "T1w"
    name = f"sub-{at:02d}_{suffix}"
    severity = 2.5 + 0.01 * at if bad else 0.3 + 0.02 * math.sin(at)
    values = {"severity": severity, "ssim": 1 - severity / 4, "cjv": 0.4 + 0.001 * at, "fber": 100.0 + at}
    return StudyScan(
        name=name,
        suffix=suffix,
        site=SITES[at % 3],
        entities={"sub": f"{at:02d}"},
        status="failed" if lost else "ok",
        decision="fail" if bad or lost else "review" if at % 10 == 3 else "pass",
        reasons=[(f"artifacts: {HOSTILE}", "repeat it"), ("noise: much", "")]
        if bad
        else [("not assessed: cut", "")] * lost,
        outliers=["severity"] if bad else [],
        values={} if lost else values,
        page=f"{name}.html",
        picture="" if at % 3 == 0 or lost else f"figures/{name}.webp",
        thumbnail=None,
        acquired=f"2024-{1 + at // 28:02d}-{1 + at % 28:02d}" if suffix == "T1w" else "",
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ninety made-up scans at three sites, one with a hostile name; pictures beside the page, but one of them lost."""
    out = tmp_path_factory.mktemp("study")
    picture = io.BytesIO()
    Image.new("L", (90, 30), 128).save(picture, "WEBP")
    scans = [made_up(at) for at in range(90)]
    (out / "figures").mkdir()
    for scan in scans:
        (out / scan.page).write_text(f"<!doctype html><title>{scan.name}</title>", encoding="utf-8")
        if scan.picture and scan.name != "sub-07_T2w":
            (out / scan.picture).write_bytes(picture.getvalue())
    rows = [
        ProtocolRow("Harbour", "T1w", 20, ("2.3", "900"), names=()),
        ProtocolRow(HOSTILE, "T1w", 2, ("2.5", HOSTILE), frozenset({"RepetitionTime"}), ("sub-01_T1w", HOSTILE)),
    ]
    protocols = StudyProtocols(("RepetitionTime", "InversionTime"), rows, (f"sub-99 has no T2w {HOSTILE}",))
    html = render_study(scans, VALUES, protocols=protocols, notes=[HOSTILE])
    (out / "group.html").write_text(html, encoding="utf-8")
    return out


@pytest.fixture
def opened(visit: Visit) -> Visit:
    """Opens a study's page and waits for its plot; it may ask for pictures beside it."""

    def act(folder: Path, view: str = "", **options: Any) -> Any:
        wanted = {"folder": True, "lost": True, "ready": "#figures[data-drawn]", "accept_downloads": True}
        return visit(folder / "group.html", view, **wanted, **options)

    return act


def point_of(page: Page, name: str) -> tuple[float, float]:
    """Where a scan's point lies in the window."""
    page.locator("#figures").scroll_into_view_if_needed()
    page.wait_for_timeout(100)
    found = page.evaluate(
        """name => {
          const nth = study.figure().points.data.scan.findIndex(at => study.name(at) === name);
          const {x, y} = study.pixel(nth); return [x, y]; }""",
        name,
    )
    return found[0], found[1]


def drawn_scans(page: Page) -> set[str]:
    return set(page.evaluate("study.figure().points.data.scan.map(study.name)"))


def words(page: Page) -> list[str]:
    """Texts drawn in the plot."""
    return [str(text).strip() for text in page.evaluate("study.figure().words.data.text")]


def test_the_plot_shows_every_value_by_site(opened: Visit, study: Path) -> None:
    with opened(study) as page:
        assert len(drawn_scans(page)) == 84
        assert [word for word in words(page) if word.startswith(("review", "fail"))] == [
            "review above 1",
            "fail above 2",
        ]
        assert sum(word.startswith(("T1w · ", "T2w · ")) for word in words(page)) == 6
        assert any(word.startswith(f"T1w · {HOSTILE}"[:40]) for word in words(page))
        page.locator("#value").select_option(label="fber")
        page.wait_for_function("() => study.figure().model.below[0].axis_label.text === 'fber (a.u.)'")
        assert "Energy." in page.locator("#meaning").inner_text()
        assert min(page.evaluate("Array.from(study.figure().points.data.x)")) >= 100
        shapes = page.evaluate(
            "Object.fromEntries(study.figure().points.data.scan.map((at, nth) => [study.decision(at), "
            "study.figure().points.data.marker[nth] + study.figure().points.data.color[nth]]))"
        )
        assert [shapes[key].partition("#")[0] for key in ("pass", "review", "fail")] == ["circle", "triangle", "x"]
        assert len({shape.partition("#")[2] for shape in shapes.values()}) == 3


def test_those_that_stand_out_are_named(opened: Visit, study: Path) -> None:
    with opened(study) as page:
        told = page.locator("#extremes")
        assert "stand out in Artifact severity" in told.inner_text()
        first = told.locator("a").first
        assert first.inner_text() == "sub-87_T2w"
        assert first.get_attribute("href") == "sub-87_T2w.html"
        page.locator("#value").select_option(label="cjv")
        assert "Farthest on the bad side in cjv" in told.inner_text()
        assert told.locator("a").first.inner_text() == "sub-88_T1w"


def test_hovering_names_and_a_click_opens(opened: Visit, study: Path) -> None:
    with opened(study) as page:
        x, y = point_of(page, "sub-17_T1w")
        page.mouse.move(x - 40, y - 40)
        page.mouse.move(x, y, steps=4)
        tip = page.locator("#tip")
        tip.wait_for(state="visible")
        told = tip.inner_text()
        assert "sub-17_T1w" in told
        assert "fail – Artifact severity 2.67" in told
        assert f"artifacts: {HOSTILE}" in told
        assert "2024-01-18" in told
        assert tip.locator("img[src='x'], script, b").count() == 0
        page.mouse.click(x, y)
        page.wait_for_url("**/sub-17_T1w.html")
        page.go_back()
        page.wait_for_selector("#figures[data-drawn]", state="attached")


def test_keys_walk_along_the_points(opened: Visit, study: Path) -> None:
    with opened(study) as page:
        page.locator("#figures").focus()
        page.keyboard.press("End")
        last = page.locator("#tip a").inner_text()
        page.keyboard.press("ArrowLeft")
        assert page.locator("#tip a").inner_text() != last
        page.keyboard.press("Escape")
        assert not page.locator("#tip").is_visible()
        page.keyboard.press("Home")
        first = page.locator("#tip a").inner_text()
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/{first}.html")


def test_filters_act_on_everything_alike(opened: Visit, study: Path) -> None:
    with opened(study) as page:
        bar = page.get_by_role("search")
        page.locator("#by-site").select_option("Hill")
        page.locator("#by-decision").select_option("fail")
        expected = {scan.name for scan in map(made_up, range(90)) if scan.site == "Hill" and scan.decision == "fail"}
        assert len(expected) == 3
        assert set(page.locator("#table tbody tr:visible th").all_inner_texts()) == expected
        assert set(page.locator("#pictures .name").all_inner_texts()) == expected
        page.wait_for_function("() => study.figure().points.data.scan.length === 3")
        assert drawn_scans(page) == expected
        assert page.locator(".tiles strong").all_inner_texts() == ["3", "0", "0"]
        assert page.locator("#site-counts tbody tr:visible").all_inner_texts() == ["Hill\t3\t0\t0\t3"]
        assert page.locator("#shown").inner_text() == "3 of 90 scans shown"
        page.get_by_role("button", name="Show all").click()
        assert page.locator("#table tbody tr:visible").count() == 90
        assert page.locator("#by-site").input_value() == ""
        bar.get_by_label("Find").fill("noise sub-1")
        assert page.locator("#table tbody tr:visible th").all_inner_texts() == ["sub-17_T1w"]
        bar.get_by_label("Find").fill("")
        bar.get_by_label("only those that stand out").check()
        assert page.locator("#shown").inner_text() == "9 of 90 scans shown"


def test_nothing_fits(opened: Visit, study: Path) -> None:
    with opened(study) as page:
        page.locator("#find").fill("no such scan")
        assert "No scan fits" in page.locator("#pictures").inner_text()
        assert "No scan fits" in page.locator("#legend-more").inner_text()
        assert page.locator(".figure:visible").count() == 0


def test_a_link_keeps_the_view(opened: Visit, study: Path) -> None:
    with opened(study) as page:
        page.locator("#by-site").select_option(HOSTILE)
        page.locator("#view").select_option("pair")
        page.locator("#value").select_option(label="fber")
        page.locator("#against").select_option(label="cjv")
        page.wait_for_selector("#figures[data-drawn=pair]")
        page.get_by_role("link", name="All scans").click()
        address = page.evaluate("location.hash")
        expected = drawn_scans(page)
    with opened(study, address) as page:
        page.wait_for_selector("#figures[data-drawn=pair]")
        assert page.locator("#by-site").input_value() == HOSTILE
        assert drawn_scans(page) == expected
        assert page.evaluate("study.figure().model.below[0].axis_label.text") == "cjv"
        assert page.title() != "owned"
    with opened(study, "#view:site=Nowhere&decision=%3Cb%3E&view=constructor&value=__proto__") as page:
        assert page.locator("#table tbody tr:visible").count() == 90


def test_the_list_of_what_is_shown(opened: Visit, study: Path) -> None:
    with opened(study) as page:
        page.locator("#by-decision").select_option("fail")
        with page.expect_download() as waiting:
            page.get_by_role("button", name="Download TSV").click()
        lines = Path(waiting.value.path()).read_text(encoding="utf-8").splitlines()
        assert lines[0].split("\t") == ["bids_name", "suffix", "site", "decision", "reasons"]
        assert len(lines) == 1 + 15
        assert "sub-17_T1w\tT1w\t" in "\n".join(lines)
        assert f"artifacts: {HOSTILE}; noise: much" in "\n".join(lines)
        assert all(line.count("\t") == 4 for line in lines)


def test_drift_over_time(opened: Visit, study: Path) -> None:
    with opened(study) as page:
        page.locator("#view").select_option("drift")
        page.wait_for_selector("#figures[data-drawn=drift]")
        assert drawn_scans(page) == {scan.name for scan in map(made_up, range(90)) if scan.acquired and scan.values}
        assert {word for word in words(page) if word.startswith("T1w · ")} == {
            f"T1w · {HOSTILE}"[:47] + "…",
            "T1w · Harbour",
            "T1w · Hill",
        }
        lines = page.evaluate("study.figure().lines.data.xs.map(xs => Array.from(xs))")
        assert sum(len(line) > 2 and line == sorted(line) for line in lines) == 3
        assert "have no date" in page.locator("#legend-more").inner_text()
        page.locator("#by-suffix").select_option("T2w")
        page.wait_for_function(
            "() => document.querySelector('#legend-more').textContent.includes('No scan shown here has a date')"
        )
        assert page.locator(".figure:visible").count() == 0


def test_the_gallery_has_every_scan_worst_first(opened: Visit, study: Path) -> None:
    with opened(study) as page:
        names = page.locator("#pictures .name")
        assert names.count() == 12
        assert names.first.inner_text() == "sub-87_T2w"
        more = page.locator("#more")
        while more.is_visible():
            more.click()
        assert names.count() == 90
        assert sorted(names.all_inner_texts()) == [scan.name for scan in map(made_up, range(90))]
        page.locator("#pictures li").last.scroll_into_view_if_needed()
        lost = page.locator("#pictures li", has_text="sub-07_T2w")
        lost.scroll_into_view_if_needed()
        lost.get_by_text("the picture lies in the output folder").wait_for()
        assert "no picture" in page.locator("#pictures li", has_text="sub-27_T2w").inner_text()
        shown = page.locator("#pictures li", has_text="sub-17_T1w").locator("img")
        shown.scroll_into_view_if_needed()
        page.wait_for_function("image => image.naturalWidth === 90", arg=shown.element_handle())


def test_protocols(opened: Visit, study: Path) -> None:
    with opened(study) as page:
        part = page.locator("#protocols")
        assert "sub-99 has no T2w" in part.inner_text()
        deviating = part.locator("td.deviates")
        assert deviating.count() == 1
        assert deviating.inner_text().split() == ["≠", "differs:", "2.5"]


def test_no_text_becomes_markup(opened: Visit, study: Path) -> None:
    with opened(study) as page:
        for view in ("pair", "drift", "groups"):
            page.locator("#view").select_option(view)
            page.wait_for_selector(f"#figures[data-drawn={view}]")
            page.wait_for_timeout(100)
            assert page.title() != "owned"
            assert page.locator('img[src="x"]').count() == 0
            assert page.evaluate("document.scripts.length") == 5
        assert HOSTILE in page.inner_text("#site-counts")


def test_readable_without_script(opened: Visit, study: Path) -> None:
    with opened(study, java_script_enabled=False) as page:
        text = page.inner_text("main")
        assert "Chief values of all scans" in text
        assert page.locator("#plots").is_hidden()
        assert page.locator(".bar").is_hidden()
        assert page.locator("#table tbody tr:visible").count() == 90
        assert page.locator("#distributions svg").count() == 3
        assert page.locator("#worst li").count() == 6


@pytest.mark.parametrize("width", [360, 768])
def test_narrow_windows(opened: Visit, study: Path, width: int) -> None:
    with opened(study, viewport={"width": width, "height": 740}) as page:
        for view in ("pair", "drift", "groups"):
            page.locator("#view").select_option(view)
            page.wait_for_selector(f"#figures[data-drawn={view}]")
            page.wait_for_timeout(100)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            drawn = page.locator(f"#figure-{view}").bounding_box()
            assert drawn
            assert drawn["width"] > 0.8 * width


def test_a_finger_first_shows_and_then_opens(opened: Visit, study: Path) -> None:
    with opened(study, viewport={"width": 390, "height": 740}, has_touch=True, is_mobile=True) as page:
        x, y = point_of(page, "sub-17_T1w")
        page.touchscreen.tap(x, y)
        link = page.locator("#tip a")
        link.wait_for(state="visible")
        link.tap()
        page.wait_for_url("**/sub-17_T1w.html")


def test_the_plots_follow_the_theme(opened: Visit, study: Path) -> None:
    with opened(study) as page:
        found = {}
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.wait_for_function(
                "() => study.figure().model.below[0].major_label_text_color === "
                "getComputedStyle(document.documentElement).getPropertyValue('--ink').trim()"
            )
            page.wait_for_timeout(100)
            found[scheme] = page.evaluate("study.figure().points.data.color[0]")
        assert found["light"] != found["dark"]


def test_print_has_the_whole_table_and_the_small_distributions(opened: Visit, study: Path) -> None:
    with opened(study) as page:
        page.emulate_media(media="print")
        assert page.locator("#plots").is_hidden()
        assert page.locator(".bar").is_hidden()
        assert page.locator("#distributions svg").first.is_visible()
        assert page.pdf().startswith(b"%PDF")


def test_more_rows_than_a_browser_lays_out_at_once(opened: Visit, tmp_path: Path) -> None:
    scans = [made_up(at) for at in range(130)]
    (tmp_path / "group.html").write_text(render_study(scans, VALUES), encoding="utf-8")
    with opened(tmp_path) as page:
        rows = page.locator("#table tbody tr:visible")
        assert rows.count() == 100
        page.locator("#more-rows").click()
        assert rows.count() == 130
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert rows.count() == 100
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert rows.count() == 130
