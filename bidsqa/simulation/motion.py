# SPDX-License-Identifier: Apache-2.0
"""Rigid head motion between k-space lines, in the plane (2D) or in space (3D)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bidsqa.simulation.artifact import Parameters, uniform, whole
from bidsqa.simulation.rotation import rotate, rotation_matrix

POSES = 6
RMS_AT_1 = 5.0
ORDERS = ("linear", "centric", "interleaved")
LINEAR, CENTRIC, INTERLEAVED = range(len(ORDERS))


def sample_motion(generator: torch.Generator, strength: Tensor, spacing: Tensor) -> Parameters:
    """A path of six poses: random drift plus sudden jumps, scaled to 0 - 5 degrees and 0 - 5 mm RMS over time.

    Parameters drawn: ``rotation`` (B, 6, 1 or 3) in radians, ``shift`` (B, 6, dims) in mm, ``until`` (B, 6) end of each
    pose as a share of the scan, ``axis`` of the phase encoding, ``order`` of its lines (linear, centric, interleaved).
    """
    count, dims = spacing.shape
    angles = 1 if dims == 2 else 3
    freedom = angles + dims
    gaps = uniform(generator, (count, POSES), 0.15, 1.0)
    until = torch.cumsum(gaps / gaps.sum(dim=1, keepdim=True), dim=1)
    drift = torch.randn((count, POSES, freedom), generator=generator)
    jump = torch.randn((count, POSES, freedom), generator=generator) * (
        torch.rand((count, POSES, 1), generator=generator) < 0.4
    )
    mixture = uniform(generator, count, 0, 1).reshape(-1, 1, 1)
    path = torch.cumsum(mixture * drift + (1 - mixture) * 2 * jump + 0.05 * drift, dim=1)
    # heads nod and sink more than they turn or slide, in a way that differs between scans
    path = path * torch.exp(0.5 * torch.randn((count, 1, freedom), generator=generator))
    weight = torch.diff(until, dim=1, prepend=torch.zeros((count, 1)))[..., None]
    path = path - (path * weight).sum(dim=1, keepdim=True)
    turn, shift = path[..., :angles], path[..., angles:]

    def scaled(part: Tensor) -> Tensor:
        rms = (part.square().sum(dim=2, keepdim=True) * weight).sum(dim=1, keepdim=True).sqrt()
        return part / rms.clamp(min=1e-6) * RMS_AT_1 * strength.reshape(-1, 1, 1)

    balance = uniform(generator, count, 0, 1).reshape(-1, 1, 1)
    return {
        "rotation": scaled(turn) * torch.cos(balance * math.pi / 2) * (math.pi / 180),
        "shift": scaled(shift) * torch.sin(balance * math.pi / 2),
        "until": until,
        "axis": whole(generator, count, 0, dims),
        "order": whole(generator, count, 0, 3),
        "spacing": spacing.clone(),
    }


def line_pose(count: int, until: Tensor, order: int) -> Tensor:
    """Which pose each k-space line (FFT order) saw, shape (count,)."""
    number = torch.fft.fftfreq(count, 1.0 / count, device=until.device)
    place = number + count // 2
    if order == CENTRIC:
        time = torch.argsort(torch.argsort(number.abs() + 0.25 * (number > 0))).float()
    elif order == INTERLEAVED:
        time = torch.where(place % 2 == 0, place / 2, (count + place) / 2)
    else:
        time = place
    return torch.searchsorted(until.contiguous(), (time + 0.5) / count).clamp(max=until.numel() - 1)


def relative_poses(rotation: Tensor, shift: Tensor, centre: int) -> tuple[Tensor, Tensor]:
    """Each pose relative to the pose at the centre of k-space: T_j · T_c⁻¹, so that a constant pose changes nothing."""
    turn = rotation_matrix(rotation)
    relative = turn @ turn[centre].T
    return relative, shift - torch.einsum("pij,j->pi", relative, shift[centre])


def apply_motion(image: Tensor, parameters: Parameters, head: Tensor) -> Tensor:
    """K_j = e^{-2πi k·d_j} F[x∘R_j⁻¹](k_j), y = |F⁻¹ K|; pose constant along a phase-encode line."""
    return torch.cat(
        [
            _move_one(image[number : number + 1], {key: value[number] for key, value in parameters.items()})
            for number in range(len(image))
        ]
    )


def _move_one(image: Tensor, parameters: Parameters) -> Tensor:
    dims, axis = image.ndim - 2, int(parameters["axis"])
    count = image.shape[axis + 2]
    seen = line_pose(count, parameters["until"], int(parameters["order"]))
    turns, shifts = relative_poses(parameters["rotation"], parameters["shift"], int(seen[0]))
    shifts = shifts / parameters["spacing"]
    encoded = torch.zeros(image.shape, dtype=torch.complex64, device=image.device)
    for pose in range(len(turns)):
        lines = torch.nonzero(seen == pose).flatten()
        if lines.numel() == 0:
            continue
        turned = image if pose == int(seen[0]) else rotate(image, turns[pose], parameters["spacing"])
        spectrum = torch.fft.fft(turned, dim=axis + 2).index_select(axis + 2, lines)
        for other in range(dims):
            if abs(float(shifts[pose, other])) < 1e-6:
                continue
            spectrum = _shift(spectrum, float(shifts[pose, other]), other, axis, lines, count)
        encoded.index_copy_(axis + 2, lines, spectrum)
    return torch.fft.ifft(encoded, dim=axis + 2).abs()


def _shift(spectrum: Tensor, shift: float, other: int, axis: int, lines: Tensor, count: int) -> Tensor:
    """Move by ``shift`` samples along an axis with a phase ramp (exact for band-limited images)."""
    if other == axis:
        frequency = torch.fft.fftfreq(count, device=spectrum.device)[lines]
        return spectrum * _ramp(frequency, shift, spectrum.ndim, other)
    frequency = torch.fft.fftfreq(spectrum.shape[other + 2], device=spectrum.device)
    moved = torch.fft.fft(spectrum, dim=other + 2) * _ramp(frequency, shift, spectrum.ndim, other)
    return torch.fft.ifft(moved, dim=other + 2)


def _ramp(frequency: Tensor, shift: float, ndim: int, axis: int) -> Tensor:
    angle = -2 * math.pi * shift * frequency
    return torch.polar(torch.ones_like(angle), angle).reshape([-1 if place == axis + 2 else 1 for place in range(ndim)])
