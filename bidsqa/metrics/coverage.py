# SPDX-License-Identifier: Apache-2.0
"""Whether all of the brain was measured, and measured in range: field of view, wrap-around, clipping."""

from __future__ import annotations

import numpy as np

from bidsqa.anatomy.measured_air import foldable_axes, folded_signal
from bidsqa.errors import NotComputable
from bidsqa.metrics.samples import Samples


def clipped_share(samples: Samples) -> float:
    """Voxels at the highest value over half of the positive voxels, as noted when the file was read."""
    return min(1.0, samples.volume.facts.clipped_fraction)


def brain_cut(samples: Samples) -> float:
    """Area of the brain's surface that lies on the border of the grid, over all of its surface.

    Surface: the faces between brain voxels and others, each with its area in mm².
    """
    brain = samples.brain
    faces = [np.prod([edge for other, edge in enumerate(samples.volume.spacing) if other != axis]) for axis in range(3)]
    at_border = everywhere = 0.0
    for axis, (area, window, size) in enumerate(zip(faces, samples.box, samples.volume.shape, strict=True)):
        lower, upper = brain.take(0, axis), brain.take(-1, axis)
        low, high = int(np.count_nonzero(lower)), int(np.count_nonzero(upper))
        inside = (slice(None),) * axis
        steps = int(np.count_nonzero(brain[(*inside, slice(1, None))] != brain[(*inside, slice(None, -1))]))
        everywhere += float(area) * (steps + low + high)
        at_border += float(area) * (low * (window.start == 0) + high * (window.stop == size))
    return at_border / everywhere


def wrap_around(samples: Samples) -> float:
    """Signal that leaves the measured field of view on one side and comes in on the other.

    A folded image goes on across its border: the first and last plane look alike. For each axis: sum of the smaller of
    the two values, where both exceed a fifth of the brain's median, over the brain's median times the head's largest
    cross-section, times the square of the planes' correlation (a head cut on two sides has signal on both, in other
    places). The largest of the axes; slices that are excited one by one don't fold into each other, so the axis across
    thick ones is left out.
    """
    box = samples.field_of_view
    data = samples.volume.data[box]
    if min(data.shape) < 2:
        raise NotComputable("the measured field of view is thinner than two voxels")
    head = samples.head[box]
    return max(folded_signal(data, head, axis, samples.brain_median) for axis in foldable_axes(samples.volume))
