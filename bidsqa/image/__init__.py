# SPDX-License-Identifier: Apache-2.0
"""Scans in memory: reading and checking them, their slices and intensities."""

from bidsqa.image.intensity import clipped_fraction, robust_range, rough_head
from bidsqa.image.loading import fetch_command, load_volume, read_spacing, usable_affine
from bidsqa.image.padding import measured_block
from bidsqa.image.slices import (
    PLANES,
    acquisition_axis,
    head_extent,
    middle_indices,
    scored_axes,
    take_slice,
    thick_axis,
)
from bidsqa.image.volume import ImageFacts, Volume

__all__ = [
    "PLANES",
    "ImageFacts",
    "Volume",
    "acquisition_axis",
    "clipped_fraction",
    "fetch_command",
    "head_extent",
    "load_volume",
    "measured_block",
    "middle_indices",
    "read_spacing",
    "robust_range",
    "rough_head",
    "scored_axes",
    "take_slice",
    "thick_axis",
    "usable_affine",
]
