# SPDX-License-Identifier: Apache-2.0
"""From the network's output to a place on a ruler, and rulers that a network can't read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bidsqa.errors import InputError, NotComputable
from bidsqa.models import Score, SliceScores
from bidsqa.rulers import Kind, Match, Ruler, Threshold, place_scan, read_on_ruler, ruler_levels
from bidsqa.rulers.ruler import PERSON

LEVELS = (18.0, 20.0, 23.0, 24.0, 27.0, 29.0, 32.0, 34.0)


def score(value: float = 21.5, **extra: object) -> Score:
    parts = (SliceScores("axial", (10, 12, 14), (20.0, 21.5, 40.0)),)
    told = {"p_motion": 0.1, "median": value, "p10": 20.0, "sd": 1.5, "planes": {"axial": 25.5}}
    return Score(value, 0.3, "", parts, told | extra)


def test_the_place_of_a_scan(ruler: Ruler) -> None:
    match = Match(ruler.with_threshold(Threshold(1.5, PERSON)), ("T1w as the scan",))
    found = read_on_ruler(score(), match, LEVELS)
    assert found.value == pytest.approx(1.5)
    assert found.uncertainty == pytest.approx(0.1)
    assert found.slices[0].index == (10, 12, 14)
    assert found.slices[0].value == pytest.approx((1.0, 1.5, 7.0))
    assert found.extra["raw"] == 21.5
    assert found.extra["raw_uncertainty"] == 0.3
    assert found.extra["median"] == pytest.approx(1.5)
    assert found.extra["p10"] == pytest.approx(1.0)
    assert found.extra["sd"] == pytest.approx(0.5)
    assert found.extra["planes"] == {"axial": pytest.approx(3.5)}
    assert found.extra["ruler"] == {
        "name": "our-T1w",
        "why": ["T1w as the scan"],
        "sha256": "",
        "levels": list(LEVELS),
        "version_score": 1,
        "place": pytest.approx(1.5),
        "threshold": 1.5,
        "threshold_set_by": PERSON,
        "passes": True,
        "outside": None,
    }


@pytest.mark.parametrize(
    ("value", "motion", "cause"),
    [(33.0, 0.2, "none"), (19.0, 0.2, "noise"), (33.0, 0.97, "motion"), (19.0, 0.97, "noise and motion")],
)
def test_the_cause(ruler: Ruler, value: float, motion: float, cause: str) -> None:
    found = read_on_ruler(score(value, p_motion=motion), Match(ruler, ()), LEVELS)
    assert found.extra["cause"] == cause
    assert found.extra["p_motion"] == motion


def test_beyond_the_ends(ruler: Ruler) -> None:
    found = read_on_ruler(score(10.0), Match(ruler, ()), LEVELS)
    assert (found.value, found.extra["ruler"]["place"], found.extra["ruler"]["outside"]) == (0.0, -4.0, "below")
    assert read_on_ruler(score(40.0), Match(ruler, ()), LEVELS).extra["ruler"]["outside"] == "above"


def test_levels_are_measured_once_for_weights_and_images(grain_scorer: Any, ruler: Ruler) -> None:
    known = replace(ruler, sha256="a" * 64)
    grain_scorer.sha256 = "weights-of-this-test"
    first = ruler_levels(grain_scorer, known)
    assert sorted(first) == list(first)
    assert ruler_levels(grain_scorer, known) == first
    assert grain_scorer.asked == 1
    ruler_levels(grain_scorer, replace(known, sha256="b" * 64))
    assert grain_scorer.asked == 2
    grain_scorer.sha256 = "others"
    ruler_levels(grain_scorer, known)
    assert grain_scorer.asked == 3


def test_a_ruler_out_of_order_is_refused_in_words(grain_scorer: Any, ruler: Ruler) -> None:
    order = [0, 1, 3, 2, 4, 5, 6, 7]
    mixed = replace(ruler, versions=ruler.versions[order])
    with pytest.raises(InputError, match="version 3 no better than version 2") as caught:
        ruler_levels(grain_scorer, mixed)
    assert "bidsqa-ruler build" in caught.value.hint
    alike = replace(ruler, versions=np.stack([ruler.versions[-1]] * 8))
    with pytest.raises(InputError, match="versions 1, 2, 3, 4, 5, 6 and 7 no better"):
        ruler_levels(grain_scorer, alike)


def test_a_scan_is_placed_on_the_nearest_ruler(grain_scorer: Any, ruler: Ruler) -> None:
    levels = ruler_levels(grain_scorer, ruler)
    rulers = [replace(ruler, name="flat", kind=Kind("T1w", "2D")), ruler]
    found = place_scan(score(levels[3]), grain_scorer, Kind("T1w", "3D", 3.0, pixel=1.0), rulers)
    assert found.extra["ruler"]["name"] == "our-T1w"
    assert found.value == pytest.approx(3.0)
    assert found.extra["ruler"]["passes"]


def test_no_ruler_no_score(grain_scorer: Any, ruler: Ruler) -> None:
    with pytest.raises(NotComputable, match="no ruler for T2w"):
        place_scan(score(), grain_scorer, Kind("T2w", "3D"), [ruler])
    with pytest.raises(NotComputable, match="no ruler for T1w of the knee"):
        place_scan(score(), grain_scorer, Kind("T1w", "3D", body_part="knee"), [ruler])
    mixed = replace(ruler, versions=ruler.versions[::-1])
    with pytest.raises(NotComputable, match="can't be used with this network"):
        place_scan(score(), grain_scorer, Kind("T1w", "3D"), [mixed])
