# SPDX-License-Identifier: Apache-2.0
"""Pairs for the ranking networks: laws of the corruption, reproducible draws, votes on the right side."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from bidsqa.image import Volume
from bidsqa.models.networks_ranking import FIRST_BETTER, SECOND_BETTER, SIMILAR
from bidsqa.training.ranking import Readers
from bidsqa.training.ranking_corruption import Corruption, corrupt, draw_corruption, smooth_phase
from bidsqa.training.ranking_pairs import (
    CLOSE,
    Inputs,
    RatedPairs,
    SyntheticPairs,
    cut_out,
    inputs_of,
    majority,
    turned,
)
from bidsqa.training.ssim_pool import Slices, scan_slices

SIZE = 64


@pytest.fixture(scope="module")
def slices(t1w: Volume) -> list[Slices]:
    return scan_slices(t1w, ("p1", "phantom", "T1w"), 0.5, 3)


@pytest.fixture(scope="module")
def source(slices: list[Slices]) -> SyntheticPairs:
    return SyntheticPairs(slices, np.zeros(256, dtype=np.uint8), Readers())


@pytest.fixture
def image() -> np.ndarray:
    chance = np.random.default_rng(0)
    plane = np.zeros((SIZE, SIZE))
    plane[16:48, 20:44] = 1 + 0.1 * chance.random((32, 24))
    return plane * np.exp(1j * smooth_phase((SIZE, SIZE), chance))


def test_nothing_drawn_is_identity(image: np.ndarray) -> None:
    assert np.allclose(corrupt(image, Corruption()), image, atol=1e-6)
    assert Corruption().utility == 0


@pytest.mark.parametrize(
    ("half", "whole"),
    [
        (Corruption(blur=0.6), Corruption(blur=1.2)),
        (Corruption(dropped=0.15, seed=3), Corruption(dropped=0.3, seed=3)),
        (Corruption(dropped=0.1, points=True, seed=3), Corruption(dropped=0.2, points=True, seed=3)),
        (Corruption(noise=4.0, seed=3), Corruption(noise=8.0, seed=3)),
        (Corruption(shift=(0, 1), start=0.6), Corruption(shift=(0, 4), start=0.6)),
        (Corruption(shift=(1, 0), start=0.6), Corruption(shift=(4, 0), start=0.6)),
    ],
)
def test_more_of_a_kind_harms_more_and_costs_more(image: np.ndarray, half: Corruption, whole: Corruption) -> None:
    errors = [float(np.abs(corrupt(image, one) - image).std()) for one in (half, whole)]
    assert errors[1] > errors[0] > 1e-3
    assert whole.utility < half.utility < 0


def test_a_whole_jump_before_the_first_line_moves_the_image(image: np.ndarray) -> None:
    moved = corrupt(image, Corruption(shift=(3, -2), start=0.0))
    rolled = np.roll(image, (3, -2), (0, 1))
    gain = np.vdot(rolled, image) / np.vdot(rolled, rolled).real
    assert np.allclose(moved, gain * rolled, atol=1e-5)


def test_result_is_scaled_to_the_image_by_least_squares(image: np.ndarray) -> None:
    spoiled = corrupt(image, Corruption(blur=1.0, noise=5.0, seed=1))
    assert np.vdot(spoiled, spoiled - image) == pytest.approx(0, abs=1e-3)


def test_noise_has_the_stated_level(image: np.ndarray) -> None:
    quiet = np.zeros_like(image)
    quiet[0, 0] = 1000.0
    noisy = corrupt(quiet, Corruption(noise=10.0, seed=5))
    assert noisy[20:, 20:].real.std() == pytest.approx(10 * 0.008, rel=0.05)


def test_drawn_parameters_lie_in_their_ranges_and_no_jump_is_early() -> None:
    chance = np.random.default_rng(1)
    drawn = [draw_corruption(chance) for _ in range(300)]
    assert max(one.blur for one in drawn) <= 1.5
    assert max(one.dropped for one in drawn if not one.points) <= 0.30
    assert max(one.dropped for one in drawn if one.points) <= 0.20
    assert all(np.hypot(*one.shift) <= 20.8 for one in drawn)
    assert all(one.start == 1 or one.start > 0.55 for one in drawn)
    assert len({dataclasses.astuple(one)[:6] for one in drawn}) > 200


def test_pairs_are_the_same_for_the_same_seed(source: SyntheticPairs) -> None:
    first, again, other = source.draw(4, 2), source.draw(4, 2), source.draw(5, 2)
    assert torch.equal(first.first, again.first)
    assert torch.equal(first.votes, again.votes)
    assert not torch.equal(first.first, other.first)


def test_pairs_are_alike_in_ssim(source: SyntheticPairs) -> None:
    apart = (source.draw(6, 8).ssim.diff(dim=1)).abs().flatten()
    assert (apart < CLOSE).float().mean() >= 0.6


def test_pairs_across_slices_keep_the_images_and_their_worth_together(slices: list[Slices]) -> None:
    classes = np.zeros(256, dtype=np.uint8)
    seen: dict[bytes, float] = {}

    def reader(first: np.ndarray, second: np.ndarray, chance: np.random.Generator) -> np.ndarray:
        noted.append((first.copy(), second.copy()))
        return Readers()(first, second, chance)

    noted: list[tuple[np.ndarray, np.ndarray]] = []
    same = SyntheticPairs(slices, classes, reader).draw(11, 5)
    across = SyntheticPairs(slices, classes, reader, across=1.0).draw(11, 5)
    for number, image in enumerate(same.second):
        seen[image.numpy().tobytes()] = float(noted[0][1][number])
    assert torch.equal(across.first, same.first)
    for number, image in enumerate(across.second):
        assert not torch.equal(image, same.second[number])
        worth = seen[image.numpy().tobytes()]
        assert noted[1][1][number] == worth
        assert across.difference[number] == pytest.approx(noted[1][0][number] - worth, abs=1e-5)
    assert across.votes.sum() == same.votes.sum()


def test_readers_mostly_prefer_the_higher_utility() -> None:
    apart = np.linspace(-6, 6, 200)
    votes = Readers()(apart, np.zeros(200), np.random.default_rng(0))
    assert (votes.sum(axis=1) == 3).all()
    assert votes[:50, SECOND_BETTER].mean() > 2.8
    assert votes[150:, FIRST_BETTER].mean() > 2.8
    assert votes[90:110, SIMILAR].mean() > votes[:20, SIMILAR].mean()


def test_turning_swaps_images_votes_and_utilities_together(source: SyntheticPairs) -> None:
    pairs = source.draw(7, 6)
    result = turned(pairs, np.random.default_rng(2))
    swapped = result.difference != pairs.difference
    assert swapped.any()
    assert not swapped.all()
    for row in range(len(pairs)):
        kept = pairs.second if swapped[row] else pairs.first
        assert result.first[row].abs().sum() == pytest.approx(float(kept[row].abs().sum()), rel=0.02)
        wanted = pairs.votes[row].flip(0) if swapped[row] else pairs.votes[row]
        assert torch.equal(result.votes[row], wanted)


def test_networks_get_differences_or_magnitudes(source: SyntheticPairs) -> None:
    pairs = source.draw(8, 2)
    with_reference, alone = inputs_of(pairs, True), inputs_of(pairs, False)
    top = pairs.reference[0].abs().max()
    whole = torch.complex(with_reference.first[0, 0], with_reference.first[0, 1]) * top + pairs.reference[0, 0]
    assert torch.allclose(whole, pairs.first[0, 0], atol=1e-5)
    assert torch.allclose(alone.first[0, 0], pairs.first[0, 0].abs().clamp(max=3), atol=1e-6)


def test_both_images_are_cut_alike_about_the_middle() -> None:
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    first = (100 * rows + columns)[None, None].repeat(5, 1, 1, 1)
    whole = Inputs(first, -first, torch.ones(5, 3))
    cut = cut_out(whole, 32, np.random.default_rng(1))
    assert cut.first.shape == (5, 1, 32, 32)
    assert torch.equal(cut.first, -cut.second)
    corners = cut.first[:, 0, 0, 0]
    assert len(set(corners.tolist())) > 1
    assert ((corners // 100 >= 8) & (corners // 100 <= 24) & (corners % 100 >= 8) & (corners % 100 <= 24)).all()
    assert torch.equal(cut.first - corners[:, None, None, None], first[:, :, :32, :32])
    assert torch.equal(cut_out(whole, 64, np.random.default_rng(1)).first, first)


def test_rated_pairs_draw_from_a_fixed_set(source: SyntheticPairs) -> None:
    pairs = source.draw(9, 3)
    drawn = RatedPairs(pairs).draw(1, 10)
    assert len(drawn) == 10
    assert set(drawn.subject) <= set(pairs.subject)


def test_majority_needs_one_winner() -> None:
    votes = np.array([[3, 0, 0], [1, 1, 1], [0, 2, 1], [2, 0, 2]], dtype=float)
    assert majority(votes).tolist() == [0, -1, 1, -1]
