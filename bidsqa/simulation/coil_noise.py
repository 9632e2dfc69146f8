# SPDX-License-Identifier: Apache-2.0
"""Versions of a slice with more and more noise in its coils' k-space, at wanted signal-to-noise ratios (Lei et al.)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bidsqa.simulation.coils import coil_kspace, from_kspace

Array = np.ndarray[Any, Any]
# dB of the paper's kind of training: four noisy versions
LEVELS = (18.0, 22.0, 26.0, 30.0)
BISECTIONS = 40
COILS = 8
# of the 99th percentile: what is bright enough to belong to the head
HEAD_LEVEL = 0.15
# share of zeros from which on the air counts as blanked
BLANKED_FROM = 0.01


def bright_part(image: Array) -> Array:
    """Where an image is brighter than 15 % of its 99th percentile, of the pixels that aren't blanked; bool."""
    lit = image[image > 0]
    part: Array = image > (HEAD_LEVEL * float(np.percentile(lit, 99)) if lit.size else 0.0)
    return part


def snr_db(reference: Array, image: Array, region: Array | None = None) -> float:
    """Equation 1: 10 log10(Σ x₅² / Σ (x₅ - x_v)²); infinite for equal images.

    Parameters
    ----------
    reference, image : ndarray, shape (H, W)
    region : ndarray of bool, shape (H, W), optional
        Pixels of the sums; all, as in the paper, if not given.
    """
    first, second = np.asarray(reference, dtype=np.float64), np.asarray(image, dtype=np.float64)
    if region is not None:
        first, second = first[region], second[region]
    error = float(np.sum((first - second) ** 2))
    return 10 * float(np.log10(np.sum(first**2) / error)) if error > 0 else float("inf")


class CoilNoise:
    """One draw of noise over k-space, to be scaled.

    Complex Gaussian, independent, of one variance in both parts of every sample of every coil. The reconstruction is
    the root of the sum of squares of the coils' images, so that its noise is what magnitude images have (Rician for one
    coil, noncentral chi for several). With the coils' images z + σn its square is Σ|z|² + 2σ Σ Re(z̄ n) + σ² Σ|n|²:
    the three sums are made once.

    Parameters
    ----------
    kspace : ndarray of complex64, shape (C, H, W)
        Measured, or from :func:`bidsqa.simulation.coils.coil_kspace`.
    rng : numpy.random.Generator
    support : ndarray of bool, shape (H, W), optional
        The part of k-space that was acquired; the rest is filled with 0, so that the noise of neighbours is alike.
    """

    def __init__(self, kspace: Array, rng: np.random.Generator, support: Array | None = None) -> None:
        draw = rng.standard_normal((2, *kspace.shape), dtype=np.float32)
        seen = 1 if support is None else support
        clean, noise = from_kspace(kspace * seen), from_kspace((draw[0] + 1j * draw[1]) * seen)
        self._signal = np.sum(clean.real**2 + clean.imag**2, axis=0)
        self._mixed = 2 * np.sum(clean.real * noise.real + clean.imag * noise.imag, axis=0)
        self._noise = np.sum(noise.real**2 + noise.imag**2, axis=0)
        self.clean = np.asarray(np.sqrt(self._signal), dtype=np.float32)

    def at(self, sigma: float) -> Array:
        """The image with noise of standard deviation ``sigma`` in each part of each coil, (H, W), float32."""
        energy = self._signal + np.float32(sigma) * self._mixed + np.float32(sigma * sigma) * self._noise
        return np.asarray(np.sqrt(np.maximum(energy, 0)), dtype=np.float32)

    def sigma_of(self, level: float, region: Array | None = None) -> float:
        """The ``sigma`` at which :func:`snr_db` over the region is ``level``, by bisection.

        Raises
        ------
        ValueError
            An image of zeros has no ratio.
        """
        place = (slice(None),) if region is None else region
        clean, signal, mixed, noise = (part[place] for part in (self.clean, self._signal, self._mixed, self._noise))
        energy = float(np.sum(signal, dtype=np.float64))
        if energy <= 0:
            raise ValueError("an image of zeros has no signal-to-noise ratio")
        # about where the level would be if the noise were added to magnitudes, and far to both sides
        guess = float(np.sqrt(energy / signal.size) * 10 ** (-level / 20))
        low, high = np.log(guess / 100), np.log(guess * 100)
        for _ in range(BISECTIONS):
            sigma = np.float32(np.exp(0.5 * (low + high)))
            noisy = np.sqrt(np.maximum(signal + sigma * mixed + sigma * sigma * noise, 0))
            found = 10 * float(np.log10(energy / max(float(np.sum((noisy - clean) ** 2, dtype=np.float64)), 1e-300)))
            if abs(found - level) < 1e-3:
                break
            low, high = (0.5 * (low + high), high) if found > level else (low, 0.5 * (low + high))
        return float(sigma)


def noisy_versions(
    kspace: Array,
    levels: Sequence[float],
    rng: np.random.Generator,
    blank: Array | None = None,
    region: Array | None = None,
) -> Array:
    """One version of a slice for each level, all with the same draw of noise.

    Parameters
    ----------
    kspace : ndarray of complex64, shape (C, H, W)
        Of the coils; :func:`image_versions` takes a magnitude image instead.
    levels : sequence of float
        dB by Equation 1, e.g. equally spaced.
    rng : numpy.random.Generator
    blank : ndarray of bool, shape (H, W), optional
        Pixels that are set to 0 after the noise arose, as scanners do that blank the air; the level is that before.
    region : ndarray of bool, shape (H, W), optional
        Pixels that the levels are about; all if not given.

    Returns
    -------
    ndarray of float32, shape (len(levels), H, W)
    """
    noise = CoilNoise(kspace, rng)
    versions = np.stack([noise.at(noise.sigma_of(level, region)) for level in levels])
    if blank is not None:
        versions[:, blank] = 0
    return versions


def image_versions(
    image: Array, levels: Sequence[float], seed: int, coils: int = COILS, keep_zero: bool = True
) -> Array:
    """As :func:`noisy_versions`, for a magnitude image with synthetic sensitivities and phase.

    The levels are about the bright part of the image: the air's share differs between fields of view, and where it is
    blanked it has no noise, while the noise in the head is what a reader sees.

    Parameters
    ----------
    image : ndarray, shape (H, W)
    levels : sequence of float
        dB.
    seed : int
        Same seed, same versions.
    coils : int
    keep_zero : bool
        Pixels that are exactly 0 stay so, where more than 1 % are.

    Returns
    -------
    ndarray of float32, shape (len(levels), H, W)
    """
    magnitude = np.abs(np.asarray(image, dtype=np.float32))
    rng = np.random.default_rng(seed)
    kspace, _ = coil_kspace(magnitude, coils, rng)
    zero = magnitude == 0
    blank = zero if keep_zero and zero.mean() > BLANKED_FROM else None
    return noisy_versions(kspace, levels, rng, blank, bright_part(magnitude))
