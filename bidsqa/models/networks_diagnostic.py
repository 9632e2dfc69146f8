# SPDX-License-Identifier: Apache-2.0
"""Networks that tell how useful a slice is for a diagnosis: the ConvNet of Ma et al. and a ResNet-10.

Both take ``slices`` (N, 1, H, W), the 99.9th percentile at 1, and return logits (N, classes), class 0 the worst. The
ConvNet needs 512 x 512 pixels, since most of its trained values are those of the layer that reads the flattened image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import ClassVar

from torch import Tensor, nn

from bidsqa.models.networks_ssim import BasicBlock

SIZE = 512
# kernel, channels; each halves the image. The channels are ours: the paper has them in a figure only
LAYERS = ((10, 16), (7, 32), (3, 64), (3, 128))
STAGES = (64, 128, 256, 512)


class ConvNet(nn.Module):
    """Four convolutions, each with ReLU and batch norm after it, and one linear layer.

    381,714 trained values for two classes, 512,787 for three. The linear layer reads the features divided by the number
    of places, as a mean over them would be: it has 131,072 inputs a class, and one step of Adam would otherwise move a
    logit by about a hundred. What the network can express stays the same.

    Parameters
    ----------
    classes : int
        2 (non-diagnostic, diagnostic) or 3 (and excellent).
    """

    input_names: ClassVar[tuple[str, ...]] = ("slices",)
    output_names: ClassVar[tuple[str, ...]] = ("logits",)
    # where the middle of the first place of the last feature map lies in the picture, pixels from its upper left
    # corner: padding at the end alone moves the layers by 0, 1/2, 1/2 and 1/2 of their own pixels
    first_middle: ClassVar[float] = 15.0

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs, side = 1, SIZE
        for kernel, channels in LAYERS:
            # as TensorFlow's SAME: what is odd goes to the end
            padding = (side // 2 - 1) * 2 + kernel - side
            before, after = padding // 2, padding - padding // 2
            layers += [
                nn.ZeroPad2d((before, after, before, after)),
                nn.Conv2d(inputs, channels, kernel, stride=2),
                nn.ReLU(),
                nn.BatchNorm2d(channels),
            ]
            inputs, side = channels, side // 2
        self.features = nn.Sequential(*layers)
        self.output = nn.Linear(inputs * side * side, classes)

    def forward(self, slices: Tensor) -> Tensor:
        """(N, 1, 512, 512) to logits (N, classes)."""
        features = self.features(slices)
        logits: Tensor = self.output(features.flatten(1) / features[0, 0].numel())
        return logits

    def with_map(self, slices: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`forward`, and each place's part of the logits (N, classes, 32, 32), which lack a constant only."""
        features = self.features(slices)
        weight = self.output.weight.reshape(1, -1, *features.shape[1:])
        parts = (weight * features[:, None]).sum(dim=2) / (features.shape[2] * features.shape[3])
        return parts.sum(dim=(2, 3)) + self.output.bias, parts


class ResNet10(nn.Module):
    """One basic block a stage (He et al. 2016), of any size of image; 4,900,546 or 4,901,059 trained values.

    Parameters
    ----------
    classes : int
        2 or 3.
    """

    input_names: ClassVar[tuple[str, ...]] = ("slices",)
    output_names: ClassVar[tuple[str, ...]] = ("logits",)
    # kernels of odd width at every second pixel: the first looks at the middle of the first pixel
    first_middle: ClassVar[float] = 0.5

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        first = STAGES[0]
        layers: list[nn.Module] = [
            nn.Conv2d(1, first, 7, 2, padding=3, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, padding=1),
        ]
        inputs = first
        for place, width in enumerate(STAGES):
            layers.append(BasicBlock(inputs, width, stride=2 if place else 1))
            inputs = width
        self.features = nn.Sequential(*layers)
        self.output = nn.Linear(inputs, classes)

    def forward(self, slices: Tensor) -> Tensor:
        """(N, 1, H, W) to logits (N, classes)."""
        logits: Tensor = self.output(self.features(slices).mean(dim=(2, 3)))
        return logits

    def with_map(self, slices: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`forward`, and each place's part of the logits (N, classes, H / 32, W / 32).

        The class activation map (Zhou et al. 2016, arXiv 1512.04150, Eq. 2) over the number of places: with a constant
        it sums to the logits.
        """
        features = self.features(slices)
        size = features.shape[2] * features.shape[3]
        parts = nn.functional.conv2d(features, self.output.weight[:, :, None, None]) / size
        return parts.sum(dim=(2, 3)) + self.output.bias, parts


class WithMap(nn.Module):
    """A network with the map beside the logits, for the weights file.

    Parameters
    ----------
    network : ConvNet or ResNet10
    """

    input_names: ClassVar[tuple[str, ...]] = ("slices",)
    output_names: ClassVar[tuple[str, ...]] = ("logits", "map")

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, slices: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 1, 512, 512) to logits (N, classes) and parts of them (N, classes, rows, columns)."""
        logits, parts = self.network.with_map(slices)  # type: ignore[operator]
        return logits, parts


ARCHITECTURES: Mapping[str, Callable[[], nn.Module]] = MappingProxyType(
    {
        "convnet_2": partial(ConvNet, 2),
        "convnet_3": partial(ConvNet, 3),
        "resnet10_2": partial(ResNet10, 2),
        "resnet10_3": partial(ResNet10, 3),
    }
)
"""Constructors by name, as weights files name them."""
