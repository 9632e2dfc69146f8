# SPDX-License-Identifier: Apache-2.0
"""How sharp the brain is: strength and concentration of its edges."""

from __future__ import annotations

import math

import numpy as np

from bidsqa.errors import NotComputable
from bidsqa.metrics.samples import MINIMUM_VOXELS, Array, Samples

# the edges are the strongest fiftieth of the gradients: with more, blur would widen the edges into the sample
EDGE_PERCENTILE = 98.0


def _shifted(data: Array, axis: int) -> tuple[Array, Array, Array]:
    """The lower neighbour, the voxel and the upper neighbour of all voxels that have both."""
    size = data.shape[axis]
    lower, middle, upper = (data[(slice(None),) * axis + (slice(start, size - 2 + start),)] for start in range(3))
    return lower, middle, upper


def _smooth(data: Array, axis: int) -> Array:
    """Weighted mean (1, 2, 1) / 4 along an axis."""
    lower, middle, upper = _shifted(data, axis)
    total = lower + upper
    total += 2 * middle
    total *= data.dtype.type(0.25)
    return total


def _slope(data: Array, axis: int, edge: float) -> Array:
    """Central difference along an axis, per mm."""
    lower, _, upper = _shifted(data, axis)
    return (upper - lower) * data.dtype.type(0.5 / edge)


def _inner(mask: Array) -> Array:
    """Voxels whose 26 neighbours are all in the mask; two voxels shorter along each axis."""
    for axis in range(3):
        lower, middle, upper = _shifted(mask, axis)
        mask = lower & middle & upper
    return mask


def _relative_brain(samples: Samples) -> tuple[Array, Array]:
    """The corrected image over its brain median, and the brain voxels whose neighbours all lie in the brain."""
    if min(samples.brain.shape) < 3:
        raise NotComputable("the brain is thinner than three voxels")
    inner = _inner(samples.brain)
    if np.count_nonzero(inner) < MINIMUM_VOXELS:
        raise NotComputable(f"fewer than {MINIMUM_VOXELS} voxels lie inside the brain's surface")
    return samples.corrected[samples.box] / np.float32(samples.brain_median), inner


def gradient_strengths(samples: Samples) -> Array:
    """Length of the Sobel gradient inside the brain's surface, 1D, in brain medians per mm."""
    image, inner = _relative_brain(samples)
    x, y, z = samples.volume.spacing
    along_x = _smooth(image, 0)
    flat = _smooth(_smooth(image, 1), 2)
    square = np.square(_slope(flat, 0, x)[inner])
    square += np.square(_slope(_smooth(along_x, 2), 1, y)[inner])
    square += np.square(_slope(_smooth(along_x, 1), 2, z)[inner])
    strengths: Array = np.sqrt(square)
    return strengths


def edge_strength(samples: Samples) -> float:
    """Mean gradient of the strongest fiftieth of the gradients (after Aksoy 2012)."""
    strengths = samples.once(gradient_strengths)
    limit = np.percentile(strengths, EDGE_PERCENTILE)
    return float(np.mean(strengths[strengths >= np.float32(limit)], dtype=np.float64))


def tenengrad(samples: Samples) -> float:
    """Mean squared Sobel gradient (Krotkov 1988)."""
    return float(np.mean(np.square(samples.once(gradient_strengths)), dtype=np.float64))


def gradient_entropy(samples: Samples) -> float:
    """Entropy of the gradients over its maximum (McGee 2000): low where few strong edges hold most of the gradient.

    Raises
    ------
    NotComputable
        If the brain has no gradient.
    """
    strengths = samples.once(gradient_strengths)
    total = float(np.sum(strengths, dtype=np.float64))
    if total == 0:
        raise NotComputable("the brain has one intensity")
    # sum of g ln g over the total, with 0 ln 0 = 0
    logs = np.log(np.maximum(strengths, np.float32(1e-30)))
    mean_log = float(np.sum(strengths * logs, dtype=np.float64)) / total
    return min(1.0, (math.log(total) - mean_log) / math.log(strengths.size))


def laplacian_variance(samples: Samples) -> float:
    """Variance of the Laplacian inside the brain's surface (Pech-Pacheco 2000)."""
    image, inner = _relative_brain(samples)
    centre = image[1:-1, 1:-1, 1:-1]
    total = np.zeros_like(centre)
    for axis, edge in enumerate(samples.volume.spacing):
        others = tuple(slice(None) if other == axis else slice(1, -1) for other in range(3))
        lower, _, upper = _shifted(image[others], axis)
        total += (lower + upper - 2 * centre) * np.float32(1.0 / edge**2)
    return float(np.var(total[inner], dtype=np.float64))
