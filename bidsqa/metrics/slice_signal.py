# SPDX-License-Identifier: Apache-2.0
"""Whether signal is lost or jumps: between slices, and in parts of the brain."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import ndimage

from bidsqa.anatomy.grids import coarsen, covering
from bidsqa.errors import NotComputable
from bidsqa.image import acquisition_axis
from bidsqa.metrics.samples import MINIMUM_VOXELS, Array, Samples

# in slices with less of the brain than this share of the fullest one the anatomy itself jumps
FULL_SHARE = 0.4
FEWEST_SLICES = 5
DEPTH_MM = 20.0
BLUR_MM = 4.0
STEP_MM = 2.0
# of the brain's median: grey and white matter stay above it in every contrast
LOST = 0.4
# the first and last tenth of the brain's slices can be nearly empty by themselves
EDGE_SHARE = 0.1
# of the usual slice: what an empty one still holds of noise
EMPTY_LEVEL = 0.1


def slice_jumps(samples: Samples) -> Mapping[str, float]:
    """How much slices jump out of their neighbours, along the axis across the acquired slices.

    r_k is the median over voxels that are brain in slices k - 1 and k of ln(I_k / I_(k-1)); a slice that is brighter by
    a factor f than both neighbours has d_k = (r_k - r_(k+1)) / 2 = ln f.

    Raises
    ------
    NotComputable
        If fewer than five slices show enough of the brain.
    """
    steps = _steps(samples)
    jumps = 0.5 * (steps[:-1] - steps[1:])
    signs = np.where(np.arange(jumps.size) % 2, -1.0, 1.0)
    # the mean of all jumps is the curvature of the anatomy, not of the slices' order
    odd_even = float(np.mean(signs * (jumps - jumps.mean())))
    return {"slice_jump": float(np.abs(jumps).max()), "slice_jump_odd_even": abs(odd_even)}


def _steps(samples: Samples) -> Array:
    """The r_k of neighbouring slices that are full enough, shape (slices - 1,)."""
    axis = acquisition_axis(samples.volume)
    image = np.moveaxis(samples.corrected[samples.box], axis, 0)
    brain = np.moveaxis(samples.brain & (samples.corrected[samples.box] > 0), axis, 0)
    areas = brain.sum(axis=(1, 2))
    full = np.flatnonzero(areas >= max(FULL_SHARE * areas.max(), MINIMUM_VOXELS))
    if full.size < FEWEST_SLICES or full[-1] - full[0] + 1 < FEWEST_SLICES:
        raise NotComputable(f"fewer than {FEWEST_SLICES} slices show enough of the brain")
    steps = []
    for upper in range(int(full[0]) + 1, int(full[-1]) + 1):
        both = brain[upper] & brain[upper - 1]
        if np.count_nonzero(both) < MINIMUM_VOXELS:
            raise NotComputable("the brain has a gap between its slices")
        steps.append(float(np.median(np.log(image[upper][both] / image[upper - 1][both]))))
    return np.array(steps)


def empty_slices(samples: Samples) -> float:
    """How many slices in the middle of the brain hold no signal.

    Raises
    ------
    NotComputable
        If the brain reaches over fewer than five slices.
    """
    axis = acquisition_axis(samples.volume)
    window = samples.box[axis]
    count = window.stop - window.start
    if count < FEWEST_SLICES:
        raise NotComputable(f"fewer than {FEWEST_SLICES} slices show the brain")
    edge = int(np.ceil(EDGE_SHARE * count))
    slices = np.moveaxis(samples.volume.data, axis, 0)[window.start + edge : window.stop - edge]
    bright = np.percentile(slices.reshape(len(slices), -1), 99, axis=1)
    return float(np.count_nonzero(bright < EMPTY_LEVEL * np.median(bright)))


def drop_out(samples: Samples) -> float:
    """Share of the brain's outer 20 mm whose surroundings (Gaussian of 4 mm in the brain) are darker than 0.4 medians.

    Raises
    ------
    NotComputable
        If the brain has no outer part at this resolution.
    """
    brain, image = samples.brain, np.where(samples.brain, samples.corrected[samples.box], 0)
    grid = covering((brain.shape[0], brain.shape[1], brain.shape[2]), samples.volume.spacing, STEP_MM)
    share = coarsen(brain.astype(np.float32), samples.volume.spacing, grid)
    light = coarsen(image / np.float32(samples.brain_median), samples.volume.spacing, grid)
    weight, smooth = (ndimage.gaussian_filter(part, BLUR_MM / STEP_MM, mode="constant") for part in (share, light))
    inside = share > 0.5
    depth = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1, 1:-1] * STEP_MM
    outer = inside & (depth <= DEPTH_MM)
    if np.count_nonzero(outer) < MINIMUM_VOXELS:
        raise NotComputable(f"fewer than {MINIMUM_VOXELS} voxels lie in the brain's outer part")
    return float(np.mean(smooth[outer] < LOST * weight[outer]))
