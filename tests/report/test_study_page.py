# SPDX-License-Identifier: Apache-2.0
"""The study's page as text, and the charts on both pages."""

from __future__ import annotations

import io
import itertools
import math
import re
from dataclasses import replace

import pytest
from PIL import Image

from bidsqa.models import SCORES
from bidsqa.report import charts, render_study, study_plots
from bidsqa.report.study_scan import Limit, StudyScan, StudyValue, worst_first

NASTY = "</script><script>alert(1)</script><b onclick=x>\"'{{7*7}}"
VALUES = [StudyValue("ssim", "Motion", "What it tells.", "higher is better"), StudyValue("cjv", "cjv", "Spread.", "")]


def scan(name: str, decision: str = "pass", ssim: float | None = 0.9, **more: object) -> StudyScan:
    fields: dict[str, object] = {
        "name": name,
        "suffix": "T1w",
        "site": "here",
        "entities": {"sub": "01"},
        "status": "ok",
        "decision": decision,
        "reasons": [] if decision == "pass" else [("motion: too much", "repeat it")],
        "outliers": [],
        "values": {"ssim": ssim, "cjv": None},
        "page": f"{name}.html",
    }
    return StudyScan(**{**fields, **more})  # type: ignore[arg-type]


def test_counts_and_links() -> None:
    html = render_study([scan("a"), scan("b", "fail", 0.3), scan("c", "review", 0.7), scan("d")], VALUES)
    counts = re.findall(r"<strong>(\d+)</strong> (\w+)", html)
    assert counts == [("1", "fail"), ("1", "review"), ("2", "pass")]
    table = html[html.index('id="table"') :]
    assert re.findall(r'<th scope="row"><a href="(\w)\.html">', table) == ["b", "c", "a", "d"]
    assert "motion: too much" in html


def test_shares_never_hide_a_scan() -> None:
    html = render_study([scan(str(at)) for at in range(999)] + [scan("x", "fail")], VALUES)
    assert "&lt;1</span> %" in html
    assert "&gt;99</span> %" in html


def test_hostile_texts_stay_text() -> None:
    entry = scan(
        NASTY,
        "fail",
        site=NASTY,
        suffix=NASTY,
        reasons=[(NASTY, NASTY)],
        page="x.html",
        thumbnail=b"junk" + NASTY.encode(),
    )
    other = scan("b", site="there", suffix="T2w")
    html = render_study([entry, other], VALUES, notes=[NASTY], problems=[NASTY])
    own = html.replace(study_plots.library(), "")
    assert own.count("<script") == 5  # three of the page, two blocks of data
    assert own.count("</script") == 5
    assert "<b " not in own
    assert "49" not in html[html.index("<body") :].replace("\n", "")[:2000]


def test_an_odd_value_is_a_dash() -> None:
    html = render_study([scan("a", ssim=None), scan("b", ssim=math.nan)], VALUES)
    assert html.count("<td>–</td>") == 4


def test_limits_show_where_scores_change_their_reading() -> None:
    html = render_study([scan("a"), scan("b", "review", 0.7)], VALUES)
    assert "limit 0.85" in html
    assert "limit 0.6" in html


def test_strip_chart_marks_every_scan() -> None:
    entries = [{"value": at / 10, "decision": "pass", "name": f"s{at}", "page": f"s{at}.html"} for at in range(10)]
    entries.append({"value": 5.0, "decision": "fail", "name": "<bad>", "page": 'x".html'})
    drawn = str(charts.strip_chart({"T1w": entries}, "all"))
    assert drawn.count("h0") == 10
    assert drawn.count("<a ") == 1
    assert "&lt;bad&gt;: 5 (fail)" in drawn
    assert 'href="x&quot;.html"' in drawn


def entries(*values: float) -> list[dict[str, object]]:
    return [{"value": value, "decision": "pass", "name": "s", "page": "s.html"} for value in values]


@pytest.mark.parametrize(("values", "median"), [((1, 2, 3, 10), "2.50"), ((1, 2, 10), "2"), ((4, 1), "2.50")])
def test_the_bar_is_the_median(values: tuple[float, ...], median: str) -> None:
    drawn = str(charts.strip_chart({"T1w": entries(*values)}, "x"))
    assert re.findall(r"<title>median ([\d.]+)</title>", drawn) == [median]


def test_one_scan_is_a_point_and_no_bar() -> None:
    drawn = str(charts.strip_chart({"T1w": entries(1.0), "T2w": entries(0.5, 2.0)}, "x"))
    assert drawn.count("h0") == 3
    assert drawn.count('class="median"') == 1


def test_long_names_of_groups_are_whole() -> None:
    name = "T1w · Siemens MAGNETOM Prisma fit 3 T"
    drawn = str(charts.strip_chart({name: entries(1.0), "T2w": entries(2.0)}, "x"))
    assert f">{name}<title>" in drawn
    wide = str(charts.strip_chart({"x" * 200: entries(1.0)}, "x"))
    assert re.search(">x{60,75}…<title>", wide)


def test_numbers_under_a_strip_keep_apart() -> None:
    drawn = str(charts.strip_chart({"T1w": entries(0.45, 3.0)}, "x", limits=(0.5, 1.0)))
    ticks = re.findall(r'<text class="tick" x="(\d+)"', drawn)
    assert len(ticks) == 3
    assert min(abs(int(a) - int(b)) for a in ticks for b in ticks if a != b) >= charts.TICK_ROOM


def test_a_limit_of_one_suffix_is_drawn_in_its_row_alone() -> None:
    drawn = str(charts.strip_chart({"T1w": entries(1.0), "T2w": entries(2.0)}, "x", limits=(1.5,), own={"T2w": [1.8]}))
    heights = {
        float(text): abs(float(bottom) - float(top))
        for top, bottom, text in re.findall(r'd="M[\d.]+ ([\d.]+)V([\d.]+)"><title>limit ([\d.]+)<', drawn)
    }
    assert heights == {1.5: 2 * charts.ROW_HEIGHT + 4, 1.8: charts.ROW_HEIGHT}
    value = replace(VALUES[0], limits=[Limit(0.7, "accepts from", "T2w"), Limit(0.5, "fail below")])
    html = render_study([scan("a"), scan("b", suffix="T2w")], [value])
    rows = re.findall(r'd="M[\d.]+ ([\d.]+)V([\d.]+)"><title>limit 0.7<', html)
    assert [float(bottom) - float(top) for top, bottom in rows] == [charts.ROW_HEIGHT]


def test_readings_of_a_ruler_are_no_limits() -> None:
    value = StudyValue("noise_motion", "Noise", "", "higher is better")
    assert not value.drawn_limits, "no person has set a standard"
    assert replace(value, limits=[Limit(4.5, "accepts from")]).drawn_limits


def test_scans_that_were_not_assessed_say_why_and_what_to_do() -> None:
    told = [("not assessed: the file is <cut off>", "copy it again")]
    lost = [scan(f"lost{at:02d}", "fail", None, status="failed", reasons=told) for at in range(62)]
    html = render_study([scan("a"), *lost], VALUES)
    flagged = html[html.index('id="worst"') : html.index('id="pictures"')]
    assert flagged.count("the file is &lt;cut off&gt;") == 60
    assert flagged.count("copy it again") == 60
    assert flagged.count('<span class="chip">not assessed</span>') == 60
    assert "And 2 more" in flagged


def test_a_card_names_every_cause_once() -> None:
    picture = io.BytesIO()
    Image.new("L", (4, 4)).save(picture, "WEBP")
    reasons = [("motion: too much", ""), ("noise: too much", ""), ("noise: again", ""), ("odd", "")]
    html = render_study([scan("a", "fail", reasons=reasons, thumbnail=picture.getvalue())], VALUES)
    assert re.findall(r'class="chip">([^<]*)<', html) == ["motion", "noise"]


def test_many_flagged_scans_stay_light() -> None:
    rows = [{"value": at / 9, "decision": "fail" if at % 2 else "review", "name": "s", "page": "s"} for at in range(60)]
    drawn = str(charts.strip_chart({"T1w": rows}, "all"))
    assert drawn.count("<a ") == 0
    assert len(re.findall(r"M[\d.]+ [\d.]+m-3-3l6 6", drawn)) == 30
    assert len(re.findall(r"M[\d.]+ [\d.]+m0-4l4 7h-8z", drawn)) == 30


def test_a_wild_value_does_not_squeeze_the_rest_but_a_bad_group_is_not_hidden() -> None:
    rest = [1 + at / 100 for at in range(50)]
    one, group = charts._view(sorted([*rest, 1000.0])), charts._view(sorted([*rest, *([1000.0] * 5)]))
    assert one[1] < 20
    assert group[1] == 1000.0


def test_limits_of_the_rules_take_the_place_of_readings() -> None:
    value = StudyValue("ssim", "Motion", "", "higher is better", limits=[Limit(0.7, "fail below")])
    assert [limit.value for limit in value.drawn_limits] == [0.7]
    assert [limit.value for limit in VALUES[0].drawn_limits] == [0.6, 0.85]
    assert (value.bad_side, VALUES[1].bad_side) == (-1, 0)


def test_worst_first_within_decisions_and_not_assessed_last() -> None:
    scans = [scan("a"), scan("b", "fail", 0.5), scan("c", "fail", 0.3), scan("d", "fail", None, status="failed")]
    html = render_study(scans, VALUES)
    assert re.findall(r'<th scope="row"><a href="(\w)\.html">', html) == ["c", "b", "d", "a"]


def test_scans_without_scores_are_sorted_by_their_distance_and_unjudged_ones_come_last() -> None:
    bare = {name: scan(name, "review", None) for name in "abcd"}
    scans = [
        bare["a"],
        replace(bare["b"], distance=2.0),
        replace(bare["c"], distance=9.0, unjudged=True),
        replace(bare["d"], distance=5.0),
        scan("e", "review", 0.9),
    ]
    assert [found.name for found in worst_first(scans)] == ["e", "d", "b", "a", "c"]


@pytest.mark.parametrize("values", [[0.5], [0.5, 0.5, 0.5], [1e-9, 2e-9], [-1e6, 1e6], list(range(100))])
def test_charts_stay_inside_their_frame(values: list[float]) -> None:
    readings = [("good", 0.85, 1.0), ("usable", 0.6, 0.85), ("rescan", 0.0, 0.6)]
    drawn = str(charts.slice_chart("axial", list(range(len(values))), values, readings, "x"))
    for x, y in re.findall(r"translate\(([-\d.e]+) ([-\d.e]+)\)", drawn):
        assert 0 <= float(x) <= charts.WIDTH
        assert 0 <= float(y) <= charts.HEIGHT
    assert "nan" not in drawn


@pytest.mark.parametrize("name", SCORES)
def test_the_names_of_bands_fit_the_margin(name: str) -> None:
    row = SCORES[name]
    edges = [edge for reading in row.readings for edge in (reading.low, reading.high) if abs(edge) < 1e6]
    values = [min(edges) - 1, *edges, max(edges) + 1]
    readings = [(reading.name, reading.low, reading.high) for reading in row.readings]
    drawn = str(charts.slice_chart("axial", list(range(len(values))), values, readings, "x"))
    found = re.findall(rf'<text class="tick" x="{charts.WIDTH - charts.RIGHT + 5}" y="([\d.]+)">([^<]*)<', drawn)
    assert found
    # a letter of 11 pixels is 5.7 wide in the mean
    assert all(5.7 * len(text) <= charts.RIGHT - 5 for _, text in found)
    heights = sorted(float(y) for y, _ in found)
    assert all(below - above >= charts.LINE_HEIGHT - 1 for above, below in itertools.pairwise(heights))


def test_a_band_too_narrow_for_its_name_shows_the_beginning() -> None:
    readings = [("like clean scans", -2.0, 90.0), ("ranked lower", -4.0, -2.0), ("worse", -90.0, -4.0)]
    drawn = str(charts.slice_chart("axial", [1, 2], [-10.0, 2.0], readings, "x"))
    assert ">ranked…</text>" in drawn
    assert ">lower</text>" not in drawn


def test_marks_follow_the_readings() -> None:
    readings = [("good", 0.85, 1.0), ("usable", 0.6, 0.85), ("rescan", 0.0, 0.6)]
    drawn = str(charts.slice_chart("axial", [1, 2, 3, 4], [1.0, 0.85, 0.7, 0.1], readings, "x"))
    assert re.findall(r'class="mark (\w+)"', drawn) == ["pass", "pass", "review", "fail"]
