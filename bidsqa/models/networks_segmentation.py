# SPDX-License-Identifier: Apache-2.0
"""The network that mends class shares found by the average head and a mixture of intensities.

A U-Net (Ronneberger et al. 2015, doi 10.1007/978-3-319-24574-4_28; in three dimensions Cicek et al. 2016,
doi 10.1007/978-3-319-46723-8_49) whose finest convolutions run at half the resolution of the image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor, nn

CLASSES = 5
FLOOR = 0.01


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm3d(outputs, momentum=0.05), nn.ReLU()
    )


class ShareNetwork(nn.Module):
    """Class shares from an image, the average head's shares and those that intensities made of them.

    Parameters
    ----------
    widths : sequence of int
        Channels at 1, 1/2, 1/4 and 1/8 of the resolution.
    """

    input_names: ClassVar[tuple[str, ...]] = ("image", "prior", "first")
    output_names: ClassVar[tuple[str, ...]] = ("shares",)

    def __init__(self, widths: Sequence[int] = (12, 24, 48, 64)) -> None:
        super().__init__()
        fine, first, second, third = widths
        self.enter = nn.Sequential(*_block(1 + 2 * CLASSES, first, 2), *_block(first, first))
        self.down = nn.Sequential(*_block(first, second, 2), *_block(second, second), *_block(second, second))
        self.bottom = nn.Sequential(*_block(second, third, 2), *_block(third, third), *_block(third, third))
        self.rise_bottom = nn.ConvTranspose3d(third, second, 2, 2)
        self.join_down = _block(2 * second, second)
        self.rise_down = nn.ConvTranspose3d(second, first, 2, 2)
        self.join_enter = nn.Sequential(*_block(2 * first, first), *_block(first, first))
        self.rise_enter = nn.ConvTranspose3d(first, fine, 2, 2)
        self.join_fine = _block(fine + 1 + CLASSES, fine)
        self.output = nn.Conv3d(fine, CLASSES, 1)
        nn.init.zeros_(self.output.weight)
        if self.output.bias is not None:
            nn.init.zeros_(self.output.bias)

    def logits(self, image: Tensor, prior: Tensor, first: Tensor) -> Tensor:
        """Logarithms of the shares up to a constant a voxel; parameters as for :meth:`forward`."""
        given = torch.cat([image, first], dim=1)
        entered = self.enter(torch.cat([given, prior], dim=1))
        lower = self.down(entered)
        risen = self.join_down(torch.cat([self.rise_bottom(self.bottom(lower)), lower], dim=1))
        risen = self.join_enter(torch.cat([self.rise_down(risen), entered], dim=1))
        fine = self.join_fine(torch.cat([self.rise_enter(risen), given], dim=1))
        change: Tensor = self.output(fine)
        return change + torch.log(first + FLOOR)

    def forward(self, image: Tensor, prior: Tensor, first: Tensor) -> Tensor:
        """Shares of air, head, CSF, grey and white matter.

        Parameters
        ----------
        image : Tensor, shape (N, 1, X, Y, Z)
            X, Y, Z multiples of 8; median 1 where the average head has its brain, at most 4.
        prior : Tensor, shape (N, 5, X, Y, Z)
            The average head's shares, sum 1.
        first : Tensor, shape (N, 5, X, Y, Z)
            Shares after :func:`bidsqa.anatomy.atlas.refine_by_intensity`, sum 1: what the untrained network gives.

        Returns
        -------
        Tensor, shape (N, 5, X, Y, Z)
            Sum 1.
        """
        return torch.softmax(self.logits(image, prior, first), dim=1)


ARCHITECTURES: Mapping[str, Callable[[], nn.Module]] = MappingProxyType({"shares": ShareNetwork})
"""Constructors by name, as weights files name them."""
