# SPDX-License-Identifier: Apache-2.0
"""The slow multiplicative shading of the image."""

from __future__ import annotations

from typing import Any

import numpy as np

from bidsqa.anatomy.grids import Grid, bounding_box, coarsen, refine
from bidsqa.errors import NotComputable
from bidsqa.image import Volume

Array = np.ndarray[Any, Any]
STEP_MM = 6.0
MINIMUM_VOXELS = 200


def estimate(volume: Volume, coarse: Array, grid: Grid, brain: Array, threads: int) -> Array:
    """Bias field by N4 (Tustison et al. 2010, doi 10.1109/TMI.2010.2046908) in the brain, on a 6 mm copy.

    Parameters
    ----------
    volume : Volume
    coarse : ndarray of float32
        The scan on ``grid``.
    grid : Grid
        2 mm, around the head.
    brain : ndarray of bool
        On ``grid``.
    threads : int

    Returns
    -------
    ndarray of float32, shape (X, Y, Z)
        Mean 1 over the brain (N4's own scale is arbitrary); outside the brain kept within its range in the brain.

    Raises
    ------
    NotComputable
        Too little brain to fit a field.
    """
    box = bounding_box(brain, 6)
    small_grid = _coarser(grid.part(box), STEP_MM)
    small = coarsen(coarse[box], (grid.step,) * 3, _shifted(small_grid, grid.part(box)))
    inside = coarsen(brain[box].astype(np.float32), (grid.step,) * 3, _shifted(small_grid, grid.part(box))) > 0.5
    top = float(np.percentile(small[inside], 50)) if inside.any() else 0.0
    inside &= small > 0.05 * top
    if np.count_nonzero(inside) < MINIMUM_VOXELS:
        raise NotComputable("too little brain in view to estimate a bias field")
    field = np.exp(_n4(small / top, inside, threads))
    field /= float(np.mean(field[inside], dtype=np.float64))
    field = np.clip(field, field[inside].min(), field[inside].max())
    whole = tuple(slice(0, size) for size in volume.shape)
    return refine(field, small_grid, volume.spacing, (whole[0], whole[1], whole[2]))


def _n4(image: Array, mask: Array, threads: int) -> Array:
    """Logarithm of the field on the image's grid."""
    import SimpleITK

    picture = SimpleITK.GetImageFromArray(image.astype(np.float32))
    where = SimpleITK.GetImageFromArray(mask.astype(np.uint8))
    for part in (picture, where):
        part.SetSpacing((STEP_MM,) * 3)
    correction = SimpleITK.N4BiasFieldCorrectionImageFilter()
    correction.SetMaximumNumberOfIterations([20, 15, 10])
    correction.SetConvergenceThreshold(1e-3)
    # the filters inside N4 read only the global default; left alone they start a thread a core and wait for each other
    before = SimpleITK.ProcessObject.GetGlobalDefaultNumberOfThreads()
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(max(1, threads))
    try:
        correction.Execute(picture, where)
        field = correction.GetLogBiasFieldAsImage(picture)
    finally:
        SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(before)
    return np.asarray(SimpleITK.GetArrayFromImage(field), dtype=np.float64)


def _coarser(grid: Grid, step: float) -> Grid:
    """The grid of a larger step over the same block."""
    shape = tuple(max(1, int(np.ceil(size * grid.step / step))) for size in grid.shape)
    origin = tuple(first + 0.5 * (step - grid.step) for first in grid.origin)
    return Grid(step, (origin[0], origin[1], origin[2]), (shape[0], shape[1], shape[2]))


def _shifted(grid: Grid, reference: Grid) -> Grid:
    """The same grid, its origin told from the reference's first voxel."""
    origin = tuple(first - zero for first, zero in zip(grid.origin, reference.origin, strict=True))
    return Grid(grid.step, (origin[0], origin[1], origin[2]), grid.shape)
