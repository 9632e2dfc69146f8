# SPDX-License-Identifier: Apache-2.0
"""Clean slices for the SSIM network: windows of real scans, label windows of head maps.

The windows are cut by the same code as at inference (:func:`bidsqa.models.ssim_inputs.prepare`), at 1 mm.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bidsqa.image import PLANES, Volume, head_extent, middle_indices, rough_head, scored_axes, take_slice
from bidsqa.models.aggregation import thin
from bidsqa.models.ssim_inputs import PIXEL_MM, WINDOW, prepare
from bidsqa.models.windows import cut_windows
from bidsqa.training.pool import Clean, drawn_scans, read_labels, real_scans, side_of

Array = np.ndarray[Any, Any]
TRAIN_FRACTION = 0.8
SLICES_PER_PLANE = 40
SMALLEST_SHARE = 0.05
ABOUT = ("subject", "site", "suffix", "plane")


@dataclass(frozen=True)
class Slices:
    """Windows of one scan in one plane.

    Parameters
    ----------
    subject, site, suffix, plane : str
    images : ndarray of float16 or uint8, shape (N, 224, 224)
        Scaled so that the head's 99th percentile is near 1; label values (uint8) for head maps.
    heads : ndarray of bool, shape (N, 224, 224)
        The clean head.
    """

    subject: str
    site: str
    suffix: str
    plane: str
    images: Array
    heads: Array

    @property
    def synthetic(self) -> bool:
        """True for label windows, whose intensities are drawn when they are used."""
        return bool(self.images.dtype == np.uint8)


def scan_slices(volume: Volume, name: tuple[str, str, str], fraction: float, limit: int) -> list[Slices]:
    """Windows of one scan in each plane worth judging (:func:`bidsqa.image.scored_axes`).

    Parameters
    ----------
    volume : Volume
    name : tuple of str
        Subject, site, suffix.
    fraction : float
        Middle share of the head.
    limit : int
        Most slices a plane.
    """
    head = rough_head(volume)
    parts = []
    for axis in scored_axes(volume):
        indices = thin(middle_indices(head_extent(head, axis), fraction), limit)
        windows, _ = prepare(volume, head, axis, indices)
        heads = _head_windows(volume, head, axis, indices)
        kept = heads.mean(axis=(1, 2)) > SMALLEST_SHARE
        parts.append(Slices(*name, PLANES[axis], windows[kept, 0].astype(np.float16), heads[kept]))
    return parts


def _head_windows(volume: Volume, head: Array, axis: int, indices: Array) -> Array:
    mask: Array = cut_windows(volume.data, head, volume.spacing, axis, indices, WINDOW, PIXEL_MM)[1] > 0.5
    return mask


def real_slices(data: Path, sides: Sequence[str], limit: int = SLICES_PER_PLANE) -> list[Slices]:
    """Windows of the real scans on some sides of the split (see :mod:`bidsqa.training.pool`).

    Parameters
    ----------
    data : Path
        Holds ``scans/``.
    sides : sequence of str
        Of ``"train"``, ``"watch"``, ``"test"``.
    limit : int
        Most slices a plane.
    """
    return cut_parts(real_scans(data, tuple(sides)), limit)


def cut_parts(scans: Iterable[Clean], limit: int = SLICES_PER_PLANE) -> list[Slices]:
    """Windows of clean scans, at most so many a plane; planes that show too little of a head are left out."""
    parts: list[Slices] = []
    for scan in scans:
        name = (scan.subject, scan.site, scan.contrast)
        parts.extend(part for part in scan_slices(scan.volume, name, TRAIN_FRACTION, limit) if len(part.images))
    return parts


def save_parts(parts: Sequence[Slices], path: Path) -> None:
    """Write windows to an npz file."""
    arrays = {f"{name}{place}": getattr(part, name) for place, part in enumerate(parts) for name in ("images", "heads")}
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, about=np.array([[getattr(part, name) for name in ABOUT] for part in parts]), **arrays)


def load_parts(path: Path) -> list[Slices]:
    """Inverse of :func:`save_parts`."""
    with np.load(path, allow_pickle=False) as kept:
        about = [dict(zip(ABOUT, row, strict=True)) for row in kept["about"].tolist()]
        return [
            Slices(images=kept[f"images{place}"], heads=kept[f"heads{place}"], **row) for place, row in enumerate(about)
        ]


def drawn_slices(data: Path, count: int, seed: int, sides: Sequence[str], limit: int = 12) -> list[Slices]:
    """Windows of scans drawn from the label maps in three dimensions, with their own resolution and noise."""
    parts: list[Slices] = []
    for scan in drawn_scans(data, count, seed, tuple(sides)):
        parts.extend(scan_slices(scan.volume, (scan.name, "drawn", scan.contrast), TRAIN_FRACTION, limit))
    return parts


def map_slices(data: Path, sides: Sequence[str], limit: int = SLICES_PER_PLANE) -> list[Slices]:
    """Label windows of the head maps (1 mm, whole heads): three planes each."""
    parts = []
    for path in sorted((data / "labels").glob("training_seg_*.nii.gz")):
        name = path.name.split(".")[0]
        if side_of(name, "labels") not in sides:
            continue
        labels = read_labels(path)
        head = labels > 0
        for axis in range(3):
            indices = thin(middle_indices(head_extent(head, axis), TRAIN_FRACTION), limit)
            windows = np.stack([_label_window(take_slice(labels, axis, int(index))) for index in indices])
            parts.append(Slices(name, "maps", "synthetic", PLANES[axis], windows, windows > 0))
    return parts


def _label_window(plane: Array) -> Array:
    """Labels in the middle of a window; rows that don't fit are cut at the bottom."""
    window = np.zeros((WINDOW, WINDOW), dtype=np.uint8)
    rows, columns = min(plane.shape[0], WINDOW), min(plane.shape[1], WINDOW)
    top, left = (WINDOW - rows) // 2, (WINDOW - columns) // 2
    start = (plane.shape[1] - columns) // 2
    window[top : top + rows, left : left + columns] = plane[:rows, start : start + columns]
    return window


def phantom_slices(seeds: tuple[int, ...], limit: int = 12) -> list[Slices]:
    """Windows of phantom heads, one contrast a seed in turn."""
    from bidsqa.simulation import phantom

    parts = []
    contrasts = ("T1w", "T2w", "FLAIR", "PDw")
    for place, seed in enumerate(seeds):
        contrast = contrasts[place % len(contrasts)]
        volume = phantom.make_phantom(seed=seed).image(contrast, seed=seed)
        parts.extend(scan_slices(volume, (f"phantom{seed}", "phantom", contrast), TRAIN_FRACTION, limit))
    return parts
