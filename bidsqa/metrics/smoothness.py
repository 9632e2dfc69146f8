# SPDX-License-Identifier: Apache-2.0
"""Smoothness of the image, from the differences of neighbouring voxels."""

from __future__ import annotations

import math

import numpy as np

from bidsqa.errors import NotComputable
from bidsqa.metrics.geometry import AXES
from bidsqa.metrics.row import Value
from bidsqa.metrics.samples import MINIMUM_VOXELS, Array, Samples

FWHM_PER_SD = math.sqrt(8.0 * math.log(2.0))
TREND_SAMPLES = 20_000


def _trend_terms(coordinates: list[Array]) -> list[Array]:
    """Monomials up to second order of the three coordinates."""
    x, y, z = coordinates
    return [x, y, z, x * x, y * y, z * z, x * y, x * z, y * z]


def remove_trend(values: Array, mask: Array) -> Array:
    """Subtract the second-order polynomial that fits the masked values best.

    The fit takes at most 20,000 evenly spaced voxels: the shading of a receive coil is smooth.

    Parameters
    ----------
    values : ndarray of float32, shape (X, Y, Z)
    mask : ndarray of bool, shape (X, Y, Z)
        Not empty.

    Returns
    -------
    ndarray of float32, shape (X, Y, Z)
    """
    places = np.flatnonzero(mask)
    places = places[:: max(1, places.size // TREND_SAMPLES)]
    axes = [np.linspace(-1.0, 1.0, size) if size > 1 else np.zeros(1) for size in values.shape]
    indices = np.unravel_index(places, values.shape)
    known = [axis[index] for axis, index in zip(axes, indices, strict=True)]
    design = np.stack([np.ones(places.size), *_trend_terms(known)], axis=1)
    # normal equations by einsum, not BLAS: the same bits on any number of threads
    left = np.einsum("ni,nj->ij", design, design)
    right = np.einsum("ni,n->i", design, values.ravel()[places].astype(np.float64))
    factors = np.linalg.lstsq(left, right, rcond=None)[0].astype(np.float32)
    grid = [axis.astype(np.float32).reshape([-1 if k == n else 1 for n in range(3)]) for k, axis in enumerate(axes)]
    detrended = values - factors[0]
    for factor, term in zip(factors[1:], _trend_terms(grid), strict=True):
        detrended -= factor * term
    return detrended


def _width(values: Array, mask: Array, axis: int, variance: float) -> float:
    """FWHM in voxels along an axis of the Gaussian kernel that would give white noise this correlation."""
    near = (slice(None),) * axis + (slice(None, -1),)
    far = (slice(None),) * axis + (slice(1, None),)
    both = mask[near] & mask[far]
    count = int(np.count_nonzero(both))
    if count < MINIMUM_VOXELS:
        raise NotComputable(f"too few neighbouring brain voxels along {AXES[axis]}")
    difference = (values[far] - values[near])[both]
    spread = float(np.var(difference, dtype=np.float64))
    correlation = 1.0 - spread / (2.0 * variance)
    if not 0.0 < correlation < 1.0:
        raise NotComputable(f"neighbours along {AXES[axis]} are not positively correlated")
    return FWHM_PER_SD * math.sqrt(-1.0 / (4.0 * math.log(correlation)))


def _widths(samples: Samples) -> list[Value]:
    mask = samples.brain
    if np.count_nonzero(mask) < MINIMUM_VOXELS:
        raise NotComputable(f"the brain mask has fewer than {MINIMUM_VOXELS} voxels")
    values = remove_trend(samples.volume.data[samples.box], mask)
    inside = values[mask]
    variance = float(np.var(inside, dtype=np.float64))
    if variance <= (1e-6 * abs(float(np.mean(samples.volume.data[samples.box][mask], dtype=np.float64)))) ** 2:
        raise NotComputable("the brain has one intensity")
    found: list[Value] = []
    for axis in range(3):
        try:
            found.append(_width(values, mask, axis, variance))
        except NotComputable as missing:
            found.append(missing)
    return found


def _with_mean(prefix: str, widths: list[Value]) -> dict[str, Value]:
    values = {f"{prefix}_{axis}": width for axis, width in zip(AXES, widths, strict=True)}
    known = [width for width in widths if not isinstance(width, NotComputable)]
    values[f"{prefix}_avg"] = sum(known) / 3.0 if len(known) == 3 else NotComputable("the mean needs all three axes")
    return values


def width_in_voxels(samples: Samples) -> dict[str, Value]:
    """Full width at half maximum of the image's smoothness, in voxels (Forman 1995, Eq. A1; AFNI's classic estimator).

    From the stored values inside the brain mask less their second-order trend: with rho the share
    1 - var(neighbour differences) / (2 var(values)), fwhm = sqrt(8 ln 2) sqrt(-1 / (4 ln rho)).

    Returns
    -------
    dict
        ``fwhm_x``, ``fwhm_y``, ``fwhm_z`` and their arithmetic mean ``fwhm_avg``.
    """
    return _with_mean("fwhm", samples.once(_widths))


def width_in_mm(samples: Samples) -> dict[str, Value]:
    """The widths of :func:`width_in_voxels` times the voxel edges: ``fwhm_mm_x``, ``_y``, ``_z``, ``_avg``."""
    widths = samples.once(_widths)
    scaled = [
        width if isinstance(width, NotComputable) else width * edge
        for width, edge in zip(widths, samples.volume.spacing, strict=True)
    ]
    return _with_mean("fwhm_mm", scaled)
