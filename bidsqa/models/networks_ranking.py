# SPDX-License-Identifier: Apache-2.0
"""Networks that learn from rankings (Tang et al. 2025, J Magn Reson Imaging 61:2572): IQ-Net, EfficientNet-B0, and
the classifier that turns two scores into "better", "similar" or "worse".

The full-reference networks take ``difference``, image minus reference as real and imaginary part, (N, 2, H, W), on a
scale on which the reference's largest magnitude is 1; the reference-free one takes ``slices``, (N, 1, H, W), with the
head's 99th percentile near 1. All return (N, 1); **lower is better**, as in the paper.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor, nn

from bidsqa.models.efficientnet import FEATURES, EfficientNetB0

IQ_CHANNELS = 8
IQ_BLOCKS = 5
TINY = 1e-6
HIDDEN = 16
INPUT_SIZE = 224
# of real and imaginary part of the authors' differences
DIFFERENCE_MEAN = (-0.00045, -0.00014)
DIFFERENCE_SD = (0.0494, 0.0506)
# of slices whose head's 99th percentile is 1, head and air together
SLICE_MEAN, SLICE_SD = 0.25, 0.3
FIRST_BETTER, SIMILAR, SECOND_BETTER = 2, 1, 0


class ComplexDropout(nn.Module):
    """Drops whole complex values: real and imaginary part together."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, values: Tensor) -> Tensor:
        """(N, 2, C, H, W) to the same shape."""
        if not self.training or not self.probability:
            return values
        kept = torch.rand_like(values[:, :1]) >= self.probability
        return values * kept / (1 - self.probability)


class LinearBlock(nn.Module):
    """Two 3 x 3 convolutions beside a 1 x 1 shortcut, real kernels for both parts, no activation; then halved."""

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        )
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.dropout = ComplexDropout(dropout)

    def forward(self, values: Tensor) -> Tensor:
        """(N, 2, inputs, H, W) to (N, 2, outputs, H // 2, W // 2)."""
        flat = values.flatten(0, 1)
        halved = nn.functional.avg_pool2d(self.body(flat) + self.shortcut(flat), 2)
        return self.dropout(halved.unflatten(0, values.shape[:2]))


class IQNet(nn.Module):
    """Tang's IQ-Net: a sum of norms of a linearly filtered complex difference; 5,562 trained values.

    ``score(c d) = |c| score(d)`` for complex ``c``, to the tiny constant under the norms. The published network adds up
    over pixels, so that its score grows with the matrix; here norms are divided by the square root of the number of
    pixels of the input (``per_pixel``). Norms are added up with the magnitudes of the learned weights: with a negative
    one a loss would fall without end as the image gets worse.

    Parameters
    ----------
    dropout : float
        In blocks and before the last sum, while training.
    per_pixel : bool
        False: norms as published.
    """

    input_names: ClassVar[tuple[str, ...]] = ("difference",)
    output_names: ClassVar[tuple[str, ...]] = ("score",)

    def __init__(self, dropout: float = 0.5, per_pixel: bool = True) -> None:
        super().__init__()
        self.per_pixel = per_pixel
        self.blocks = nn.ModuleList(
            LinearBlock(1 if not place else IQ_CHANNELS, IQ_CHANNELS, dropout) for place in range(IQ_BLOCKS)
        )
        self.input_weight = nn.Parameter(torch.ones(1))
        self.dropout = nn.Dropout(dropout)
        self.weights = nn.Linear(1 + IQ_BLOCKS * IQ_CHANNELS, 1, bias=False)
        nn.init.uniform_(self.weights.weight, 0.0, 2 / self.weights.in_features)

    @staticmethod
    def norms(values: Tensor) -> Tensor:
        """L2 norm of each channel, sqrt(sum((|z| + 1e-6)^2)), (N, 2, C, H, W) to (N, C)."""
        # under the root too: at zero the magnitude has no gradient
        magnitude = torch.sqrt(values.square().sum(dim=1) + TINY**2)
        return torch.sqrt((magnitude + TINY).square().sum(dim=(2, 3)))

    def forward(self, difference: Tensor) -> Tensor:
        """(N, 2, H, W), sides of at least 32, to scores (N, 1)."""
        values = difference[:, :, None]
        features = [self.input_weight.abs() * self.norms(values)]
        for block in self.blocks:
            values = block(values)
            features.append(self.norms(values))
        joined = torch.cat(features, dim=1)
        if self.per_pixel:
            joined = joined / (difference.shape[-1] * difference.shape[-2]) ** 0.5
        return nn.functional.linear(self.dropout(joined), self.weights.weight.abs())


class EfficientNetRanker(nn.Module):
    """EfficientNet-B0 behind a 1 x 1 convolution; 4,008,838 trained values with a reference, 4,008,835 without.

    Parameters
    ----------
    reference : bool
        True: of the difference to a reference, of which larger ones are resized to 224 x 224, as published; False: of
        the slice alone, whose pixels keep their size.
    """

    output_names: ClassVar[tuple[str, ...]] = ("score",)
    mean: Tensor
    deviation: Tensor

    def __init__(self, reference: bool = True) -> None:
        super().__init__()
        self.reference = reference
        self.input_names: tuple[str, ...] = ("difference",) if reference else ("slices",)
        mean, deviation = (DIFFERENCE_MEAN, DIFFERENCE_SD) if reference else ((SLICE_MEAN,), (SLICE_SD,))
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation)[:, None, None], persistent=False)
        self.colours = nn.Conv2d(len(mean), 3, 1)
        self.backbone = EfficientNetB0()
        self.output = nn.Linear(FEATURES, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 2 or 1, H, W) to scores (N, 1)."""
        size = (INPUT_SIZE, INPUT_SIZE)
        # smaller ones are cut-outs, whose pixels are to keep their size; slices come at 1 mm in windows of that size,
        # and their network is exported, where a question about the size would become a constant
        if self.reference and max(images.shape[-2:]) > INPUT_SIZE:
            images = nn.functional.interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)
        scores: Tensor = self.output(self.backbone(self.colours((images - self.mean) / self.deviation)))
        return scores


class ThreeWay(nn.Module):
    """Two scores to "second better", "similar", "first better"; 98 trained values, symmetric by construction."""

    def __init__(self) -> None:
        super().__init__()
        self.better = self._branch()
        self.similar = self._branch()

    @staticmethod
    def _branch() -> nn.Sequential:
        return nn.Sequential(nn.Linear(1, HIDDEN), nn.Sigmoid(), nn.Linear(HIDDEN, 1))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Scores (N, 1) of both images to logits (N, 3); swapping the images turns the vector round."""
        apart = first - second
        alike = self.similar(apart) + self.similar(-apart)
        return torch.cat([self.better(apart), alike, self.better(-apart)], dim=1)


ARCHITECTURES: Mapping[str, Callable[[], nn.Module]] = MappingProxyType(
    {
        "iq_net": IQNet,
        "efficientnet_b0": EfficientNetRanker,
        "efficientnet_b0_free": partial(EfficientNetRanker, reference=False),
    }
)
"""Constructors by name, as weights files name them."""
