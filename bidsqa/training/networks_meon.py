# SPDX-License-Identifier: Apache-2.0
"""A network shaped like MEON (Ma et al. 2018, doi 10.1109/TIP.2017.2774045): which distortion, and how good for each.

Its published weights are of no stated licence and are not used: this one is trained here, on noise, blur and ghosts. As
in Lei et al. only the quality under noise serves as a label or as a score to compare with.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn

from bidsqa.models.networks_noise_motion import LEVEL, SPREAD, DivisiveNormalization
from bidsqa.models.noise_motion_inputs import standardise

Array = np.ndarray[Any, Any]
KINDS = ("noise", "blur", "ghosts")
WIDTHS = (8, 16, 32, 64)
# quality in dB at the least and the most of blur (pixels) and ghosts (share of the image)
BLUR, GHOSTS, QUALITY = (0.3, 3.0), (0.02, 0.4), (32.0, 10.0)


class MeonShaped(nn.Module):
    """Four convolutions with divisive normalisation, one head for the kind, one for the quality under each kind."""

    def __init__(self) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        before = 1
        for place, width in enumerate(WIDTHS):
            size, stride = (5, 2) if place < 2 else (3, 1)
            parts += [nn.Conv2d(before, width, size, stride, padding=size // 2), DivisiveNormalization(width)]
            parts.append(nn.MaxPool2d(2))
            before = width
        self.shared = nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.kind = nn.Sequential(nn.Linear(before, 128), nn.ReLU(), nn.Linear(128, len(KINDS)))
        self.quality = nn.Sequential(nn.Linear(before, 256), nn.ReLU(), nn.Linear(256, len(KINDS)))

    def forward(self, slices: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 1, H, W) to logits of the kinds and qualities (dB) under each, both (N, 3)."""
        features = self.shared(slices)
        return self.kind(features), LEVEL + SPREAD * self.quality(features)


def meon_loss(network: MeonShaped, slices: Tensor, kind: Tensor, quality: Tensor) -> Tensor:
    """Cross-entropy of the kind, and the error of the quality, each kind's weighted by its probability.

    Parameters
    ----------
    network : MeonShaped
    slices : Tensor, shape (N, 1, H, W)
    kind : Tensor of int, shape (N,)
    quality : Tensor, shape (N,)
        dB.
    """
    logits, qualities = network(slices)
    joined = (torch.softmax(logits, dim=1) * qualities).sum(dim=1)
    error = (joined - quality).abs().mean() / SPREAD
    return nn.functional.cross_entropy(logits, kind) + error


def blurred(image: Array, share: float) -> Array:
    """Gaussian blur, ``share`` of the way (0-1) from the least to the most."""
    width = BLUR[0] * (BLUR[1] / BLUR[0]) ** share
    return np.asarray(ndimage.gaussian_filter(image, width), dtype=np.float32)


def ghosted(image: Array, share: float, rng: np.random.Generator) -> Array:
    """A copy half to a quarter of the field of view away, added with a random phase."""
    strength = GHOSTS[0] * (GHOSTS[1] / GHOSTS[0]) ** share
    axis = int(rng.integers(2))
    away = image.shape[axis] // int(rng.integers(2, 5))
    phase = np.exp(1j * rng.uniform(0, 2 * np.pi))
    return np.asarray(np.abs(image + strength * phase * np.roll(image, away, axis)), dtype=np.float32)


def meon_batch(versions: Array, levels: Array, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Noisy versions of a slice, and as many blurred and ghosted ones of its original.

    Parameters
    ----------
    versions : ndarray, shape (m, H, W)
        The original last.
    levels : ndarray, shape (m,)
        dB.
    rng : numpy.random.Generator

    Returns
    -------
    slices : Tensor, shape (3 m - 3, 1, H, W)
    kind : Tensor of int, shape (3 m - 3,)
    quality : Tensor, shape (3 m - 3,)
    """
    clean, count = versions[-1], len(versions) - 1
    shares = rng.uniform(0, 1, size=(2, count))
    made = [blurred(clean, float(share)) for share in shares[0]] + [ghosted(clean, float(s), rng) for s in shares[1]]
    best, worst = QUALITY
    quality = np.concatenate([levels[:-1], best + (worst - best) * shares.ravel()]).astype(np.float32)
    kind = torch.arange(len(KINDS)).repeat_interleave(count)
    return torch.from_numpy(standardise(np.stack([*versions[:-1], *made])))[:, None], kind, torch.from_numpy(quality)


@torch.no_grad()
def noise_quality(network: MeonShaped, slices: Tensor) -> Tensor:
    """The quality under noise, whatever the kind, (N,): a score of noise, higher is better."""
    quality: Tensor = network.eval()(slices)[1][:, 0]
    return quality
