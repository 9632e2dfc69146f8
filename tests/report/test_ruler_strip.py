# SPDX-License-Identifier: Apache-2.0
"""The scan beside its ruler: pictures, scale and words."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bidsqa.image import Volume, take_slice
from bidsqa.models import Score, SliceScores
from bidsqa.report import draw_ruler_strip, render_scan
from bidsqa.report.page import picture
from bidsqa.report.ruler_strip import SIDE, STRIP, ruler_readings, ruler_view
from bidsqa.rulers import Kind, Ruler, Threshold
from bidsqa.validation.example_records import example_record

SCAN = "ruler-scan-axial-064.png"
LEVELS = [12.0, 15.0, 18.0, 21.0, 24.0, 27.0, 30.0, 33.0]


def said(value: float = 3.2, **other: Any) -> dict[str, Any]:
    """A score as the record holds it."""
    ruler = {
        "name": "T1w-3D",
        "why": ["the site's own ruler", "T1w as the scan"],
        "sha256": "a" * 64,
        "levels": LEVELS,
        "version_score": round(value),
        "place": value,
        "threshold": 4.5,
        "threshold_set_by": "a person",
        "passes": value >= 4.5,
        "outside": None,
    }
    slices = [{"plane": "axial", "index": [60, 62, 64], "value": [3.0, 3.2, 3.3]}]
    return {
        "value": min(max(value, 0.0), 7.0),
        "uncertainty": 0.2,
        "unit": "",
        "slices": slices,
        "p_motion": 0.12,
        "raw": 21.6,
        "cause": "noise",
        "ruler": ruler | other,
    }


@pytest.fixture
def ruler(t1w: Volume) -> Ruler:
    image = np.clip(take_slice(t1w.data, 2, 70), 0, None)
    rng = np.random.default_rng(0)
    images = [np.abs(image + rng.normal(0, 80 - 11 * version, image.shape)) for version in range(8)]
    return Ruler("T1w-3D", np.stack(images).astype(np.float32), Kind("T1w", "3D"), Threshold(4.5), sha256="a" * 64)


def scored() -> Score:
    plain = said()
    return Score(3.2, 0.2, "", (SliceScores("axial", (60, 62, 64), (3.0, 3.2, 3.3)),), {"ruler": plain["ruler"]})


def test_pictures(t1w: Volume, ruler: Ruler) -> None:
    drawn = draw_ruler_strip(t1w, scored(), [ruler])
    assert set(drawn) == {STRIP, SCAN}
    strip, own = (np.asarray(Image.open(io.BytesIO(drawn[name]))) for name in (STRIP, SCAN))
    assert strip.shape == (SIDE, 8 * SIDE)
    assert own.shape == (SIDE, SIDE)
    rough = [np.abs(np.diff(strip[:, at * SIDE : (at + 1) * SIDE].astype(int))).mean() for at in range(8)]
    assert rough == sorted(rough, reverse=True)
    # the scored slice that is nearest to the height of rulers' slices, pixel by pixel
    wanted = np.clip(take_slice(t1w.data, 2, 64), 0, None)
    shown = np.rint(np.clip(wanted * 255 / np.percentile(wanted, 99.5), 0, 255))
    at = np.argwhere((shown[20:-20, 20:-20] > 100) & (shown[20:-20, 20:-20] < 240))[0] + 20
    patch = shown[at[0] - 1 : at[0] + 2, at[1] - 1 : at[1] + 2]
    found = np.lib.stride_tricks.sliding_window_view(own, (3, 3))
    assert (np.abs(found - patch).max(axis=(2, 3)) <= 1).any()


def test_a_ruler_that_is_not_at_hand_is_not_drawn(t1w: Volume, ruler: Ruler) -> None:
    assert draw_ruler_strip(t1w, scored(), []) == {}
    changed = Ruler(ruler.name, ruler.versions, ruler.kind, ruler.threshold, sha256="b" * 64)
    assert draw_ruler_strip(t1w, scored(), [changed]) == {}


@pytest.mark.parametrize(
    ("score", "told", "accepts", "word"),
    [
        (
            said(3.2),
            "As noisy as version 3 of ruler T1w-3D (3.2 of 7).",
            "This study accepts from 4.5: not accepted.",
            "not accepted",
        ),
        (said(5.0), "As noisy as version 5", "accepts from 4.5: accepted.", "accepted"),
        (said(-1.0, outside="below"), "Noisier than the worst version of ruler T1w-3D.", "not acc", "not accepted"),
        (said(7.4, outside="above"), "Less noisy than the original of ruler T1w-3D.", "accepted", "accepted"),
        (
            said(3.2, threshold_set_by="automatic rule, no human"),
            "As noisy as version 3",
            "No person has set a standard on this ruler; by the default of 4.5 the scan would not be accepted.",
            "no standard set",
        ),
    ],
)
def test_words(score: dict[str, Any], told: str, accepts: str, word: str) -> None:
    shown = ruler_view(score, {})
    assert shown is not None
    assert told in shown["told"]
    assert accepts in shown["accepts"]
    assert shown["word"] == word
    assert shown["motion"] == "Motion: probability 0.12."
    assert shown["why"] == "the site's own ruler; T1w as the scan"


def place_of(score: dict[str, Any]) -> float:
    shown = ruler_view(score, {})
    assert shown is not None
    found = re.search(r'class="here" d="M(\d+) ', str(shown["axis"]))
    assert found
    return float(found[1]) / 100 - 0.5


def test_the_scale_shows_the_place() -> None:
    assert place_of(said(3.2)) == pytest.approx(3.2, abs=0.01)
    assert place_of(said(0.0)) == 0.0
    assert place_of(said(-9.0, outside="below")) == pytest.approx(-0.4)
    assert place_of(said(12.0, outside="above")) == pytest.approx(7.4)
    axis = str(ruler_view(said(3.2), {})["axis"])  # type: ignore[index]
    assert 'd="M500 0V' in axis  # 4.5
    assert 'role="img" aria-label="As noisy as version 3 of ruler T1w-3D (3.2 of 7). This study accepts' in axis


@pytest.mark.parametrize("score", [{}, {"ruler": 3}, {"value": 3.0}, {"value": None, "ruler": {}}, {"ruler": {}}])
def test_no_place_no_ruler(score: dict[str, Any]) -> None:
    assert ruler_view(score, {}) is None
    assert ruler_readings(score) == []


def test_motion_slice_by_slice() -> None:
    parts = [{"plane": "axial", "index": [60, 62, 64], "value": [0.1, 0.97, 0.5]}, {"plane": "coronal"}, 7]
    shown = ruler_view(said() | {"p_motion_slices": parts}, {})
    assert shown is not None
    (chart,) = shown["motion_charts"]
    assert 'aria-label="Probability of motion of 3 axial slices, highest 0.97 at slice 62"' in chart
    assert chart.count('class="mark pass"') == 1
    assert chart.count('class="mark fail"') == 2


def test_on_the_page(t1w: Volume, ruler: Ruler) -> None:
    record = example_record("sub-01_T1w", "T1w", seed=1)
    record.scores["noise_motion"] = said(3.2, name="<b>ours</b>")
    figures = draw_ruler_strip(t1w, scored(), [ruler])
    page = render_scan(record, figures)
    assert page.count('class="ruler-row"') == 1
    assert picture(figures[STRIP])["src"] in page
    assert picture(figures[SCAN])["src"] in page
    assert "this scan, axial slice 64" in page
    assert "&lt;b&gt;ours&lt;/b&gt;" in page
    assert "<b>ours" not in page
    assert '<span class="reading">not accepted</span>' in page
    assert "accepted" in page
    assert 'class="ruler-row"' not in render_scan(example_record("sub-01_T1w", "T1w", seed=1), figures)
    without = render_scan(record, {})
    assert 'class="ruler-row"' in without
    assert "ruler-axis" in without


def test_ranges_of_the_slices_chart() -> None:
    assert ruler_readings(said()) == [("accepted", 4.5, 7.0), ("noisier", 0.0, 4.5)]
    assert ruler_readings(said(threshold=0.0)) == []
    assert ruler_readings(said(threshold_set_by="automatic rule, no human")) == []


def test_what_nobody_has_set_has_no_colour_of_a_verdict() -> None:
    automatic = str(ruler_view(said(threshold_set_by="automatic rule, no human"), {})["axis"])  # type: ignore[index]
    assert "band" not in automatic
    assert "default 4.5" in automatic
    assert "band pass" in str(ruler_view(said(), {})["axis"])  # type: ignore[index]
