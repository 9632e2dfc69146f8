# SPDX-License-Identifier: Apache-2.0
"""Labels of noise and their calibration (Equations 1 to 4), on paper."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from bidsqa.training.label_calibration import automatic_pick, best_eta, calibrate, iedd_scores, snr_scores, targets

SCORES = np.array([[10, 20, 30, 40, 50], [12, 22, 32, 42, 52], [5, 14, 25, 35, 45]], dtype=float)
PICKS = (2, 6, 0)


def test_the_vector_on_paper() -> None:
    assert targets(SCORES, PICKS).tolist() == [20, 62, -4]
    found = calibrate(SCORES, PICKS)
    assert (found - SCORES)[:, 0].tolist() == pytest.approx([5.1, -30.6, 25.5])
    assert found[0].tolist() == pytest.approx([15.1, 25.1, 35.1, 45.1, 55.1])
    assert targets(found, PICKS).tolist() == pytest.approx([25.1, 31.4, 21.5])
    assert targets(calibrate(SCORES, PICKS, eta=1), PICKS).tolist() == pytest.approx([26, 26, 26])


@pytest.mark.parametrize("eta", [0.0, 0.5, 0.85, 1.0])
def test_invariants(eta: float) -> None:
    rng = np.random.default_rng(1)
    scores = np.cumsum(rng.uniform(1, 8, size=(30, 5)), axis=1) + rng.normal(0, 5, size=(30, 1))
    picks = rng.integers(0, 7, size=30).tolist()
    before = targets(scores, picks)
    found = calibrate(scores, picks, eta)
    after = targets(found, picks)
    assert np.allclose(np.diff(found, axis=1), np.diff(scores, axis=1))
    assert after.mean() == pytest.approx(before.mean())
    assert np.allclose(after - after.mean(), (1 - eta) * (before - before.mean()))
    assert found.mean() == pytest.approx(scores.mean())
    assert np.allclose(calibrate(3 * scores - 7, picks, eta), 3 * found - 7)
    assert np.allclose(calibrate(found, picks, eta), calibrate(scores, picks, 1 - (1 - eta) ** 2))
    if eta == 0:
        assert np.array_equal(found, scores)


def test_a_mean_from_elsewhere() -> None:
    assert np.allclose(calibrate(SCORES, PICKS, 1, mean=0.0), SCORES - targets(SCORES, PICKS)[:, None])


def test_best_eta_is_where_the_error_is_least() -> None:
    etas = np.linspace(0, 1, 1001)
    error = (1 - etas) ** 2 * 4 + etas**2 * 1
    assert best_eta(4, 1) == pytest.approx(etas[error.argmin()], abs=1e-3)
    # 0.85 helps only where So / Sh is above 0.739
    for ratio, helps in ((0.73, False), (0.75, True)):
        assert ((0.15**2 * ratio + 0.85**2) < ratio) == helps


@pytest.mark.parametrize("picks", [(1, 2), (1, 2, 6.5), (-1, 2, 3)])
def test_picks_that_are_not_there(picks: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="picks"):
        calibrate(SCORES, picks)


def test_one_version_is_too_few() -> None:
    with pytest.raises(ValueError, match="two versions"):
        targets(SCORES[:, :1], (0, 0, 0))


def test_ratios_of_known_noise_go_on_in_a_line() -> None:
    rng = np.random.default_rng(2)
    clean = 100 + 10 * rng.random((64, 64))
    draw = rng.standard_normal((64, 64))
    versions = np.stack([*(clean + sigma * draw for sigma in (20, 10, 5, 2.5)), clean])
    found = snr_scores(versions)
    assert np.diff(found).tolist() == pytest.approx([20 * np.log10(2)] * 4)
    assert found[3] == pytest.approx(10 * np.log10(np.mean(clean**2) / np.mean((2.5 * draw) ** 2)))


def test_the_rule_picks_where_the_image_gets_good_enough() -> None:
    rng = np.random.default_rng(3)
    clean = 100 + 10 * np.sin(np.arange(96) / 9)[:, None] + np.zeros((96, 96))
    draw = rng.standard_normal(clean.shape)
    versions = np.stack([clean + 100 / 10 ** (level / 20) * draw for level in (10, 16, 20, 24, 28)])
    found = iedd_scores(versions)
    assert automatic_pick(found, 22.0) == pytest.approx(3.5, abs=0.15)
    assert automatic_pick(found, 60.0) == 6
    assert automatic_pick(found, -10.0) == 0
    assert automatic_pick(np.array([10.0, np.nan, 20.0])) == 2


def test_a_place_between_two_versions() -> None:
    assert targets(SCORES, (2.5, 5.5, 0.25)).tolist() == pytest.approx([25, 57, -4 + 0.25 * 9])
