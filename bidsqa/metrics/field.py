# SPDX-License-Identifier: Apache-2.0
"""How uneven the receive field is."""

from __future__ import annotations

import numpy as np

from bidsqa.errors import NotComputable
from bidsqa.metrics.samples import Samples


def _relative_percentiles(samples: Samples) -> tuple[float, float, float]:
    """5th, 50th and 95th percentile of the bias field over the brain, the field divided by its mean there.

    Raises
    ------
    NotComputable
        If the brain mask is empty or the field isn't positive.
    """
    field = samples.anatomy.bias_field[samples.box][samples.brain]
    mean = float(np.mean(field, dtype=np.float64))
    if not mean > 0:
        raise NotComputable("the bias field is not positive in the brain")
    low, median, high = (float(value) / mean for value in np.percentile(field, (5, 50, 95)))
    return low, median, high


def field_median(samples: Samples) -> float:
    """Median over the brain of the bias field whose mean is 1 there."""
    return samples.once(_relative_percentiles)[1]


def field_range(samples: Samples) -> float:
    """95th less 5th percentile over the brain of the bias field whose mean is 1 there."""
    low, _, high = samples.once(_relative_percentiles)
    return high - low
