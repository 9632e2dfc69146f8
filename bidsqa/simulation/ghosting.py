# SPDX-License-Identifier: Apache-2.0
"""Ghosts: periodic differences between phase-encode lines repeat the head at fractions of the field of view."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bidsqa.simulation.artifact import Parameters, along_axis, lines, uniform, whole

AMPLITUDE_AT_1 = 0.6
KINDS = ("cosine", "every_nth", "half_field", "pulsation")
COSINE, EVERY_NTH, HALF_PHASE, PHASE = range(len(KINDS))


def sample_ghosting(generator: torch.Generator, strength: Tensor, spacing: Tensor) -> Parameters:
    """Amplitude 0 to 0.6, period in lines, phase, phase-encode axis, kind and the protected share of k-space.

    Every kind has the ghost energy a²/2 of the image's, so that equal strength means a similar ghost.
    """
    count = len(strength)
    period = torch.exp(uniform(generator, count, math.log(2.0), math.log(10.0)))
    rounded = uniform(generator, count, 0, 1) < 0.7
    protected = uniform(generator, count, -0.03, 0.03).clamp(min=0)
    return {
        "amplitude": AMPLITUDE_AT_1 * strength,
        "period": torch.where(rounded, period.round(), period),
        "phase": uniform(generator, count, 0, 2 * math.pi),
        "axis": whole(generator, count, 0, spacing.shape[1]),
        "kind": whole(generator, count, 0, 4),
        "protected": protected,
    }


def line_weights(count: int, parameters: Parameters) -> Tensor:
    """Complex weight of each k-space line, shape (B, count), FFT order.

    Kinds: 0 cosine 1 + a·cos(2πj/n+φ), ghosts at ±N/n of amplitude a/2; 1 every n-th line but the centre times 1 - i
    with i = min(1, a·n/√(2(n-1))) (Hays et al. 2025 after torchio, energy ratio i√(n-1)/n); 2 odd lines turned by 2θ
    with sin θ = a/√2 (N/2 ghost: main cos θ, ghost sin θ); 3 e^{i·a·sin(2πj/n+φ)} (pulsation).
    """
    number = lines(count, parameters["period"].device)[None]
    amplitude, period, phase = (parameters[key][:, None] for key in ("amplitude", "period", "phase"))
    angle = 2 * math.pi * number / period + phase
    cosine = torch.complex(1 + amplitude * torch.cos(angle), torch.zeros_like(angle))
    step = period.round().clamp(min=2)
    loss = (amplitude * step / (2 * (step - 1)).sqrt()).clamp(max=1)
    lost = torch.remainder(number + torch.floor(step / 2), step) == 0
    every = torch.complex(1 - loss * lost, torch.zeros_like(angle))
    theta = torch.asin((amplitude / math.sqrt(2)).clamp(max=1))
    sign = torch.where(torch.remainder(number, 2) == 0, -1.0, 1.0)
    half = torch.polar(torch.ones_like(angle), sign * theta)
    pulse = torch.polar(torch.ones_like(angle), amplitude * torch.sin(angle))
    kinds = torch.stack([cosine, every, half, pulse])
    picked = kinds[parameters["kind"], torch.arange(len(period), device=number.device)]
    width = (parameters["protected"][:, None] * count / 2).clamp(min=1e-3)
    open_share = 1 - torch.exp(-((number / width) ** 2))
    return 1 + (picked - 1) * torch.where(parameters["protected"][:, None] > 0, open_share, torch.ones_like(open_share))


def apply_ghosting(image: Tensor, parameters: Parameters, head: Tensor) -> Tensor:
    """|F⁻¹ (K_j · w_j)| along the phase-encode axis, over the whole field of view."""

    def act(moved: Tensor, chosen: Tensor) -> Tensor:
        weights = line_weights(moved.shape[-1], {key: value[chosen] for key, value in parameters.items()})
        shaped = weights.reshape(len(chosen), *[1] * (moved.ndim - 2), -1)
        return torch.fft.ifft(torch.fft.fft(moved, dim=-1) * shaped, dim=-1).abs()

    return along_axis(image, parameters["axis"], act)


def paper_severity(parameters: Parameters) -> Tensor:
    """Hays et al. 2025, Table 1 as printed: ((i - 0.2) + n/10) / (1.3 + 1), with the i of equal energy."""
    period = parameters["period"].round().clamp(min=2)
    intensity = parameters["amplitude"] * period / (2 * (period - 1)).sqrt()
    return (((intensity - 0.2) + period / 10) / 2.3).clamp(0, 1)
