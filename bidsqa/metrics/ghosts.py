# SPDX-License-Identifier: Apache-2.0
"""Signal where there should be none: half-field ghosts and ringing in the air."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bidsqa.errors import NotComputable
from bidsqa.image import head_extent
from bidsqa.metrics.row import Value
from bidsqa.metrics.samples import Array, Samples

GHOST_VOXELS = 1000
# the blurred rim of the head is no ghost
RIM_MM = 5.0
# voxels from the head's edge along an axis: where truncation rings, and where it has died away
NEAR, FAR = (3, 8), 14
# across the head along each other axis; more of them change the value little and take longer
LINES = 48
RINGING_VOXELS = 500


def ghost_to_signal(samples: Samples) -> Mapping[str, Value]:
    """Mean of the air where a half-field ghost of the brain lies less that of the other air, over the brain's median.

    The brain moved by half of the field of view along an axis, where it meets measured background above the face and
    at least 5 mm off the head: there the ghost would lie; the rest of that background is the reference (after Giannelli
    2010). One of the axes is the phase-encode axis; the other two are for comparison.
    """
    box = samples.field_of_view
    brain = samples.anatomy.brain[box] != 0
    reaches = [round(RIM_MM / edge) for edge in samples.volume.spacing]
    background = (samples.anatomy.hat[box] != 0) & ~_grown(samples.head[box], reaches)
    image = np.where(background, samples.volume.data[box], np.float32(0))
    level = samples.brain_median
    count, total = int(np.count_nonzero(background)), float(image.sum(dtype=np.float64))
    found: dict[str, Value] = {}
    for axis, name in enumerate("xyz"):
        moved = np.roll(brain, brain.shape[axis] // 2, axis)
        there = int(np.count_nonzero(moved & background))
        if min(there, count - there) < GHOST_VOXELS:
            found[f"gsr_{name}"] = NotComputable("too little measured air where a ghost would lie, or beside it")
            continue
        ghost = float(image[moved].sum(dtype=np.float64))
        found[f"gsr_{name}"] = (ghost / there - (total - ghost) / (count - there)) / level
    return found


def _grown(mask: Array, reaches: Sequence[int]) -> Array:
    """The mask with all voxels at most so many voxels from it along each axis: dilation by a block."""
    for axis, reach in enumerate(reaches):
        before = (slice(None),) * axis
        reached, limit = 0, min(reach, mask.shape[axis] - 1)
        while reached < limit:
            # copies that are this far apart leave no gap between them
            step = min(2 * reached + 1, limit - reached)
            grown = mask.copy()
            grown[(*before, slice(step, None))] |= mask[(*before, slice(None, -step))]
            grown[(*before, slice(None, -step))] |= mask[(*before, slice(step, None))]
            mask, reached = grown, reached + step
    return mask


def ringing(samples: Samples) -> float:
    """Waviness of the air 3 to 8 voxels off the head, beyond that of the air far from it, over the brain's median.

    Waviness: root mean square of the second difference along an axis, over 4; the largest of the three axes. On the
    phantom it tells truncated scans from others better than the fourth difference does, and than the drop of the
    brain's total variation by sub-voxel shifts, which noise rules.

    Raises
    ------
    NotComputable
        If the air near or far from the head is too small along every axis.
    """
    places = [_strewn(samples.head, axis) for axis in range(3)]
    found = [value for axis in range(3) if (value := _ringing_along(samples, axis, places)) is not None]
    if not found:
        raise NotComputable("too little measured air near the head or far from it")
    return max(found) / samples.brain_median


def _ringing_along(samples: Samples, axis: int, places: Sequence[Array]) -> float | None:
    """In stored units; None where the air is too small."""
    size = samples.head.shape[axis]
    if size < 2 * FAR:
        return None
    thin = np.ix_(*(np.arange(size) if other == axis else places[other] for other in range(3)))

    def lines(part: Array) -> Array:
        """Shape (lines, voxels along the axis)."""
        return np.ascontiguousarray(np.moveaxis(part[thin], axis, -1)).reshape(-1, size)

    image, hat = lines(samples.volume.data), lines(samples.anatomy.hat) != 0
    inner, outer, far = _within(lines(samples.head), (NEAR[0] - 1, NEAR[1], FAR))
    # the second difference reads both neighbours, which have to be air as well
    sound = hat[:, 1:-1] & hat[:, :-2] & hat[:, 2:]
    near, away = sound & (outer & ~inner)[:, 1:-1], sound & ~far[:, 1:-1]
    if min(np.count_nonzero(near), np.count_nonzero(away)) < RINGING_VOXELS:
        return None
    wave = np.float32(0.25) * (image[:, :-2] + image[:, 2:] - 2 * image[:, 1:-1])
    square = [float(np.mean(np.square(wave[part], dtype=np.float64))) for part in (near, away)]
    return float(np.sqrt(max(0.0, square[0] - square[1])))


def _strewn(head: Array, axis: int) -> Array:
    """Indices of the lines that stand for all others: at least ``LINES`` across the head.

    Counted from both ends of the head, so that neither flips nor padding matter.
    """
    index = np.arange(head.shape[axis])
    low, high = head_extent(head, axis)
    step = max(1, (high - low) // LINES)
    return index[np.minimum(index - low, high - 1 - index) % step == 0]


def _within(mask: Array, reaches: Sequence[int]) -> list[Array]:
    """Voxels at most so many voxels from the mask along each line, for each of the reaches.

    Parameters
    ----------
    mask : ndarray of bool, shape (lines, voxels)
    reaches : sequence of int
    """
    margin, size = max(reaches), mask.shape[1]
    # mask voxels before each place, so that a difference counts those in a window
    before = np.cumsum(np.pad(mask, ((0, 0), (margin + 1, margin))), axis=1, dtype=np.int16)
    windows = ((margin - reach, margin + reach + 1) for reach in reaches)
    return [before[:, high : high + size] > before[:, low : low + size] for low, high in windows]
