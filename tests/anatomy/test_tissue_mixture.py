# SPDX-License-Identifier: Apache-2.0
"""The mixture model against known mixtures."""

from __future__ import annotations

import numpy as np

from bidsqa.anatomy.tissue import fit, posterior


def mixed(order: tuple[float, float, float], seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values of three classes, a blunt prior that is right 70 % of the time, and the truth."""
    generator = np.random.default_rng(seed)
    truth = generator.choice(3, 40_000, p=[0.15, 0.5, 0.35])
    values = (np.array(order)[truth] + generator.normal(0, 8.0, truth.size)).astype(np.float32)
    guess = np.where(generator.random(truth.size) < 0.7, truth, generator.integers(0, 3, truth.size))
    prior = np.full((3, truth.size), 0.2, dtype=np.float32)
    prior[guess, np.arange(truth.size)] = 0.6
    return values, prior, truth


def test_finds_the_means_in_any_order_of_contrast() -> None:
    for order in ((50.0, 120.0, 180.0), (220.0, 120.0, 80.0), (30.0, 150.0, 110.0)):
        values, prior, truth = mixed(order)
        mixture = fit(values, prior)
        np.testing.assert_allclose(mixture.means, order, atol=4)
        np.testing.assert_allclose(mixture.deviations, 8.0, atol=4)
        labels = posterior(values, prior, mixture).argmax(axis=0)
        assert np.mean(labels == truth) > 0.95


def test_scale_of_the_intensities_does_not_matter() -> None:
    values, prior, _ = mixed((50.0, 120.0, 180.0))
    plain = posterior(values, prior, fit(values, prior))
    for factor in (1e-3, 1000.0):
        scaled = (values * np.float32(factor)).astype(np.float32)
        np.testing.assert_allclose(posterior(scaled, prior, fit(scaled, prior)), plain, atol=2e-3)


def test_without_contrast_the_prior_decides() -> None:
    values, prior, _ = mixed((100.0, 100.0, 100.0))
    shares = posterior(values, prior, fit(values, prior))
    assert np.mean(shares.argmax(axis=0) == prior.argmax(axis=0)) > 0.9


def test_constant_values_are_no_accident() -> None:
    prior = np.full((3, 5000), 1 / 3, dtype=np.float32)
    for value in (0.0, 7.0, -3.0):
        shares = posterior(np.full(5000, value, dtype=np.float32), prior, fit(np.full(5000, value), prior))
        assert np.isfinite(shares).all()
        np.testing.assert_allclose(shares.sum(axis=0), 1, atol=1e-5)
