# SPDX-License-Identifier: Apache-2.0
"""Sciarra's in-house motion against an independent simulation by scipy."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

torch = pytest.importorskip("torch")

from bidsqa.simulation import ARTIFACTS, damage_batch  # noqa: E402
from bidsqa.simulation.motion_iid import IID_DEGREES, apply_iid, sample_iid  # noqa: E402

SIDE = 64


def smooth_head(dims: int = 2) -> Any:
    """A textured round head that bends little from pixel to pixel."""
    axes = np.meshgrid(*[np.linspace(-1.2, 1.2, SIDE if dims == 2 else 24)] * dims, indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in axes))
    detail = sum(np.sin(16 * axis + place) for place, axis in enumerate(axes))
    image = (1 + 0.4 * detail) / (1 + np.exp((radius - 0.8) / 0.03))
    return torch.from_numpy(image.astype(np.float32))[None, None]


def settings(degrees: float, axis: int = 0, seed: int = 5) -> dict[str, Any]:
    return {"degrees": torch.tensor([degrees]), "axis": torch.tensor([axis]), "seed": torch.tensor([seed])}


@pytest.mark.parametrize("axis", [0, 1])
def test_it_equals_turned_slices_woven_together_in_k_space(axis: int) -> None:
    image, degrees = smooth_head(), 4.0
    turn = torch.randint(-1, 2, (SIDE,), generator=torch.Generator().manual_seed(5)).numpy()
    plane = image[0, 0].numpy().astype(float)
    woven = np.zeros((SIDE, SIDE), complex)
    for sign in (-1, 0, 1):
        turned = ndimage.rotate(plane, sign * degrees, reshape=False, order=3)
        spectrum = np.fft.fft2(turned)
        lines = (turn == sign, slice(None)) if axis == 0 else (slice(None), turn == sign)
        woven[lines] = spectrum[lines]
    expected = np.abs(np.fft.ifft2(woven))
    found = apply_iid(image, settings(degrees, axis))[0, 0].numpy()
    assert np.abs(expected - plane).max() > 0.1
    assert np.abs(found - expected).max() < 0.03  # bicubic here, cubic spline there
    assert np.abs(found - expected).mean() < 0.08 * np.abs(expected - plane).mean()


def test_all_slices_of_a_volume_turn_alike() -> None:
    image = smooth_head(3)
    for axis in range(3):
        parameters = {**settings(3.0, axis), "spacing": torch.ones(1, 3)}
        volume = apply_iid(image, parameters)[0, 0]
        across = (axis + 2) % 3
        one = image[0, 0].select(across, 10)[None, None]
        slice_axis = axis - int(across < axis)
        assert torch.allclose(volume.select(across, 10), apply_iid(one, settings(3.0, slice_axis))[0, 0], atol=1e-5)


def test_turns_are_in_millimetre_space() -> None:
    image = smooth_head()
    square = apply_iid(image, settings(5.0, 0))
    oblong = apply_iid(image, {**settings(5.0, 0), "spacing": torch.tensor([[1.0, 2.0]])})
    assert not torch.allclose(square, oblong, atol=1e-2)
    scaled = apply_iid(image, {**settings(5.0, 0), "spacing": torch.tensor([[2.0, 2.0]])})
    assert torch.allclose(square, scaled, atol=1e-5)


def test_degrees_are_log_uniform_and_strength_zero_is_identity() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = sample_iid(generator, torch.tensor([0.0, 0.5, 1.0]))["degrees"]
    assert drawn.tolist() == pytest.approx([IID_DEGREES[0], (IID_DEGREES[0] * IID_DEGREES[1]) ** 0.5, IID_DEGREES[1]])
    image = smooth_head()
    row = ARTIFACTS["motion_iid"]
    assert torch.equal(row.apply(image, row.sample(generator, 0.0)), image)


@pytest.mark.parametrize("seed", range(4))
def test_damage_never_falls_with_strength_of_one_seed(seed: int) -> None:
    image = smooth_head()
    row = ARTIFACTS["motion_iid"]
    strengths = (0.0, 0.15, 0.3, 0.5, 0.75, 1.0)
    harms = []
    for strength in strengths:
        moved = row.apply(image, row.sample(torch.Generator().manual_seed(seed), strength))
        harms.append(float(damage_batch(image, moved, image > 0.1)["damage"]))
    assert all(later > earlier - 1e-6 for earlier, later in pairwise(harms)), harms
    assert harms[-1] > 0.05
