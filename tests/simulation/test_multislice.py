# SPDX-License-Identifier: Apache-2.0
"""Motion between the slices of 2D scans: each slice from where the head is, darker where it moves across."""

from __future__ import annotations

import math
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from bidsqa.simulation import ARTIFACTS  # noqa: E402
from bidsqa.simulation.multislice import (  # noqa: E402
    ASCENDING,
    DESCENDING,
    INTERLEAVED,
    KNOTS,
    apply_multislice,
    pose_at,
    slice_times,
)
from bidsqa.simulation.resolution import FWHM_PER_SIGMA  # noqa: E402
from bidsqa.simulation.rotation import rotate, rotation_matrix  # noqa: E402

SHAPE = (20, 24, 15)


def textured(seed: int = 0) -> Any:
    return torch.rand((1, 1, *SHAPE), generator=torch.Generator().manual_seed(seed)) + 0.5


def still(axis: int = 2, order: int = ASCENDING, echo: float = 0.0) -> dict[str, Any]:
    return {
        "rotation": torch.zeros(1, KNOTS, 3),
        "shift": torch.zeros(1, KNOTS, 3),
        "axis": torch.tensor([axis]),
        "order": torch.tensor([order]),
        "echo": torch.tensor([echo]),
        "spacing": torch.tensor([[1.0, 1.0, 3.0]]),
    }


def late_step(parameters: dict[str, Any], key: str, place: int, size: float, knot: int = 12) -> dict[str, Any]:
    """The head moves once, between two knots; by default after three quarters of the scan."""
    parameters[key][0, knot:, place] = size
    return parameters


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_constant_pose_changes_nothing(axis: int) -> None:
    image, parameters = textured(), still(axis, INTERLEAVED, echo=0.5)
    parameters["rotation"] += 0.4
    parameters["shift"] += 3.0
    assert torch.allclose(apply_multislice(image, parameters, image > 0), image, atol=1e-4)


def test_late_slices_are_rolled_by_a_shift_in_the_plane_and_early_ones_stay() -> None:
    image = textured()
    moved = apply_multislice(image, late_step(still(), "shift", 1, 2.0), image > 0)
    assert torch.allclose(moved[..., :10], image[..., :10], atol=1e-4)
    assert torch.allclose(moved[:, :, :, 2:, 13:], image[:, :, :, :-2, 13:], atol=1e-4)
    assert float(moved[:, :, :, :2, 13:].abs().max()) < 1e-4


def test_a_shift_across_the_slices_repeats_a_slice() -> None:
    image = textured()
    moved = apply_multislice(image, late_step(still(), "shift", 2, 3.0), image > 0)  # one slice distance
    assert torch.allclose(moved[..., 13:], image[..., 12:14], atol=1e-4)
    assert torch.allclose(moved[..., :10], image[..., :10], atol=1e-4)


SPACING = (1.0, 1.0, 3.0)


def places() -> list[Any]:
    """Position of every voxel, mm from the centre."""
    axes = [(torch.arange(float(size)) - (size - 1) / 2) * edge for size, edge in zip(SHAPE, SPACING, strict=True)]
    return list(torch.meshgrid(*axes, indexing="ij"))


def blob(first: Any, second: Any, third: Any) -> Any:
    """A smooth blob off the centre of every slice, brighter in higher ones; 0 at the border of the slices."""
    shape = torch.exp(-(((first - 1.5) / 2.5) ** 2) - ((second + 2) / 3) ** 2)
    return shape * (100 + third)


def test_without_motion_across_a_slice_is_turned_as_a_picture() -> None:
    angle = 0.3
    first, second, third = places()
    moved = apply_multislice(
        blob(first, second, third)[None, None], late_step(still(), "rotation", 2, angle), torch.ones(1, 1, *SHAPE) > 0
    )[0, 0]
    cosine, sine = math.cos(angle), math.sin(angle)
    expected = blob(cosine * first + sine * second, cosine * second - sine * first, third)
    late = slice(13, None)
    assert float((expected - blob(first, second, third))[..., late].abs().max()) > 20
    assert torch.allclose(moved[..., late], expected[..., late], atol=0.1)
    flat = rotate(
        blob(first, second, third)[None, None, ..., 14], rotation_matrix(torch.tensor([[angle]]))[0], torch.ones(2)
    )
    assert float((moved[..., 14] - flat).abs().max()) < 3  # cubic there, blunter


@pytest.mark.parametrize(
    ("turn", "shift"),
    [((0.0, 0.0, 0.0), (0.4, -1.3, 0.0)), ((0.0, 0.0, 0.2), (0.4, -1.3, 1.1)), ((0.06, -0.04, 0.1), (0.7, 0.2, -0.5))],
)
def test_any_pose_is_the_rigid_motion_of_the_head(turn: Any, shift: Any) -> None:
    """The blob is linear across the slices, as the profile is: turns, tilts and shifts are exact."""
    grid = places()
    parameters = still()
    parameters["rotation"][0, 12:], parameters["shift"][0, 12:] = torch.tensor(turn), torch.tensor(shift)
    moved = apply_multislice(blob(*grid)[None, None], parameters, torch.ones(1, 1, *SHAPE) > 0)[0, 0]
    inverse = rotation_matrix(torch.tensor([turn]))[0].T
    ahead = [part - step for part, step in zip(grid, shift, strict=True)]
    origin = [sum(inverse[place, other] * ahead[other] for other in range(3)) for place in range(3)]
    for late in (12, 13):  # of 15; the last one may lie beyond the scan
        assert torch.allclose(moved[..., late], blob(*origin)[..., late], atol=0.1)
        assert float((moved - blob(*grid))[..., late].abs().max()) > 5
    assert torch.allclose(moved[..., :9], blob(*grid)[..., :9], atol=1e-3)


def test_noise_keeps_its_power_in_the_plane_and_loses_some_between_slices() -> None:
    shape = (64, 72, 15)
    image = 20 + torch.randn((1, 1, *shape), generator=torch.Generator().manual_seed(0))

    def power(key: str, place: int, size: float) -> float:
        moved = apply_multislice(image, late_step(still(), key, place, size), image > 0)[0, 0]
        return float(moved[12:-12, 12:-12, 13].var() / image[0, 0, 12:-12, 12:-12, 13].var())

    for key, place, size in (("rotation", 2, 0.08), ("shift", 0, 0.5), ("shift", 1, 2.4)):
        assert power(key, place, size) == pytest.approx(1, abs=0.05), (key, place)
    # half way between two slices: the mean of both, which has half the power
    assert power("shift", 2, 1.5) == pytest.approx(0.5, abs=0.05)


def test_what_was_never_in_view_is_black() -> None:
    image = textured()
    moved = apply_multislice(image, late_step(still(), "shift", 0, -4.0), image > 0)
    assert float(moved[:, :, -4:, :, 13:].abs().max()) == 0
    up = apply_multislice(image, late_step(still(), "shift", 2, -9.0), image > 0)
    assert float(up[..., 13:].abs().max()) == 0
    assert float(up[..., 11].min()) > 0


def test_a_tilt_takes_the_slice_askew() -> None:
    ramp = torch.arange(float(SHAPE[2])).expand(SHAPE)[None, None] * 3.0  # height in mm
    angle = 0.1
    moved = apply_multislice(ramp, late_step(still(), "rotation", 1, angle), ramp >= 0)[0, 0, :, 12, 13]
    across = torch.arange(float(SHAPE[0])) - (SHAPE[0] - 1) / 2
    # the slice lies 6 slices above the middle one, that of the height 21
    expected = 21 + 18 * math.cos(angle) - across * math.sin(angle)
    assert torch.allclose(moved[2:-4], expected[2:-4], atol=5e-3)


@pytest.mark.parametrize("speed", [0.5, 2.0])
def test_moving_across_darkens_by_the_overlap_of_the_profiles(speed: float) -> None:
    """A steady drift of ``speed`` mm a slice; half of it lies between excitation and echo."""
    image = torch.ones(1, 1, 6, 6, 30)
    parameters = still(echo=0.5)
    parameters["shift"][0, :, 2] = torch.linspace(0, speed * 30, KNOTS)
    moved = apply_multislice(image, parameters, image > 0)
    sigma = 3.0 / FWHM_PER_SIGMA
    expected = math.exp(-((0.5 * speed) ** 2) / (4 * sigma**2))
    assert float(moved[0, 0, 3, 3, 14]) == pytest.approx(expected, rel=1e-3)
    in_plane = still(echo=0.5)
    in_plane["shift"][0, :, 1] = torch.linspace(0, 2.0, KNOTS)
    assert float(apply_multislice(image, in_plane, image > 0)[0, 0, 3, 3, 14]) == pytest.approx(1, abs=1e-4)


def test_orders() -> None:
    assert slice_times(5, ASCENDING).tolist() == [0, 1, 2, 3, 4]
    assert slice_times(5, DESCENDING).tolist() == [4, 3, 2, 1, 0]
    assert slice_times(5, INTERLEAVED).tolist() == [0, 3, 1, 4, 2]
    assert slice_times(6, INTERLEAVED).tolist() == [0, 3, 1, 4, 2, 5]


def test_interleaved_order_puts_neighbours_into_different_poses() -> None:
    image = textured()
    parameters = late_step(still(order=INTERLEAVED), "shift", 1, 2.0, KNOTS // 2)
    moved = apply_multislice(image, parameters, image > 0)
    changed = (moved - image).abs().amax(dim=(0, 1, 2, 3)) > 1e-3
    # the middle slice, 7, is acquired in the second half, and so are all odd ones
    assert changed.tolist() == [place % 2 == 0 for place in range(SHAPE[2])]


def test_poses_lie_on_straight_lines_between_knots() -> None:
    path = torch.tensor([[0.0, 0.0, 0.0], [2.0, 0.0, 4.0], [2.0, 6.0, 4.0]])
    found = pose_at(path, torch.tensor([0.0, 0.25, 0.5, 1.0, 1.2]))
    assert found.tolist() == [[0, 0, 0], [1, 0, 2], [2, 0, 4], [2, 6, 4], [2, 6, 4]]


def test_rms_follows_the_strength_and_slices_lie_across_the_longest_edge() -> None:
    row = ARTIFACTS["slice_motion"]
    for strength in (0.3, 1.0):
        drawn = row.sample(torch.Generator().manual_seed(0), [strength] * 50, (1.0, 4.0, 1.0))
        degrees = drawn["rotation"].rad2deg().square().sum(dim=2).mean(dim=1)
        shift = drawn["shift"].square().sum(dim=2).mean(dim=1)
        assert torch.allclose((degrees + shift).sqrt(), torch.full((50,), 5 * strength), rtol=1e-3)
        assert drawn["axis"].tolist() == [1] * 50
    free = row.sample(torch.Generator().manual_seed(0), [0.5] * 50, (1.0, 1.0, 1.0))["axis"]
    assert set(free.tolist()) == {0, 1, 2}
