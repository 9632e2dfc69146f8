# SPDX-License-Identifier: Apache-2.0
"""The small 3D network that tells head, CSF, grey and white matter apart on any contrast."""

from __future__ import annotations

from typing import Any

import numpy as np

CLASSES = ("air", "head", "csf", "gm", "wm")
GRID_MM = 2.5
MULTIPLE = 8


def normalise(image: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Intensities as the network expects them: percentiles 0.5 and 99.5 of the non-zero voxels at 0 and 1.

    Parameters
    ----------
    image : ndarray, shape (X, Y, Z)
        On the 2.5 mm grid, any unit.

    Returns
    -------
    ndarray of float32
        Cut to [0, 1.5]; constant images become 0. The law of intensity scale invariance rests on this step.
    """
    inside = image[image > 0]
    if inside.size < 8:
        return np.zeros(image.shape, dtype=np.float32)
    low, high = np.percentile(inside, (0.5, 99.5))
    low = min(low, float(0.3 * high))
    if not high > low:
        return np.zeros(image.shape, dtype=np.float32)
    return np.clip((image - low) / (high - low), 0, 1.5).astype(np.float32)


def build(width: int = 32, middle: int = 48, deep: int = 64) -> Any:
    """A U-Net whose convolutions run at 5, 10 and 20 mm and whose input and output are at 2.5 mm.

    Few channels at full resolution use a CPU badly (an eighth of the arithmetic rate of 32 channels), so the image
    is folded to 5 mm by a strided convolution at once; a transposed convolution brings the answer back to 2.5 mm.

    Parameters
    ----------
    width, middle, deep : int
        Channels at 5, 10 and 20 mm.

    Returns
    -------
    torch.nn.Module
        Maps (B, 1, D, H, W) to logits (B, 5, D, H, W), each edge a multiple of 8; classes as in ``CLASSES``.
    """
    import torch
    from torch import nn

    def block(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv3d(inputs, outputs, 3, padding=1, bias=False),
            nn.InstanceNorm3d(outputs, affine=True),
            nn.LeakyReLU(0.1, inplace=True),
        )

    class Segmenter(nn.Module):
        """Encoder and decoder with three levels."""

        input_names = ("image",)

        def __init__(self) -> None:
            super().__init__()
            self.fold = nn.Sequential(nn.Conv3d(1, width, 4, stride=2, padding=1), nn.LeakyReLU(0.1, inplace=True))
            self.first = block(width, width)
            self.second = nn.Sequential(block(width, middle), block(middle, middle))
            self.bottom = nn.Sequential(block(middle, deep), block(deep, deep), block(deep, middle))
            self.second_back = nn.Sequential(block(2 * middle, middle), block(middle, width))
            self.first_back = nn.Sequential(block(2 * width, width), block(width, width))
            self.unfold = nn.ConvTranspose3d(width, len(CLASSES), 2, stride=2)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            """Logits on the grid of the image."""
            fine = self.first(self.fold(image))
            half = self.second(nn.functional.avg_pool3d(fine, 2))
            quarter = self.bottom(nn.functional.avg_pool3d(half, 2))
            half = self.second_back(torch.cat([half, nn.functional.interpolate(quarter, scale_factor=2.0)], dim=1))
            fine = self.first_back(torch.cat([fine, nn.functional.interpolate(half, scale_factor=2.0)], dim=1))
            return self.unfold(fine)  # type: ignore[no-any-return]

    return Segmenter()


ARCHITECTURES = {"unet": build}
