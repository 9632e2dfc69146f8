# SPDX-License-Identifier: Apache-2.0
"""How much an artifact harmed an image, on one scale for all artifacts: 1 - SSIM and NRMSE inside the head."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bidsqa.simulation.artifact import binary_exponent, per_sample, quantile, rescaled
from bidsqa.simulation.resolution import gaussian_operator

SIGMA = 1.5
RADIUS = 5
K1, K2 = 0.01, 0.03


def _smooth(image: Tensor) -> Tensor:
    """Gaussian window of 11 x 11 by one small matrix a side: several times faster here than a convolution."""
    rows, columns = (gaussian_operator(size, SIGMA, image.device, RADIUS) for size in image.shape[-2:])
    return rows @ (image @ columns.T)


def ssim_map(first: Tensor, second: Tensor, value_range: Tensor) -> Tensor:
    """Structural similarity at each pixel (Wang et al. 2004, doi 10.1109/TIP.2003.819861, Eq. 13).

    Parameters
    ----------
    first, second : tensor, shape (B, 1, H, W)
        At least 11 pixels a side.
    value_range : tensor, shape (B,)
        L of C1 = (0.01 L)², C2 = (0.03 L)².

    Returns
    -------
    tensor, shape (B, 1, H, W)
        -1 to 1; Gaussian window of σ = 1.5 px (11 x 11), population covariance.
    """
    wide = per_sample(value_range, first)
    first, second = first / wide, second / wide
    parts = _smooth(torch.cat([first, second, first * first, second * second, first * second], dim=1))
    mean1, mean2, square1, square2, product = parts.split(1, dim=1)
    cov, var1, var2 = product - mean1 * mean2, square1 - mean1**2, square2 - mean2**2
    c1, c2 = K1**2, K2**2
    return ((2 * mean1 * mean2 + c1) * (2 * cov + c2)) / ((mean1**2 + mean2**2 + c1) * (var1 + var2 + c2))


def gain_matched(clean: Tensor, degraded: Tensor, head: Tensor) -> Tensor:
    """Degraded images divided by their least-squares gain on the clean ones in the head: pure scaling is no damage."""
    axes = tuple(range(1, clean.ndim))
    inside = clean * head
    gain = (degraded * inside).sum(dim=axes) / (clean * inside).sum(dim=axes).clamp(min=1e-12)
    return degraded / per_sample(torch.where(gain > 0, gain, torch.ones_like(gain)), clean)


def damage_batch(clean: Tensor, degraded: Tensor, head: Tensor) -> dict[str, Tensor]:
    """Damage of a batch of slices.

    Parameters
    ----------
    clean, degraded : tensor of float32, shape (B, 1, H, W)
        In any positive scale.
    head : tensor of bool, shape (B, 1, H, W)
        Of the clean image; dilated by two pixels for the SSIM.

    Returns
    -------
    dict of tensors, shape (B,)
        ``ssim_head`` (-1 to 1), ``nrmse`` (0 and more, relative to the clean head's root mean square) and
        ``damage`` = 1 - ssim_head. An empty head gives no damage.
    """
    # near 1, where squares neither vanish nor overflow, whatever the unit
    exponent = binary_exponent(clean)
    clean, degraded = rescaled(clean, -exponent), rescaled(degraded, -exponent)
    matched = gain_matched(clean, degraded, head)
    weight = head.to(clean.dtype)
    axes = tuple(range(1, clean.ndim))
    spread = []
    for element, mask in zip(clean, head, strict=True):
        inside = element[mask] if bool(mask.any()) else element.flatten()
        spread.append(quantile(inside, 0.995) - quantile(inside, 0.005))
    value_range = torch.stack(spread)
    value_range = torch.where(value_range > 0, value_range, torch.ones_like(value_range))
    near = functional.max_pool2d(functional.max_pool2d(weight, (5, 1), 1, (2, 0)), (1, 5), 1, (0, 2))
    similar = ssim_map(clean, matched, value_range)
    total = near.sum(dim=axes)
    ssim = torch.where(total > 0, (similar * near).sum(dim=axes) / total.clamp(min=1), torch.ones_like(total))
    error = ((matched - clean).square() * weight).sum(dim=axes)
    power = (clean.square() * weight).sum(dim=axes)
    nrmse = torch.where(power > 0, (error / power.clamp(min=1e-12)).sqrt(), torch.zeros_like(power))
    return {"ssim_head": ssim, "nrmse": nrmse, "damage": 1 - ssim}


def damage(
    clean: np.ndarray[Any, Any], degraded: np.ndarray[Any, Any], head: np.ndarray[Any, Any], slices: int = 12
) -> dict[str, float]:
    """Damage of one slice or volume.

    Parameters
    ----------
    clean, degraded : ndarray, shape (H, W) or (X, Y, Z)
    head : ndarray of bool, same shape
        The clean image's head.
    slices : int
        How many evenly spaced slices of each of the three planes are compared in a volume.

    Returns
    -------
    dict of float
        ``ssim_head``, ``nrmse``, ``damage`` = 1 - ssim_head; the mean over slices (and planes) for volumes.
    """
    if clean.ndim == 2:
        planes = [(clean[None], degraded[None], head[None])]
    else:
        planes = []
        top = float(np.abs(clean).max(initial=0.0))
        exponent = int(np.frexp(top)[1]) if 0 < top < np.inf else 0
        clean, degraded = np.ldexp(clean, -exponent), np.ldexp(degraded, -exponent)
        inside = clean[head].astype(np.float64) if head.any() else clean.ravel().astype(np.float64)
        other = degraded[head].astype(np.float64) if head.any() else degraded.ravel().astype(np.float64)
        gain = float(inside @ other / max(inside @ inside, 1e-12))
        degraded = degraded / np.float32(gain if gain > 0 else 1.0)
        for axis in range(3):
            touched = np.flatnonzero(head.any(axis=tuple(place for place in range(3) if place != axis)))
            low, high = (int(touched[0]), int(touched[-1])) if touched.size else (0, clean.shape[axis] - 1)
            chosen = np.unique(
                np.linspace(low + 0.15 * (high - low), high - 0.15 * (high - low), slices).round().astype(int)
            )
            if min(size for place, size in enumerate(clean.shape) if place != axis) > 2 * RADIUS:
                planes.append(tuple(np.moveaxis(array, axis, 0)[chosen] for array in (clean, degraded, head)))
    values = [
        damage_batch(
            torch.from_numpy(np.ascontiguousarray(first, dtype=np.float32))[:, None],
            torch.from_numpy(np.ascontiguousarray(second, dtype=np.float32))[:, None],
            torch.from_numpy(np.ascontiguousarray(mask, dtype=bool))[:, None],
        )
        for first, second, mask in planes
    ]
    if not values:
        return {"ssim_head": 1.0, "nrmse": 0.0, "damage": 0.0}
    result = {key: float(torch.cat([value[key] for value in values]).mean()) for key in ("ssim_head", "nrmse")}
    return {**result, "damage": 1 - result["ssim_head"]}
