# SPDX-License-Identifier: Apache-2.0
"""Ma's ConvNet and the ResNet-10: their sizes, and what they refuse."""

from __future__ import annotations

import pytest
import torch

from bidsqa.models.networks_diagnostic import ARCHITECTURES, SIZE, ConvNet, ResNet10
from bidsqa.models.networks_ssim import count_parameters


@pytest.mark.parametrize(
    ("name", "count"),
    [("convnet_2", 381_714), ("convnet_3", 512_787), ("resnet10_2", 4_900_546), ("resnet10_3", 4_901_059)],
)
def test_sizes(name: str, count: int) -> None:
    assert count_parameters(ARCHITECTURES[name]()) == count


def test_convolutions_pad_as_tensorflow_does() -> None:
    pads = [part.padding for part in ConvNet().features if isinstance(part, torch.nn.ZeroPad2d)]
    assert [pad[:2] for pad in pads] == [(4, 4), (2, 3), (0, 1), (0, 1)]
    with torch.inference_mode():
        assert ConvNet().eval().features(torch.zeros(1, 1, SIZE, SIZE)).shape == (1, 128, 32, 32)


def test_relu_comes_before_batch_norm() -> None:
    kinds = [type(part) for part in ConvNet().features][1:4]
    assert kinds == [torch.nn.Conv2d, torch.nn.ReLU, torch.nn.BatchNorm2d]


@pytest.mark.parametrize("classes", [2, 3])
def test_residual_network_takes_any_size(classes: int) -> None:
    network = ResNet10(classes).eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 1, 96, 80)).shape == (2, classes)


def test_convnet_wants_its_own_size() -> None:
    with torch.inference_mode(), pytest.raises(RuntimeError):
        ConvNet().eval()(torch.zeros(1, 1, 256, 256))
