# SPDX-License-Identifier: Apache-2.0
"""Weighted statistics against SciPy and against repeated values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bidsqa.metrics.statistics import describe, weighted_quantiles


@pytest.mark.parametrize("weight", [None, 0.25])
def test_equal_weights_agree_with_scipy(weight: float | None) -> None:
    values = np.random.default_rng(1).gamma(2.0, 50.0, 5001).astype(np.float32)
    found = describe(values, None if weight is None else np.full(values.size, weight, dtype=np.float32))
    assert found.mean == pytest.approx(values.mean(dtype=np.float64), rel=1e-6)
    assert found.stdv == pytest.approx(values.std(dtype=np.float64), rel=1e-5)
    assert found.median == pytest.approx(np.median(values), rel=1e-6)
    assert found.mad == pytest.approx(stats.median_abs_deviation(values, scale="normal"), rel=1e-5)
    assert found.k == pytest.approx(stats.kurtosis(values.astype(np.float64)), rel=1e-4)
    assert (found.p05, found.p95) == pytest.approx(tuple(np.quantile(values, (0.05, 0.95), method="hazen")), rel=1e-5)
    assert found.n == 5001
    assert found.effective == pytest.approx(5001)


def test_a_weight_counts_like_repeated_voxels() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(100, 10, 4000)
    times = rng.integers(1, 6, 4000)
    weighted = describe(values, times.astype(np.float32))
    repeated = describe(np.repeat(values, times))
    for name in ("mean", "stdv", "k"):
        assert getattr(weighted, name) == pytest.approx(getattr(repeated, name), rel=1e-9)
    for name in ("median", "mad", "p05", "p95"):
        assert getattr(weighted, name) == pytest.approx(getattr(repeated, name), rel=2e-3)


@pytest.mark.parametrize("sigma", [2.0, 3.0, 12.0])
def test_whole_steps_give_the_quantiles_of_what_was_rounded(sigma: float) -> None:
    # within a fifth of a step; the usual quantile is off by up to half a step
    values = stats.rayleigh.rvs(scale=sigma, size=200_000, random_state=8)
    found = describe(np.rint(values).astype(np.float32))
    assert found.median == pytest.approx(np.median(values), abs=0.2)
    assert found.p95 == pytest.approx(np.quantile(values, 0.95), abs=0.2)


def test_effective_size_is_that_of_the_heavy_voxels() -> None:
    found = describe(np.arange(1000.0), np.r_[np.full(100, 1.0), np.full(900, 1e-6)])
    assert found.effective == pytest.approx(100, rel=0.01)
    assert found.n == 1000


def test_constant_sample_has_no_spread_and_no_kurtosis() -> None:
    found = describe(np.full(100, 7.3, dtype=np.float32), np.linspace(0.1, 1, 100).astype(np.float32))
    assert (found.stdv, found.mad, found.k) == (0.0, 0.0, None)
    assert found.mean == pytest.approx(7.3, rel=1e-6)


def test_empty_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        describe(np.empty(0))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 4)), min_size=1, max_size=30), st.floats(0, 1))
def test_quantiles_are_those_of_the_mid_distribution(pairs: list[tuple[int, int]], level: float) -> None:
    # reference: the points of all different values at once
    values, weights = np.array(pairs, dtype=float).T
    different, where = np.unique(values, return_inverse=True)
    held = np.bincount(where, weights)
    expected = np.interp(level * held.sum(), np.cumsum(held) - 0.5 * held, different)
    assert weighted_quantiles(values, weights, [level])[0] == pytest.approx(expected, abs=1e-9)
    repeated = np.repeat(values, weights.astype(int))
    assert weighted_quantiles(repeated, None, [level])[0] == pytest.approx(expected, abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(0.01, 1.0)), min_size=1, max_size=40),
    st.lists(st.floats(0, 1), min_size=2, max_size=5),
)
def test_quantiles_are_ordered_and_inside_the_sample(pairs: list[tuple[float, float]], levels: list[float]) -> None:
    values, weights = np.array(pairs).T
    found = weighted_quantiles(values, weights, sorted(levels))
    assert np.all(np.diff(found) >= 0)
    assert values.min() <= found[0] and found[-1] <= values.max()
