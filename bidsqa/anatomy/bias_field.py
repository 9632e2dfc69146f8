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


def strong_shading(image: Array, tissues: Array) -> Array:
    """Shading of second order in space, from where the tissues should be; what N4 alone doesn't undo.

    The logarithm of the intensity is fitted by one level a tissue plus nine monomials of the position (after Van
    Leemput et al. 1999, doi 10.1109/42.811268, with the tissues' places in the stead of a classification).

    Parameters
    ----------
    image : ndarray of float32, shape (X, Y, Z)
    tissues : ndarray of float32, shape (3, X, Y, Z)
        Prior shares of csf, gm, wm.

    Returns
    -------
    ndarray of float32, shape (X, Y, Z)
        Factor with geometric mean 1 in the brain; ones where too little brain is in view.
    """
    inside = (tissues[1] + tissues[2] > 0.8) & (image > 0)
    plain = np.ones(image.shape, dtype=np.float32)
    if np.count_nonzero(inside) < MINIMUM_VOXELS:
        return plain
    axes = [np.linspace(-1, 1, size, dtype=np.float32) for size in image.shape]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    terms = [np.broadcast_to(term, image.shape) for term in (x, y, z, x * x, y * y, z * z, x * y, x * z, y * z)]
    values = np.log(image[inside])
    columns = [share[inside] for share in tissues] + [term[inside] for term in terms]
    design = np.stack(columns, axis=1).astype(np.float64)
    used = np.abs(values - np.median(values)) < 1.0
    for _ in range(4):
        if np.count_nonzero(used) < MINIMUM_VOXELS:
            return plain
        solution = np.linalg.lstsq(design[used], values[used], rcond=None)[0]
        left = values - design @ solution
        used = np.abs(left) < 2.5 * max(float(np.std(left[used])), 1e-3)
    field = sum(weight * term for weight, term in zip(solution[3:], terms, strict=True))
    field = np.clip(field - float(np.mean(np.asarray(field)[inside])), -1.0, 1.0)
    return np.asarray(np.exp(field), dtype=np.float32)


def estimate(volume: Volume, coarse: Array, grid: Grid, brain: Array, shading: Array | None = None) -> Array:
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
    shading : ndarray of float32, optional
        On ``grid``, a first field to divide by; part of the result.

    Returns
    -------
    ndarray of float32, shape (X, Y, Z)
        Mean 1 over the brain (N4's own scale is arbitrary); outside the brain kept within its range in the brain.

    Raises
    ------
    NotComputable
        Too little brain to fit a field.
    """
    first = np.ones(coarse.shape, dtype=np.float32) if shading is None else shading
    box = bounding_box(brain, 6)
    small_grid = _coarser(grid.part(box), STEP_MM)
    small = coarsen((coarse / first)[box], (grid.step,) * 3, _shifted(small_grid, grid.part(box)))
    inside = coarsen(brain[box].astype(np.float32), (grid.step,) * 3, _shifted(small_grid, grid.part(box))) > 0.5
    top = float(np.percentile(small[inside], 50)) if inside.any() else 0.0
    inside &= small > 0.05 * top
    if np.count_nonzero(inside) < MINIMUM_VOXELS:
        raise NotComputable("too little brain in view to estimate a bias field")
    field = np.exp(_n4(small / top, inside))
    field *= np.maximum(coarsen(first[box], (grid.step,) * 3, _shifted(small_grid, grid.part(box))), 0.1)
    field /= float(np.mean(field[inside], dtype=np.float64))
    field = np.clip(field, field[inside].min(), field[inside].max())
    whole = tuple(slice(0, size) for size in volume.shape)
    return refine(field, small_grid, volume.spacing, (whole[0], whole[1], whole[2]))


def _n4(image: Array, mask: Array) -> Array:
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
    # more threads add in another order: masks and metrics would differ in the fifth digit
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
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
