# SPDX-License-Identifier: Apache-2.0
"""Thermal noise: Gaussian, Rician (one coil) and noncentral chi (several coils, sum of squares)."""

from __future__ import annotations

import torch
from torch import Tensor

from bidsqa.simulation.artifact import Parameters, head_level, per_sample, seeds, whole

SIGMA_AT_1 = 0.2


def sample_noise(generator: torch.Generator, strength: Tensor, spacing: Tensor) -> Parameters:
    """Noise level ``sigma`` in units of the head's median (0 to 0.2) and a seed."""
    return {"sigma": SIGMA_AT_1 * strength, "noise_seed": seeds(generator, len(strength))}


def sample_coils(generator: torch.Generator, strength: Tensor, spacing: Tensor) -> Parameters:
    """As :func:`sample_noise` with 2 to 16 coils."""
    return {**sample_noise(generator, strength, spacing), "coils": whole(generator, len(strength), 2, 17)}


def draw_normal(image: Tensor, seed: Tensor, channels: int) -> Tensor:
    """Normal deviates (B, channels, ...), drawn on the CPU so that every device gets the same."""
    shape = (channels, *image.shape[2:])
    drawn = [torch.randn(shape, generator=torch.Generator().manual_seed(int(value)), device="cpu") for value in seed]
    return torch.stack(drawn).to(image.device)


def apply_gaussian(image: Tensor, parameters: Parameters, head: Tensor) -> Tensor:
    """x + σε."""
    sigma = per_sample(parameters["sigma"] * head_level(image, head), image)
    return image + sigma * draw_normal(image, parameters["noise_seed"], 1)


def apply_rician(image: Tensor, parameters: Parameters, head: Tensor) -> Tensor:
    """√((x+σε₁)² + (σε₂)²): E y² = x² + 2σ² (Gudbjartsson and Patz 1995, doi 10.1002/mrm.1910340618, Eq. 1)."""
    sigma = per_sample(parameters["sigma"] * head_level(image, head), image)
    deviate = draw_normal(image, parameters["noise_seed"], 2) * sigma
    return torch.hypot(image + deviate[:, :1], deviate[:, 1:])


def apply_coils(image: Tensor, parameters: Parameters, head: Tensor) -> Tensor:
    """√Σ_l((x/√L+σε)² + (σε')²) over L coils: E y² = x² + 2Lσ² (Constantinides 1997, doi 10.1002/mrm.1910380524)."""
    sigma = parameters["sigma"] * head_level(image, head)
    result = []
    for number, coils in enumerate(parameters["coils"].tolist()):
        deviate = sigma[number] * draw_normal(
            image[number : number + 1], parameters["noise_seed"][number : number + 1], 2 * coils
        )
        real = image[number : number + 1] / coils**0.5 + deviate[:, :coils]
        result.append((real.square() + deviate[:, coils:].square()).sum(dim=1, keepdim=True).sqrt())
    return torch.cat(result)


def paper_severity(parameters: Parameters) -> Tensor:
    """Hays et al. 2025, Table 1: (σ - 0.005) / 0.195, σ of an image in 0-1, here in units of the head's median."""
    return ((parameters["sigma"] - 0.005) / 0.195).clamp(0, 1)
