# SPDX-License-Identifier: Apache-2.0
"""Whether a natural background is what the scanner measured: folded head, or noise that a filter has changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bidsqa.anatomy.grids import Box
from bidsqa.image import Volume, acquisition_axis, head_extent
from bidsqa.image.padding import trimmed
from bidsqa.image.slices import THICK_SLICE_RATIO

Array = np.ndarray[Any, Any]
# padding fills less of the background than this, blanking more
BLANKED_SHARE = 0.6
# of the brain's median: above what noise reaches, below what scalp and brain have
BRIGHT = 0.2
MINIMUM_BRIGHT = 30
# of the head's largest cross-section: an ear or a nose tip stays below
WRAPPED = 0.1
# mean over standard deviation of magnitude noise: 1.9 of one channel, 16 of 64 channels
RATIO_BOUNDS = (1.2, 18.0)
# neighbours in zero-filled noise correlate by up to 0.55, and its ratio stays; averaging neighbours raises both
AVERAGED_CORRELATION, AVERAGED_RATIO = 0.6, 5.0
# noise rounded to levels of 4/3 sigma has as many zeros; more were put there by a threshold
MAXIMUM_ZEROS = 0.2
# steps of the file's grey levels: a median under four and a deviation under two tell of rounding alone
LEAST_MEDIAN, LEAST_DEVIATION = 4.0, 2.0
BLOCK, MINIMUM_BLOCKS, MAXIMUM_BLOCKS = 6, 20, 2000
SAMPLE = 400_000


def field_of_view(data: Array, frame: Array, head: Array) -> Box:
    """The block of the grid that was measured: without padding, but with air that was blanked.

    Parameters
    ----------
    data : ndarray of float32, shape (X, Y, Z)
    frame, head : ndarray of bool, same shape
    """
    outside = ~head
    blanked = np.count_nonzero(frame & outside) > BLANKED_SHARE * np.count_nonzero(outside)
    spans = [(0, size) if blanked else head_extent(~frame, axis) for axis, size in enumerate(data.shape)]
    if not blanked:
        # the head mask may reach a voxel or two into the padding
        spans = [trimmed(data, axis, low, high, least=2) for axis, (low, high) in enumerate(spans)]
    x, y, z = (slice(*span) for span in spans)
    return x, y, z


def foldable_axes(volume: Volume) -> Sequence[int]:
    """Axes along which a head can fold over; slices that are excited one by one don't fold into each other."""
    across = acquisition_axis(volume) if volume.anisotropy >= THICK_SLICE_RATIO else None
    return [axis for axis in range(3) if axis != across]


def folded_signal(data: Array, head: Array, axis: int, level: float) -> float:
    """How far the signal goes on from one side of the field of view to the other, as shares of the head; 0 and more.

    A folded image goes on across its border: the first and last plane look alike.

    Parameters
    ----------
    data : ndarray of float32, shape (X, Y, Z)
        The field of view.
    head : ndarray of bool, same shape
    axis : int
    level : float
        Median of the brain.

    Returns
    -------
    float
        Sum of the smaller of both planes where it exceeds a fifth of ``level``, over ``level`` times the head's largest
        cross-section, times the square of the planes' correlation (0 if negative).
    """
    first, last = data.take(0, axis), data.take(-1, axis)
    both = np.minimum(first, last)
    kept = both > BRIGHT * level
    widest = int(head.sum(axis=tuple(other for other in range(3) if other != axis)).max())
    if np.count_nonzero(kept) < MINIMUM_BRIGHT or widest == 0:
        return 0.0
    return float(both[kept].sum()) / (level * widest) * max(0.0, correlation(first, last)) ** 2


def correlation(first: Array, last: Array) -> float:
    """Pearson's, 0 where one is constant."""
    first, last = first - first.mean(dtype=np.float64), last - last.mean(dtype=np.float64)
    norm = float(np.sqrt(np.sum(first * first) * np.sum(last * last)))
    return float(np.sum(first * last)) / norm if norm > 0 else 0.0


def is_wrapped(volume: Volume, frame: Array, head: Array, brain: Array) -> bool:
    """Whether a tenth of the head's cross-section runs over the border.

    Parameters
    ----------
    volume : Volume
    frame, head, brain : ndarray of bool
    """
    if not brain.any():
        return False
    level = float(np.median(volume.data[brain]))
    box = field_of_view(volume.data, frame, head)
    data, inside = volume.data[box], head[box]
    if not level > 0 or min(data.shape) < 2:
        return False
    return any(folded_signal(data, inside, axis, level) > WRAPPED for axis in foldable_axes(volume))


def is_denoised(data: Array, air: Array) -> bool:
    """Whether the air holds no magnitude noise any more: strewn zeros, or blocks of it too even, too uneven or blurred.

    Looked at block by block, for noise differs from place to place, and in the darker half of the blocks, which ghosts
    reach least. Values below 0 mean that an offset was subtracted: then nothing is known.

    Parameters
    ----------
    data : ndarray of float32, shape (X, Y, Z)
    air : ndarray of bool, same shape
    """
    values = data[air]
    values = values[:: max(1, values.size // SAMPLE)]
    if values.size == 0 or values.min() < 0:
        return False
    if float(np.mean(values == 0)) > MAXIMUM_ZEROS:
        # noise rounded to coarse levels has zeros as well, but then few levels above them
        positive = values[values > 0]
        return positive.size == 0 or float(np.median(positive)) > LEAST_MEDIAN * quantisation_step(values)
    blocks = _blocks(data, air).astype(np.float64)
    if len(blocks) < MINIMUM_BLOCKS:
        return False
    means = blocks.mean(axis=(1, 2, 3))
    return _is_filtered(blocks[means <= np.median(means)], quantisation_step(values))


def _is_filtered(blocks: Array, step: float) -> bool:
    """Whether blocks of air are too uneven or too even for magnitude noise, or blurred.

    Parameters
    ----------
    blocks : ndarray of float64, shape (blocks, 6, 6, 6)
    step : float
        Between grey levels.
    """
    deviation = float(np.median(blocks.std(axis=(1, 2, 3))))
    if deviation == 0 or deviation < LEAST_DEVIATION * step:
        return False
    ratio = float(np.median(blocks.mean(axis=(1, 2, 3)))) / deviation
    alike = sorted(_neighbours(blocks, axis) for axis in (1, 2, 3))
    averaged = ratio > AVERAGED_RATIO and alike[1] > AVERAGED_CORRELATION
    return averaged or not RATIO_BOUNDS[0] < ratio < RATIO_BOUNDS[1]


def _blocks(data: Array, air: Array) -> Array:
    """Blocks of 6 x 6 x 6 voxels of nothing but air, at most 2000 spread over it; shape (blocks, 6, 6, 6)."""
    counts = [size // BLOCK for size in data.shape]
    inner = tuple(slice(0, count * BLOCK) for count in counts)
    shape = [edge for count in counts for edge in (count, BLOCK)]
    order = (0, 2, 4, 1, 3, 5)
    places = np.argwhere(air[inner].reshape(shape).all(axis=(1, 3, 5)))
    places = places[:: max(1, -(-len(places) // MAXIMUM_BLOCKS))]
    blocks: Array = data[inner].reshape(shape).transpose(order)[tuple(places.T)]
    return blocks


def quantisation_step(values: Array) -> float:
    """Smallest distance between two different values of a sample; 0 for a constant one."""
    # neighbours among ten thousand sorted values show the step of rounded data and none in continuous data
    sorted_values = np.unique(values[:: max(1, values.size // 10_000)])
    return float(np.min(np.diff(sorted_values))) if sorted_values.size > 1 else 0.0


def _neighbours(blocks: Array, axis: int) -> float:
    """Correlation of neighbours along an axis within blocks, each block less its mean; 0 where nothing varies."""
    left = np.moveaxis(blocks - blocks.mean(axis=(1, 2, 3), keepdims=True), axis, 0)
    power = float(np.mean(np.square(left)))
    return float(np.mean(left[1:] * left[:-1])) / power if power > 0 else 0.0
