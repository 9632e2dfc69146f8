# SPDX-License-Identifier: Apache-2.0
"""Loss of resolution: blur, thick slices and truncation, each a small matrix along an axis."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bidsqa.simulation.artifact import Parameters, along_axis, lines, whole

FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
FWHM_AT_1 = 4.0
THICKNESS_AT_1 = 6.0
PIXELS_AT_1 = 4.0
TRUNCATION_AT_1 = 0.3


def gaussian_operator(count: int, sigma: float, device: torch.device | None = None, reach: int | None = None) -> Tensor:
    """Matrix (count, count) that blurs a line with a Gaussian of ``sigma`` samples; rows sum to 1, mirrored borders.

    ``reach`` is the half width of the kernel in samples (default 4 sigma).
    """
    if sigma <= 0:
        return torch.eye(count, device=device)
    radius = min(math.ceil(4 * sigma) if reach is None else reach, 2 * count)
    offset = torch.arange(-radius, radius + 1, device=device)
    kernel = torch.exp(-0.5 * (offset / sigma) ** 2)
    target = torch.arange(count, device=device)[:, None] + offset[None]
    target = torch.remainder(target, 2 * count)
    target = torch.where(target >= count, 2 * count - 1 - target, target)
    matrix = torch.zeros((count, count), device=device)
    matrix.scatter_add_(1, target, (kernel / kernel.sum()).expand(count, -1))
    return matrix


def thick_operator(count: int, factor: float, device: torch.device | None = None) -> Tensor:
    """Matrix (count, count): box profile ``factor`` samples wide, sampled as often, interpolated back linearly."""
    if factor <= 1:
        return torch.eye(count, device=device)
    slices = max(2, math.ceil(count / factor))
    centre = (torch.arange(slices, device=device) - (slices - 1) / 2) * factor + (count - 1) / 2
    edge = torch.arange(count, device=device)
    overlap = torch.minimum(edge + 0.5, centre[:, None] + factor / 2) - torch.maximum(
        edge - 0.5, centre[:, None] - factor / 2
    )
    profile = overlap.clamp(min=0)
    profile = profile / profile.sum(dim=1, keepdim=True).clamp(min=1e-6)
    position = ((edge - centre[0]) / factor).clamp(0, slices - 1)
    low = position.floor().long().clamp(max=slices - 2)
    share = position - low
    back = torch.zeros((count, slices), device=device)
    back.scatter_(1, low[:, None], (1 - share)[:, None])
    back.scatter_add_(1, low[:, None] + 1, share[:, None])
    return back @ profile


def sample_blur(generator: torch.Generator, strength: Tensor, spacing: Tensor) -> Parameters:
    """Full width at half maximum, 0 to 4 mm, given in samples of each axis."""
    return {"fwhm": FWHM_AT_1 * strength[:, None] / spacing}


def apply_blur(image: Tensor, parameters: Parameters, head: Tensor) -> Tensor:
    """Gaussian of σ = FWHM / 2.3548 along every axis."""
    result = image
    for axis in range(image.ndim - 2):
        moved = result.movedim(axis + 2, -1)
        operators = torch.stack(
            [
                gaussian_operator(moved.shape[-1], float(width) / FWHM_PER_SIGMA, image.device)
                for width in parameters["fwhm"][:, axis]
            ]
        )
        shape = moved.shape
        mixed = torch.bmm(moved.reshape(len(image), -1, shape[-1]), operators.transpose(1, 2))
        result = mixed.reshape(shape).movedim(-1, axis + 2)
    return result


def sample_thick(generator: torch.Generator, strength: Tensor, spacing: Tensor) -> Parameters:
    """Slice thickness in samples, 1 to 6, and its axis."""
    return {
        "factor": 1 + (THICKNESS_AT_1 - 1) * strength,
        "axis": whole(generator, len(strength), 0, spacing.shape[1]),
    }


def apply_thick(image: Tensor, parameters: Parameters, head: Tensor) -> Tensor:
    """Average over the slice profile, sample, interpolate back."""

    def act(moved: Tensor, chosen: Tensor) -> Tensor:
        operators = torch.stack(
            [thick_operator(moved.shape[-1], float(parameters["factor"][number]), image.device) for number in chosen]
        )
        return torch.bmm(moved.reshape(len(chosen), -1, moved.shape[-1]), operators.transpose(1, 2)).reshape(
            moved.shape
        )

    return along_axis(image, parameters["axis"], act)


def sample_pixels(generator: torch.Generator, strength: Tensor, spacing: Tensor) -> Parameters:
    """Pixel edge in samples, 1 to 4, and the axis across the plane (volumes: 0, 1 or 2; slices: none, -1)."""
    count, dims = spacing.shape
    nowhere = torch.full((count,), -1)
    return {
        "factor": 1 + (PIXELS_AT_1 - 1) * strength,
        "across": whole(generator, count, 0, 3) if dims == 3 else nowhere,
    }


def apply_pixels(image: Tensor, parameters: Parameters, head: Tensor) -> Tensor:
    """Average over large pixels, sample and interpolate back along both axes of the plane."""
    result = image
    for axis in range(image.ndim - 2):
        one = torch.ones_like(parameters["factor"])
        factor = torch.where(parameters["across"] == axis, one, parameters["factor"])
        result = apply_thick(result, {"factor": factor, "axis": torch.full_like(parameters["across"], axis)}, head)
    return result


def sample_gibbs(generator: torch.Generator, strength: Tensor, spacing: Tensor) -> Parameters:
    """Share of k-space kept, 1 to 0.3, along one axis or all."""
    return {
        "kept": 1 - (1 - TRUNCATION_AT_1) * strength,
        "axis": whole(generator, len(strength), 0, spacing.shape[1] + 1),
    }


def apply_gibbs(image: Tensor, parameters: Parameters, head: Tensor) -> Tensor:
    """Zero the lines beyond ``kept`` of the highest frequency and take the magnitude (9 % overshoot at steps)."""
    result = image.to(torch.complex64)
    for axis in range(image.ndim - 2):
        count = image.shape[axis + 2]
        inside = lines(count, image.device).abs()[None] <= parameters["kept"][:, None] * count / 2
        wanted = (parameters["axis"] == axis) | (parameters["axis"] == image.ndim - 2)
        mask = inside | ~wanted[:, None]
        shape = [len(image), 1] + [count if other == axis else 1 for other in range(image.ndim - 2)]
        result = torch.fft.ifft(torch.fft.fft(result, dim=axis + 2) * mask.reshape(shape), dim=axis + 2)
    return result.abs()


def paper_severity(parameters: Parameters) -> Tensor:
    """Hays et al. 2025, Table 1: (k - 1) / 3 for a down-sampling factor k, at most 1."""
    return ((parameters["factor"] - 1) / 3).clamp(0, 1)
