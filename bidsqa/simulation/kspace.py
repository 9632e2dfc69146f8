# SPDX-License-Identifier: Apache-2.0
"""Faults of k-space sampling: spikes, wrap-around and regular undersampling."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bidsqa.simulation.artifact import Parameters, along_axis, per_sample, uniform, whole

SPIKE_AT_1 = 0.3
SPIKES = 5
CENTRE_FREE = 0.08
FOLD_AT_1 = 0.7
RESIDUE_AT_1 = 0.5


def sample_spike(generator: torch.Generator, strength: Tensor, spacing: Tensor) -> Parameters:
    """One to five spikes of 0 to 0.3 of the image's sum, at least 8 % of the highest frequency away from the centre."""
    count, dims = len(strength), spacing.shape[1]
    place = uniform(generator, (count, SPIKES, dims), -0.5, 0.5)
    far = place.abs().amax(dim=2, keepdim=True).clamp(min=1e-3)
    place = torch.where(far < CENTRE_FREE / 2, place / far * CENTRE_FREE / 2, place)
    number = whole(generator, count, 1, SPIKES + 1)
    on = torch.arange(SPIKES)[None] < number[:, None]
    return {
        "frequency": place,
        "amplitude": SPIKE_AT_1 * strength[:, None] * on / number[:, None].float().sqrt(),
        "phase": uniform(generator, (count, SPIKES), 0, 2 * math.pi),
    }


def apply_spike(image: Tensor, parameters: Parameters, head: Tensor) -> Tensor:
    """K[k₀] += a·Σx·e^{iφ}: stripes of amplitude a·mean(x) across the whole image."""
    mean = image.mean(dim=tuple(range(1, image.ndim)))
    shape = image.shape[2:]
    result = image.to(torch.complex64)
    for number in range(SPIKES):
        angle = per_sample(parameters["phase"][:, number], image).to(image.device)
        for axis, count in enumerate(shape):
            whole_line = (parameters["frequency"][:, number, axis] * count).round() / count
            position = torch.arange(count, device=image.device).reshape(
                [-1 if place == axis + 2 else 1 for place in range(image.ndim)]
            )
            angle = angle + 2 * math.pi * per_sample(whole_line, image) * position
        size = per_sample(parameters["amplitude"][:, number] * mean, image)
        result = result + torch.polar(size.expand(angle.shape).contiguous(), angle.contiguous())
    return result.abs()


def sample_wrap(generator: torch.Generator, strength: Tensor, spacing: Tensor) -> Parameters:
    """Field of view as a share of the head's extent (1 to 0.7), where it lies and its axis."""
    count = len(strength)
    return {
        "field": 1 - (1 - FOLD_AT_1) * strength,
        "place": uniform(generator, count, 0.0, 1.0),
        "axis": whole(generator, count, 0, spacing.shape[1]),
    }


def apply_wrap(image: Tensor, parameters: Parameters, head: Tensor) -> Tensor:
    """Fold what lies outside a field of view smaller than the head to its other side; the sum is kept."""

    def act(moved: Tensor, chosen: Tensor) -> Tensor:
        result = torch.zeros_like(moved)
        for row, number in enumerate(chosen.tolist()):
            axis = int(parameters["axis"][number])
            mask = head[number, 0].movedim(axis, -1)
            touched = torch.nonzero(mask.flatten(0, -2).any(dim=0)).flatten()
            count = moved.shape[-1]
            low, high = (int(touched[0]), int(touched[-1]) + 1) if touched.numel() else (0, count)
            length = max(2, round(float(parameters["field"][number]) * (high - low)))
            if length >= high - low:
                result[row] = moved[row]
                continue
            start = low + round(float(parameters["place"][number]) * (high - low - length))
            target = start + torch.remainder(torch.arange(count, device=moved.device) - start, length)
            result[row].index_add_(-1, target, moved[row])
        return result

    return along_axis(image, parameters["axis"], act)


def sample_undersampling(generator: torch.Generator, strength: Tensor, spacing: Tensor) -> Parameters:
    """Every second to fourth line sampled, residual aliasing 0 to 0.5 of the image, and its axis."""
    count = len(strength)
    return {
        "residue": RESIDUE_AT_1 * strength,
        "factor": whole(generator, count, 2, 5),
        "axis": whole(generator, count, 0, spacing.shape[1]),
    }


def apply_undersampling(image: Tensor, parameters: Parameters, head: Tensor) -> Tensor:
    """(1 - w)·x + w·mean of the R copies shifted by N/R: what imperfect parallel imaging leaves behind."""

    def act(moved: Tensor, chosen: Tensor) -> Tensor:
        result = torch.empty_like(moved)
        for row, number in enumerate(chosen.tolist()):
            factor, residue = int(parameters["factor"][number]), parameters["residue"][number]
            steps = [round(copy * moved.shape[-1] / factor) for copy in range(factor)]
            copies = torch.stack([moved[row].roll(step, -1) for step in steps]).mean(dim=0)
            result[row] = (1 - residue) * moved[row] + residue * copies
        return result

    return along_axis(image, parameters["axis"], act)
