# SPDX-License-Identifier: Apache-2.0
"""Coarse shares of air, head, CSF, grey and white matter, on any contrast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from bidsqa.anatomy import atlas
from bidsqa.anatomy.bias_field import strong_shading
from bidsqa.anatomy.grids import Box, Grid, bounding_box, coarsen, covering, largest_piece, refine
from bidsqa.models.segmentation import class_shares, segmentation_network

Array = np.ndarray[Any, Any]
CLASSES = ("air", "head", "csf", "gm", "wm")
STEP_MM = 2.0
POSE_MM = 4.0
HEIGHT_MM = 230.0
MARGIN_MM = 12.0
# voxels of 2 mm: the layer that the erosion takes, and what CSF may lie around the tissue
BRAIN_MARGIN = 4


@dataclass(frozen=True)
class Parts:
    """Class shares on a coarse grid around the brain.

    Parameters
    ----------
    shares : ndarray of float32, shape (5, X, Y, Z)
        Order of ``CLASSES``, sum 1.
    shading : ndarray of float32, shape (X, Y, Z)
        First guess of the bias field.
    grid : Grid
        2 mm, a block of the scan's coarse grid.
    box : tuple of slice
        That block.
    tilt : float
        Angle (rad) of the head about the left-right axis, positive with the nose up.
    information : float
        How much the average head's classes tell of the intensities, over the most they could (0-1).
    """

    shares: Array
    shading: Array
    grid: Grid
    box: Box
    tilt: float
    information: float

    @property
    def brain(self) -> Array:
        """Share of brain with its CSF."""
        return np.asarray(self.shares[2:].sum(axis=0))


@dataclass(frozen=True)
class Placed:
    """The average head laid over a scan.

    Parameters
    ----------
    image : ndarray of float32, shape (X, Y, Z)
        The scan around the brain on ``grid``, divided by ``shading``.
    prior : ndarray of float32, shape (5, X, Y, Z)
        Class shares of the average head there.
    shading, grid, box, tilt, information
        As in :class:`Parts`.
    """

    image: Array
    prior: Array
    shading: Array
    grid: Grid
    box: Box
    tilt: float
    information: float


def segment(coarse: Array, foreground: Array, grid: Grid, threads: int = 1, classical: bool = False) -> Parts:
    """Class shares from the average head laid over the scan, its intensities and the network.

    Parameters
    ----------
    coarse : ndarray of float32
        The scan on ``grid`` (2 mm).
    foreground : ndarray of bool
        Rough head on ``grid``.
    grid : Grid
    threads : int
        Of the network.
    classical : bool
        Without the network, for comparison.

    Returns
    -------
    Parts
        All air where the scan holds nothing positive.
    """
    placed = place(coarse, foreground, grid)
    shares = placed.prior
    if placed.information:
        shares = atlas.refine_by_intensity(placed.prior, placed.image, placed.grid.step)
        if not classical:
            shares = _mended(placed, shares, threads)
    return Parts(shares, placed.shading, placed.grid, placed.box, placed.tilt, placed.information)


def _mended(placed: Placed, first: Array, threads: int) -> Array:
    """The network's say, asked only around the brain: that is all of it that counts, and half of the work."""
    tissue = first[3:].sum(axis=0) > 0.5
    near = bounding_box(largest_piece(ndimage.binary_erosion(tissue)), BRAIN_MARGIN)
    inside = (slice(None), *near)
    found = class_shares(placed.image[near], placed.prior[inside], first[inside], segmentation_network(threads))
    result = first.copy()
    result[inside] = joined(first[inside], found)
    return result


def joined(first: Array, mended: Array) -> Array:
    """The brain's share as the mixture has it, the tissues in it by the geometric mean of mixture and network.

    Alone, the network draws white and grey matter better and the brain's border worse than the mixture of intensities.

    Parameters
    ----------
    first, mended : ndarray of float32, shape (5, X, Y, Z)
        Shares of the mixture and of the network, sum 1.
    """
    tissues = np.sqrt(first[2:] * mended[2:]) + np.float32(1e-6)
    tissues *= first[2:].sum(axis=0) / tissues.sum(axis=0)
    return np.concatenate([first[:2], tissues])


def place(coarse: Array, foreground: Array, grid: Grid) -> Placed:
    """Lay the average head over the scan; parameters as for :func:`segment`."""
    whole = bounding_box(foreground, 4)
    height = int(HEIGHT_MM / grid.step)
    whole = (whole[0], whole[1], slice(max(whole[2].start, whole[2].stop - height), whole[2].stop))
    block, inside = coarse[whole], foreground[whole]
    if not (block > 0).any() or not inside.any():
        return _nothing(grid, whole)
    shape = tuple(max(1, int(np.ceil(size * grid.step / POSE_MM))) for size in block.shape)
    offset = 0.5 * (POSE_MM - grid.step)
    small = Grid(POSE_MM, (offset,) * 3, (shape[0], shape[1], shape[2]))
    edges = (grid.step,) * 3
    rough = coarsen(inside.astype(np.float32), edges, small) > 0.5
    if not rough.any():
        return _nothing(grid, whole)
    pose, start, information = atlas.find_pose(coarsen(block, edges, small), rough, POSE_MM)
    low, high = atlas.brain_corners(pose)
    tight = tuple(
        slice(int(np.clip((a - MARGIN_MM) / grid.step, 0, n - 1)), int(np.clip((b + MARGIN_MM) / grid.step, 1, n)))
        for a, b, n in zip(low + start + offset, high + start + offset, block.shape, strict=True)
    )
    first = np.array([window.start for window in tight]) * grid.step
    part = block[tight]
    prior = _lay(part.shape, grid.step, pose, start + offset - first)
    shading = strong_shading(part, prior[2:])
    box = tuple(slice(w.start + t.start, w.start + t.stop) for w, t in zip(whole, tight, strict=True))
    there = (box[0], box[1], box[2])
    return Placed(part / shading, prior, shading, grid.part(there), there, float(pose[0]), information)


def _lay(shape: tuple[int, ...], step: float, pose: Array, start: Array) -> Array:
    """The atlas at every voxel of a block, shape (5, X, Y, Z)."""
    small = covering((shape[0], shape[1], shape[2]), (step,) * 3, POSE_MM)
    axes = [
        np.arange(size) * POSE_MM + origin - first
        for size, origin, first in zip(small.shape, small.origin, start, strict=True)
    ]
    points = np.stack(np.meshgrid(*axes, indexing="ij")).reshape(3, -1).astype(np.float32)
    shares = atlas.sample(atlas.load_atlas(), points, pose).T.reshape(len(CLASSES), *small.shape)
    whole = (slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2]))
    return np.stack([refine(part, small, (step,) * 3, whole) for part in shares])


def _nothing(grid: Grid, box: Box) -> Placed:
    part = grid.part(box)
    shares = np.zeros((len(CLASSES), *part.shape), dtype=np.float32)
    shares[0] = 1
    plain = np.ones(part.shape, dtype=np.float32)
    return Placed(np.zeros_like(plain), shares, plain, part, box, 0.0, 0.0)
