# SPDX-License-Identifier: Apache-2.0
"""Both pages in Chromium with texts of participants.tsv that try to be more, or are in the way: they stay text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bidsqa.bids import names
from bidsqa.bids.participants import keep_copy
from bidsqa.report import render_scan
from bidsqa.study import run_group
from bidsqa.validation.example_records import example_record, failed_record
from bidsqa.verdict import load_rules

Visit = Callable[..., Any]
MARKUP = "<img src=x onerror=alert(1)></script><script>document.title='owned'</script>"
SITES = (
    MARKUP,
    "=cmd|' /C calc'!A0",
    "مستشفى الملك فيصل التخصصي",
    "東京大学 放射線科",
    "W" * 300,
    "\u202eevil $\\frac{1}{2}$",
)
LONG = f"sub-{'Long' * 20}_acq-{'verylong' * 6}_T1w"


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scans of six oddly named sites, and one with a name that is as long as they get."""
    data, out, rules = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("odd"), load_rules()
    (data / "dataset_description.json").write_text("{}")
    table = f"participant_id\tsite\t=HYPERLINK(1)\n{LONG.partition('_')[0]}\t{SITES[2]}\t{MARKUP}\n"
    scans = [LONG]
    for at in range(12):
        scans.append(f"sub-{at:02d}_T1w")
        table += f"sub-{at:02d}\t{SITES[at % 6]}\t{MARKUP}\n"
    (data / "participants.tsv").write_text(table, encoding="utf-8")
    keep_copy(data, out)
    for at, name in enumerate(scans):
        record = example_record(name, seed=at, damage=0.5 if at < 3 else 0.0, rules=rules)
        names.record_path(out, name).parent.mkdir(parents=True, exist_ok=True)
        names.record_path(out, name).write_text(record.dumps(), encoding="utf-8")
        names.page_path(out, name).write_text(render_scan(record, {}), encoding="utf-8")
    run_group(out)
    return out


def test_texts_stay_texts_everywhere(visit: Visit, odd: Path) -> None:
    with visit(odd / "group.html", ready="#figures[data-drawn]") as page:
        assert page.title() != "owned"
        told = page.inner_text("#site-counts")
        assert all(site in told for site in (*SITES[:4], "evil $\\frac{1}{2}$"))
        page.locator("#by-site").select_option(SITES[2])
        assert page.locator("#shown").inner_text() == "3 of 13 scans shown"
        assert page.locator('img[src="x"]').count() == 0
    with visit(odd / "sub-00_T1w.html") as page:
        assert page.title() != "owned"


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_leaves_its_place(visit: Visit, odd: Path, width: int) -> None:
    with visit(odd / "group.html", ready="#figures[data-drawn]", viewport={"width": width, "height": 800}) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        decision = page.locator("#table thead th").nth(1).bounding_box()
        assert decision
        assert decision["x"] < 0.8 * width, "a long name leaves room for the decision"
        for label in page.locator("#distributions svg .group").all():
            own, chart = label.bounding_box(), label.locator("xpath=ancestor::figure[1]").bounding_box()
            assert own
            assert chart
            assert own["x"] + own["width"] <= chart["x"] + chart["width"] + 1
    with visit(odd / f"{LONG}.html", viewport={"width": width, "height": 800}) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_study_of_one_scan_and_of_none_that_was_assessed(visit: Visit, tmp_path: Path) -> None:
    for folder, record in (
        ("one", example_record("sub-01_T1w", rules=load_rules())),
        ("none", failed_record("sub-01_T1w", rules=load_rules())),
    ):
        path = names.record_path(tmp_path / folder, "sub-01_T1w")
        path.parent.mkdir(parents=True)
        path.write_text(record.dumps(), encoding="utf-8")
        run_group(tmp_path / folder)
    with visit(tmp_path / "one" / "group.html", ready="#figures[data-drawn]") as page:
        assert page.locator("#shown").inner_text() == "1 scan shown"
        assert page.locator("#extremes").inner_text() == ""
        assert "that takes 8 scans of a suffix at a site" in page.inner_text("#summary")
    with visit(tmp_path / "none" / "group.html") as page:
        assert "stand" not in page.inner_text("#summary")
        assert page.locator("#distributions, #plots:visible").count() == 0
        assert page.get_by_role("link", name="Chief values").count() == 0


def test_the_tables_hold_the_texts_as_they_were(odd: Path) -> None:
    lines = (odd / "group_T1w.tsv").read_text(encoding="utf-8").splitlines()
    header = lines[0].split("\t")
    first = dict(zip(header, lines[1].split("\t"), strict=True))
    assert (first["site"], first["=HYPERLINK(1)"]) == (MARKUP, MARKUP)
