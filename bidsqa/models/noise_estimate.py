# SPDX-License-Identifier: Apache-2.0
"""Noise variance of one image without a reference, from the quietest frequencies of its blocks (IEDD).

After the description of Ponomarenko et al. 2017 (image entropy and DCT statistics of blocks): frequencies that carry
the least energy over all blocks hold noise rather than image; blocks that hold much more there than the others are
texture and left out; both choices are made three times. Written from that outline; it isn't the authors' code and may
differ.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import fft

Array = np.ndarray[Any, Any]
BLOCK = 8
# frequencies kept of the 64, rounds, and how much more than the typical block's variance a kept block may have
QUIETEST, ROUNDS, TEXTURE = 20, 3, 1.7
# blocks whose mean is below this share of the 99th percentile are air, where magnitudes hold less of the noise
HEAD_LEVEL = 0.15
FEWEST_BLOCKS = 8


def dct_blocks(image: Array, step: int = BLOCK // 2) -> tuple[Array, Array]:
    """Orthonormal cosine transforms of 8 x 8 blocks, half overlapping.

    Parameters
    ----------
    image : ndarray, shape (H, W)
    step : int
        Pixels from one block to the next.

    Returns
    -------
    coefficients : ndarray of float32, shape (N, 64)
    means : ndarray of float32, shape (N,)
        Mean intensity of each block; 0 for blocks with blanked pixels.
    """
    views = np.lib.stride_tricks.sliding_window_view(np.asarray(image, dtype=np.float32), (BLOCK, BLOCK))
    blocks = views[::step, ::step].reshape(-1, BLOCK, BLOCK)
    whole = (blocks != 0).all(axis=(1, 2))
    coefficients = fft.dctn(blocks, axes=(1, 2), norm="ortho").reshape(len(blocks), -1)
    return coefficients, np.where(whole, blocks.mean(axis=(1, 2)), 0)


def noise_variance(image: Array) -> float:
    """Variance of the noise in the bright part of an image, in its unit squared.

    Parameters
    ----------
    image : ndarray, shape (H, W)
        Magnitudes.

    Returns
    -------
    float
        NaN where fewer than eight blocks are bright.
    """
    coefficients, means = dct_blocks(image)
    # frequencies by blocks, so that medians run along memory
    energy = np.ascontiguousarray(coefficients[means > _bright(image)].T) ** 2
    count = energy.shape[1]
    if count < FEWEST_BLOCKS:
        return float("nan")
    kept = np.ones(count, dtype=bool)
    variance = 0.0
    for _ in range(ROUNDS):
        # the energy that most blocks have in a frequency, so that few edges don't hide a quiet one
        typical = np.median(energy[:, kept], axis=1)
        typical[0] = np.inf
        quiet = np.argsort(typical)[:QUIETEST]
        by_block = energy[quiet].mean(axis=0)
        variance = float(np.median(by_block[kept]) / _median_of_mean(QUIETEST))
        inside = by_block <= TEXTURE * variance
        kept = inside if inside.sum() >= FEWEST_BLOCKS else kept
    return variance


def _bright(image: Array) -> float:
    """From where on a pixel counts as bright."""
    return HEAD_LEVEL * max(float(np.percentile(image, 99)), 1e-20)


def _median_of_mean(count: int) -> float:
    """Median of the mean of ``count`` squared standard normal deviates (Wilson and Hilferty 1931)."""
    return (1 - 2 / (9 * count)) ** 3


def iedd_score(image: Array) -> float:
    """Energy of the bright part over :func:`noise_variance`, in dB: higher is better, and the unit doesn't matter.

    Parameters
    ----------
    image : ndarray, shape (H, W)
        Magnitudes.

    Returns
    -------
    float
        NaN where the variance is NaN or 0.
    """
    variance = noise_variance(image)
    bright = np.asarray(image, dtype=np.float64)
    bright = bright[bright > _bright(image)]
    return 10 * float(np.log10(np.mean(bright**2) / variance)) if variance > 0 else float("nan")
