# SPDX-License-Identifier: Apache-2.0
"""Clean slices for the severity network, cut from the pool's scans at native pixels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bidsqa.errors import InputError
from bidsqa.image import head_extent, middle_indices, rough_head, scored_axes, take_slice
from bidsqa.models.aggregation import thin
from bidsqa.models.severity_inputs import cut_native, normalise, window_middle
from bidsqa.models.windows import plane_edges
from bidsqa.training.pool import Clean

Array = np.ndarray[Any, Any]
WINDOW = 224
SMALLEST_SHARE = 0.06


@dataclass(frozen=True)
class Slices:
    """Clean slices in memory.

    Parameters
    ----------
    image : ndarray of float16, shape (N, 224, 224)
        In units of the head's mean.
    head : ndarray of bool, shape (N, 224, 224)
    edges : ndarray of float32, shape (N, 3)
        Pixel height and width, slice distance, mm.
    scan : ndarray of int, shape (N,)
        Index in ``names``.
    weight : ndarray of float32, shape (N,)
        Chance of being drawn, up to a factor.
    names, sites : tuple of str
        One a scan.
    """

    image: Array
    head: Array
    edges: Array
    scan: Array
    weight: Array
    names: tuple[str, ...]
    sites: tuple[str, ...]

    def save(self, path: Path) -> None:
        """Write to an npz file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **{**self.__dict__, "names": np.array(self.names), "sites": np.array(self.sites)})

    @classmethod
    def load(cls, path: Path) -> Slices:
        """Read from an npz file."""
        with np.load(path, allow_pickle=False) as file:
            values = {key: file[key] for key in file.files}
        values["names"], values["sites"] = (tuple(values[key].tolist()) for key in ("names", "sites"))
        return cls(**values)


def cut_slices(scans: Iterable[Clean], per_plane: int, seed: int, drawn_share: float = 0.45) -> Slices:
    """Slices of the middle 70 % of every scored plane.

    Parameters
    ----------
    scans : iterable of Clean
    per_plane : int
        At most this many slices a plane and scan.
    seed : int
        For the place of the window where the head is larger than it.
    drawn_share : float
        Share of the label-map scans in what is drawn; real sites get weights of 1/√(scans of the site) a scan.
    """
    rng = np.random.default_rng(seed)
    images, heads, edges, numbers, names, sites = [], [], [], [], [], []
    for number, clean in enumerate(scans):
        volume = clean.volume
        mask = rough_head(volume)
        for axis in scored_axes(volume):
            pixel = (*plane_edges(volume.spacing, axis), volume.spacing[axis])
            outline = take_slice(np.any(mask, axis=axis, keepdims=True), axis, 0)
            for index in thin(middle_indices(head_extent(mask, axis), 0.7), per_plane):
                middle = _jittered(outline, rng)
                head = cut_native(take_slice(mask, axis, int(index)), middle, WINDOW)
                if head.mean() < SMALLEST_SHARE:
                    continue
                image = cut_native(take_slice(volume.data, axis, int(index)), middle, WINDOW)
                images.append(normalise(image[None], head[None])[0].astype(np.float16))
                heads.append(head)
                edges.append(pixel)
                numbers.append(number)
        names.append(clean.name)
        sites.append(clean.site)
    if not images:
        raise InputError("no slice shows enough of a head", "training needs structural scans of heads")
    scan = np.array(numbers)
    return Slices(
        image=np.stack(images),
        head=np.stack(heads),
        edges=np.array(edges, dtype=np.float32),
        scan=scan,
        weight=_weights(scan, sites, drawn_share),
        names=tuple(names),
        sites=tuple(sites),
    )


def _jittered(outline: Array, rng: np.random.Generator) -> tuple[float, float]:
    row, column = window_middle(outline, WINDOW)
    spare = [max(0.0, 0.5 * (float(outline.any(axis=1 - side).sum()) - WINDOW)) + 8 for side in (0, 1)]
    return row + float(rng.uniform(-1, 1)) * spare[0], column + float(rng.uniform(-1, 1)) * spare[1]


def _weights(scan: Array, sites: list[str], drawn_share: float) -> Array:
    counts = np.bincount(scan, minlength=len(sites)).astype(float)
    weight = np.zeros(len(scan))
    real = np.array([site != "labels" for site in sites])
    for site in set(sites):
        members = [number for number, other in enumerate(sites) if other == site]
        for number in members:
            weight[scan == number] = 1 / np.sqrt(len(members)) / max(counts[number], 1)
    both = real.any() and (~real).any()
    for group, share in ((real[scan], 1 - drawn_share), (~real[scan], drawn_share)):
        if group.any():
            weight[group] *= (share if both else 1.0) / weight[group].sum()
    return weight.astype(np.float32)
