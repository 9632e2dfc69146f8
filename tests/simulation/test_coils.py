# SPDX-License-Identifier: Apache-2.0
"""Noise and motion in the k-space of several coils."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

pytest.importorskip("torch")

from bidsqa.simulation.coil_motion import ORDERS, Moves, draw_moves, line_times, move
from bidsqa.simulation.coil_noise import CoilNoise, image_versions, noisy_versions, snr_db
from bidsqa.simulation.coils import (
    coil_kspace,
    combine,
    draw_phase,
    draw_sensitivities,
    estimate_sensitivities,
    from_kspace,
    sum_of_squares,
    to_kspace,
)


def head(size: int = 96) -> np.ndarray:
    rows, columns = np.meshgrid(np.linspace(-1.3, 1.3, size), np.linspace(-1.3, 1.3, size), indexing="ij")
    inside = rows**2 + columns**2 < 1
    return (inside * (100 + 30 * np.sin(9 * rows) * np.cos(7 * columns))).astype(np.float32)


def test_transform_keeps_noise_and_comes_back() -> None:
    noise = np.random.default_rng(0).standard_normal((3, 64, 65)).astype(np.complex64)
    kspace = to_kspace(noise)
    assert np.linalg.norm(kspace) == pytest.approx(np.linalg.norm(noise), rel=1e-5)
    assert np.allclose(from_kspace(kspace), noise, atol=1e-5)


@pytest.mark.parametrize("coils", [1, 4, 12])
def test_coils_together_see_the_image(coils: int) -> None:
    kspace, maps = coil_kspace(head(), coils, np.random.default_rng(1))
    assert np.allclose(np.sum(np.abs(maps) ** 2, axis=0), 1, atol=1e-5)
    assert np.allclose(sum_of_squares(from_kspace(kspace)), head(), atol=1e-3)
    assert np.allclose(np.abs(combine(kspace, maps)), head(), atol=1e-3)


def test_least_squares_needs_no_root() -> None:
    """With sensitivities whose squares sum to 4, a root in the denominator would be wrong by a factor of 2."""
    maps = 2 * draw_sensitivities((96, 96), 4, np.random.default_rng(1))
    kspace = to_kspace(maps * head())
    assert np.allclose(combine(kspace, maps), head(), atol=1e-3)


def test_sensitivities_are_found_again() -> None:
    maps = draw_sensitivities((96, 96), 6, np.random.default_rng(2))
    phase = np.exp(1j * draw_phase((96, 96), np.random.default_rng(3)))
    found = estimate_sensitivities(to_kspace(maps * head() * phase))
    inside = head() > 50
    # up to a phase that all coils share
    shared = np.exp(1j * np.angle(np.sum(found * maps.conj(), axis=0)))
    error = np.abs(found - maps * shared)[:, inside]
    assert np.median(error) < 0.03


def test_noise_has_the_wanted_ratios() -> None:
    kspace, _ = coil_kspace(head(), 8, np.random.default_rng(4))
    levels = np.linspace(12, 33, 8)
    versions = noisy_versions(kspace, levels, np.random.default_rng(5))
    found = [snr_db(head(), version) for version in versions]
    assert np.allclose(np.diff(found), 3, atol=0.05)
    assert np.allclose(found, levels, atol=0.05)


@pytest.mark.parametrize("coils", [1, 4, 8, 32])
def test_background_is_that_of_a_sum_of_squares(coils: int) -> None:
    wanted = math.sqrt(2) * math.gamma(coils + 0.5) / math.gamma(coils)
    empty = np.zeros((coils, 200, 200), dtype=np.complex64)
    assert CoilNoise(empty, np.random.default_rng(6)).at(1.0).mean() == pytest.approx(wanted, rel=0.01)
    assert CoilNoise(empty, np.random.default_rng(6)).at(0.5).mean() == pytest.approx(wanted / 2, rel=0.01)


def test_nothing_has_no_ratio() -> None:
    with pytest.raises(ValueError, match="zeros"):
        CoilNoise(np.zeros((2, 8, 8), dtype=np.complex64), np.random.default_rng(0)).sigma_of(20)


def test_versions_of_an_image_keep_blanked_air() -> None:
    versions = image_versions(head(), (15, 25), seed=3)
    assert (versions[:, head() == 0] == 0).all()
    assert np.array_equal(versions, image_versions(head(), (15, 25), seed=3))
    assert (image_versions(head(), (15, 25), seed=3, keep_zero=False)[:, head() == 0] > 0).any()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("lines", [64, 67])
def test_every_line_is_acquired_once(order: str, lines: int) -> None:
    assert sorted(line_times(lines, order)) == list(range(lines))


def test_orders_on_paper() -> None:
    assert line_times(6, "linear").tolist() == [0, 1, 2, 3, 4, 5]
    assert line_times(6, "interleaved").tolist() == [0, 3, 1, 4, 2, 5]
    # two shots of three lines: 0 2 4, then 1 3 5
    assert line_times(6, "echo_train", echoes=3).tolist() == [0, 3, 1, 4, 2, 5]
    assert line_times(8, "echo_train", echoes=2).tolist() == [0, 2, 4, 6, 1, 3, 5, 7]
    with pytest.raises(ValueError, match="no order"):
        line_times(6, "spiral")


def test_moves_stay_in_their_bounds() -> None:
    rng = np.random.default_rng(7)
    for _ in range(200):
        moves = draw_moves(rng)
        assert 2 <= len(moves.start) <= 4
        assert (np.diff(moves.start) >= 0).all()
        assert np.abs(np.diff(moves.turn, prepend=0)).max() <= 1
        assert np.linalg.norm(np.diff(moves.shift, axis=0, prepend=np.zeros((1, 2))), axis=1).max() <= 3


def test_no_moves_change_nothing() -> None:
    kspace, maps = coil_kspace(head(), 4, np.random.default_rng(8))
    assert np.array_equal(move(kspace, Moves(np.empty(0), np.empty(0), np.empty((0, 2)))), kspace)
    still = Moves(np.array([0.3]), np.array([0.0]), np.zeros((1, 2)))
    assert np.allclose(move(kspace, still, sensitivities=maps), kspace, atol=1e-2)


def test_a_shift_before_the_first_line_is_a_ramp() -> None:
    """One uniform coil and whole pixels around the border: the magnitudes of k-space stay."""
    kspace, maps = coil_kspace(head(), 1, np.random.default_rng(9))
    shifted = move(kspace, Moves(np.array([0.0]), np.array([0.0]), np.array([[3.0, -2.0]])), sensitivities=maps)
    assert np.allclose(np.abs(shifted), np.abs(kspace), atol=1e-2)
    image = sum_of_squares(from_kspace(shifted))
    assert np.allclose(image, np.roll(head(), (3, -2), (0, 1)), atol=1e-2)


def test_lines_before_the_move_are_the_old_ones() -> None:
    kspace, maps = coil_kspace(head(), 4, np.random.default_rng(10))
    moves = Moves(np.array([0.5]), np.array([1.0]), np.array([[2.0, 1.0]]))
    for axis in (0, 1):
        moved = np.moveaxis(move(kspace, moves, "linear", axis, maps), 1 + axis, 1)
        old = np.moveaxis(kspace, 1 + axis, 1)
        assert np.array_equal(moved[:, :48], old[:, :48])
        assert not np.allclose(moved[:, 48:], old[:, 48:], atol=1.0)


def test_a_turn_turns_the_right_way() -> None:
    """Turned before the first line: as SciPy's splines turn it, and not the other way."""
    one = ndimage.gaussian_filter(head(), 1.5)
    one += ndimage.gaussian_filter(np.pad(np.full((10, 4), 900.0, np.float32), ((20, 66), (40, 52))), 1.5)
    kspace, maps = coil_kspace(one, 1, np.random.default_rng(11))
    turned = move(kspace, Moves(np.array([0.0]), np.array([20.0]), np.zeros((1, 2))), sensitivities=maps)
    image = sum_of_squares(from_kspace(turned))
    error = {angle: float(np.abs(image - ndimage.rotate(one, angle, reshape=False)).mean()) for angle in (-20, 20)}
    assert error[20] < 0.5
    assert error[-20] > 5
