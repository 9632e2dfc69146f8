# SPDX-License-Identifier: Apache-2.0
"""The noise variance of one image, on known noise."""

from __future__ import annotations

import numpy as np
import pytest

from bidsqa.models.noise_estimate import dct_blocks, iedd_score, noise_variance

ROWS, COLUMNS = np.meshgrid(np.linspace(-1, 1, 192), np.linspace(-1, 1, 192), indexing="ij")
IMAGE = 200 + 60 * np.sin(9 * ROWS) * np.cos(7 * COLUMNS) + 80 * (ROWS**2 + COLUMNS**2 < 0.3)


@pytest.mark.parametrize("sigma", [1.0, 4.0, 16.0])
@pytest.mark.parametrize("seed", [1, 2])
def test_known_noise(sigma: float, seed: int) -> None:
    noisy = IMAGE + sigma * np.random.default_rng(seed).standard_normal(IMAGE.shape)
    assert np.sqrt(noise_variance(noisy)) == pytest.approx(sigma, rel=0.06)


def test_air_and_texture_are_left_out() -> None:
    rng = np.random.default_rng(3)
    noisy = IMAGE + 4 * rng.standard_normal(IMAGE.shape)
    noisy[:, :60] = 0
    noisy[:60, 100:] += 80 * rng.standard_normal((60, 92))
    assert np.sqrt(noise_variance(noisy)) == pytest.approx(4, rel=0.12)


def test_score_is_in_decibels_and_without_unit() -> None:
    noisy = IMAGE + 5 * np.random.default_rng(4).standard_normal(IMAGE.shape)
    wanted = 10 * np.log10(np.mean(IMAGE**2) / 25)
    assert iedd_score(noisy) == pytest.approx(wanted, abs=0.5)
    assert iedd_score(1e-3 * noisy) == pytest.approx(iedd_score(noisy), abs=0.01)


def test_more_noise_scores_lower() -> None:
    draw = np.random.default_rng(5).standard_normal(IMAGE.shape)
    scores = [iedd_score(IMAGE + sigma * draw) for sigma in (2, 4, 8, 16)]
    assert np.all(np.diff(scores) < -4)


def test_nothing_bright_has_no_variance() -> None:
    assert np.isnan(noise_variance(np.zeros((64, 64))))
    assert np.isnan(iedd_score(np.zeros((64, 64))))


def test_blocks_keep_their_energy() -> None:
    coefficients, means = dct_blocks(IMAGE, step=8)
    assert coefficients.shape == (24 * 24, 64)
    assert np.sum(coefficients**2) == pytest.approx(np.sum(IMAGE**2), rel=1e-5)
    assert means.mean() == pytest.approx(IMAGE.mean(), rel=1e-5)
