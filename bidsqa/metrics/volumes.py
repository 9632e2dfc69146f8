# SPDX-License-Identifier: Apache-2.0
"""Shares of the tissues in the brain, and how much of each is partial volume."""

from __future__ import annotations

import numpy as np

from bidsqa.anatomy import TISSUES
from bidsqa.errors import NotComputable
from bidsqa.metrics.row import Value
from bidsqa.metrics.samples import MINIMUM_VOXELS, Array, Samples

# posteriors below this are rounding of the segmentation, not partial volume
MINIMUM_POSTERIOR = 0.01


def volume_fractions(samples: Samples) -> dict[str, float]:
    """Volume of each tissue over that of all three.

    Raises
    ------
    NotComputable
        If no voxel has any tissue.
    """
    sums = [
        float(np.sum(samples.anatomy.posteriors[index][samples.box], dtype=np.float64)) for index in range(len(TISSUES))
    ]
    total = sum(sums)
    if total <= 0:
        raise NotComputable("no voxel has any tissue")
    return {f"icvs_{tissue}": value / total for tissue, value in zip(TISSUES, sums, strict=True)}


def _residual(share: Array) -> Value:
    positive = share[share >= np.float16(MINIMUM_POSTERIOR)].astype(np.float32)
    if positive.size < MINIMUM_VOXELS:
        return NotComputable(f"fewer than {MINIMUM_VOXELS} voxels hold any of this tissue")
    low, high = np.percentile(positive, (2, 98))
    kept = positive[(positive >= np.float32(low)) & (positive <= np.float32(high))]
    # float16 posteriors may exceed 1 by a rounding
    return float(np.mean(np.clip(np.minimum(kept, 1.0 - kept), 0.0, 0.5), dtype=np.float64))


def residual_partial_volume(samples: Samples) -> dict[str, Value]:
    """Mean of min(p, 1 - p) over the voxels with P2 <= p <= P98 of the positive posteriors p of each tissue.

    Returns
    -------
    dict
        ``rpve_csf``, ``rpve_gm``, ``rpve_wm``: 0 for crisp maps, at most 0.5.
    """
    box = samples.box
    return {f"rpve_{tissue}": _residual(samples.anatomy.posteriors[index][box]) for index, tissue in enumerate(TISSUES)}
