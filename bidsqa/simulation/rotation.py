# SPDX-License-Identifier: Apache-2.0
"""Rotation of an image about its centre.

In space by shears, each a shift along one axis by a phase ramp (Unser et al. 1995, doi 10.1109/83.465102; for heads
Eddy et al. 1996, doi 10.1002/mrm.1910360614): noise keeps its power and edges their sharpness. Linear interpolation
would take two thirds of the noise's power out of a moved scan and leave it looking better than the scan that lay still.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

# voxels beyond the grid over which what lies at its border fades, besides those that a shear reaches
FADE = 6
# wider for slices that move in their plane: what lies at their border rings ten times less
PLANE_FADE = 16
# rad; a smaller turn moves no voxel
SMALLEST = 1e-7
# voxels at the border
SMALLEST_SQUEEZE = 1e-3


def rotation_matrix(angles: Tensor) -> Tensor:
    """Rotation (P, dims, dims) from one angle (2D) or three (3D, product of turns about axes 0, 1, 2), in radians."""
    if angles.shape[1] == 1:
        cosine, sine = torch.cos(angles[:, 0]), torch.sin(angles[:, 0])
        return torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1)
    result = torch.eye(3, device=angles.device).expand(len(angles), 3, 3)
    for axis in range(3):
        first, second = [other for other in range(3) if other != axis]
        turn = torch.eye(3, device=angles.device).repeat(len(angles), 1, 1)
        cosine, sine = torch.cos(angles[:, axis]), torch.sin(angles[:, axis])
        turn[:, first, first] = turn[:, second, second] = cosine
        turn[:, first, second], turn[:, second, first] = -sine, sine
        result = result @ turn
    return result


def rotate(image: Tensor, turn: Tensor, spacing: Tensor) -> Tensor:
    """Rotate one image about its centre.

    Parameters
    ----------
    image : tensor of float32, shape (1, 1, X, Y) or (1, 1, X, Y, Z)
    turn : tensor of float32, shape (2, 2) or (3, 3)
        From :func:`rotation_matrix`; in space of turns up to 45 degrees about each axis.
    spacing : tensor, shape (2,) or (3,)
        mm.

    Returns
    -------
    tensor of float32, shape of the image
        Bicubic in the plane, with 0 beyond the grid; by shears in space, where what lies at the border fades over six
        voxels beyond it.

    Raises
    ------
    ValueError
        For a turn in space of more than 45 degrees, which no head makes and shears can't.
    """
    image = image.to(torch.float32)
    return _in_plane(image, turn, spacing) if image.ndim == 4 else _in_space(image, turn, spacing)


def _in_plane(image: Tensor, turn: Tensor, spacing: Tensor) -> Tensor:
    half = torch.tensor(image.shape[2:], device=image.device, dtype=torch.float32) / 2 * spacing
    # from unit coordinates to mm and back; grid_sample wants the last axis first
    unit = turn.T * half[None, :] / half[:, None]
    theta = torch.cat([unit.flip(0, 1), torch.zeros((2, 1), device=image.device)], dim=1)[None]
    grid = functional.affine_grid(theta, list(image.shape), align_corners=False)
    return functional.grid_sample(image, grid, mode="bicubic", padding_mode="zeros", align_corners=False)


def angles_of(turn: Tensor) -> tuple[float, float, float]:
    """The three angles (rad) of :func:`rotation_matrix` that give a rotation (3, 3); the second within ±π/2."""
    first = math.atan2(-float(turn[1, 2]), float(turn[2, 2]))
    second = -math.asin(min(1.0, max(-1.0, float(turn[0, 2]))))
    third = math.atan2(-float(turn[0, 1]), float(turn[0, 0]))
    return first, second, third


def _in_space(image: Tensor, turn: Tensor, spacing: Tensor) -> Tensor:
    """x∘R⁻¹ with R = P₀P₁P₂: the turn about axis 2 comes first."""
    data, angles = image[0, 0], angles_of(turn)
    if max(map(abs, angles)) > math.pi / 4 + SMALLEST:
        raise ValueError("turns in space are up to 45 degrees about each axis")
    for axis, angle in reversed(list(enumerate(angles))):
        if abs(angle) < SMALLEST:
            continue
        first, second = [other for other in range(3) if other != axis]
        # P⁻¹ is a shear by tan(angle / 2), one by -sin(angle) along the other axis, and the first again
        steep, flat = math.tan(angle / 2), -math.sin(angle)
        for along, across, slope in ((first, second, steep), (second, first, flat), (first, second, steep)):
            data = _shear(data, along, across, slope, spacing)
    return data[None, None]


def _shear(data: Tensor, along: int, across: int, slope: float, spacing: Tensor) -> Tensor:
    """The image at u + slope·v instead of u, for the axes u (``along``) and v (``across``), in mm from the centre."""
    width = data.shape[across]
    offset = (torch.arange(width, device=data.device) - (width - 1) / 2) * (slope * spacing[across] / spacing[along])
    return _shifted(data.movedim((across, along), (1, 2)), offset).movedim((1, 2), (across, along)).contiguous()


def _shifted(rows: Tensor, offset: Tensor, fade: int = FADE) -> Tensor:
    """Rows (..., K, L) at l + offset instead of l, with an offset (K,) or (..., K) for each, in samples."""
    size = rows.shape[-1]
    margin = math.ceil(float(offset.abs().max())) + fade
    padded = _faded(rows, margin, fade)
    frequency = torch.fft.rfftfreq(padded.shape[-1], device=rows.device)
    angle = 2 * math.pi * offset[..., None] * frequency
    ramp = torch.polar(torch.ones_like(angle), angle)
    moved = torch.fft.irfft(torch.fft.rfft(padded, dim=-1) * ramp, n=padded.shape[-1], dim=-1)
    return moved[..., margin : margin + size]


def resample_planes(planes: Tensor, matrix: Tensor, offset: Tensor, spacing: Tensor) -> Tensor:
    """Each plane at A r + b instead of r, r in mm from the centre, by shears: noise keeps its power.

    A = Q T, a rotation of up to 90 degrees times an upper triangle. Q is three shears; T shears once more, which goes
    into the last of them as b does into all, and squeezes the axes by the little that a tilted plane looks shorter.

    Parameters
    ----------
    planes : tensor of float32, shape (N, U, V)
    matrix : tensor of float32, shape (N, 2, 2)
        Near a rotation.
    offset : tensor of float32, shape (N, 2)
        mm.
    spacing : tensor, shape (2,)
        mm.

    Returns
    -------
    tensor of float32, shape (N, U, V)
        What lies at the border fades over sixteen voxels beyond it.
    """
    angle = torch.atan2(matrix[:, 1, 0], matrix[:, 0, 0])
    cosine, sine = torch.cos(angle), torch.sin(angle)
    squeeze = torch.stack(
        [torch.hypot(matrix[:, 0, 0], matrix[:, 1, 0]), cosine * matrix[:, 1, 1] - sine * matrix[:, 0, 1]], dim=1
    )
    skew = (cosine * matrix[:, 0, 1] + sine * matrix[:, 1, 1]) / squeeze[:, 1]
    slide = torch.stack([cosine * offset[:, 0] + sine * offset[:, 1], cosine * offset[:, 1] - sine * offset[:, 0]], 1)
    steep = -torch.tan(angle / 2)
    edges = [
        (torch.arange(size, device=planes.device) - (size - 1) / 2) * spacing[place]
        for place, size in enumerate(planes.shape[1:])
    ]

    def along(data: Tensor, axis: int, slope: Tensor, shift: Tensor) -> Tensor:
        ahead = (slope[:, None] * edges[1 - axis] + shift[:, None]) / spacing[axis]
        return _shifted(data, ahead, PLANE_FADE) if axis == 1 else _shifted(data.mT, ahead, PLANE_FADE).mT

    data = along(planes, 0, steep, torch.zeros_like(steep))
    data = along(data, 1, sine, slide[:, 1])
    data = along(data, 0, steep + skew, slide[:, 0] + steep * slide[:, 1])
    for axis in (0, 1):
        reach = float((squeeze[:, axis] - 1).abs().max()) * planes.shape[axis + 1] / 2
        if reach > SMALLEST_SQUEEZE:
            data = _squeezed(data.mT, squeeze[:, axis]).mT if axis == 0 else _squeezed(data, squeeze[:, axis])
    return data.contiguous()


def _squeezed(rows: Tensor, factor: Tensor) -> Tensor:
    """Rows (N, K, L) at factor · l instead of l, from the centre, for factors (N,) near 1; band-limited."""
    size = rows.shape[-1]
    margin = math.ceil(float((factor - 1).abs().max()) * size / 2) + PLANE_FADE
    padded = _faded(rows, margin, PLANE_FADE)
    wanted = (torch.arange(size, device=rows.device) - (size - 1) / 2) * factor[:, None] + (size - 1) / 2 + margin
    source = torch.arange(padded.shape[-1], device=rows.device)
    return padded @ torch.sinc(wanted[:, None, :] - source[:, None])


def _faded(rows: Tensor, margin: int, fade: int = FADE) -> Tensor:
    """With a margin on both sides of the last axis, into which the border fades: a step there would ring far inside."""
    place = (torch.arange(margin, device=rows.device) + 1) / fade
    fading = (0.5 + 0.5 * torch.cos(math.pi * place.clamp(max=1))).to(rows.dtype)
    return torch.cat([rows[..., :1] * fading.flip(0), rows, rows[..., -1:] * fading], dim=-1)
