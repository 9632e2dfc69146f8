# SPDX-License-Identifier: Apache-2.0
"""The rating app as a reader uses it: whole sessions by keyboard, going on after a reload and a kill, two at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bidsqa.rating.store import Store, store_path

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HOSTILE = "<img src=x onerror=alert(1)></script><script>document.title='owned'</script>\"'{{7*7}}%s"
# what a reader presses for one item, and the answer that it stands for
KEYS: dict[str, tuple[tuple[str, ...], str]] = {
    "pairwise": (("ArrowDown",), "similar"),
    "min_acceptable": (("2", "ArrowRight", "Enter"), "3"),
    "ruler_threshold": (("3", "ArrowRight", "Enter"), "3.5"),
    "ruler_score": (("4", "ArrowLeft", "y"), "3"),
    "diagnostic": (("1",), "1"),
    "likert": (("g", "2"), "2"),
}
Starter = Callable[..., AbstractContextManager[Any]]
READERS = (*KEYS, "reload", "undo", "first", "second", "hostile", "phone", "idle", "zoom", "full")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, phantom_3mm: Any) -> Path:
    """Three participants, all the same head."""
    root = tmp_path_factory.mktemp("rated-dataset")
    (root / "dataset_description.json").write_text('{"Name": "Heads", "BIDSVersion": "1.9.0"}')
    for label in ("secretA", "secretB", "secretC"):
        folder = root / f"sub-{label}" / "anat"
        folder.mkdir(parents=True)
        phantom_3mm.to_nifti(phantom_3mm.image("T1w", seed=1)).to_filename(folder / f"sub-{label}_T1w.nii.gz")
    return root


@pytest.fixture(scope="module")
def app(running: Starter, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """All tasks, three items each, and a reader for each test."""
    pytest.importorskip("playwright.sync_api")
    # of the shipped rulers only two are of this kind
    options = ("--tasks", *KEYS, "--goal", "3", "--practice", "1", "--rulers-from-scans", "--raters", *READERS)
    with running(dataset, tmp_path_factory.mktemp("rated") / "ratings", *options) as started:
        yield started


@contextmanager
def visit(browser: Browser, address: str, task: str | None = None, **options: Any) -> Iterator[Page]:
    """A page in a browser of its own; afterwards nothing may have gone wrong or out."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
    page = context.new_page()
    problems: list[str] = []
    origin = address.split("/?")[0]
    page.on("console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda asked: None if asked.url.startswith(f"{origin}/") else problems.append(asked.url))
    try:
        page.goto(address)
        if task is not None:
            page.goto(f"{origin}/rate/{task}")
            ready(page)
        yield page
        assert problems == []
    finally:
        context.close()


def ready(page: Page, before: str | None = None) -> str:
    """Wait for an item other than the one before; gives its code."""
    page.wait_for_selector("body[data-ready]" + (f":not([data-ready='{before}'])" if before else ""), timeout=60_000)
    return str(page.evaluate("document.body.dataset.ready"))


def press(page: Page, *keys: str) -> str:
    """Answer by keys and wait for the next item; gives its code."""
    before = ready(page)
    for key in keys:
        page.keyboard.press(key)
    return ready(page, before)


@pytest.mark.parametrize("task", KEYS)
def test_a_whole_session_by_keyboard(browser: Browser, app: Any, task: str) -> None:
    keys, value = KEYS[task]
    with visit(browser, app.addresses[task]) as page:
        page.keyboard.press(str(1 + list(KEYS).index(task)))
        page.wait_for_url(f"**/rate/{task}")
        ready(page)
        assert page.locator("#practice").is_visible()
        assert page.locator("#pictures .frame img").count() >= 1
        sizes = page.evaluate("[...document.querySelectorAll('.frame img')].map((one) => one.naturalWidth)")
        assert min(sizes) > 40
        assert "secret" not in page.content()
        for _ in range(3):
            press(page, *keys)
            assert page.inner_text("#status") == "Saved."
        for key in keys:
            page.keyboard.press(key)
        page.wait_for_selector("#finished:not([hidden])")
        assert page.inner_text("#far") == "3 of 3"
    table = app.answers(task, task)
    assert table["value"].tolist() == [value] * 4
    assert table["kind"].tolist() == ["practice", "main", "main", "main"]
    assert (table["rt_ms"] > 0).all()
    assert not table["idle"].any()
    if task == "ruler_score":
        assert table["acceptable"].all()
    if task == "likert":
        assert table["artifacts"].tolist() == [["ghosting"]] * 4


def test_buttons_do_the_same_as_keys(browser: Browser, app: Any) -> None:
    with visit(browser, app.addresses["reload"], "pairwise") as page:
        first = ready(page)
        page.get_by_role("button", name="Right is better").click()
        second = ready(page, first)
        page.keyboard.press("ArrowLeft")
        third = ready(page, second)
        page.reload()
        assert ready(page) == third, "a reload shows the same item"
        assert page.inner_text("#far") == "1 of 3"
        page.get_by_role("button", name="Skip").click()
        ready(page, third)
    assert app.answers("reload", "pairwise")["value"].tolist() == ["right", "left", "skip"]


def test_an_answer_is_taken_back_by_a_key(browser: Browser, app: Any) -> None:
    with visit(browser, app.addresses["undo"], "likert") as page:
        first = ready(page)
        assert page.locator("#undo").is_disabled()
        press(page, "1")
        page.keyboard.press("u")
        page.wait_for_selector(f"body[data-ready='{first}']")
        assert "taken back" in page.inner_text("#status")
        press(page, "5")
    assert app.answers("undo", "likert")["value"].tolist() == ["5"]
    store = Store(store_path(app.ratings))
    trial = store.trial(first)
    assert trial is not None
    rows = store.rows("SELECT value FROM answers WHERE trial = ? ORDER BY id", (trial.id,))
    assert [row["value"] for row in rows] == ["1", None, "5"], "every answer is kept"
    store.close()


@pytest.mark.slow
def test_a_kill_costs_nothing_and_is_told(running: Starter, browser: Browser, dataset: Path, tmp_path: Path) -> None:
    options = ("--tasks", "likert", "--per-scan", "3", "--practice", "0", "--raters", "Ann")
    with (
        running(dataset, tmp_path / "ratings", *options) as app,
        visit(browser, app.addresses["Ann"], "likert") as page,
    ):
        waiting = ""
        for value in ("1", "2", "3"):
            waiting = press(page, value)
        app.kill()
        assert app.answers("Ann", "likert")["value"].tolist() == ["1", "2", "3"]
    with (
        running(dataset, tmp_path / "ratings", *options) as app,
        visit(browser, app.addresses["Ann"], "likert") as page,
    ):
        assert ready(page) == waiting
        press(page, "4")
        assert app.answers("Ann", "likert")["value"].tolist() == ["1", "2", "3", "4"]


@pytest.mark.slow
def test_an_answer_that_cant_be_saved_is_not_passed_over(
    running: Starter, browser: Browser, dataset: Path, tmp_path: Path
) -> None:
    options = ("--tasks", "likert", "--per-scan", "3", "--practice", "0", "--raters", "Ann", "--port")
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    context = browser.new_context()
    page = context.new_page()
    with running(dataset, tmp_path / "ratings", *options, port) as app:
        page.goto(app.addresses["Ann"])
        page.goto(f"http://127.0.0.1:{port}/rate/likert")
        before = ready(page)
        app.kill()
        page.keyboard.press("4")
        page.wait_for_selector("#status.wrong")
        assert "Not saved yet" in page.inner_text("#status")
        assert ready(page) == before
        page.keyboard.press("2")  # nothing more is taken while one answer waits
    with running(dataset, tmp_path / "ratings", *options, port) as app:
        page.wait_for_selector("text=open the address", timeout=20_000)
        assert "Your last answer is not saved" in page.inner_text("#status")
        again = context.new_page()
        again.goto(app.addresses["Ann"])
        again.goto(f"http://127.0.0.1:{port}/rate/likert")
        assert ready(again) == before, "the item comes again"
    context.close()


def test_a_store_that_cant_be_written_for_a_while_costs_no_answer(browser: Browser, app: Any) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(app.addresses["full"])
    page.goto(page.url.rstrip("/") + "/rate/likert")
    before = ready(page)
    page.route("**/answer", lambda route: route.fulfill(status=503, body="disk full"))
    page.keyboard.press("4")
    page.wait_for_selector("#status.wrong")
    assert "Not saved yet" in page.inner_text("#status")
    assert ready(page) == before
    page.unroute("**/answer")
    ready(page, before)
    page.route("**/undo", lambda route: route.fulfill(status=500, body="Internal Server Error"))
    page.keyboard.press("u")
    page.wait_for_selector("#status.wrong")
    assert "taken back" not in page.inner_text("#status")
    context.close()
    assert app.answers("full", "likert")["value"].tolist() == ["4"]


def test_two_readers_at_once(browser: Browser, app: Any) -> None:
    with (
        visit(browser, app.addresses["first"], "pairwise") as one,
        visit(browser, app.addresses["second"], "pairwise") as two,
    ):
        for _ in range(3):
            before = [ready(one), ready(two)]
            one.keyboard.press("ArrowLeft")
            two.keyboard.press("ArrowRight")
            assert ready(one, before[0]) != ready(two, before[1])
    assert app.answers("first", "pairwise")["value"].tolist() == ["left"] * 3
    assert app.answers("second", "pairwise")["value"].tolist() == ["right"] * 3


def test_two_windows_of_one_reader_dont_answer_twice(browser: Browser, app: Any) -> None:
    with visit(browser, app.addresses["hostile"], "diagnostic") as page:
        # a page of the same browser, opened beside
        other = page.context.new_page()
        other.goto(page.url)
        shown = ready(other)
        assert ready(page) == shown
        press(page, "1")
        press(other, "0")
        assert "another window" in other.inner_text("#status")
    assert app.answers("hostile", "diagnostic")["value"].tolist() == ["1"]


@pytest.mark.slow
def test_typing_is_only_text_and_hostile_words_stay_words(
    running: Starter, browser: Browser, dataset: Path, tmp_path: Path
) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text(f"{HOSTILE[:70]}\nMetal\n")
    options = ("--tasks", "likert", "--artifact-list", str(listed), "--practice", "0")
    with running(dataset, tmp_path / "ratings", *options) as app, visit(browser, app.addresses["Open"]) as page:
        page.get_by_label("Your name").fill(HOSTILE[:90])
        page.keyboard.press("Enter")
        page.wait_for_selector(".tasks")
        page.get_by_role("link", name="Quality 1 to 5").click()
        before = ready(page)
        assert "<img src=x onerror" in page.inner_text("#artifacts")
        page.get_by_label("<img src=x").check()
        page.keyboard.press("c")
        page.keyboard.type("skip u z 1 2 3 " + HOSTILE)
        assert ready(page) == before, "letters in the field are no keys"
        page.keyboard.press("Escape")
        press(page, "3")
        assert page.get_by_label("Comment, saved").input_value() == ""
        assert page.title() != "owned"
        assert page.locator('img[src="x"]').count() == 0
        table = app.answers(HOSTILE[:90], "likert")
        assert table["comment"].tolist() == ["skip u z 1 2 3 " + HOSTILE]
        assert table["artifacts"].tolist() == [[re.sub(r"\W+", "_", HOSTILE[:70].lower()).strip("_")[:40]]]


def test_a_pause_is_marked_and_time_begins_with_the_pictures(browser: Browser, app: Any) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.clock.install()
    page.goto(app.addresses["idle"])
    page.goto(page.url.rstrip("/") + "/rate/likert")
    ready(page)
    page.clock.fast_forward(5_000)
    press(page, "2")
    page.clock.fast_forward(90_000)
    press(page, "3")
    context.close()
    table = app.answers("idle", "likert")
    assert table["idle"].tolist() == [False, True]
    assert 5_000 <= table["rt_ms"].iloc[0] < 60_000
    assert table["rt_ms"].iloc[1] >= 90_000


@pytest.mark.slow
def test_stacks_are_paged_zoomed_and_compared_with_the_reference(
    running: Starter, browser: Browser, dataset: Path, tmp_path: Path
) -> None:
    options = ("--unit", "volume", "--plane", "coronal", "--reference", "--practice", "0", "--raters", "Ann")
    with (
        running(dataset, tmp_path / "ratings", *options) as app,
        visit(browser, app.addresses["Ann"], "pairwise") as page,
    ):
        assert page.locator("figure").count() == 3
        assert page.locator("figcaption").all_inner_texts() == ["Left", "Reference: as acquired", "Right"]
        number = page.locator("#slice-number")
        start = number.inner_text()
        source = page.locator(".frame img").first.get_attribute("src")
        page.keyboard.press("PageUp")
        assert number.inner_text() != start
        assert page.locator(".frame img").first.get_attribute("src") != source
        page.keyboard.press("PageDown")
        assert number.inner_text() == start
        page.keyboard.press("z")
        assert "Zoom 2×" in page.inner_text("#zoom")
        styles = page.evaluate("[...document.querySelectorAll('.frame img')].map((one) => one.style.transform)")
        assert len(set(styles)) == 1
        assert "scale(2)" in styles[0]
        page.keyboard.press("Shift+ArrowRight")
        moved = page.evaluate("[...document.querySelectorAll('.frame img')].map((one) => one.style.transform)")
        assert moved != styles
        assert len(set(moved)) == 1
        boxes = [page.locator(".frame").nth(at).bounding_box() for at in range(3)]
        assert len({(round(box["width"]), round(box["height"])) for box in boxes if box}) == 1, "the same size for all"
        press(page, "ArrowLeft")
        table = app.answers("Ann", "pairwise")
    assert table["zoomed"].tolist() == [True]
    assert table["plane"].tolist() == ["coronal"]
    assert table["slices"].iloc[0] > 10


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("task", ["pairwise", "ruler_threshold", "likert"])
def test_everything_has_a_name_and_fits_a_phone(
    browser: Browser, app: Any, dataset: Path, task: str, scheme: Any, request: pytest.FixtureRequest
) -> None:
    page = request.getfixturevalue("phone")
    page.emulate_media(color_scheme=scheme)
    page.goto(page.url.split("/rate")[0].rstrip("/") + f"/rate/{task}")
    ready(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    nameless = """() => [...document.querySelectorAll('input:not([hidden]), button, textarea, [role=group], img')]
      .filter(one => !(one.labels && one.labels.length) && !one.ariaLabel && !one.textContent.trim()
        && !one.getAttribute('aria-labelledby') && one.getAttribute('alt') === null)
      .map(one => one.outerHTML)"""
    assert page.evaluate(nameless) == []
    frame = page.locator(".frame").first.bounding_box()
    image = page.evaluate("(() => { const one = document.querySelector('.frame img');"
                          "return one.naturalWidth / one.naturalHeight; })()")  # fmt: skip
    assert frame
    assert frame["width"] / frame["height"] == pytest.approx(image, rel=0.03), "3 mm voxels: no picture is stretched"


@pytest.fixture(scope="module")
def phone(browser: Browser, app: Any) -> Iterator[Page]:
    """A narrow window of a reader who looks at several tasks."""
    context = browser.new_context(viewport={"width": 360, "height": 740})
    page = context.new_page()
    page.goto(app.addresses["phone"])
    yield page
    context.close()


def test_help_tells_the_keys_and_takes_none(browser: Browser, app: Any) -> None:
    with visit(browser, app.addresses["zoom"], "pairwise") as page:
        before = ready(page)
        page.keyboard.press("?")
        assert page.locator("#help-text").is_visible()
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("s")
        assert ready(page) == before
        page.keyboard.press("Escape")
        assert not page.locator("#help-text").is_visible()
        for _ in range(3):
            page.keyboard.press("k")
        press(page, "ArrowDown")
    table = app.answers("zoom", "pairwise")
    assert table["value"].tolist() == ["similar"]
    assert table["confidence"].tolist() == [2]


def test_a_stranger_sees_nothing(browser: Browser, app: Any) -> None:
    context = browser.new_context()
    page = context.new_page()
    used = app.addresses["zoom"]
    for address in (used, used.split("/?")[0] + "/rate/likert", used.split("/?")[0]):
        reply = page.goto(address)
        assert reply
        assert reply.status == 403
        assert "This address is closed" in page.inner_text("main")
    context.close()
