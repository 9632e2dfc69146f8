# SPDX-License-Identifier: Apache-2.0
"""Bias field: a smooth receive profile multiplies the image."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from bidsqa.simulation.artifact import Parameters, quantile, uniform, whole

LOG_RANGE_AT_1 = math.log(4.0)
ORDER = 3
BUMPS = 3
SHAPES = ("polynomial", "bumps")


def _powers(dims: int) -> list[tuple[int, ...]]:
    return [power for power in itertools.product(range(ORDER + 1), repeat=dims) if 0 < sum(power) <= ORDER]


def sample_bias(generator: torch.Generator, strength: Tensor, spacing: Tensor) -> Parameters:
    """Log range in the head (p95 - p5, 0 to log 4) and the shape: signed polynomial terms or Gaussian bumps."""
    count, dims = len(strength), spacing.shape[1]
    damping = torch.tensor([0.6 ** (sum(power) - 1) for power in _powers(dims)])
    return {
        "log_range": LOG_RANGE_AT_1 * strength,
        "coefficient": torch.randn((count, len(damping)), generator=generator) * damping,
        "bump": whole(generator, count, 0, 2),
        "centre": uniform(generator, (count, BUMPS, dims), -1.0, 1.0),
        "width": uniform(generator, (count, BUMPS), 0.5, 1.2),
        "height": torch.randn((count, BUMPS), generator=generator),
    }


def log_field(shape: tuple[int, ...], parameters: Parameters, number: int) -> Tensor:
    """Unscaled log field of one batch element; coordinates run from -1 to 1 over the grid."""
    device = parameters["coefficient"].device
    axes = [torch.linspace(-1, 1, size, device=device) for size in shape]
    shaped = [
        axis.reshape([-1 if other == place else 1 for other in range(len(shape))]) for place, axis in enumerate(axes)
    ]
    total = torch.zeros(shape, device=device)
    if int(parameters["bump"][number]):
        for bump in range(BUMPS):
            width = parameters["width"][number, bump]
            part = parameters["height"][number, bump].reshape([1] * len(shape))
            for place, axis in enumerate(shaped):
                part = part * torch.exp(-0.5 * ((axis - parameters["centre"][number, bump, place]) / width) ** 2)
            total = total + part
        return total
    for term, power in enumerate(_powers(len(shape))):
        part = parameters["coefficient"][number, term].reshape([1] * len(shape))
        for axis, exponent in zip(shaped, power, strict=True):
            part = part * axis**exponent if exponent else part
        total = total + part
    return total


def apply_bias(image: Tensor, parameters: Parameters, head: Tensor) -> Tensor:
    """x·exp(f) with mean f = 0 and p95 - p5 of f = ``log_range`` over the head."""
    result = []
    for number in range(len(image)):
        shape = log_field(tuple(image.shape[2:]), parameters, number)
        inside = shape[head[number, 0]]
        if inside.numel() < 2:
            inside = shape.flatten()
        spread = (quantile(inside, 0.95) - quantile(inside, 0.05)).clamp(min=1e-6)
        field = (shape - inside.mean()) * (parameters["log_range"][number] / spread)
        # far from the head a polynomial may run away: no coil does
        result.append(image[number] * torch.exp(field.clamp(-2.5, 2.5))[None])
    return torch.stack(result)


def paper_severity(parameters: Parameters) -> Tensor:
    """Hays et al. 2025, Table 1: (c - 0.01) / 0.29 for the c whose 2D field has the same range (max/min e^{12c})."""
    return ((parameters["log_range"] / 12 - 0.01) / 0.29).clamp(0, 1)
