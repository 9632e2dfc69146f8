# SPDX-License-Identifier: Apache-2.0
"""The grid of the scan."""

from __future__ import annotations

from bidsqa.metrics.samples import Samples

AXES = ("x", "y", "z")


def grid_size(samples: Samples) -> dict[str, float]:
    """Voxels along right, anterior and superior."""
    return {f"size_{axis}": size for axis, size in zip(AXES, samples.grid or samples.volume.shape, strict=True)}


def voxel_spacing(samples: Samples) -> dict[str, float]:
    """Voxel edges in mm along right, anterior and superior."""
    return {f"spacing_{axis}": edge for axis, edge in zip(AXES, samples.volume.spacing, strict=True)}
