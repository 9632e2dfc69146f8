# SPDX-License-Identifier: Apache-2.0
"""How well grey and white matter can be told apart."""

from __future__ import annotations

import math

import numpy as np

from bidsqa.errors import NotComputable
from bidsqa.metrics.samples import Samples

# medians nearer than this share of the brighter one are the same grey level
MINIMUM_CONTRAST = 1e-6


def _median_difference(samples: Samples) -> float:
    white, grey = samples.tissue("wm").median, samples.tissue("gm").median
    difference = abs(white - grey)
    if difference <= MINIMUM_CONTRAST * max(abs(white), abs(grey)):
        raise NotComputable("grey and white matter have the same median intensity")
    return difference


def coefficient_of_joint_variation(samples: Samples) -> float:
    """Spread of grey and white matter over their distance (Ganzetti 2016); 0 is perfect.

    Raises
    ------
    NotComputable
        If a tissue is absent or both have the same median.
    """
    difference = _median_difference(samples)
    return (samples.tissue("wm").mad + samples.tissue("gm").mad) / difference


def contrast_to_noise(samples: Samples) -> float:
    """Distance of grey and white matter over the joint spread of both and of air (Magnotta & Friedman 2006).

    Raises
    ------
    NotComputable
        If a sample is absent or all three are constant.
    """
    white, grey, air = samples.tissue("wm"), samples.tissue("gm"), samples.air
    spread = math.sqrt(air.stdv**2 + white.stdv**2 + grey.stdv**2)
    if spread == 0:
        raise NotComputable("grey matter, white matter and air are all constant")
    return abs(white.median - grey.median) / spread


def white_matter_to_maximum(samples: Samples) -> float:
    """Median of white matter over the 99.95th percentile of the head.

    Raises
    ------
    NotComputable
        If white matter is absent, or the head was stripped away (its fat and vessels are what is compared with).
    """
    if samples.anatomy.background == "stripped":
        raise NotComputable("the skull was stripped: the bright tissue around the brain is missing")
    top = float(np.percentile(samples.head_values, 99.95))
    if not top > 0:
        raise NotComputable("the brightest head voxels are not above zero")
    return samples.tissue("wm").median / top
