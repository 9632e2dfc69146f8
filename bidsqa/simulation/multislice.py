# SPDX-License-Identifier: Apache-2.0
"""Rigid motion of 2D multi-slice scans, where each slice is acquired in one go: through-plane motion shows here.

A slice is cut from wherever the head is at its time, so that slices repeat, are skipped or lie askew, and it darkens
when the head leaves the excited slab before the echo.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from bidsqa.simulation.artifact import Parameters, uniform, whole
from bidsqa.simulation.motion import RMS_AT_1, relative_poses
from bidsqa.simulation.resolution import FWHM_PER_SIGMA
from bidsqa.simulation.rotation import resample_planes

KNOTS = 16
THICK_RATIO = 1.5
ECHO_SHARE = 0.5
# voxels; slices that move less stay as they are
SMALLEST_MOVE = 1e-4
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
    """y_z = loss_z · |x(R_z⁻¹ (r - d_z))| on the plane of slice z, poses relative to that of the middle slice.

    In the plane x is band-limited (:func:`bidsqa.simulation.rotation.resample_planes`), so that noise keeps its power.
    Between slices it is linear (a triangular profile), which takes noise where a slice lies between two. The excited
    and the refocused slab are Gaussians with the slices' distance D as full width at half maximum: displaced by u(r)
    against each other they overlap by exp(-u² / (4 σ²)), σ = D / 2.3548.
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
    times = torch.cat([(rank + 0.5) / count, (rank + 0.5 + parameters["echo"]) / count])
    turns, shifts = (pose_at(parameters[key], times) for key in ("rotation", "shift"))
    turns, shifts = relative_poses(turns, shifts, count // 2)
    excited, echo = slice(0, count), slice(count, None)
    origin = _origin(image.shape[2:], turns[excited], shifts[excited], parameters["spacing"], axis)
    cut = _moved_slices(image[0, 0], turns[excited], shifts[excited], parameters["spacing"], axis)
    cut = cut * _in_view(origin, parameters["spacing"], axis)
    return (cut * _overlap(origin, turns[echo], shifts[echo], parameters["spacing"], axis))[None, None]


def _centred(shape: Sequence[int], spacing: Tensor) -> list[Tensor]:
    """Position of the voxels along each axis, mm from the centre, shape (size,)."""
    return [
        (torch.arange(size, device=spacing.device) - (size - 1) / 2) * spacing[place]
        for place, size in enumerate(shape)
    ]


def _origin(shape: Sequence[int], turns: Tensor, shifts: Tensor, spacing: Tensor, axis: int) -> list[Tensor]:
    """Where the tissue in each voxel of the result lies in the head, R⁻¹ (r - d), three of (X, Y, Z), in mm."""
    wide = [-1 if other == axis else 1 for other in range(3)]
    edges = [
        part.reshape([-1 if other == place else 1 for other in range(3)])
        for place, part in enumerate(_centred(shape, spacing))
    ]
    ahead = [edges[other] - shifts[:, other].reshape(wide) for other in range(3)]
    rows = [[turns[:, other, place].reshape(wide) * ahead[other] for other in range(3)] for place in range(3)]
    return [row[0] + row[1] + row[2] for row in rows]


def _moved_slices(image: Tensor, turns: Tensor, shifts: Tensor, spacing: Tensor, axis: int) -> Tensor:
    """What each slice (one pose each) cuts from the head, shape of the image (X, Y, Z).

    First the scan is read along ``axis`` alone, at each in-plane voxel where the slice's plane passes; then that
    picture is turned and shifted in the plane.
    """
    first, second = (place for place in range(3) if place != axis)
    edges = _centred(image.shape, spacing)
    # w' = (h - d_a - R_au p_u - R_av p_v) / R_aa: from the third row of r - d = R (p, w')
    level = (edges[axis] - shifts[:, axis])[:, None, None]
    level = level - turns[:, axis, first, None, None] * edges[first][:, None]
    level = level - turns[:, axis, second, None, None] * edges[second]
    height = level / turns[:, axis, axis, None, None]
    planes = _between_slices(image.movedim(axis, 0), height / spacing[axis] + (image.shape[axis] - 1) / 2)
    # A and b of the in-plane part of R⁻¹ (r - d)
    matrix = turns[:, [first, second]][:, :, [first, second]].mT
    offset = (edges[axis] - shifts[:, axis])[:, None] * turns[:, axis, [first, second]]
    offset = offset - torch.einsum("nij,nj->ni", matrix, shifts[:, [first, second]])
    half = torch.stack([edges[first].abs().max(), edges[second].abs().max()])
    still = torch.eye(2, device=image.device)
    reach = (((matrix - still).abs() @ half + offset.abs()) / spacing[[first, second]]).amax(dim=1)
    moved = torch.nonzero(reach > SMALLEST_MOVE).flatten()
    if moved.numel():
        turned = resample_planes(planes[moved], matrix[moved], offset[moved], spacing[[first, second]])
        planes[moved] = turned.abs()
    return planes.movedim(0, axis)


def _between_slices(slices: Tensor, place: Tensor) -> Tensor:
    """Slices (N, U, V) read linearly at the places (M, U, V) along the first axis; beyond them the last one.

    What was never in view is blanked afterwards (:func:`_in_view`): a step here would ring in the plane.
    """
    place = place.clamp(0, len(slices) - 1)
    low = place.floor()
    share = place - low
    before, after = (slices.gather(0, number.clamp(max=len(slices) - 1).long()) for number in (low, low + 1))
    return before * (1 - share) + after * share


def _in_view(origin: Sequence[Tensor], spacing: Tensor, axis: int) -> Tensor:
    """1 where the tissue was in the scan, 0 where it was not; in between over one slice beyond the last ones."""
    shape = origin[0].shape
    seen = torch.ones((), device=spacing.device)
    for place, position in enumerate(origin):
        beyond = (position.abs() / spacing[place] - (shape[place] - 1) / 2).clamp(min=0)
        seen = seen * ((1 - beyond).clamp(0, 1) if place == axis else (beyond <= 0.5).to(seen.dtype))
    return seen


def _overlap(origin: Sequence[Tensor], turns: Tensor, shifts: Tensor, spacing: Tensor, axis: int) -> Tensor:
    """How far the slab that is refocused, in later poses, still holds what was excited, 0-1, shape (X, Y, Z)."""
    shape = origin[0].shape
    wide = [-1 if other == axis else 1 for other in range(3)]
    moved = shifts[:, axis].reshape(wide) - _centred(shape, spacing)[axis].reshape(wide)
    for place in range(3):
        moved = moved + turns[:, axis, place].reshape(wide) * origin[place]
    sigma = spacing[axis] / FWHM_PER_SIGMA
    return torch.exp(-moved.square() / (4 * sigma**2))
