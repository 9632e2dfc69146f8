# SPDX-License-Identifier: Apache-2.0
"""The scale of the severity: laws of joining readings, their errors, the kinds' probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from bidsqa.models.severity_scale import (
    FAMILIES,
    KINDS,
    READINGS_OF,
    Kinds,
    Scale,
    compressed,
    evidence,
    joined,
    softened,
    steepness,
)

SCALE = Scale(
    clean={"noise": 0.1, "motion": 0.2, "field": 0.5},
    limit={"noise": 0.2, "motion": 0.4, "field": 1.0},
    use=("noise", "motion", "field"),
    scale=1.25,
)
CLEAN = {"noise": 0.1, "motion": 0.2, "field": 0.5, "overall": 0.3}


def test_softening_leaves_large_places_alone_and_never_stops_rising() -> None:
    places = np.linspace(-2, 4, 200)
    values = softened(places)
    assert (np.diff(values) > 0).all()
    assert values[0] < 1e-5
    assert softened(1.0) == pytest.approx(1, abs=2e-3)
    assert softened(3.0) == pytest.approx(3, abs=1e-6)
    assert np.allclose(np.gradient(values, places)[1:-1], steepness(places)[1:-1], atol=2e-3)


def test_compression_leaves_what_is_below_the_threshold_and_keeps_order() -> None:
    values = np.linspace(0, 50, 400)
    assert (np.diff(compressed(values)) > 0).all()
    assert np.array_equal(compressed(values[values <= 1]), values[values <= 1])
    assert compressed(np.e) == pytest.approx(2)
    # smooth at the threshold: both sides rise by one for one
    assert (compressed(1 + 1e-6) - 1) / 1e-6 == pytest.approx(1, rel=1e-3)
    assert SCALE.joined({**CLEAN, "noise": 9.0}) == pytest.approx(
        float(compressed(SCALE.uncompressed({**CLEAN, "noise": 9.0})))
    )


def test_evidence_is_linear_near_clean_scans_and_bounded_below() -> None:
    assert evidence(0.05) == pytest.approx(0.1, rel=1e-2)
    assert evidence(-7.0) == evidence(-1.0)
    assert evidence(200.0) - evidence(100.0) == pytest.approx(np.log(2), rel=1e-3)


@pytest.mark.parametrize("name", ["noise", "motion", "field"])
def test_severity_rises_with_every_reading_that_counts(name: str) -> None:
    values = [float(SCALE.joined({**CLEAN, name: level, "motion" if name != "motion" else "noise": 0.35}))
              for level in np.linspace(0.0, 2.0, 30)]  # fmt: skip
    assert (np.diff(values) >= 0).all()
    assert values[-1] > values[0]


def test_what_does_not_count_changes_nothing() -> None:
    assert SCALE.joined({**CLEAN, "overall": 9.0}) == SCALE.joined(CLEAN)


def test_joined_is_near_the_largest_and_blind_to_order() -> None:
    assert joined([0.2, 3.0, 0.1]) == pytest.approx(3.0, rel=1e-3)
    assert joined([1.0, 1.0]) == pytest.approx(2 ** (1 / 6))
    assert joined([0.3, 0.7, 0.5]) == pytest.approx(float(joined([0.7, 0.5, 0.3])))
    assert joined([0.0, 0.0]) == 0
    assert joined([2.0, 4.0]) == pytest.approx(2 * float(joined([1.0, 2.0])))
    arrays = [np.array([0.1, 2.0]), np.array([1.0, 0.1])]
    assert np.allclose(joined(arrays), [joined([0.1, 1.0]), joined([2.0, 0.1])])


def test_one_is_the_limit_of_clean_scans() -> None:
    alone = Scale(clean={"noise": 0.1}, limit={"noise": 0.2}, use=("noise",))
    assert float(alone.joined({"noise": 0.2})) == pytest.approx(1, abs=2e-3)
    assert float(SCALE.severity("noise", 0.2)) == pytest.approx(1 / 1.25, abs=2e-3)


def test_the_error_is_the_one_that_small_changes_make() -> None:
    readings, errors = {**CLEAN, "noise": 0.35, "motion": 0.5}, {"noise": 0.004, "motion": 0.01}
    changed = [
        float(SCALE.joined({**readings, name: readings[name] + 1e-5}) - SCALE.joined(readings)) / 1e-5 * error
        for name, error in errors.items()
    ]
    assert SCALE.error(readings, errors) == pytest.approx(np.hypot(*changed), rel=1e-3)
    assert SCALE.error(readings, {}) == 0
    assert SCALE.error({**readings}, {"overall": 5.0}) == 0


def test_families_take_their_own_readings_only() -> None:
    families = SCALE.families({**CLEAN, "field": 2.0})
    assert set(families) == {"noise", "motion", "bias"}, "no reading that counts stands for the others"
    assert max(families, key=lambda name: families[name]) == "bias"
    whole = Scale(clean=SCALE.clean, limit=SCALE.limit).families({**CLEAN, "blur": 0.0, "echo": 0.0})
    assert set(whole) == set(FAMILIES), "all readings count where none is named"
    assert {reading for readings in READINGS_OF.values() for reading in readings} >= set(SCALE.use)


def test_probabilities_are_a_distribution_led_by_the_evidence() -> None:
    weights = tuple(tuple(3.0 if kind == feature else 0.0 for feature in ("noise", "motion")) for kind in KINDS)
    kinds = Kinds(("noise", "motion"), weights, (2.0, 0, 0, 0, 0, 0))
    scale = Scale(clean=SCALE.clean, limit=SCALE.limit, kinds=kinds)
    calm, loud = scale.probabilities(CLEAN), scale.probabilities({**CLEAN, "motion": 0.9})
    for found in (calm, loud):
        assert list(found) == list(KINDS)
        assert sum(found.values()) == pytest.approx(1)
    assert max(calm, key=lambda name: calm[name]) == "none"
    assert max(loud, key=lambda name: loud[name]) == "motion"
    assert Scale().probabilities(CLEAN) == {}


def test_json_keeps_everything() -> None:
    kinds = Kinds(("noise",), tuple((0.5,) for _ in KINDS), tuple(0.25 for _ in KINDS))
    for scale in (SCALE, Scale(), Scale(kinds=kinds)):
        assert Scale.from_json(scale.to_json()) == scale
    assert Scale.from_json("") == Scale()


def test_no_readings_are_no_severity() -> None:
    assert float(SCALE.joined({})) == 0
    assert float(SCALE.joined({"other": 3.0})) == 0
