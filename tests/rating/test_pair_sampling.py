# SPDX-License-Identifier: Apache-2.0
"""The posterior over qualities against exact integrals, and that informative pairs are worth more than random ones."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import norm, spearmanr

from bidsqa.rating.sampling import (
    batch_of_pairs,
    information_gain,
    posterior,
    truncated_moments,
    win_probability,
)
from bidsqa.rating.synthetic_reader import SyntheticReader


def exact(comparisons: list[tuple[int, int, int]], prior: float, margin: float) -> tuple[np.ndarray, np.ndarray]:
    """Moments of the first two qualities by summing over a grid."""
    axis = np.linspace(-8, 8, 801)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"))
    weight = norm.pdf(grid[0], scale=prior**0.5) * norm.pdf(grid[1], scale=prior**0.5)
    for first, second, outcome in comparisons:
        apart = grid[first] - grid[second]
        weight = weight * (
            norm.cdf(margin - apart) - norm.cdf(-margin - apart) if outcome == 0 else norm.cdf(outcome * apart)
        )
    weight = weight / weight.sum()
    means = np.array([(weight * part).sum() for part in grid])
    return means, np.array([(weight * part**2).sum() for part in grid]) - means**2


@pytest.mark.parametrize("outcome", [1, 0, -1])
def test_one_comparison_is_exact(outcome: int) -> None:
    means, variances = posterior(2, [(0, 1, outcome)], prior=1.0, margin=0.5)
    expected = exact([(0, 1, outcome)], 1.0, 0.5)
    assert means == pytest.approx(expected[0], abs=1e-4)
    assert variances == pytest.approx(expected[1], abs=1e-4)


def test_a_chain_of_comparisons_is_close_to_exact() -> None:
    axis = np.linspace(-6, 6, 161)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"))
    weight = norm.pdf(grid).prod(axis=0) * norm.cdf(grid[0] - grid[1]) * norm.cdf(grid[1] - grid[2])
    weight /= weight.sum()
    expected = np.array([(weight * part).sum() for part in grid])
    spread = np.array([(weight * part**2).sum() for part in grid]) - expected**2
    means, variances = posterior(3, [(0, 1, 1), (1, 2, 1)], prior=1.0)
    assert means == pytest.approx(expected, abs=0.01)
    assert variances == pytest.approx(spread, abs=0.03)


def test_repeated_comparisons_keep_the_means_though_not_the_variances() -> None:
    """Messages that go in circles count a reader's repeats as more certain than they are; the order is what counts."""
    comparisons = [(0, 1, 1), (0, 1, 1), (1, 0, 1), (0, 1, 0)]
    means, variances = posterior(2, comparisons, prior=1.0, margin=0.5)
    expected = exact(comparisons, 1.0, 0.5)
    assert means == pytest.approx(expected[0], abs=0.02)
    assert (variances < expected[1]).all()


def test_no_answers_leave_the_prior_and_sides_mirror() -> None:
    means, variances = posterior(3, [], prior=4.0)
    assert means.tolist() == [0, 0, 0]
    assert variances == pytest.approx([4, 4, 4])
    left, right = posterior(2, [(0, 1, 1)]), posterior(2, [(1, 0, -1)])
    assert left[0] == pytest.approx(right[0])


@pytest.mark.parametrize("mean", [-30.0, -3.0, 0.0, 4.0, 30.0])
@pytest.mark.parametrize("outcome", [1, 0, -1])
def test_moments_stay_finite_far_out(mean: float, outcome: int) -> None:
    new_mean, new_variance = truncated_moments(mean, 1.0, outcome, 0.25)
    assert np.isfinite(new_mean)
    assert 0 < new_variance <= 1


def test_the_chance_of_winning() -> None:
    chances = win_probability(np.array([1.0, 0.0]), np.array([0.5, 0.5]))
    assert chances[0, 1] == pytest.approx(norm.cdf(1 / np.sqrt(2)))
    assert chances + chances.T == pytest.approx(np.ones((2, 2)))


def test_the_gain_is_least_where_the_answer_is_known() -> None:
    gains = information_gain(np.array([5.0, 0.0, 0.1]), np.array([0.3, 0.3, 0.3]))
    assert gains[1, 2] > 5 * gains[0, 1]
    assert (gains == gains.T).all()
    assert np.diag(gains).tolist() == [0, 0, 0]
    wide = information_gain(np.zeros(2), np.full(2, 4.0))
    assert wide[0, 1] > information_gain(np.zeros(2), np.full(2, 0.5))[0, 1]


def test_the_gain_is_the_divergence_by_numbers() -> None:
    """Against integrals over a grid of the two qualities, each taken as Gaussian as in the formula."""
    means, variances = np.array([0.4, -0.2]), np.array([1.5, 0.7])
    axis = np.linspace(-9, 9, 1201)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"))
    prior = norm.pdf(grid[0], means[0], variances[0] ** 0.5) * norm.pdf(grid[1], means[1], variances[1] ** 0.5)
    prior /= prior.sum()
    gain = 0.0
    for sign in (1, -1):
        joint = prior * norm.cdf(sign * (grid[0] - grid[1]))
        chance = joint.sum()
        after = joint / chance
        new_means = np.array([(after * part).sum() for part in grid])
        new_variances = np.array([(after * part**2).sum() for part in grid]) - new_means**2
        gain += (
            chance
            * 0.5
            * np.sum(
                new_variances / variances + (new_means - means) ** 2 / variances - 1 - np.log(new_variances / variances)
            )
        )
    assert information_gain(means, variances)[0, 1] == pytest.approx(gain, rel=1e-3)


def test_a_batch_is_a_spanning_tree_of_the_largest_gains() -> None:
    from scipy.sparse.csgraph import minimum_spanning_tree

    generator = np.random.default_rng(2)
    gains = generator.random((7, 7)) + 0.1
    gains = np.triu(gains, 1) + np.triu(gains, 1).T
    batch = batch_of_pairs(gains)
    assert len(batch) == 6
    assert {one for pair in batch for one in pair} == set(range(7))
    costs = np.divide(1, gains, out=np.zeros_like(gains), where=gains > 0)
    assert sum(1 / gains[pair] for pair in batch) == pytest.approx(minimum_spanning_tree(costs).sum())
    assert [gains[pair] for pair in batch] == sorted((gains[pair] for pair in batch), reverse=True)


def ranked(count: int, answers: int, seed: int, active: bool) -> float:
    """Rank correlation of true and recovered qualities after some answers."""
    generator = np.random.default_rng(seed)
    truth = generator.normal(0, 2, count)
    reader = SyntheticReader(seed=seed)
    pairs = list(combinations(range(count), 2))
    asked: list[tuple[int, int, int]] = []
    batch: list[tuple[int, int]] = []
    while len(asked) < answers:
        if not batch:
            batch = batch_of_pairs(information_gain(*posterior(count, asked)))
        first, second = batch.pop(0) if active else pairs[int(generator.integers(len(pairs)))]
        asked.append((first, second, int(reader.compare(truth[first], truth[second])[0])))
    return float(spearmanr(truth, posterior(count, asked)[0]).statistic)


def test_qualities_are_recovered_and_chosen_pairs_tell_more() -> None:
    seeds = range(30)
    chosen = [ranked(10, 36, seed, active=True) for seed in seeds]
    drawn = [ranked(10, 36, seed, active=False) for seed in seeds]
    assert np.mean(chosen) > 0.9
    assert np.mean(chosen) > np.mean(drawn) + 0.01
