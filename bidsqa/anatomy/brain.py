# SPDX-License-Identifier: Apache-2.0
"""The brain with the CSF around it, on the scan's grid."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from bidsqa.anatomy.grids import Box, bounding_box, largest_piece, refine, voxels_of
from bidsqa.anatomy.segmenting import Parts
from bidsqa.image import Volume

Array = np.ndarray[Any, Any]
# thickest layer of CSF between brain tissue and skull
CSF_MM = 6.0
# half the width of the widest ventricle
VENTRICLE_MM = 14.0


def coarse_brain(parts: Parts) -> Array:
    """One piece without holes on the coarse grid, bool.

    Islands (eyes, neck muscle) hang on thin bridges: the piece is found in the opened mask and grown back by the
    width of the opening.
    """
    wide = parts.brain > 0.5
    core = largest_piece(ndimage.binary_opening(wide, iterations=2))
    if not core.any():
        core = largest_piece(wide)
    grown = ndimage.binary_dilation(core, iterations=3, mask=wide | core)
    tissue = (parts.shares[3] + parts.shares[4] > 0.5) & grown
    if tissue.any():
        # dark bone passes for CSF on T1w images; no CSF lies that far outside the tissue
        away = ndimage.distance_transform_edt(~tissue) * parts.grid.step
        # wide ventricles and cisterns: what a ball of their radius can't leave
        within = ndimage.distance_transform_edt(away <= VENTRICLE_MM) * parts.grid.step > VENTRICLE_MM
        near = (away <= CSF_MM) | within
        grown = largest_piece(grown & near)
    return np.asarray(ndimage.binary_fill_holes(grown))


def brain_mask(volume: Volume, parts: Parts, coarse: Array, frame: Array) -> tuple[Array, Box]:
    """The mask on the scan's grid and the block that holds it.

    Parameters
    ----------
    volume : Volume
    parts : Parts
    coarse : ndarray of bool
        From :func:`coarse_brain`.
    frame : ndarray of bool, shape (X, Y, Z)
        Filled-in constant; never brain.

    Returns
    -------
    mask : ndarray of uint8, shape (X, Y, Z)
    box : tuple of slice
        A block of the scan with a margin of 2 mm at least.
    """
    mask = np.zeros(volume.shape, dtype=np.uint8)
    if not coarse.any():
        return mask, bounding_box(mask)
    near = ndimage.binary_dilation(coarse)
    share = ndimage.gaussian_filter(
        np.where(near, np.maximum(parts.brain, 0.9 * ndimage.binary_erosion(coarse)), 0), 0.5
    )
    box = voxels_of(bounding_box(coarse, 1), parts.grid, volume.spacing, volume.shape, 2.0)
    fine = refine(share, parts.grid, volume.spacing, box) > 0.5
    fine &= ~frame[box]
    mask[box] = fine
    return mask, box
