# SPDX-License-Identifier: Apache-2.0
"""Rigid motion in k-space: identities, exact shifts, reference pose, line orders."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

torch = pytest.importorskip("torch")

from bidsqa.simulation import ARTIFACTS  # noqa: E402
from bidsqa.simulation.motion import (  # noqa: E402
    CENTRIC,
    INTERLEAVED,
    LINEAR,
    POSES,
    apply_motion,
    line_pose,
    relative_poses,
)
from bidsqa.simulation.rotation import angles_of, rotate, rotation_matrix  # noqa: E402


def blob(dims: int = 2) -> Any:
    """A smooth bump away from the centre."""
    axes = torch.meshgrid(*[torch.arange(48.0)] * dims, indexing="ij")
    places = (20.0, 28.0, 24.0)[:dims]
    squares = sum(((axis - place) / 4) ** 2 for axis, place in zip(axes, places, strict=True))
    return torch.exp(-0.5 * squares)[None, None]


def still(dims: int = 2) -> dict[str, Any]:
    return {
        "rotation": torch.zeros(1, POSES, 1 if dims == 2 else 3),
        "shift": torch.zeros(1, POSES, dims),
        "until": torch.linspace(1 / POSES, 1, POSES)[None],
        "axis": torch.tensor([0]),
        "order": torch.tensor([LINEAR]),
        "spacing": torch.ones(1, dims),
    }


@pytest.mark.parametrize("dims", [2, 3])
def test_a_constant_pose_changes_nothing(dims: int) -> None:
    image = blob(dims)
    parameters = still(dims)
    parameters["rotation"] += 0.3
    parameters["shift"] += 4.0
    assert torch.allclose(apply_motion(image, parameters, image > 0), image, atol=1e-4)


def test_shift_by_whole_samples_is_a_roll_when_all_lines_but_the_centre_pose_see_it() -> None:
    image = blob()
    parameters = still()
    parameters["until"] = torch.tensor([[1e-3, 1.0, 1.0, 1.0, 1.0, 1.0]])
    parameters["order"] = torch.tensor([CENTRIC])
    parameters["until"][0, 0] = 1 / 48  # only the k = 0 line is seen by the first pose
    parameters["shift"][0, 1:, 1] = 3.0  # across the phase-encode axis
    moved = apply_motion(image, parameters, image > 0)
    rolled = image.roll(3, -1)
    mean = rolled - rolled.mean(dim=2, keepdim=True) + image.mean(dim=2, keepdim=True)
    assert torch.allclose(moved, mean.abs(), atol=1e-4)


def test_motion_in_the_outer_lines_keeps_the_sum() -> None:
    image = torch.where(blob() > 0.5, 1.0, 0.5)  # bright enough that no magnitude folds
    parameters = still()
    parameters["shift"][0, 0, 0] = 2.0
    moved = apply_motion(image, parameters, image > 0)
    assert not torch.allclose(moved, image, atol=1e-3)
    assert float(moved.sum()) == pytest.approx(float(image.sum()), rel=2e-3)


def test_rotation_turns_about_the_image_centre_in_millimetres() -> None:
    image = torch.zeros(1, 1, 41, 41)
    image[0, 0, 20, 30] = 1.0
    quarter = rotation_matrix(torch.tensor([[math.pi / 2]]))[0]
    turned = rotate(image, quarter, torch.tensor([1.0, 1.0]))
    assert turned[0, 0].argmax().item() in (30 * 41 + 20, 10 * 41 + 20)
    assert float(turned.max()) == pytest.approx(1.0, abs=1e-3)
    # half the spacing along columns: ten samples are five millimetres, which are five rows
    wide = torch.zeros(1, 1, 41, 81)
    wide[0, 0, 20, 50] = 1.0
    turned = rotate(wide, quarter, torch.tensor([1.0, 0.5]))
    row, column = divmod(int(turned[0, 0].argmax()), 81)
    assert abs(row - 20) == 5 and column == 40


def test_rotation_in_space_agrees_with_splines_and_can_be_turned_back() -> None:
    image, spacing = blob(3), torch.tensor([1.0, 1.25, 2.0])
    turn = rotation_matrix(torch.tensor([[0.12, -0.2, 0.15]]))[0]
    turned = rotate(image, turn, spacing)
    matrix = np.diag(1 / spacing.numpy()) @ turn.numpy().T @ np.diag(spacing.numpy())
    middle = (np.array(image.shape[2:]) - 1) / 2
    splines = ndimage.affine_transform(image[0, 0].numpy(), matrix, middle - matrix @ middle, order=5)
    assert np.abs(turned[0, 0].numpy() - splines).max() < 2e-3
    assert torch.allclose(rotate(turned, turn.T, spacing), image, atol=2e-3)


def test_rotation_in_space_keeps_the_noise() -> None:
    # all but what lies at the highest frequency, whose phase the grid does not hold; linear interpolation keeps 0.6
    noise = torch.randn((1, 1, 48, 48, 48), generator=torch.Generator().manual_seed(3))
    turned = rotate(noise, rotation_matrix(torch.tensor([[0.06, 0.04, -0.05]]))[0], torch.ones(3))
    inside = (..., slice(12, -12), slice(12, -12), slice(12, -12))
    assert float(turned[inside].std()) == pytest.approx(float(noise[inside].std()), rel=0.04)


def test_a_turn_that_shears_cannot_make_is_refused() -> None:
    with pytest.raises(ValueError, match="45 degrees"):
        rotate(blob(3), rotation_matrix(torch.tensor([[0.0, 0.0, 2.0]]))[0], torch.ones(3))


@pytest.mark.parametrize("kind", [torch.float16, torch.float64])
@pytest.mark.parametrize("dims", [2, 3])
def test_rotation_takes_any_kind_of_number(dims: int, kind: Any) -> None:
    turn = rotation_matrix(torch.full((1, 1 if dims == 2 else 3), 0.1))[0]
    turned = rotate(blob(dims).to(kind), turn, torch.ones(dims))
    assert torch.allclose(turned, rotate(blob(dims), turn, torch.ones(dims)), atol=1e-3)


def test_angles_of_a_rotation_give_it_again() -> None:
    angles = 0.9 * torch.randn(3, generator=torch.Generator().manual_seed(1)).tanh()
    again = torch.tensor(angles_of(rotation_matrix(angles[None])[0]))
    assert torch.allclose(again, angles, atol=1e-5)


def test_rotation_matrices_are_rotations() -> None:
    turns = rotation_matrix(torch.randn(5, 3, generator=torch.Generator().manual_seed(0)))
    assert torch.allclose(turns @ turns.transpose(1, 2), torch.eye(3).expand(5, 3, 3), atol=1e-5)
    assert torch.allclose(torch.linalg.det(turns), torch.ones(5), atol=1e-5)


def test_poses_are_relative_to_the_centre_of_k_space() -> None:
    generator = torch.Generator().manual_seed(1)
    turns, shifts = relative_poses(torch.randn(4, 3, generator=generator), torch.randn(4, 3, generator=generator), 2)
    assert torch.allclose(turns[2], torch.eye(3), atol=1e-6)
    assert torch.allclose(shifts[2], torch.zeros(3), atol=1e-6)


@pytest.mark.parametrize("order", [LINEAR, CENTRIC, INTERLEAVED])
def test_every_line_is_seen_once_for_its_share_of_time(order: int) -> None:
    until = torch.tensor([0.25, 0.5, 1.0])
    seen = line_pose(64, until, order)
    assert torch.bincount(seen, minlength=3).tolist() == [16, 16, 32]
    if order == CENTRIC:
        assert int(seen[0]) == 0 and int(seen[32]) == 2


def test_rms_pose_follows_the_strength() -> None:
    for strength in (0.2, 1.0):
        parameters = ARTIFACTS["motion"].sample(torch.Generator().manual_seed(2), [strength] * 40, (1.0, 1.0, 1.0))
        weight = parameters["until"].diff(dim=1, prepend=torch.zeros(40, 1))[..., None]
        degrees = (parameters["rotation"].rad2deg().square() * weight).sum(dim=(1, 2)).sqrt()
        shift = (parameters["shift"].square() * weight).sum(dim=(1, 2)).sqrt()
        assert torch.allclose((degrees**2 + shift**2).sqrt(), torch.full((40,), 5 * strength), rtol=1e-3)
