# SPDX-License-Identifier: Apache-2.0
"""Versions of a slice with more and more noise in its coils' k-space, at wanted signal-to-noise ratios (Lei et al.)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bidsqa.simulation.coils import coil_kspace, from_kspace

Array = np.ndarray[Any, Any]
# dB of the training's four noisy versions, and of the seven noisy ones of a ruler
LEVELS = (18.0, 22.0, 26.0, 30.0)
BISECTIONS = 40
COILS = 8


def snr_db(reference: Array, image: Array) -> float:
    """Equation 1: 10 log10(Σ x₅² / Σ (x₅ - x_v)²) over all pixels; infinite for equal images."""
    error = float(np.sum((reference.astype(np.float64) - image) ** 2))
    signal = float(np.sum(reference.astype(np.float64) ** 2))
    return 10 * float(np.log10(signal / error)) if error > 0 else float("inf")


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
    """

    def __init__(self, kspace: Array, rng: np.random.Generator) -> None:
        draw = rng.standard_normal((2, *kspace.shape), dtype=np.float32)
        clean, noise = from_kspace(kspace), from_kspace(draw[0] + 1j * draw[1])
        self._signal = np.sum(clean.real**2 + clean.imag**2, axis=0)
        self._mixed = 2 * np.sum(clean.real * noise.real + clean.imag * noise.imag, axis=0)
        self._noise = np.sum(noise.real**2 + noise.imag**2, axis=0)
        self.clean = np.asarray(np.sqrt(self._signal), dtype=np.float32)

    def at(self, sigma: float) -> Array:
        """The image with noise of standard deviation ``sigma`` in each part of each coil, (H, W), float32."""
        energy = self._signal + np.float32(sigma) * self._mixed + np.float32(sigma * sigma) * self._noise
        return np.asarray(np.sqrt(np.maximum(energy, 0)), dtype=np.float32)

    def sigma_of(self, level: float) -> float:
        """The ``sigma`` at which :func:`snr_db` is ``level``, by bisection.

        Raises
        ------
        ValueError
            An image of zeros has no ratio.
        """
        energy = float(np.sum(self._signal, dtype=np.float64))
        if energy <= 0:
            raise ValueError("an image of zeros has no signal-to-noise ratio")
        # about where the level would be if the noise were added to magnitudes, and far to both sides
        guess = float(np.sqrt(energy / self._signal.size) * 10 ** (-level / 20))
        low, high = np.log(guess / 100), np.log(guess * 100)
        for _ in range(BISECTIONS):
            middle = 0.5 * (low + high)
            found = snr_db(self.clean, self.at(float(np.exp(middle))))
            if abs(found - level) < 1e-3:
                break
            low, high = (middle, high) if found > level else (low, middle)
        return float(np.exp(middle))


def noisy_versions(
    kspace: Array, levels: Sequence[float], rng: np.random.Generator, blank: Array | None = None
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

    Returns
    -------
    ndarray of float32, shape (len(levels), H, W)
    """
    noise = CoilNoise(kspace, rng)
    versions = np.stack([noise.at(noise.sigma_of(level)) for level in levels])
    if blank is not None:
        versions[:, blank] = 0
    return versions


def image_versions(
    image: Array, levels: Sequence[float], seed: int, coils: int = COILS, keep_zero: bool = True
) -> Array:
    """As :func:`noisy_versions`, for a magnitude image with synthetic sensitivities and phase.

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
    """
    magnitude = np.abs(np.asarray(image, dtype=np.float32))
    rng = np.random.default_rng(seed)
    kspace, _ = coil_kspace(magnitude, coils, rng)
    zero = magnitude == 0
    return noisy_versions(kspace, levels, rng, zero if keep_zero and zero.mean() > 0.01 else None)
