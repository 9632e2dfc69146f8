# SPDX-License-Identifier: Apache-2.0
"""Davidson's model of preference with ties: its laws, and that its fit finds what made the votes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bidsqa.models.preference import fit_preference, preference


def test_chances_sum_to_one_and_swap() -> None:
    one, two = preference(1.3, -0.2, 0.5), preference(-0.2, 1.3, 0.5)
    assert sum(one) == pytest.approx(1)
    assert (one.better, one.similar, one.worse) == pytest.approx((two.worse, two.similar, two.better))


def test_one_unit_is_the_odds_e() -> None:
    chances = preference(2.0, 1.0, 0.7)
    assert chances.better / chances.worse == pytest.approx(math.e)


def test_equals_and_no_ties() -> None:
    assert preference(0.4, 0.4, 0.0).better == pytest.approx(0.5)
    assert preference(0, 0, 1.0).similar == pytest.approx(1 / 3)


def test_far_apart_is_certain_without_overflow() -> None:
    assert preference(1e9, -1e9, 1.0).better == pytest.approx(1.0)


def test_fit_finds_scale_and_ties() -> None:
    chance = np.random.default_rng(0)
    scores = chance.normal(0, 5, 20_000)
    chances = np.array([preference(score / 2.5, 0, 0.6) for score in scores])
    drawn = (chance.random((len(scores), 1)) > chances[:, ::-1].cumsum(axis=1)).sum(axis=1)
    votes = np.eye(3)[np.minimum(drawn, 2)]
    scale, tie = fit_preference(scores, votes)
    assert scale == pytest.approx(2.5, rel=0.05)
    assert tie == pytest.approx(0.6, rel=0.08)
