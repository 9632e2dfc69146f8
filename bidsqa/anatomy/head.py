# SPDX-License-Identifier: Apache-2.0
"""The whole head with its skin, and the line that parts the background above the face from the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from bidsqa.anatomy.grids import Box, Grid, bounding_box, largest_piece, refine, voxels_of
from bidsqa.anatomy.segmenting import Parts
from bidsqa.image import Volume
from bidsqa.image.intensity import otsu_threshold

Array = np.ndarray[Any, Any]
CLOSING_MM = 8.0
# glabella and inion from the brain's centre, in brain lengths forward and up (MNI space: length 177 mm)
GLABELLA = (0.62, -0.15)
INION = (-0.56, -0.15)


def foreground(coarse: Array) -> Array:
    """Rough head on the 2 mm grid: everything brighter than the background, one piece, filled.

    Parameters
    ----------
    coarse : ndarray of float32

    Returns
    -------
    ndarray of bool
        All True where nothing can be told apart.
    """
    smooth = ndimage.gaussian_filter(np.clip(coarse, 0, None), 0.8)
    top = float(np.percentile(smooth, 99))
    if not top > 0:
        return np.ones(coarse.shape, dtype=bool)
    scaled = np.sqrt(np.clip(smooth / top, 0, 1))
    threshold = 0.8 * otsu_threshold(scaled)
    below = scaled[scaled < threshold]
    if below.size:
        # no lower than the noise reaches, no higher than dark skin needs
        threshold = max(min(threshold, 0.35), float(np.percentile(below, 50)) * 2.0) if below.size > 100 else threshold
    mask = scaled > threshold
    opened = ndimage.binary_opening(mask)
    piece = largest_piece(opened if opened.any() else mask)
    if not piece.any():
        return np.ones(coarse.shape, dtype=bool)
    return fill(piece, 2)


def fill(mask: Array, closing: int) -> Array:
    """Close gaps up to twice ``closing`` voxels wide and fill what is enclosed in any axial plane."""
    margin = closing + closing % 2
    box = bounding_box(mask, margin)
    part = np.pad(mask[box], margin)
    if closing <= 2:
        ball = ndimage.iterate_structure(ndimage.generate_binary_structure(3, 1), closing)
        part = ndimage.binary_closing(part, ball)
    else:
        part = part | _close_far(part, closing)
    part = _fill_planes(part)
    result = mask.copy()
    result[box] |= part[tuple(slice(margin, -margin) for _ in range(3))]
    return result


def _fill_planes(mask: Array) -> Array:
    """Fill holes plane by plane: background that doesn't reach the edge of its axial plane."""
    in_plane = np.zeros((3, 3, 3), dtype=bool)
    in_plane[:, 1, 1] = in_plane[1, :, 1] = True
    labels, count = ndimage.label(~mask, structure=in_plane)
    outside = np.zeros(count + 1, dtype=bool)
    for face in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        outside[face] = True
    outside[0] = False
    return np.asarray(~outside[labels])


def _close_far(mask: Array, radius: int) -> Array:
    """Closing by a ball through distance maps at half the resolution, cheap for large radii."""
    half = max(1, radius // 2)
    small = np.pad(mask[::2, ::2, ::2], half)
    grown = ndimage.distance_transform_edt(~small) <= half
    closed = (ndimage.distance_transform_edt(grown) > half)[half:-half, half:-half, half:-half]
    for axis in range(3):
        closed = np.repeat(closed, 2, axis=axis)
    return np.asarray(closed[: mask.shape[0], : mask.shape[1], : mask.shape[2]])


def coarse_head(rough: Array, parts: Parts, brain: Array) -> Array:
    """Head on the scan's 2 mm grid: the bright foreground, and the brain, closed and filled.

    Parameters
    ----------
    rough : ndarray of bool
        On the scan's coarse grid.
    parts : Parts
    brain : ndarray of bool
        On the grid of the parts.
    """
    # the rough foreground reaches into the blur of the skin, about a voxel too far
    head = ndimage.binary_erosion(rough, border_value=1)
    within = head[parts.box]
    head[parts.box] = within | brain
    return fill(largest_piece(head), max(2, round(CLOSING_MM / parts.grid.step)))


def head_mask(volume: Volume, coarse: Array, grid: Grid, brain: Array) -> tuple[Array, Box]:
    """The head on the scan's grid, brain included, and the block that holds it.

    Parameters
    ----------
    volume : Volume
    coarse : ndarray of bool
    grid : Grid
    brain : ndarray of uint8, shape (X, Y, Z)

    Returns
    -------
    mask : ndarray of uint8, shape (X, Y, Z)
    box : tuple of slice
    """
    mask = np.zeros(volume.shape, dtype=np.uint8)
    if coarse.any():
        box = voxels_of(bounding_box(coarse, 1), grid, volume.spacing, volume.shape, 0.0)
        share = ndimage.gaussian_filter(coarse.astype(np.float32), 0.6, mode="nearest")
        mask[box] = refine(share, grid, volume.spacing, box) > 0.5
    mask |= brain
    return mask, bounding_box(mask)


@dataclass(frozen=True)
class FaceLine:
    """The plane through glabella and inion, seen from the side.

    Parameters
    ----------
    back, front : tuple of float
        Inion and glabella: (y, z) in mm from the centre of the scan's first voxel.
    """

    back: tuple[float, float]
    front: tuple[float, float]

    def heights(self, positions: Array) -> Array:
        """Height (mm) of the line at positions along y; it ends level beyond the two points."""
        return np.asarray(np.interp(positions, [self.back[0], self.front[0]], [self.back[1], self.front[1]]))


def face_line(brain: Array, grid: Grid, tilt: float) -> FaceLine:
    """Glabella and inion from the brain's place, length and tilt.

    Parameters
    ----------
    brain : ndarray of bool
        On ``grid``.
    grid : Grid
    tilt : float
        Of the head, rad, positive with the nose up.

    Returns
    -------
    FaceLine
    """
    points = np.argwhere(brain)[:, 1:] * grid.step
    centre = points.mean(axis=0)
    along, up = np.array([np.cos(tilt), np.sin(tilt)]), np.array([-np.sin(tilt), np.cos(tilt)])
    low, high = np.percentile((points - centre) @ along, (0.2, 99.8))
    length = float(high - low)
    start = np.array(grid.origin[1:]) + centre
    back = start + length * (INION[0] * along + INION[1] * up)
    front = start + length * (GLABELLA[0] * along + GLABELLA[1] * up)
    return FaceLine((float(back[0]), float(back[1])), (float(front[0]), float(front[1])))
