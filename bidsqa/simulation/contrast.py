# SPDX-License-Identifier: Apache-2.0
"""Images of any contrast from maps of tissue: signal by relaxation, texture, coil shading and Rician noise.

Tissue parameters are round values for 3 T in the range of published measurements (Stanisz et al. 2005,
doi 10.1002/mrm.20605; Bojorquez et al. 2017, doi 10.1016/j.mri.2016.08.021); tissue outside the brain is chosen to
look right. Signals follow the textbook equations of each sequence.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, exp, radians, sin
from typing import Any

import numpy as np
from scipy import ndimage

from bidsqa.simulation.phantom_fields import cubic_weights, weighted_sums

FloatArray = np.ndarray[Any, np.dtype[np.float32]]
WHITE_MATTER_LEVEL = 400.0


@dataclass(frozen=True)
class Tissue:
    """One class of tissue.

    Parameters
    ----------
    name : str
    density : float
        Proton density relative to water (0-1).
    t1, t2 : float
        Relaxation times in ms. For fat ``t2`` is the apparent one in a train of spin echoes.
    texture : float
        Relative standard deviation of the signal inside the tissue (0.025: 2.5 %).
    """

    name: str
    density: float
    t1: float
    t2: float
    texture: float = 0.025


TISSUES: tuple[Tissue, ...] = (
    Tissue("background", 0.0, 1000, 100, 0.0),
    Tissue("csf", 1.00, 4200, 1200, 0.03),
    Tissue("cortex", 0.82, 1400, 95),
    Tissue("white", 0.71, 850, 72, 0.02),
    Tissue("deep_grey", 0.79, 1180, 80),
    Tissue("pallidum", 0.75, 980, 62),
    Tissue("dura", 0.60, 1000, 35),
    Tissue("vessel", 0.30, 1500, 40),
    Tissue("bone", 0.06, 400, 15, 0.2),
    Tissue("marrow", 0.50, 620, 65, 0.16),
    Tissue("fat", 0.66, 400, 110, 0.06),
    Tissue("muscle", 0.75, 1350, 38, 0.06),
    Tissue("skin", 0.62, 950, 38, 0.10),
    Tissue("vitreous", 1.00, 4000, 1400, 0.01),
    Tissue("lens", 0.60, 1200, 30, 0.02),
    Tissue("mucosa", 0.90, 1300, 150, 0.08),
    Tissue("cavity", 0.0, 1000, 100, 0.0),
    Tissue("cord", 0.72, 950, 75),
    Tissue("spinal_csf", 1.00, 4200, 1000, 0.06),
)
TISSUE_INDEX: dict[str, int] = {tissue.name: index for index, tissue in enumerate(TISSUES)}


@dataclass(frozen=True)
class Protocol:
    """Timing of one sequence, in ms and degrees.

    Parameters
    ----------
    family : str
        ``gradient`` (magnetisation-prepared rapid gradient echo), ``spin`` (spin echo) or ``inversion``
        (inversion-recovery spin echo).
    tr, te, ti : float
        Repetition, (effective) echo and inversion time.
    flip : float
        Flip angle of the readout, ``gradient`` only.
    readout : int
        Pulses of one readout train, ``gradient`` only.
    spacing : float
        Time between them.
    """

    family: str
    tr: float
    te: float
    ti: float = 0.0
    flip: float = 90.0
    readout: int = 1
    spacing: float = 0.0


PROTOCOLS: dict[str, Protocol] = {
    "T1w": Protocol("gradient", tr=2300, te=3, ti=900, flip=9, readout=160, spacing=7.2),
    "T2w": Protocol("spin", tr=5000, te=92),
    "FLAIR": Protocol("inversion", tr=9000, te=115, ti=2470),
    "PDw": Protocol("spin", tr=2800, te=18),
}


def tissue_signal(tissue: Tissue, protocol: Protocol) -> float:
    """Magnitude a tissue gives under a protocol, relative to fully relaxed water at echo time 0.

    Spin echo: ``PD (1 - exp(-TR/T1)) exp(-TE/T2)``. Inversion recovery: ``PD |1 - 2 exp(-TI/T1) + exp(-TR/T1)|
    exp(-TE/T2)``. Gradient: see :func:`prepared_gradient_signal`.

    Parameters
    ----------
    tissue : Tissue
    protocol : Protocol

    Returns
    -------
    float
        0 or more.
    """
    if tissue.density == 0.0:
        return 0.0
    if protocol.family == "gradient":
        return prepared_gradient_signal(tissue, protocol)
    decay = tissue.density * exp(-protocol.te / tissue.t2)
    if protocol.family == "inversion":
        return decay * abs(1.0 - 2.0 * exp(-protocol.ti / tissue.t1) + exp(-protocol.tr / tissue.t1))
    return decay * (1.0 - exp(-protocol.tr / tissue.t1))


def prepared_gradient_signal(tissue: Tissue, protocol: Protocol) -> float:
    """Signal at the centre of the readout train of an inversion-prepared gradient echo in its steady state.

    Between pulses a time ``tau`` apart the longitudinal magnetisation nears ``(1 - E) / (1 - E cos a)`` with the
    factor ``E cos a``, ``E = exp(-tau/T1)``; the inversion (perfect) and the two free recoveries around the train are
    linear as well, so the steady state has a closed form (sequence: Mugler and Brookeman 1990,
    doi 10.1002/mrm.1910150117).
    """
    angle = radians(protocol.flip)
    wait = protocol.ti - 0.5 * protocol.readout * protocol.spacing
    rest = protocol.tr - wait - protocol.readout * protocol.spacing
    before, after, between = (exp(-time / tissue.t1) for time in (wait, rest, protocol.spacing))
    pull = cos(angle) * between
    goal = (1.0 - between) / (1.0 - pull)
    train = pull**protocol.readout
    # magnetisation before inversion m: m -> (1 - before) - m * before -> train -> recovery -> m again
    offset = goal + ((1.0 - before) - goal) * train
    steady = (1.0 - after + after * offset) / (1.0 + after * before * train)
    start = (1.0 - before) - steady * before
    centre = goal + (start - goal) * pull ** (protocol.readout / 2)
    return tissue.density * sin(angle) * abs(centre) * exp(-protocol.te / (0.7 * tissue.t2))


def signal_levels(contrast: str, protocol: Protocol | None = None) -> FloatArray:
    """Signal of every tissue in the order of ``TISSUES``, scaled so that white matter has ``WHITE_MATTER_LEVEL``.

    Parameters
    ----------
    contrast : str
        ``T1w``, ``T2w``, ``FLAIR`` or ``PDw``.
    protocol : Protocol, optional
        Instead of the usual one of the contrast.

    Raises
    ------
    ValueError
        For a contrast that isn't in ``PROTOCOLS``.
    """
    if contrast not in PROTOCOLS:
        raise ValueError(f"no contrast {contrast!r}; there are {', '.join(PROTOCOLS)}")
    used = protocol or PROTOCOLS[contrast]
    levels = np.array([tissue_signal(tissue, used) for tissue in TISSUES], dtype=np.float32)
    return np.asarray(levels * (WHITE_MATTER_LEVEL / levels[TISSUE_INDEX["white"]]), dtype=np.float32)


def mix(fractions: np.ndarray[Any, Any], levels: FloatArray) -> FloatArray:
    """Clean image: each voxel is the sum of its tissues' signals by their share of the voxel.

    Parameters
    ----------
    fractions : ndarray of uint8, shape (tissues, X, Y, Z)
        Shares in 1/255.
    levels : ndarray, shape (tissues,)
        Signals, arbitrary unit.
    """
    image = np.zeros(fractions.shape[1:], dtype=np.float32)
    for share, level in zip(fractions, levels, strict=True):
        if level:
            image += share * np.float32(level / 255.0)
    return image


def paint_labels(labels: np.ndarray[Any, Any], tissues: dict[int, str], contrast: str) -> FloatArray:
    """Clean image of a label map.

    Parameters
    ----------
    labels : ndarray of int, shape (X, Y, Z)
        Not negative.
    tissues : dict
        Label to the name of a tissue in ``TISSUES``; labels that aren't named are background.
    contrast : str
        As for :func:`signal_levels`.

    Returns
    -------
    ndarray of float32, shape (X, Y, Z)
        White matter has ``WHITE_MATTER_LEVEL``.
    """
    levels = signal_levels(contrast)
    table = np.zeros(int(labels.max()) + 1, dtype=np.float32)
    for label, name in tissues.items():
        if label < len(table):
            table[label] = levels[TISSUE_INDEX[name]]
    return np.asarray(table[labels], dtype=np.float32)


def texture_field(generator: np.random.Generator, shape: tuple[int, ...], spacing: tuple[float, ...]) -> FloatArray:
    """Tissue-like grain: half a patchy part of about 6 mm, half a fine one of about 2 mm; standard deviation 1."""
    fine = generator.standard_normal(shape, dtype=np.float32)
    for axis, edge in enumerate(spacing):
        if edge < 2.0:
            fine = ndimage.gaussian_filter1d(fine, 0.9 / edge, axis=axis, truncate=2.5)
    patches = _interpolated_noise(generator, shape, spacing, 6.0)
    fine *= np.float32(0.7) / fine.std()
    patches *= np.float32(0.7) / patches.std()
    fine += patches
    return fine


def shading_field(
    generator: np.random.Generator, shape: tuple[int, ...], spacing: tuple[float, ...], strength: float
) -> FloatArray:
    """Smooth coil shading, a factor between about ``1 - strength`` and ``1 + strength`` in long waves (10 cm)."""
    field = _interpolated_noise(generator, shape, spacing, 95.0)
    return np.asarray(1.0 + (strength / np.abs(field).max()) * field, dtype=np.float32)


def add_rician_noise(image: FloatArray, sigma: float, generator: np.random.Generator) -> FloatArray:
    """Magnitude of the image with Gaussian noise of ``sigma`` in both channels (Gudbjartsson and Patz 1995)."""
    if sigma <= 0:
        return image
    real: FloatArray = generator.standard_normal(tuple(image.shape), dtype=np.float32)
    real *= np.float32(sigma)
    real += image
    other: FloatArray = generator.standard_normal(tuple(image.shape), dtype=np.float32)
    other *= np.float32(sigma)
    np.hypot(real, other, out=real)
    return real


def _interpolated_noise(
    generator: np.random.Generator, shape: tuple[int, ...], spacing: tuple[float, ...], scale: float
) -> FloatArray:
    knots = [max(4, int(np.ceil(size * edge / scale)) + 3) for size, edge in zip(shape, spacing, strict=True)]
    noise = generator.standard_normal(knots, dtype=np.float32)
    weights = [
        cubic_weights(1.0 + np.arange(size) * edge / scale, count)
        for size, edge, count in zip(shape, spacing, knots, strict=True)
    ]
    return weighted_sums(noise, weights)
