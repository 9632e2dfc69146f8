# SPDX-License-Identifier: Apache-2.0
"""Equations 5 and 6 of the rulers, and what follows from them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidsqa.rulers import scale

LEVELS = (18.0, 20.0, 23.0, 24.0, 27.0, 29.0, 32.0, 34.0)
THRESHOLDS = [0.5 * step for step in range(15)]

rulers = st.lists(st.floats(0.01, 10), min_size=8, max_size=8).map(
    lambda steps: tuple(sum(steps[: place + 1]) - 20 for place in range(8))
)
values = st.floats(-60, 120)
thresholds = st.sampled_from(THRESHOLDS)


def test_a_version_is_itself() -> None:
    assert [scale.nearest_version(LEVELS, level) for level in LEVELS] == list(range(8))
    assert [scale.interpolated_score(LEVELS, level) for level in LEVELS] == list(range(8))


def test_ties_go_to_the_lower_version() -> None:
    assert scale.nearest_version(LEVELS, 19.0) == 0
    assert scale.nearest_version(LEVELS, 25.5) == 3


@pytest.mark.parametrize(("threshold", "level"), [(4.0, 27.0), (4.5, 28.0), (0.0, 18.0), (0.5, 19.0), (7.0, 34.0)])
def test_the_level_of_a_threshold(threshold: float, level: float) -> None:
    assert scale.threshold_level(LEVELS, threshold) == level


def test_pass_is_not_score_at_least_threshold() -> None:
    value = 26.9  # nearest to version 4, a little worse than it
    assert scale.nearest_version(LEVELS, value) == 4
    assert not scale.passes(LEVELS, value, 4.0)
    assert scale.passes(LEVELS, 27.0, 4.0)


@pytest.mark.parametrize(
    ("value", "side", "bounded", "unbounded"),
    [(14.0, "below", 0.0, -2.0), (18.0, "", 0.0, 0.0), (34.0, "", 7.0, 7.0), (35.0, "above", 7.0, 7.5)],
)
def test_outside_the_ruler(value: float, side: str, bounded: float, unbounded: float) -> None:
    assert scale.outside(LEVELS, value) == side
    assert scale.interpolated_score(LEVELS, value) == bounded
    assert scale.unbounded_score(LEVELS, value) == pytest.approx(unbounded)


def test_error_follows_the_slope() -> None:
    assert scale.score_error(LEVELS, 21.5, 0.3) == pytest.approx(0.1)  # 3 dB between the versions
    assert scale.score_error(LEVELS, 10.0, 1.0) == pytest.approx(0.5)  # the slope goes on beyond the end
    assert scale.score_error(LEVELS, 21.5, 0.0) == 0


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        ((*LEVELS[:3], 23.0, *LEVELS[4:]), "version 3 no better than version 2"),
        ((19.0, 18.0, *LEVELS[2:6], 29.0, 34.0), "versions 1 and 6 no better than the ones before them"),
        (LEVELS[:7], "7 versions, not 8"),
        ((*LEVELS[:7], math.nan), "no finite number"),
        ((*LEVELS[:7], math.inf), "no finite number"),
    ],
)
def test_what_is_no_ruler(levels: tuple[float, ...], words: str) -> None:
    assert words in scale.disorder(levels)
    with pytest.raises(ValueError, match="no ruler"):
        scale.nearest_version(levels, 20.0)


@pytest.mark.parametrize("threshold", [-0.5, 7.5, 4.2, math.nan, math.inf])
def test_what_is_no_threshold(threshold: float) -> None:
    with pytest.raises(ValueError, match="steps of"):
        scale.threshold_level(LEVELS, threshold)


@pytest.mark.parametrize(("threshold", "first"), [(0.0, 0), (0.5, 1), (4.5, 5), (5.0, 5), (7.0, 7)])
def test_accepted_versions(threshold: float, first: int) -> None:
    accepted = scale.accepted_versions(threshold)
    assert list(accepted) == list(range(first, 8))
    assert [scale.passes(LEVELS, level, threshold) for level in LEVELS] == [at in accepted for at in range(8)]


@given(rulers, values, thresholds, st.floats(0.1, 10), st.floats(-50, 50))
def test_the_network_may_count_in_any_unit(
    levels: tuple[float, ...], value: float, threshold: float, factor: float, offset: float
) -> None:
    gaps = [abs(abs(value - level) - abs(value - other)) for level in levels for other in levels if level != other]
    if min(gaps) < 1e-6 or abs(value - scale.threshold_level(levels, threshold)) < 1e-6:
        return  # a tie that rounding may decide
    moved = tuple(factor * level + offset for level in levels)
    other = factor * value + offset
    assert scale.nearest_version(moved, other) == scale.nearest_version(levels, value)
    assert scale.passes(moved, other, threshold) == scale.passes(levels, value, threshold)
    assert scale.unbounded_score(moved, other) == pytest.approx(scale.unbounded_score(levels, value), abs=1e-5)


@given(rulers, values, st.floats(0, 50), thresholds)
def test_a_better_scan_never_loses(levels: tuple[float, ...], value: float, more: float, threshold: float) -> None:
    assert scale.passes(levels, value + more, threshold) >= scale.passes(levels, value, threshold)
    assert scale.interpolated_score(levels, value + more) >= scale.interpolated_score(levels, value)
    assert scale.nearest_version(levels, value + more) >= scale.nearest_version(levels, value)


@given(rulers, values, thresholds)
def test_pass_is_the_place_against_the_threshold(levels: tuple[float, ...], value: float, threshold: float) -> None:
    place = scale.unbounded_score(levels, value)
    if abs(place - threshold) > 1e-9:
        assert scale.passes(levels, value, threshold) == (place > threshold)


@given(rulers, values)
def test_the_place_is_half_a_version_from_the_nearest_at_most(levels: tuple[float, ...], value: float) -> None:
    # the nearest in the network's unit: within the two versions around the place
    assert abs(scale.interpolated_score(levels, value) - scale.nearest_version(levels, value)) <= 0.5 + 1e-9
