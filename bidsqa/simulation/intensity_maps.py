# SPDX-License-Identifier: Apache-2.0
"""Contrast changes: curves over the intensities (gamma, logarithm, sigmoid) and local equalisation (CLAHE).

Scanners, sequences and processing differ like this between good scans: they are nuisances, no damage. All work on the
image over its maximum, as Sciarra et al. 2022 do, and give the maximum back.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from bidsqa.simulation.artifact import Parameters, per_sample, spatial, uniform, whole

LOG_GAMMA_AT_1 = 0.5
LOG_CURVE_AT_1 = 3.0
GAIN_AT_1 = 6.0
CUTOFFS = (0.01, 0.75)
TILE_SHARES = (0.1, 0.4)
LEAST_TILE = 8
BINS = 256
CLIP_AT_1 = 5.12


def sample_gamma(generator: torch.Generator, strength: Tensor, spacing: Tensor) -> Parameters:
    """Exponent, 1 to e^±0.5, either way with the same chance."""
    sign = 2 * whole(generator, len(strength), 0, 2) - 1
    return {"exponent": torch.exp(LOG_GAMMA_AT_1 * sign * strength)}


def apply_gamma(image: Tensor, parameters: Parameters, head: Tensor) -> Tensor:
    """x^γ on 0-1; negative values as their opposites."""
    exponent = per_sample(parameters["exponent"], image)
    return _over_maximum(image, lambda unit: unit.sign() * unit.abs() ** exponent)


def sample_log(generator: torch.Generator, strength: Tensor, spacing: Tensor) -> Parameters:
    """Bend of the logarithm, 0 to 3; at 1 it is the log2(1 + x) of Sciarra et al. 2022. Nothing is left to chance."""
    return {"bend": LOG_CURVE_AT_1 * strength}


def apply_log(image: Tensor, parameters: Parameters, head: Tensor) -> Tensor:
    """log(1 + bx) / log(1 + b) on 0-1; negative values as their opposites."""
    bend = per_sample(parameters["bend"].clamp(min=1e-6), image)
    return _over_maximum(image, lambda unit: unit.sign() * torch.log1p(bend * unit.abs()) / torch.log1p(bend))


def sample_sigmoid(generator: torch.Generator, strength: Tensor, spacing: Tensor) -> Parameters:
    """Gain 0 to 6 (0 is a straight line; Sciarra et al. 2022 take 1, 2 or 3) and cutoff 0.01 to 0.75."""
    return {"gain": GAIN_AT_1 * strength, "cutoff": uniform(generator, len(strength), *CUTOFFS)}


def apply_sigmoid(image: Tensor, parameters: Parameters, head: Tensor) -> Tensor:
    """(s(x) - s(0)) / (s(1) - s(0)) with s(x) = 1 / (1 + exp(g (c - x))) on 0-1: 0 and the maximum stay."""
    gain = per_sample(parameters["gain"].clamp(min=1e-4), image).double()
    cutoff = per_sample(parameters["cutoff"], image).double()
    low, high = torch.sigmoid(-gain * cutoff), torch.sigmoid(gain * (1 - cutoff))
    return _over_maximum(image, lambda unit: (torch.sigmoid(gain * (unit - cutoff)) - low) / (high - low))


def _over_maximum(image: Tensor, curve: Callable[[Tensor], Tensor]) -> Tensor:
    top = image.amax(dim=spatial(image), keepdim=True)
    top = torch.where(top > 0, top, torch.ones_like(top))
    return (curve(image / top) * top).to(image.dtype)


def sample_clahe(generator: torch.Generator, strength: Tensor, spacing: Tensor) -> Parameters:
    """Clip limit 1 to 5.12 mean bins (Sciarra et al. 2022: 0.01 with 512 bins), tile 0.1 to 0.4 of the longest edge."""
    return {
        "clip": 1 + (CLIP_AT_1 - 1) * strength,
        "tile": uniform(generator, len(strength), *TILE_SHARES),
    }


def apply_clahe(image: Tensor, parameters: Parameters, head: Tensor) -> Tensor:
    """Equalise each tile up to the clip limit, interpolate between tiles; a limit of 1 changes nothing.

    Contrast limited adaptive histogram equalisation (Zuiderveld 1994, Graphics Gems IV, p. 474-485), in two or three
    dimensions, with curves that are interpolated within a bin, so that no grey values are lost.
    """
    settings = []
    for share, clip in zip(parameters["tile"].tolist(), parameters["clip"].tolist(), strict=True):
        edge = max(LEAST_TILE, share * max(image.shape[2:]))
        settings.append((tuple(max(1, round(size / edge)) for size in image.shape[2:]), clip))

    def curve(unit: Tensor) -> Tensor:
        pairs = zip(unit[:, 0].clamp(0, 1), settings, strict=True)
        return torch.stack([equalised(one, tiles, clip) for one, (tiles, clip) in pairs])[:, None]

    return _over_maximum(image, curve)


def equalised(unit: Tensor, tiles: tuple[int, ...], clip: float) -> Tensor:
    """CLAHE of one image.

    Parameters
    ----------
    unit : tensor, shape (H, W) or (D, H, W)
        Values 0-1.
    tiles : tuple of int
        Number of tiles along each axis.
    clip : float
        Highest allowed histogram bin in units of the mean bin, 1 or more.

    Returns
    -------
    tensor, same shape
        0-1; 0 stays 0 and 1 stays 1.
    """
    place = (unit * BINS).clamp(max=BINS - 1e-3)
    grey = place.long()
    home = torch.zeros((1,) * unit.ndim, dtype=torch.long, device=unit.device)
    nearest = []
    for axis, (size, count) in enumerate(zip(unit.shape, tiles, strict=True)):
        step = torch.arange(size, device=unit.device)
        shape = [-1 if other == axis else 1 for other in range(unit.ndim)]
        home = home * count + (step * count // size).reshape(shape)
        middle = ((step + 0.5) * count / size - 0.5).clamp(0, count - 1)
        low = middle.floor().long()
        share = (middle - low).reshape(shape)
        nearest.append(((low.reshape(shape), 1 - share), ((low + 1).clamp(max=count - 1).reshape(shape), share)))
    curves = _curves((home * BINS + grey).flatten(), math.prod(tiles), clip)
    total = torch.zeros_like(unit)
    for corner in itertools.product(*nearest):
        tile = torch.zeros((1,) * unit.ndim, dtype=torch.long, device=unit.device)
        weight = torch.ones((1,) * unit.ndim, device=unit.device)
        for count, (number, share) in zip(tiles, corner, strict=True):
            tile, weight = tile * count + number, weight * share
        cell = tile * (BINS + 1) + grey
        low, high = curves[cell], curves[cell + 1]
        total = total + weight * (low + (place - grey) * (high - low))
    return total


def _curves(cells: Tensor, tiles: int, clip: float) -> Tensor:
    """Clipped cumulative histograms of all tiles, flat, BINS + 1 values each from 0 to 1."""
    counts = torch.bincount(cells, minlength=tiles * BINS).reshape(tiles, BINS).double()
    bins = counts * BINS / counts.sum(dim=1, keepdim=True).clamp(min=1)
    # what is cut off goes to all bins below the limit alike, until the mean is 1 again
    low, high = torch.zeros_like(bins[:, :1]), torch.full_like(bins[:, :1], clip)
    for _ in range(40):
        added = 0.5 * (low + high)
        too_little = (bins + added).clamp(max=clip).mean(dim=1, keepdim=True) < 1
        low, high = torch.where(too_little, added, low), torch.where(too_little, high, added)
    rising = torch.cumsum((bins + high).clamp(max=clip), dim=1)
    start = torch.zeros_like(rising[:, :1])
    return (torch.cat([start, rising], dim=1) / rising[:, -1:]).flatten().float()
