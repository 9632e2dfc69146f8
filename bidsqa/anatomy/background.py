# SPDX-License-Identifier: Apache-2.0
"""What surrounds the head: filled-in frame, hat, artifacts and air, and which kind of background it is."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from bidsqa.anatomy.grids import Grid, bounding_box
from bidsqa.anatomy.head import FaceLine
from bidsqa.image import Volume

Array = np.ndarray[Any, Any]
# a stripped brain keeps a rim at most; whole heads have 1.5 times the brain and more
STRIPPED_RATIO = 1.3
FILLED_SHARE = 0.6
ARTIFACT_LEVEL = 10.0
NEAR_SHARE = 0.1
# measured voxels that a background needs before its noise is believed
MINIMUM_AIR = 2000


def find_frame(volume: Volume) -> Array:
    """Regions of exactly one value: padding, rotation corners, vendor masks, stripped surroundings.

    A voxel belongs to a region if it lies in a 3 x 3 x 3 block of the constant, so zeros strewn in noise don't.

    Parameters
    ----------
    volume : Volume

    Returns
    -------
    ndarray of bool, shape (X, Y, Z)
        Also inside the head where it is constant; the caller removes the head.
    """
    constant = filled_value(volume.data)
    if constant is None:
        return np.zeros(volume.shape, dtype=bool)
    return _open_block(volume.data == constant)


def filled_value(data: Array) -> float | None:
    """The constant that fills the surroundings: 0, else the minimum if it is frequent; None without one."""
    faces = [data[0], data[-1], data[:, 0], data[:, -1], data[:, :, 0], data[:, :, -1]]
    border = np.concatenate([face.ravel() for face in faces])
    for value in (0.0, float(data.min())):
        if np.mean(border == value) > 0.01 or np.mean(data[::3, ::3, ::3] == value) > 0.01:
            return value
    return None


def _open_block(mask: Array) -> Array:
    """Opening with a 3 x 3 x 3 block; the grid's border doesn't count against a region."""
    return _spread(~_spread(~mask))


def _spread(mask: Array) -> Array:
    """Dilation by a 3 x 3 x 3 block, by shifted copies (ten times faster than a general footprint)."""
    result = mask.copy()
    for axis in range(3):
        grown = result.copy()
        low = (slice(None),) * axis + (slice(None, -1),)
        high = (slice(None),) * axis + (slice(1, None),)
        grown[low] |= result[high]
        grown[high] |= result[low]
        result = grown
    return result


def find_hat(volume: Volume, head: Array, frame: Array, line: FaceLine) -> Array:
    """Background above the face and the neck, without the frame (MRIQC's hat), bool.

    Parameters
    ----------
    volume : Volume
    head : ndarray of uint8, shape (X, Y, Z)
    frame : ndarray of bool, shape (X, Y, Z)
    line : FaceLine
        Clamped to the grid: a line below the field of view gives all of the background.
    """
    y = np.arange(volume.shape[1]) * volume.spacing[1]
    z = np.arange(volume.shape[2]) * volume.spacing[2]
    above = z[None, :] > line.heights(y)[:, None]
    return np.asarray((head == 0) & ~frame & above[None])


def find_artifacts(volume: Volume, hat: Array, head_coarse: Array, grid: Grid) -> Array:
    """Hat voxels far brighter than the noise and not close to the head (Mortamet 2009 as MRIQC bounds it), bool.

    Parameters
    ----------
    volume : Volume
    hat : ndarray of bool, shape (X, Y, Z)
    head_coarse : ndarray of bool
        On ``grid``.
    grid : Grid
        Covers the scan.
    """
    positive = volume.data[hat & (volume.data > 0)]
    artifacts = np.zeros(volume.shape, dtype=bool)
    if positive.size < 100:
        return artifacts
    candidates = hat & (volume.data > ARTIFACT_LEVEL * float(np.median(positive)))
    if not candidates.any():
        return artifacts
    small = head_coarse[::2, ::2, ::2]
    distance = ndimage.distance_transform_edt(~small) * (2 * grid.step)
    box = bounding_box(candidates, 1)
    where = np.argwhere(candidates[box]) + [window.start for window in box]
    depth = float(_hat_distances(volume, hat, distance, grid).max(initial=0.0))
    kept = where[_distance_at(volume, where, distance, grid) >= NEAR_SHARE * depth]
    artifacts[tuple(kept.T)] = True
    artifacts[box] = ndimage.binary_opening(artifacts[box], ndimage.generate_binary_structure(3, 1))
    return artifacts


def _distance_at(volume: Volume, where: Array, distance: Array, grid: Grid) -> Array:
    """Distance from the head (mm) at voxels (N, 3), from a map at twice the grid's step; shape (N,)."""
    index = np.rint((where * volume.spacing - grid.origin) / (2 * grid.step)).astype(int)
    return np.asarray(distance[tuple(np.clip(index, 0, np.array(distance.shape) - 1).T)])


def _hat_distances(volume: Volume, hat: Array, distance: Array, grid: Grid) -> Array:
    """As :func:`_distance_at`, of hat voxels about 4 mm apart."""
    strides = tuple(max(1, round(4.0 / edge)) for edge in volume.spacing)
    where = np.argwhere(hat[:: strides[0], :: strides[1], :: strides[2]]) * strides
    return _distance_at(volume, where, distance, grid)


def reach(volume: Volume, hat: Array, head_coarse: Array, grid: Grid) -> float:
    """How far from the head (mm) nine tenths of the hat's voxels lie at most; 0 for an empty hat.

    Parameters
    ----------
    volume : Volume
    hat : ndarray of bool, shape (X, Y, Z)
    head_coarse : ndarray of bool
        On ``grid``.
    grid : Grid
        Covers the scan.
    """
    distance = ndimage.distance_transform_edt(~head_coarse[::2, ::2, ::2]) * (2 * grid.step)
    found = _hat_distances(volume, hat, distance, grid)
    return float(np.percentile(found, 90)) if found.size else 0.0


def judge(volume: Volume, head: Array, brain: Array, frame: Array, face_missing: bool) -> str:
    """``stripped``, ``defaced``, ``zeroed`` or ``natural``.

    Parameters
    ----------
    volume : Volume
    head, brain : ndarray of uint8
    frame : ndarray of bool
        Without the head.
    face_missing : bool
    """
    outside = volume.data.size - int(np.count_nonzero(head))
    filled = np.count_nonzero(frame) / max(outside, 1)
    brain_voxels = int(np.count_nonzero(brain))
    if brain_voxels and filled > 0.5 and np.count_nonzero(head) < STRIPPED_RATIO * brain_voxels:
        return "stripped"
    if face_missing:
        return "defaced"
    return "zeroed" if filled > FILLED_SHARE else "natural"


def face_is_missing(head: Array, brain: Array, grid: Grid) -> bool:
    """Whether the field of view holds the place of the face, and nothing is there.

    The place is a block below the brain's middle and in front of its front third, as wide as half the brain.

    Parameters
    ----------
    head, brain : ndarray of bool
        On ``grid``.
    """
    x, y, z = bounding_box(brain)
    length = y.stop - y.start
    middle = (z.start + z.stop) // 2
    low = int(middle - 0.55 * length)
    front = slice(int(y.stop - 0.15 * length), int(y.stop + 0.08 * length))
    quarter = (x.stop - x.start) // 4
    block = head[x.start + quarter : x.stop - quarter, front, max(low, 0) : max(int(middle - 0.25 * length), 0)]
    expected = 2 * quarter * (front.stop - front.start) * int(0.3 * length)
    if low < 0 or block.size == 0 or block.size < 0.5 * expected:
        return False
    return bool(block.mean() < 0.35)
