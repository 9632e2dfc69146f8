# SPDX-License-Identifier: Apache-2.0
"""Signal over noise, inside the tissue and against the noise in air."""

from __future__ import annotations

import math
from collections.abc import Callable

from bidsqa.anatomy import TISSUES
from bidsqa.anatomy.measured_air import quantisation_step
from bidsqa.errors import NotComputable
from bidsqa.metrics.row import Value
from bidsqa.metrics.samples import Samples
from bidsqa.metrics.statistics import MAD_TO_SD

# standard deviation of Rayleigh noise of unit sigma, sqrt((4 - pi) / 2) (Dietrich 2007, Eq. 5) ...
RAYLEIGH_SD = math.sqrt((4.0 - math.pi) / 2.0)
# ... and its median absolute deviation times 1.4826: the spread d about the median m with F(m + d) - F(m - d) = 1/2
RAYLEIGH_MAD = 0.4484530859199129 * MAD_TO_SD
# the MAD of rounded noise is coarse; with fewer grey levels than this the standard deviation is the better ruler
STEPS_FOR_MAD = 4.0
# noise below this share of the signal is rounding, or was filtered or filled in
MINIMUM_NOISE = 1e-5


def _each_and_total(prefix: str, compute: Callable[[str], float]) -> dict[str, Value]:
    """One value a tissue, and their mean where all three exist."""
    values: dict[str, Value] = {}
    for tissue in TISSUES:
        try:
            values[f"{prefix}_{tissue}"] = compute(tissue)
        except NotComputable as missing:
            values[f"{prefix}_{tissue}"] = missing
    known = [value for value in values.values() if not isinstance(value, NotComputable)]
    if len(known) == len(TISSUES):
        values[f"{prefix}_total"] = sum(known) / len(known)
    else:
        absent = [key for key, value in values.items() if isinstance(value, NotComputable)]
        values[f"{prefix}_total"] = NotComputable(f"the mean needs all three tissues; missing: {', '.join(absent)}")
    return values


def signal_to_noise(samples: Samples) -> dict[str, Value]:
    """Median of each tissue over its own standard deviation, and the mean of the three.

    The standard deviation is the unbiased one, stdv * sqrt(n / (n - 1)) with Kish's effective sample size n.
    """

    def ratio(tissue: str) -> float:
        found = samples.tissue(tissue)
        if found.effective <= 1 or found.stdv == 0:
            raise NotComputable(f"the intensities of {tissue} do not vary")
        return found.median / (found.stdv * math.sqrt(found.effective / (found.effective - 1.0)))

    return _each_and_total("snr", ratio)


def noise_sigma(samples: Samples) -> float:
    """Sigma of the Gaussian noise in the receive channel, from the Rayleigh noise in air, in stored units.

    Raises
    ------
    NotComputable
        If the air mask is empty or constant.
    """
    air = samples.air
    if air.stdv == 0:
        raise NotComputable("the air around the head is constant: its noise was removed")
    step = quantisation_step(samples.air_values)
    if air.mad >= STEPS_FOR_MAD * step:
        return air.mad / RAYLEIGH_MAD
    # Sheppard's correction: rounding adds the variance step^2 / 12
    variance = air.stdv**2 - step**2 / 12.0
    if variance <= 0:
        raise NotComputable("the noise in air is smaller than a grey level")
    return math.sqrt(variance) / RAYLEIGH_SD


def signal_to_air_noise(samples: Samples) -> dict[str, Value]:
    """Median of each tissue over the noise sigma measured in air (Dietrich 2007, Eq. 5), and the mean of the three.

    Raises
    ------
    NotComputable
        If air can't be had, or its noise is below 1e-5 of the white matter's median.
    """
    sigma = noise_sigma(samples)
    if sigma < MINIMUM_NOISE * abs(samples.tissue("wm").median):
        raise NotComputable("the noise in air is too small to be real: it was filtered or filled in")
    return _each_and_total("snrd", lambda tissue: samples.tissue(tissue).median / sigma)
