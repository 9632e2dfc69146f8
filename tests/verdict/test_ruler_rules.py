# SPDX-License-Identifier: Apache-2.0
"""What the verdict makes of a scan's place on its ruler."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bidsqa.record import Record
from bidsqa.validation.example_records import example_record
from bidsqa.verdict import decide, load_rules
from bidsqa.verdict.rulers import place_words

PERSON, AUTOMATIC = "a person", "automatic rule, no human"


def placed(value: float = 3.2, threshold: float = 4.5, source: str = PERSON, **other: Any) -> Record:
    record = example_record("sub-01_T1w", "T1w", seed=3)
    ruler = {
        "name": "T1w-3D",
        "version_score": round(value),
        "threshold": threshold,
        "threshold_set_by": source,
        "passes": value >= threshold,
        "outside": None,
    }
    p_motion = other.pop("p_motion", 0.1)
    record.scores["noise_motion"] = {"value": value, "p_motion": p_motion, "slices": [], "ruler": ruler | other}
    return record


def reasons(record: Record, rules: Any = None) -> dict[str, dict[str, Any]]:
    return {reason["rule"]: reason for reason in decide(record, rules or load_rules())["reasons"]}


def test_a_standard_that_is_not_reached() -> None:
    verdict = decide(placed(), load_rules())
    assert verdict["decision"] == "review"
    (reason,) = verdict["reasons"]
    assert reason["text"] == (
        "noise: as noisy as version 3 of ruler T1w-3D; this study accepts from 4.5 and the scan is at 3.2"
    )
    assert (reason["value"], reason["threshold"]) == (3.2, 4.5)
    assert "beside the ruler" in reason["advice"]


def test_a_standard_that_is_reached_says_nothing() -> None:
    assert decide(placed(4.6), load_rules())["decision"] == "pass"


def test_noisier_than_the_whole_ruler() -> None:
    (reason,) = reasons(placed(0.0, outside="below")).values()
    assert reason["text"].startswith("noise: noisier than the worst version of ruler T1w-3D; this study accepts")


def test_an_automatic_threshold_judges_nobody(tmp_path: Path) -> None:
    record = placed(source=AUTOMATIC)
    assert decide(record, load_rules())["decision"] == "pass"
    rules = tmp_path / "ours.toml"
    rules.write_text("[rules.default_ruler]\noff = false\n")
    found = reasons(record, load_rules(rules))
    assert set(found) == {"default_ruler"}
    assert "the default, which no person has set, accepts from 4.5" in found["default_ruler"]["text"]


def test_a_study_may_make_it_a_failure(tmp_path: Path) -> None:
    rules = tmp_path / "ours.toml"
    rules.write_text("[rules.ruler]\nfail_above = 0\n")
    assert decide(placed(), load_rules(rules))["decision"] == "fail"


def test_the_moved_slices_are_those_of_the_probability_not_of_the_noise() -> None:
    record = placed(5.0, p_motion=0.6)
    places = list(range(40, 60))
    record.scores["noise_motion"] |= {
        "slices": [{"plane": "axial", "index": places, "value": [1.0] * 4 + [5.0] * 16}],
        "p_motion_slices": [{"plane": "axial", "index": places, "value": [0.3] * 16 + [0.9] * 4}],
    }
    assert reasons(record)["ruler_motion"]["text"].endswith("axial slices 56-59 worst")


def test_motion_by_its_probability() -> None:
    found = reasons(placed(5.0, p_motion=0.97))
    assert found["ruler_motion"]["text"] == "motion: probability 0.97 is above 0.50"
    assert "ripples" in found["ruler_motion"]["advice"]
    assert not reasons(placed(5.0, p_motion=0.5))


def test_asked_and_not_had_is_a_review() -> None:
    record = example_record("sub-01_T1w", "T1w", seed=3)
    assert decide(record, load_rules())["decision"] == "pass"
    record.reasons_missing["noise_motion"] = "there is no ruler for T1w; build one with bidsqa-ruler"
    verdict = decide(record, load_rules())
    assert verdict["decision"] == "review"
    assert "not known: noise and motion by ruler could not be had: there is no" in verdict["reasons"][0]["text"]
    assert verdict["reasons"][0]["value"] is None


@pytest.mark.parametrize(
    "score",
    [
        None,
        [],
        {},
        {"ruler": None},
        {"ruler": []},
        {"ruler": {"passes": "no"}},
        {"value": "x", "ruler": {"passes": 0, "threshold_set_by": PERSON}},
        {"p_motion": "much"},
    ],
    ids=str,
)
def test_a_score_of_any_shape_breaks_nothing(score: Any) -> None:
    record = example_record("sub-01_T1w", "T1w", seed=3)
    record.scores["noise_motion"] = score
    assert decide(record, load_rules())["decision"] == "pass"
    assert isinstance(place_words(score), str)


def test_damaged_entries_are_still_words() -> None:
    record = placed()
    record.scores["noise_motion"] = {"value": None, "ruler": {"passes": False, "threshold_set_by": PERSON, "name": 7}}
    (reason,) = reasons(record).values()
    assert reason["text"] == "noise: as noisy as version ? of ruler 7; this study accepts from ?"
