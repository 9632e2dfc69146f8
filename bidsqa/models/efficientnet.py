# SPDX-License-Identifier: Apache-2.0
"""EfficientNet-B0 without its classifier (Tan & Le 2019, arXiv 1905.11946, Table 1).

Written out here because builds of torchvision are tied to one build of torch; bidsqa takes whichever torch suits the
machine.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

FEATURES = 1280
STEM = 32
# a squeeze-and-excitation block narrows to this share of the block's inputs
SQUEEZE = 0.25


class Stage(NamedTuple):
    """One row of Table 1: inverted residual blocks of the same width."""

    expansion: int
    kernel: int
    stride: int
    channels: int
    blocks: int


STAGES = (
    Stage(1, 3, 1, 16, 1),
    Stage(6, 3, 2, 24, 2),
    Stage(6, 5, 2, 40, 2),
    Stage(6, 3, 2, 80, 3),
    Stage(6, 5, 1, 112, 3),
    Stage(6, 5, 2, 192, 4),
    Stage(6, 3, 1, 320, 1),
)


def _unit(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """Convolution, batch norm and SiLU."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01), nn.SiLU()]


class SqueezeExcitation(nn.Module):
    """Weights channels by what the whole image shows (Hu et al. 2018, arXiv 1709.01507)."""

    def __init__(self, channels: int, narrow: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, narrow, 1), nn.SiLU(), nn.Conv2d(narrow, channels, 1)
        )

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        return features * torch.sigmoid(self.gate(features))


class InvertedResidual(nn.Module):
    """Widen, filter each channel on its own, weight, narrow (Sandler et al. 2018, arXiv 1801.04381)."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = inputs * expansion
        widened = _unit(inputs, wide) if expansion != 1 else []
        self.body = nn.Sequential(
            *widened,
            *_unit(wide, wide, kernel, stride, groups=wide),
            SqueezeExcitation(wide, max(1, int(inputs * SQUEEZE))),
            *_unit(wide, outputs)[:2],  # the narrow end is linear
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H/stride, W/stride)."""
        changed: Tensor = self.body(features)
        return features + changed if self.residual else changed


class EfficientNetB0(nn.Module):
    """Three channels to 1,280 features; 4,007,548 trained values."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [*_unit(3, STEM, 3, 2)]
        inputs = STEM
        for stage in STAGES:
            for place in range(stage.blocks):
                stride = 1 if place else stage.stride
                layers.append(InvertedResidual(inputs, stage.channels, stage.expansion, stage.kernel, stride))
                inputs = stage.channels
        self.layers = nn.Sequential(*layers, *_unit(inputs, FEATURES))

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) to features (N, 1280), averaged over the image."""
        features: Tensor = self.layers(images)
        return features.mean(dim=(2, 3))
