# SPDX-License-Identifier: Apache-2.0
"""Readers made of formulas reach the ceilings that were computed for them, and behave as people do."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bidsqa.rating.synthetic_reader import (
    SyntheticReader,
    best_guess,
    ceilings,
    damage_amounts,
    utility,
)

PAIRS = 20_000
KEYS = ("ties", "two_readers", "retest", "model_one", "model_majority", "one_majority")
# spread, tau, taste, and the shares in the order of KEYS
TABLE = [
    (1.5, 0.20, 0.0, (0.09, 0.668, 0.669, 0.766, 0.897, 0.788)),
    (1.6, 0.25, 0.8, (0.11, 0.670, 0.776, 0.762, 0.893, 0.786)),
    (2.0, 0.20, 0.0, (0.07, 0.734, 0.732, 0.815, 0.921, 0.831)),
    (3.0, 0.30, 0.0, (0.08, 0.793, 0.793, 0.855, 0.936, 0.868)),
]


@pytest.mark.parametrize(("spread", "tau", "taste", "expected"), TABLE)
def test_ceilings_are_those_of_the_table(spread: float, tau: float, taste: float, expected: tuple[float, ...]) -> None:
    found = ceilings(spread, tau, taste, PAIRS, seed=11)
    for key, value in zip(KEYS, expected, strict=True):
        error = math.sqrt(value * (1 - value) / PAIRS)
        rounding = 0.005 if key == "ties" else 0.0005
        assert found[key] == pytest.approx(value, abs=3 * error + rounding), key


def test_no_other_rule_beats_the_best_guess() -> None:
    generator = np.random.default_rng(0)
    apart = generator.normal(0, 1.5, PAIRS)
    answers = SyntheticReader(seed=1).compare(apart, 0.0)
    best = np.mean(best_guess(apart, 0.2) == answers)
    for limit in (0.0, 0.1, 0.3, 0.6):
        other = np.where(np.abs(apart) <= limit, 0, np.sign(apart))
        assert np.mean(other == answers) <= best + 0.003


def test_permuted_answers_are_chance() -> None:
    generator = np.random.default_rng(0)
    apart = generator.normal(0, 1.5, PAIRS)
    answers = SyntheticReader(seed=1).compare(apart, 0.0)
    guess = best_guess(apart, 0.2)
    chance = sum(np.mean(answers == value) * np.mean(guess == value) for value in (-1, 0, 1))
    assert np.mean(generator.permutation(answers) == guess) == pytest.approx(chance, abs=0.015)


def test_taste_is_a_persons_own_and_stays() -> None:
    one, other = SyntheticReader(seed=1, taste=0.8), SyntheticReader(seed=2, taste=0.8)
    mine = np.array([one.opinion(pair) for pair in range(800)])
    assert mine.tolist() == [SyntheticReader(seed=1, taste=0.8).opinion(pair) for pair in range(800)]
    assert np.std(mine) == pytest.approx(0.8, rel=0.1)
    assert abs(np.corrcoef(mine, [other.opinion(pair) for pair in range(800)])[0, 1]) < 0.12


def test_a_side_bias_shows() -> None:
    reader = SyntheticReader(seed=1, side_bias=0.5)
    answers = reader.compare(np.zeros(PAIRS), 0.0)
    assert np.mean(answers == 1) > np.mean(answers == -1) + 0.25


def test_davidsons_ties() -> None:
    reader = SyntheticReader(seed=1, davidson=0.7)
    answers = reader.compare(np.full(PAIRS, 1.2), np.full(PAIRS, 0.2))
    odds = np.array([math.exp(1.2), 0.7 * math.exp(0.7), math.exp(0.2)])
    found = [np.mean(answers == value) for value in (1, 0, -1)]
    assert found == pytest.approx(odds / odds.sum(), abs=0.015)


def test_utility_falls_with_every_artifact() -> None:
    assert utility([]) == 0
    for name in ("coil_noise", "blur", "motion", "ghosting", "undersampling", "spike"):
        values = [utility([{"name": name, "strength": strength}]) for strength in (0.0, 0.1, 0.4, 1.0)]
        assert values == sorted(values, reverse=True)
        assert values[0] == pytest.approx(0)
        assert values[-1] < -1


def test_noise_is_counted_in_decibel_against_a_good_scan() -> None:
    assert damage_amounts([{"name": "coil_noise", "strength": 0.1}])["noise_db"] == pytest.approx(10 * math.log10(2))
    two = [{"name": "blur", "strength": 0.3}, {"name": "blur", "strength": 0.4}]
    assert damage_amounts(two)["blur_mm"] == pytest.approx(2.0)


def test_series_and_scores_follow_the_utility() -> None:
    reader = SyntheticReader(seed=5, criterion=-2.0)
    picked = [reader.min_acceptable([-9, -7, -5, 3, 5]) for _ in range(200)]
    assert np.mean(np.array(picked) == 4) > 0.95
    assert np.mean([reader.min_acceptable([-99] * 5) for _ in range(20)]) == 6
    scores = [np.mean([reader.likert(value) for _ in range(400)]) for value in (-9, -5, -3.2, -1.7, 2)]
    assert scores == sorted(scores)
    assert scores[0] < 1.1
    assert scores[-1] > 4.9


def test_taste_leaves_room_for_noise() -> None:
    with pytest.raises(ValueError, match="taste"):
        SyntheticReader(seed=1, taste=1.0)
