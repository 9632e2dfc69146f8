# SPDX-License-Identifier: Apache-2.0
"""Slices as several receive coils see them: sensitivities, phase, k-space, the root of the sum of squares.

Transforms are orthonormal, so that noise has one variance in k-space and image. k-space has its centre in the middle.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import fft

Array = np.ndarray[Any, Any]
SPATIAL = (-2, -1)
# lines and columns in the middle of k-space that sensitivities are estimated from
CALIBRATION = 24
# sensitivities are not trusted where the calibration image is darker than this share of its brightest pixel
DARK = 0.02


def to_kspace(images: Array) -> Array:
    """Orthonormal Fourier transform of images (..., H, W), complex64."""
    shifted = fft.ifftshift(np.asarray(images, dtype=np.complex64), axes=SPATIAL)
    result: Array = fft.fftshift(fft.fft2(shifted, axes=SPATIAL, norm="ortho"), axes=SPATIAL)
    return result


def from_kspace(kspace: Array) -> Array:
    """Inverse of :func:`to_kspace`."""
    shifted = fft.ifftshift(np.asarray(kspace, dtype=np.complex64), axes=SPATIAL)
    result: Array = fft.fftshift(fft.ifft2(shifted, axes=SPATIAL, norm="ortho"), axes=SPATIAL)
    return result


def sum_of_squares(images: Array) -> Array:
    """Root of the sum of squares over the coils: (C, H, W) to (H, W), float32."""
    return np.asarray(np.sqrt(np.sum(images.real**2 + images.imag**2, axis=0)), dtype=np.float32)


def draw_sensitivities(shape: tuple[int, int], coils: int, rng: np.random.Generator) -> Array:
    """Smooth synthetic sensitivities of coils around the image.

    Parameters
    ----------
    shape : tuple of int
        H, W.
    coils : int
        C, 1 or more; one coil has a sensitivity of 1 everywhere.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of complex64, shape (C, H, W)
        Squared magnitudes sum to 1 at every pixel.
    """
    rows, columns = np.meshgrid(*(np.linspace(-1, 1, size, dtype=np.float32) for size in shape), indexing="ij")
    if coils == 1:
        return np.ones((1, *shape), dtype=np.complex64)
    turn = float(rng.uniform(0, 2 * np.pi))
    maps = np.empty((coils, *shape), dtype=np.complex64)
    for number in range(coils):
        angle = turn + 2 * np.pi * (number + float(rng.uniform(-0.2, 0.2))) / coils
        place = float(rng.uniform(1.1, 1.5)) * np.array([np.sin(angle), np.cos(angle)])
        distance = (rows - place[0]) ** 2 + (columns - place[1]) ** 2
        bend = float(rng.uniform(-1, 1)) * rows + float(rng.uniform(-1, 1)) * columns + float(rng.uniform(0, 6.3))
        maps[number] = np.exp(-distance / (2 * float(rng.uniform(0.7, 1.0)) ** 2)) * np.exp(1j * bend)
    return np.asarray(maps / np.sqrt(np.sum(np.abs(maps) ** 2, axis=0)), dtype=np.complex64)


def draw_phase(shape: tuple[int, int], rng: np.random.Generator, span: float = 3.0) -> Array:
    """Smooth phase of a magnitude image: a random polynomial of second order over about ``span`` rad, (H, W)."""
    rows, columns = np.meshgrid(*(np.linspace(-1, 1, size, dtype=np.float32) for size in shape), indexing="ij")
    weights = rng.normal(size=5)
    phase = sum(
        float(weight) * term
        for weight, term in zip(weights, (rows, columns, rows * columns, rows**2, columns**2), strict=True)
    )
    return np.asarray(phase * (span / max(float(np.ptp(phase)), 1e-6)), dtype=np.float32)


def coil_kspace(magnitude: Array, coils: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """k-space that a magnitude image could have come from, by synthetic sensitivities and phase.

    Results on such k-space are optimistic: a processed magnitude image has lost what real k-space has.

    Parameters
    ----------
    magnitude : ndarray, shape (H, W)
    coils : int
    rng : numpy.random.Generator

    Returns
    -------
    kspace : ndarray of complex64, shape (C, H, W)
        Its root of the sum of squares is the image.
    sensitivities : ndarray of complex64, shape (C, H, W)
    """
    shape = (int(magnitude.shape[0]), int(magnitude.shape[1]))
    sensitivities = draw_sensitivities(shape, coils, rng)
    return to_kspace(sensitivities * (magnitude * np.exp(1j * draw_phase(shape, rng)))), sensitivities


def combine(kspace: Array, sensitivities: Array) -> Array:
    """The complex image that fits the coils best (least squares): Σ I_i s̄_i / Σ|s_i|², (H, W).

    Lei et al. print a root in the denominator, which is the least-squares answer only where Σ|s_i|² is 1.
    """
    images = from_kspace(kspace)
    energy = np.sum(np.abs(sensitivities) ** 2, axis=0)
    return np.asarray(np.sum(images * sensitivities.conj(), axis=0) / np.maximum(energy, 1e-12), dtype=np.complex64)


def estimate_sensitivities(kspace: Array) -> Array:
    """Sensitivities from the middle of measured k-space: each coil's smooth image over that of all.

    Parameters
    ----------
    kspace : ndarray of complex64, shape (C, H, W)

    Returns
    -------
    ndarray of complex64, shape (C, H, W)
        Squared magnitudes sum to 1 where there is signal, and to less in the dark. Simpler than ESPIRiT, which the
        paper uses; enough for moving the object, not for unfolding.
    """
    window = np.ones((1, 1), dtype=np.float32)
    for axis, size in enumerate(kspace.shape[1:]):
        kept = min(CALIBRATION, size)
        line = np.zeros(size, dtype=np.float32)
        start = size // 2 - kept // 2
        line[start : start + kept] = np.hanning(kept + 2)[1:-1]
        window = window * (line[:, None] if axis == 0 else line[None, :])
    smooth = from_kspace(kspace * window)
    total = sum_of_squares(smooth)
    return np.asarray(smooth / np.maximum(total, max(DARK * float(total.max()), 1e-20)), dtype=np.complex64)
