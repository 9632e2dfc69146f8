# SPDX-License-Identifier: Apache-2.0
"""Rigid motion of 2D multi-slice scans, where each slice is acquired in one go: through-plane motion shows here.

A slice is cut from wherever the head is at its time, so that slices repeat, are skipped or lie askew, and it darkens
when the head leaves the excited slab before the echo.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from bidsqa.simulation.artifact import Parameters, uniform, whole
from bidsqa.simulation.motion import RMS_AT_1, relative_poses
from bidsqa.simulation.resolution import FWHM_PER_SIGMA

KNOTS = 16
THICK_RATIO = 1.5
ECHO_SHARE = 0.5
ORDERS = ("ascending", "descending", "interleaved")
ASCENDING, DESCENDING, INTERLEAVED = range(len(ORDERS))


def sample_multislice(generator: torch.Generator, strength: Tensor, spacing: Tensor) -> Parameters:
    """A path of 16 poses, evenly spaced in time: drift plus sudden jumps, 0 - 5 degrees and 0 - 5 mm RMS over time.

    Parameters drawn: ``rotation`` (B, 16, 3) in radians, ``shift`` (B, 16, 3) in mm, ``axis`` across the slices (where
    one voxel edge is at least 1.5 times the smallest, that one), ``order`` of the slices, ``echo`` the share of a
    slice's time between excitation and echo (0.5).
    """
    count = len(strength)
    drift = torch.randn((count, KNOTS, 6), generator=generator)
    jump = torch.randn((count, KNOTS, 6), generator=generator)
    jump = jump * (torch.rand((count, KNOTS, 1), generator=generator) < 0.2)
    mixture = uniform(generator, count, 0, 1).reshape(-1, 1, 1)
    path = torch.cumsum(mixture * drift + (1 - mixture) * 3 * jump + 0.05 * drift, dim=1)
    path = path * torch.exp(0.5 * torch.randn((count, 1, 6), generator=generator))
    path = path - path.mean(dim=1, keepdim=True)

    def scaled(part: Tensor) -> Tensor:
        rms = part.square().sum(dim=2, keepdim=True).mean(dim=1, keepdim=True).sqrt()
        return part / rms.clamp(min=1e-6) * RMS_AT_1 * strength.reshape(-1, 1, 1)

    balance = uniform(generator, count, 0, 1).reshape(-1, 1, 1) * math.pi / 2
    axis = whole(generator, count, 0, 3)
    thick = spacing.amax(dim=1) >= THICK_RATIO * spacing.amin(dim=1)
    return {
        "rotation": scaled(path[..., :3]) * torch.cos(balance) * (math.pi / 180),
        "shift": scaled(path[..., 3:]) * torch.sin(balance),
        "axis": torch.where(thick, spacing.argmax(dim=1), axis),
        "order": whole(generator, count, 0, len(ORDERS)),
        "echo": torch.full((count,), ECHO_SHARE),
        "spacing": spacing.clone(),
    }


def slice_times(count: int, order: int, device: torch.device | None = None) -> Tensor:
    """Rank in time of each slice, shape (count,): ascending, descending, or even slices first."""
    place = torch.arange(count, device=device)
    if order == DESCENDING:
        return count - 1 - place
    if order == INTERLEAVED:
        return torch.where(place % 2 == 0, place // 2, (count + 1) // 2 + place // 2)
    return place


def pose_at(path: Tensor, time: Tensor) -> Tensor:
    """The path (K, 3), linear between its knots, at times 0-1 of the scan, shape (len(time), 3)."""
    place = (time * (len(path) - 1)).clamp(0, len(path) - 1)
    low = place.floor().long().clamp(max=len(path) - 2)
    share = (place - low)[:, None]
    return path[low] * (1 - share) + path[low + 1] * share


def apply_multislice(image: Tensor, parameters: Parameters, head: Tensor) -> Tensor:
    """y_z = loss_z · x(R_z⁻¹ (r - d_z)) on the plane of slice z, poses relative to that of the middle slice.

    Between slices x is linear (a triangular profile). The excited and the refocused slab are Gaussians with the slices'
    distance D as full width at half maximum: displaced by u(r) against each other they overlap by
    exp(-u² / (4 σ²)), σ = D / 2.3548.
    """
    return torch.cat(
        [
            _cut_slices(image[number : number + 1], {key: value[number] for key, value in parameters.items()})
            for number in range(len(image))
        ]
    )


def _cut_slices(image: Tensor, parameters: Parameters) -> Tensor:
    axis, device = int(parameters["axis"]), image.device
    count = image.shape[axis + 2]
    rank = slice_times(count, int(parameters["order"]), device)
    middle = count // 2
    times = torch.cat([(rank + 0.5) / count, (rank + 0.5 + parameters["echo"]) / count])
    turns, shifts = (pose_at(parameters[key], times) for key in ("rotation", "shift"))
    turns, shifts = relative_poses(turns, shifts, middle)
    spacing = parameters["spacing"]
    edges = []
    for place, size in enumerate(image.shape[2:]):
        offset = (torch.arange(size, device=device) - (size - 1) / 2) * spacing[place]
        edges.append(offset.reshape([-1 if other == place else 1 for other in range(3)]))
    shape = [-1 if other == axis else 1 for other in range(3)]

    excited, echo = slice(0, count), slice(count, None)
    # where the tissue in each voxel of the result lies in the head, in mm from the centre
    origin = []
    for place in range(3):
        parts = [
            turns[excited, other, place].reshape(shape) * (edges[other] - shifts[excited, other].reshape(shape))
            for other in range(3)
        ]
        origin.append(parts[0] + parts[1] + parts[2])
    unit = [2 * origin[place] / (image.shape[place + 2] * spacing[place]) for place in (2, 1, 0)]
    grid = torch.stack([part.expand(image.shape[2:]) for part in unit], dim=-1)[None]
    cut = functional.grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    moved = shifts[echo, axis].reshape(shape) - edges[axis]
    for place in range(3):
        moved = moved + turns[echo, axis, place].reshape(shape) * origin[place]
    sigma = spacing[axis] / FWHM_PER_SIGMA
    return cut * torch.exp(-moved.square() / (4 * sigma**2))
