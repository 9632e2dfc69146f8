# SPDX-License-Identifier: Apache-2.0
"""Frame, hat, artifacts and the judged background on blocks whose answer is plain."""

from __future__ import annotations

import numpy as np

from bidsqa.anatomy.background import filled_value, find_artifacts, find_frame, find_hat, judge
from bidsqa.anatomy.grids import coarsen, covering
from bidsqa.anatomy.head import FaceLine, foreground
from bidsqa.image import Volume


def noisy_ball(quantise: bool = True) -> tuple[Volume, np.ndarray]:
    """A bright ball in Rayleigh noise of about two grey levels."""
    generator = np.random.default_rng(3)
    axes = np.meshgrid(*[np.arange(80) - 39.5] * 3, indexing="ij")
    ball = np.sqrt(sum(a**2 for a in axes)) < 28
    data = np.hypot(np.where(ball, 200.0, 0) + generator.normal(0, 2, ball.shape), generator.normal(0, 2, ball.shape))
    return Volume.from_array(np.round(data) if quantise else data), ball


def test_zeros_strewn_in_noise_are_no_frame() -> None:
    volume, _ = noisy_ball()
    assert np.mean(volume.data == 0) > 0.01
    assert not find_frame(volume).any()


def test_fault_3_a_filled_frame_is_found_exactly_and_leaves_the_hat() -> None:
    volume, ball = noisy_ball()
    data = volume.data.copy()
    data[:6], data[-6:], data[:, :, 70:] = 0, 0, 0
    framed = Volume.from_array(data)
    frame = find_frame(framed)
    assert frame[:6].all()
    assert frame[:, :, 70:].all()
    assert frame[6:-6, :, :70].mean() < 0.001
    line = FaceLine((0.0, 30.0), (79.0, 30.0))
    hat = find_hat(framed, ball.astype(np.uint8), frame, line)
    assert not hat[:6].any()
    assert not hat[:, :, :31].any()
    assert not (hat & ball).any()
    assert hat[6:-6, :, 31:70].mean() > 0.3


def test_fault_19_a_line_below_the_field_of_view_keeps_all_background() -> None:
    volume, ball = noisy_ball()
    line = FaceLine((0.0, -50.0), (79.0, -50.0))
    hat = find_hat(volume, ball.astype(np.uint8), np.zeros(volume.shape, bool), line)
    assert np.array_equal(hat, ~ball)


def test_fault_2_a_planted_ghost_is_an_artifact() -> None:
    volume, ball = noisy_ball()
    data = volume.data.copy()
    data[2:8, 2:8, 60:70] += 60
    ghosted = Volume.from_array(data)
    grid = covering(volume.shape, volume.spacing, 2.5)
    small = coarsen(ball.astype(np.float32), volume.spacing, grid) > 0.5
    found = find_artifacts(ghosted, ~ball, small, grid)
    assert found[3:7, 3:7, 61:69].all()
    assert found.sum() < 500
    assert not find_artifacts(volume, ~ball, small, grid).any()


def test_kind_of_background() -> None:
    volume, ball = noisy_ball()
    head = ball.astype(np.uint8)
    inner = np.zeros_like(head)
    inner[30:50, 30:50, 30:50] = 1
    nothing = np.zeros(volume.shape, bool)
    assert judge(volume, head, inner, nothing, False) == "natural"
    assert judge(volume, head, inner, ~ball, False) == "zeroed"
    assert judge(volume, head, head, ~ball, False) == "stripped"
    assert judge(volume, head, inner, ~ball, True) == "defaced"


def test_filled_value() -> None:
    volume, _ = noisy_ball(quantise=False)
    assert filled_value(volume.data) is None
    data = volume.data.copy() - 1000
    data[:20] = data.min() - 5
    assert filled_value(data) == float(data.min())


def test_foreground_is_the_ball_at_any_scale() -> None:
    volume, ball = noisy_ball()
    grid = covering(volume.shape, volume.spacing, 2.5)
    coarse = coarsen(volume.data, volume.spacing, grid)
    found = foreground(coarse)
    assert np.array_equal(found, foreground(coarse * 1000))
    truth = coarsen(ball.astype(np.float32), volume.spacing, grid) > 0.5
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.85  # reaches into the blur
    assert foreground(np.zeros((8, 8, 8), np.float32)).all()
