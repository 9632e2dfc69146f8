# SPDX-License-Identifier: Apache-2.0
"""The severity networks in torch: the published one exactly, and the compact one that bidsqa ships."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

FAMILIES = ("noise", "motion", "ghosting", "bias", "blur")
SCALARS = 7
WIDTHS = (24, 32, 64, 96)
FOLD = 4


class HaysNetwork(nn.Module):
    """The network of Hays et al., MIDL 2025: five convolutions without stride, 49,585 parameters.

    Input ``image`` (B, 1, H, W), output (B,), never negative. Instance norm makes it blind to positive scaling.
    """

    input_names = ("image",)

    def __init__(self) -> None:
        super().__init__()
        widths = (1, 16, 16, 64, 64)
        parts: list[nn.Module] = []
        for before, after in pairwise(widths):
            parts += [nn.Conv2d(before, after, 3, padding=1), nn.InstanceNorm2d(after, affine=True), nn.LeakyReLU(0.1)]
        self.features = nn.Sequential(*parts)
        self.last = nn.Conv2d(widths[-1], 1, 3)

    def forward(self, image: Tensor) -> Tensor:
        """Score of each slice."""
        return self.last(self.features(image)).mean(dim=(1, 2, 3)).abs()


class Block(nn.Module):
    """Two 3 x 3 convolutions with batch norm around a shortcut."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, features: Tensor) -> Tensor:
        """Same size over stride."""
        return functional.relu(self.body(features) + self.shortcut(features))


class CompactNetwork(nn.Module):
    """A small residual network that looks at native pixels, pools inside the head and knows the voxel size.

    Folding 4 x 4 pixels into channels keeps every pixel and costs a tenth of convolutions at full size.

    Inputs ``image`` (B, 1, 160, 160) in units of the head's mean, ``head`` (B, 1, 160, 160) 0-1 and ``scalars`` (B, 7)
    of :func:`bidsqa.models.severity_inputs.slice_scalars`. Output (B, 12): damage (1 - SSIM), NRMSE, then strength
    (0-1) and presence (logit) of noise, motion, ghosting, bias and blur.
    """

    input_names = ("image", "head", "scalars")

    def __init__(self) -> None:
        super().__init__()
        stem, first, second, third = WIDTHS
        self.stem = nn.Sequential(
            nn.Conv2d(FOLD**2, stem, 3, padding=1, bias=False), nn.BatchNorm2d(stem), nn.ReLU(inplace=True)
        )
        self.stages = nn.ModuleList(
            [
                nn.Sequential(Block(stem, first, 1)),
                nn.Sequential(Block(first, second, 2), Block(second, second, 1)),
                nn.Sequential(Block(second, third, 2)),
            ]
        )
        pooled = 2 * sum(WIDTHS)
        self.norm = nn.BatchNorm1d(pooled)
        self.decide = nn.Sequential(
            nn.Linear(pooled + SCALARS, 96),
            nn.ReLU(inplace=True),
            nn.Dropout(0.1),
            nn.Linear(96, 2 + 2 * len(FAMILIES)),
        )

    def forward(self, image: Tensor, head: Tensor, scalars: Tensor) -> Tensor:
        """Twelve readings a slice."""
        features = self.stem(functional.pixel_unshuffle(image, FOLD))
        weight = functional.avg_pool2d(head, FOLD)
        pooled = [*_pool(features, weight)]
        for number, stage in enumerate(self.stages):
            features = stage(features)
            if number:
                weight = functional.avg_pool2d(weight, 2)
            pooled += _pool(features, weight)
        return self.decide(torch.cat([self.norm(torch.cat(pooled, dim=1)), scalars], dim=1))


def _pool(features: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each feature over the head."""
    total = weight.sum(dim=(2, 3)).clamp(min=1.0)
    mean = (features * weight).sum(dim=(2, 3)) / total
    spread = (features - mean[:, :, None, None]).square() * weight
    return mean, (spread.sum(dim=(2, 3)) / total + 1e-5).sqrt()


ARCHITECTURES: Mapping[str, Callable[[], Any]] = {"compact": CompactNetwork, "hays": HaysNetwork}
