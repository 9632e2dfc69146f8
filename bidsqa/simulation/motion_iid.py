# SPDX-License-Identifier: Apache-2.0
"""The in-house motion of Sciarra et al. 2022: every line of k-space in a pose of its own. Kept for comparison."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bidsqa.simulation.artifact import Parameters
from bidsqa.simulation.rotation import rotate

IID_DEGREES = (0.03, 5.0)


def sample_iid(generator: torch.Generator, strength: Tensor, spacing: Tensor | None = None) -> Parameters:
    """Each line sees the slice turned by -σ, 0 or σ; σ is log-uniform in the strength, 0.03 to 5 degrees.

    Parameters
    ----------
    generator : torch.Generator
    strength : tensor, shape (B,)
    spacing : tensor, shape (B, dims), optional
        Voxel edges in mm; without it square pixels of 2D images.

    Returns
    -------
    dict of tensors
        ``degrees`` σ, ``axis`` of the phase encoding, ``seed`` of the lines' turns, ``spacing`` where given.
    """
    low, high = (math.log(value) for value in IID_DEGREES)
    dims = 2 if spacing is None else spacing.shape[1]
    drawn = {
        "degrees": torch.exp(low + (high - low) * strength),
        "axis": torch.randint(0, dims, (len(strength),), generator=generator),
        "seed": torch.randint(0, 2**31 - 1, (len(strength),), generator=generator),
    }
    return drawn if spacing is None else {**drawn, "spacing": spacing.clone()}


def apply_iid(image: Tensor, parameters: Parameters, head: Tensor | None = None) -> Tensor:
    """K_j = FFT(x turned by r_j σ)_j, r_j drawn from -1, 0, 1; y = |F⁻¹ K| (white noise in time, no head motion).

    Volumes are turned in the plane of the phase-encode axis and the axis after it, all slices alike.
    """
    moved = []
    for number in range(len(image)):
        axis, dims = int(parameters["axis"][number]), image.ndim - 2
        across = (axis + 2) % 3 if dims == 3 else None
        edges = parameters["spacing"][number].tolist() if "spacing" in parameters else [1.0] * dims
        one = image[number : number + 1]
        if across is not None:
            # slices become channels, so that volumes take the same way as slices
            one = one[:, 0].movedim(across + 1, 1)
            del edges[across]
            axis -= int(across < axis)
        turned = _turn_lines(
            one, axis, float(parameters["degrees"][number]), int(parameters["seed"][number]), tuple(edges)
        )
        moved.append(turned if across is None else turned.movedim(1, across + 1)[:, None])
    return torch.cat(moved)


def _turn_lines(image: Tensor, axis: int, degrees: float, seed: int, edges: tuple[float, ...]) -> Tensor:
    """Magnitude of slices (1, channels, H, W) whose lines along ``axis`` (0 or 1) were turned at random."""
    angle = degrees * math.pi / 180
    spacing = torch.tensor(edges, device=image.device)
    generator = torch.Generator().manual_seed(seed)
    turn = torch.randint(-1, 2, (image.shape[axis + 2],), generator=generator, device="cpu").to(image.device)
    encoded = torch.fft.fft(image, dim=axis + 2)
    for sign in (-1, 1):
        cosine, sine = math.cos(sign * angle), math.sin(sign * angle)
        matrix = torch.tensor([[cosine, -sine], [sine, cosine]], device=image.device)
        lines = torch.nonzero(turn == sign).flatten()
        spectrum = torch.fft.fft(rotate(image, matrix, spacing), dim=axis + 2)
        encoded.index_copy_(axis + 2, lines, spectrum.index_select(axis + 2, lines))
    return torch.fft.ifft(encoded, dim=axis + 2).abs()
