# SPDX-License-Identifier: Apache-2.0
"""The small 3D network that tells head, CSF, grey and white matter apart on any contrast."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

CLASSES = ("air", "head", "csf", "gm", "wm")
GRID_MM = 4.0
MULTIPLE = 8


def normalise(image: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Intensities as the network expects them: percentiles 0.5 and 99.5 of the non-zero voxels at 0 and 1.

    Parameters
    ----------
    image : ndarray, shape (X, Y, Z)
        On the 4 mm grid, any unit.

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


def build(widths: tuple[int, int, int, int] = (16, 32, 64, 64)) -> Any:
    """A U-Net of four levels, small enough to be trained and run on one core.

    Parameters
    ----------
    widths : tuple of int
        Channels at 4, 8, 16 and 32 mm.

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
        """Encoder and decoder with a skip at each level."""

        input_names = ("image",)

        def __init__(self) -> None:
            super().__init__()
            first = widths[0]
            self.down = nn.ModuleList([block(1, first)])
            self.up = nn.ModuleList()
            for fine, coarse in pairwise(widths):
                self.down.append(nn.Sequential(block(fine, coarse), block(coarse, coarse)))
                self.up.append(
                    nn.Sequential(block(fine + coarse, fine), block(fine, fine) if fine > first else nn.Identity())
                )
            self.out = nn.Conv3d(first, len(CLASSES), 1)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            """Logits on the grid of the image."""
            levels = [self.down[0](image)]
            for part in self.down[1:]:
                levels.append(part(nn.functional.avg_pool3d(levels[-1], 2)))
            features = levels.pop()
            for part in reversed(self.up):
                grown = nn.functional.interpolate(features, scale_factor=2.0)
                features = part(torch.cat([levels.pop(), grown], dim=1))
            return self.out(features)  # type: ignore[no-any-return]

    return Segmenter()


ARCHITECTURES = {"unet": build}
