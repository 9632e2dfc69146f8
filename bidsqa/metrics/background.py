# SPDX-License-Identifier: Apache-2.0
"""What the background tells: entropy, energy, artifacts and the shape of its noise."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage, special

from bidsqa.anatomy.measured_air import quantisation_step
from bidsqa.errors import NotComputable
from bidsqa.metrics.samples import Array, Samples
from bidsqa.metrics.statistics import weighted_quantiles

CHUNK = 1 << 20

# noise is looked at on a scale on which its 99th percentile is 100, up to GRID_TOP
GRID_STEP = 0.5
GRID_TOP = 150.0
SMOOTHING = 4.0
NOISE_VOXELS = 1000
MAXIMUM_STEP = 20.0
# channels that the quartiles can tell apart: half-normal noise to nearly normal noise
CHANNELS = (0.5, 64.0)


def entropy_focus(samples: Samples) -> float:
    """Entropy of the voxel intensities over its maximum (Atkinson 1997, Eq. 2 and 3), without the frame.

    Raises
    ------
    NotComputable
        If no background was measured or the image is empty.
    """
    parts = (samples.head_values, samples.background_values)
    top = max(float(part.max()) for part in parts)
    if not top > 0:
        raise NotComputable("no voxel is above zero")
    count, plain, square, entropy = 0, 0.0, 0.0, 0.0
    for part in parts:
        count += part.size
        for start in range(0, part.size, CHUNK):
            chunk = np.maximum(part[start : start + CHUNK], 0.0) / np.float32(top)
            plain += float(np.sum(chunk, dtype=np.float64))
            square += float(np.sum(chunk * chunk, dtype=np.float64))
            # 0 ln 0 = 0: the smallest normal number stands in for zero inside the logarithm
            entropy -= float(np.sum(chunk * np.log(np.maximum(chunk, np.float32(1e-30))), dtype=np.float64))
    norm = math.sqrt(square)
    measured = (entropy + plain * math.log(norm)) / norm
    return measured / (math.sqrt(count) * math.log(math.sqrt(count)))


def foreground_to_background_energy(samples: Samples) -> float:
    """Median squared intensity of the head over that of the background (after Shehzad 2015), without the frame.

    Raises
    ------
    NotComputable
        If no background was measured or its median is zero.
    """
    # the median of squares is the square of the median of absolute values, which can't overflow
    (outside,) = weighted_quantiles(np.abs(samples.background_values), None, (0.5,))
    if outside == 0:
        raise NotComputable("the median of the background is zero: its noise was filled in or removed")
    (inside,) = weighted_quantiles(np.abs(samples.head_values), None, (0.5,))
    return (inside / outside) ** 2


def artifact_share(samples: Samples) -> float:
    """Artifact voxels over all voxels of the background above the face (QI1 of Mortamet 2009, Eq. 1).

    Raises
    ------
    NotComputable
        If there is no background above the face.
    """
    hat = samples.anatomy.hat != 0
    total = int(np.count_nonzero(hat))
    if total == 0:
        raise NotComputable("there is no background above the face")
    clean = int(np.count_nonzero(hat & (samples.anatomy.air != 0)))
    return (total - clean) / total


def fit_chi(counts: Array, edges: Array) -> tuple[float, float]:
    """Channels n and sigma of the chi distribution with 2 n degrees of freedom that has the histogram's quartiles.

    The ratio of the quartiles fixes n, the median fixes sigma; artifacts in the upper tail move neither.

    Parameters
    ----------
    counts : ndarray, shape (B,)
    edges : ndarray, shape (B + 1,)

    Returns
    -------
    tuple of float
        n in 0.5-64 (1 for Rayleigh noise), sigma in the unit of the edges.
    """
    reached = np.concatenate([[0.0], np.cumsum(counts, dtype=np.float64)])
    first, median, third = np.interp(np.array([0.25, 0.5, 0.75]) * reached[-1], reached, edges)
    # equal steps in log n
    channels = np.geomspace(*CHANNELS, 400)
    quartiles = np.sqrt(2.0 * special.gammaincinv(channels[:, None], np.array([[0.25, 0.5, 0.75]])))
    ratios = quartiles[:, 0] / quartiles[:, 2]
    place = float(np.interp(first / third if third > 0 else 0.0, ratios, np.arange(channels.size)))
    fitted = float(np.exp(np.interp(place, np.arange(channels.size), np.log(channels))))
    sigma = float(median) / math.sqrt(2.0 * float(special.gammaincinv(fitted, 0.5)))
    return fitted, sigma


def noise_misfit(samples: Samples) -> float:
    """Misfit of the air's intensities with magnitude noise, right of the half maximum (QI2 after Mortamet 2009).

    The stored values of the air are scaled so that their 99th percentile is 100. Their density and that of the fitted
    chi distribution (location 0) are both smoothed by a Gaussian of 4 units; the value is the mean absolute difference
    of the two from the point right of the peak where the fitted density has fallen to one half, up to 110.

    Raises
    ------
    NotComputable
        If air can't be had, has fewer than 1000 voxels or fewer than five grey levels.
    """
    values = samples.air_values
    if values.size < NOISE_VOXELS:
        raise NotComputable(f"the air mask has fewer than {NOISE_VOXELS} voxels")
    top = float(np.percentile(values, 99))
    if top <= 0:
        raise NotComputable("the air around the head is not above zero")
    step = 100.0 * quantisation_step(values) / top
    if step > MAXIMUM_STEP:
        raise NotComputable("the noise in air has fewer than five grey levels")
    scaled = values * np.float32(100.0 / top)
    centres = np.arange(0.5 * GRID_STEP, GRID_TOP, GRID_STEP)
    edges = np.arange(0.0, GRID_TOP + 0.5 * GRID_STEP, GRID_STEP)
    counts, _ = np.histogram(np.abs(scaled), bins=edges)
    # one kernel at least as wide as a grey level for both densities: neither rounding nor smoothing counts as misfit
    width = max(SMOOTHING, 0.7 * step) / GRID_STEP
    coarse = ndimage.gaussian_filter1d(counts.astype(np.float64), max(0.7 * step / GRID_STEP, 1e-3), mode="reflect")
    channels, sigma = fit_chi(coarse, edges)
    reached = special.gammainc(channels, 0.5 * (edges / sigma) ** 2)
    measured = ndimage.gaussian_filter1d(counts / (values.size * GRID_STEP), width, mode="reflect")
    expected = ndimage.gaussian_filter1d(np.diff(reached) / GRID_STEP, width, mode="reflect")
    peak = int(np.argmax(expected))
    beyond = np.flatnonzero(expected[peak:] <= 0.5 * expected[peak])
    start = peak + int(beyond[0]) if beyond.size else peak
    kept = slice(start, max(start + 1, int(np.searchsorted(centres, 110.0))))
    return float(np.mean(np.abs(measured[kept] - expected[kept])))
