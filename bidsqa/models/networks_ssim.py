# SPDX-License-Identifier: Apache-2.0
"""Networks that estimate the SSIM of a slice to its motion-free self: Sciarra's residual networks and our compact one.

All take ``slices`` (N, 1, H, W), float32, scaled so that the head's 99th percentile is near 1. The residual networks
(He et al. 2016, doi 10.1109/CVPR.2016.90, Table 1; one input channel, one sigmoid output, as Sciarra et al. use them)
return (N, 1). :class:`SsimMap` also takes ``head`` (N, 1, H/8, W/8), the share of head in each 8 x 8 block, and
returns the slice's score (N, 1) and the map of local scores (N, 1, H/8, W/8).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor, nn

MAP_STRIDE = 8


def _convolution(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions around a shortcut (He et al. 2016, Fig. 5 left)."""

    expansion: ClassVar[int] = 1

    def __init__(self, inputs: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _convolution(inputs, width, 3, stride),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            _convolution(width, width, 3),
            nn.BatchNorm2d(width),
        )
        self.shortcut = _shortcut(inputs, width, stride)

    def forward(self, features: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, width, H/stride, W/stride)."""
        return torch.relu(self.body(features) + self.shortcut(features))


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3, 1 x 1 convolutions around a shortcut (He et al. 2016, Fig. 5 right); the 3 x 3 has the stride."""

    expansion: ClassVar[int] = 4

    def __init__(self, inputs: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _convolution(inputs, width, 1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            _convolution(width, width, 3, stride),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            _convolution(width, width * 4, 1),
            nn.BatchNorm2d(width * 4),
        )
        self.shortcut = _shortcut(inputs, width * 4, stride)

    def forward(self, features: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, 4 width, H/stride, W/stride)."""
        return torch.relu(self.body(features) + self.shortcut(features))


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return nn.Sequential(_convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))


class ResidualNetwork(nn.Module):
    """Sciarra's variant: one input channel, global average, one linear output through a sigmoid.

    Parameters
    ----------
    block : type
        :class:`BasicBlock` (ResNet-18) or :class:`Bottleneck` (ResNet-101).
    counts : sequence of int
        Blocks in each of the four stages.
    width : int
        Channels of the first stage (64 in the paper).
    """

    input_names: ClassVar[tuple[str, ...]] = ("slices",)
    output_names: ClassVar[tuple[str, ...]] = ("score",)

    def __init__(self, block: type[BasicBlock] | type[Bottleneck], counts: Sequence[int], width: int = 64) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            _convolution(1, width, 7, 2), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1)
        )
        stages: list[nn.Module] = []
        inputs = width
        for stage, count in enumerate(counts):
            outputs = width * 2**stage
            for place in range(count):
                stages.append(block(inputs, outputs, stride=2 if stage and not place else 1))
                inputs = outputs * block.expansion
        self.stages = nn.Sequential(*stages)
        self.output = nn.Linear(inputs, 1)

    def forward(self, slices: Tensor) -> Tensor:
        """(N, 1, H, W) to scores (N, 1) in 0-1."""
        features = self.stages(self.stem(slices)).mean(dim=(2, 3))
        return torch.sigmoid(self.output(features))


class SsimMap(nn.Module):
    """Compact network that estimates SSIM block by block and averages it over the head.

    Every 8 x 8 block is a training target of its own, so a slice teaches hundreds of values instead of one, and the
    map shows where the motion is. Blocks see the whole slice through the coarse stages and their mean.

    Parameters
    ----------
    widths : sequence of int
        Channels at strides 2, 4, 8 and 16.
    """

    input_names: ClassVar[tuple[str, ...]] = ("slices", "head")
    output_names: ClassVar[tuple[str, ...]] = ("score", "map")

    def __init__(self, widths: Sequence[int] = (16, 24, 48, 96)) -> None:
        super().__init__()
        first, second, third, fourth = widths
        self.stem = nn.Sequential(_convolution(3, first, 5, 2), nn.BatchNorm2d(first), nn.ReLU())
        self.fine = nn.Sequential(BasicBlock(first, second, 2), BasicBlock(second, second))
        self.middle = nn.Sequential(BasicBlock(second, third, 2), BasicBlock(third, third))
        self.coarse = nn.Sequential(
            BasicBlock(third, fourth, 2), BasicBlock(fourth, fourth), BasicBlock(fourth, fourth)
        )
        self.context = nn.Linear(2 * fourth, third)
        self.join = _convolution(third + fourth, third, 1)
        self.merge = nn.Sequential(nn.BatchNorm2d(third), nn.ReLU(), BasicBlock(third, third))
        self.output = nn.Conv2d(third, 1, 1)

    @staticmethod
    def views(slices: Tensor) -> Tensor:
        """The slice, its square root (shows faint ghosts) and what is finer than 5 pixels (ringing), (N, 3, H, W)."""
        fine = 4 * (slices - nn.functional.avg_pool2d(slices, 5, 1, 2))
        return torch.cat([slices, torch.sqrt(slices.clamp(min=0) + 1e-4), fine], dim=1)

    def forward(self, slices: Tensor, head: Tensor) -> tuple[Tensor, Tensor]:
        """Scores and maps.

        Parameters
        ----------
        slices : Tensor, shape (N, 1, H, W)
            H and W multiples of 16.
        head : Tensor, shape (N, 1, H/8, W/8)
            Share of head in each block, 0-1.

        Returns
        -------
        score : Tensor, shape (N, 1)
            Head-weighted mean of the map.
        map : Tensor, shape (N, 1, H/8, W/8)
            Local SSIM estimates, 0-1.
        """
        middle = self.middle(self.fine(self.stem(self.views(slices))))
        coarse = self.coarse(middle)
        weight = nn.functional.avg_pool2d(head, 2)
        total = weight.sum(dim=(2, 3)) + 1e-3
        mean = (coarse * weight).sum(dim=(2, 3)) / total
        square = ((coarse * coarse) * weight).sum(dim=(2, 3)) / total
        spread = torch.sqrt(torch.relu(square - mean * mean) + 1e-4)
        context = self.context(torch.cat([mean, spread], dim=1))[:, :, None, None]
        wide = nn.functional.interpolate(coarse, scale_factor=2.0, mode="nearest")
        merged = self.merge(self.join(torch.cat([middle, wide], dim=1)) + context)
        local = torch.sigmoid(self.output(merged))
        score = (local * head).sum(dim=(2, 3)) / (head.sum(dim=(2, 3)) + 1e-6)
        return score, local


ARCHITECTURES: Mapping[str, Callable[[], nn.Module]] = MappingProxyType(
    {
        "ssim_map": SsimMap,
        "resnet18": partial(ResidualNetwork, BasicBlock, (2, 2, 2, 2)),
        "resnet18_narrow": partial(ResidualNetwork, BasicBlock, (2, 2, 2, 2), 16),
        "resnet101": partial(ResidualNetwork, Bottleneck, (3, 4, 23, 3)),
    }
)
"""Constructors by name, as weights files name them."""


def count_parameters(network: nn.Module) -> int:
    """Number of trained values."""
    return sum(parameter.numel() for parameter in network.parameters())
