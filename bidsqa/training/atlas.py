# SPDX-License-Identifier: Apache-2.0
"""The average head: class shares of the training maps, each scaled to one brain box (``python -m`` builds it)."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from bidsqa.anatomy.atlas import ATLAS_FILE, ATLAS_MM, ATLAS_SHAPE
from bidsqa.training.segmentation_data import GRID_MM, HeadMap, load_maps

Array = np.ndarray[Any, Any]


def brain_frame(head: HeadMap, step: float) -> tuple[Array, Array]:
    """Centre and size (mm) of the box that holds all but the last percents of grey and white matter along each axis."""
    shares = head.fractions[3:].sum(axis=0)
    low, high = [], []
    for axis in range(3):
        line = np.cumsum(shares.sum(axis=tuple(other for other in range(3) if other != axis)))
        places = np.interp(np.array([0.003, 0.997]) * line[-1], line, np.arange(line.size) + 0.5) * step
        low.append(places[0])
        high.append(places[1])
    return 0.5 * (np.array(low) + np.array(high)) - 0.5 * step, np.array(high) - np.array(low)


def build(maps: list[HeadMap], step: float) -> Array:
    """Mean class shares (with their mirror images) on the atlas grid, centred on the brain's box; uint8 of 1/255.

    Parameters
    ----------
    maps : list of HeadMap
    step : float
        Voxel edge of their fractions, mm.

    Returns
    -------
    ndarray of uint8, shape (5, *ATLAS_SHAPE)
    """
    from scipy import ndimage

    frames = [brain_frame(head, step) for head in maps]
    mean_size = np.mean([size for _, size in frames], axis=0)
    axes = [(np.arange(count) - (count - 1) / 2) * ATLAS_MM for count in ATLAS_SHAPE]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"))
    total = np.zeros((5, *ATLAS_SHAPE))
    for head, (centre, size) in zip(maps, frames, strict=True):
        scale = size / mean_size
        places = (grid * scale[:, None, None, None] + centre[:, None, None, None]) / step
        # maps that end below the brain say nothing there: their last slices are repeated
        moved = np.stack([ndimage.map_coordinates(part, places, order=1, mode="nearest") for part in head.fractions])
        total += moved + moved[:, ::-1]
    shares = total / total.sum(axis=0, keepdims=True)
    return np.asarray(np.rint(255 * shares), dtype=np.uint8)


def main() -> None:
    """Build and write the atlas."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=Path, default=Path("../shared/data/labels"))
    options = parser.parse_args()
    np.savez_compressed(ATLAS_FILE, shares=build(load_maps(options.labels), GRID_MM))


if __name__ == "__main__":
    main()
