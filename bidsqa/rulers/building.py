# SPDX-License-Identifier: Apache-2.0
"""A ruler from one good slice: the slice itself, and seven versions with noise in its coils' k-space."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import bidsqa
from bidsqa.errors import InputError
from bidsqa.image import PLANES, Volume, acquisition_axis, head_extent, rough_head, take_slice
from bidsqa.rulers.matching import kind_of_scan
from bidsqa.rulers.ruler import AUTOMATIC, SIDES, Ruler, Threshold, check_ruler
from bidsqa.rulers.scale import THRESHOLD_STEP, VERSIONS
from bidsqa.simulation.coil_noise import COILS, bright_part, image_versions, noisy_versions
from bidsqa.simulation.coils import from_kspace, sum_of_squares

WORST_DB, BEST_DB = 12.0, 33.0
DB_RANGE = (0.0, 60.0)
# the automatic rule: the first half version that has this SNR
ACCEPTED_DB = 24.0
# where in the head the slice is taken, from its low to its high end, by the slices' axis: where there is much brain
PLACE = (0.45, 0.5, 0.7)
MOST_COILS = 64
MOST_SEED = 2**32 - 1

Array = np.ndarray[Any, Any]


def equal_steps(worst: float = WORST_DB, best: float = BEST_DB) -> tuple[float, ...]:
    """SNR of versions 0 to 6 in dB: equal steps from the worst, the next of which would be ``best``, the original.

    The original's own ratio can't be known; 33 dB goes on with the steps.

    Raises
    ------
    InputError
        When they are out of range or in the wrong order.
    """
    low, high = DB_RANGE
    if not (low <= worst < best <= high) or best - worst < 2:
        raise InputError(
            f"A ruler can't reach from {worst:g} to {best:g} dB.",
            f"Both lie between {low:g} and {high:g} dB, the worst 2 dB or more below the best.",
        )
    return tuple(worst + (best - worst) * version / (VERSIONS - 1) for version in range(VERSIONS - 1))


def automatic_threshold(snr: Sequence[float], accepted: float = ACCEPTED_DB) -> Threshold:
    """A threshold by the SNR alone, marked as set by no human: the first half version of at least ``accepted`` dB.

    Parameters
    ----------
    snr : sequence of float
        Of versions 0 to 6, equal steps.
    accepted : float
        dB.
    """
    step = (snr[-1] - snr[0]) / (len(snr) - 1)
    place = (accepted - snr[0]) / step
    value = math.ceil(round(place / THRESHOLD_STEP, 6)) * THRESHOLD_STEP
    return Threshold(min(max(value, 0.0), float(VERSIONS - 1)), AUTOMATIC)


def build_ruler(
    name: str,
    volume: Volume,
    suffix: str,
    acquisition: Mapping[str, Any] | None = None,
    *,
    index: int | None = None,
    snr: Sequence[float] = equal_steps(),
    coils: int = COILS,
    seed: int = 0,
    bits: int = 16,
    kspace: Array | None = None,
    source: str = "",
) -> Ruler:
    """A ruler from a scan.

    Parameters
    ----------
    name : str
        Letters, digits, dots, dashes and underscores.
    volume : Volume
        A scan as good as the site can make one.
    suffix : str
    acquisition : mapping, optional
        The scan's metadata, for matching other scans to the ruler.
    index : int, optional
        The slice of the acquisition plane; by default one a little above the middle of the head.
    snr : sequence of float
        Of versions 0 to 6 in dB, ascending.
    coils : int
        Synthetic receive coils.
    seed : int
        Of the noise; the same seed gives the same ruler.
    bits : int
        8 or 16: how the images are kept.
    kspace : ndarray of complex, shape (C, H, W), optional
        Measured k-space of the slice, instead of one that is made up from the scan's magnitudes.
    source : str
        What is noted of where the scan comes from.

    Returns
    -------
    Ruler
        With a threshold by :func:`automatic_threshold`.

    Raises
    ------
    InputError
        When the slice can't make a ruler.
    """
    axis = acquisition_axis(volume)
    chosen = slice_index(volume, axis) if index is None else index
    if not 0 <= chosen < volume.shape[axis]:
        last = volume.shape[axis] - 1
        raise InputError(f"The scan has no {PLANES[axis]} slice {chosen}.", f"Its slices are 0 to {last}.")
    if not 1 <= coils <= MOST_COILS:
        raise InputError(f"A ruler can't be made with {coils} coils.", f"Give 1 to {MOST_COILS}.")
    if not 0 <= seed <= MOST_SEED:
        raise InputError(f"A ruler can't be made with the seed {seed}.", f"Give 0 to {MOST_SEED}.")
    image = np.clip(np.ascontiguousarray(take_slice(volume.data, axis, chosen)), 0, None)
    _check_image(image, axis, chosen)
    notes: dict[str, Any] = {
        "source": source,
        "plane": PLANES[axis],
        "slice": chosen,
        "noise": "complex Gaussian in the k-space of all coils, one draw scaled; root of the sum of squares",
        "k-space": "measured"
        if kspace is not None
        else "made up: smooth sensitivities and phase on the magnitude image",
        "coils": coils if kspace is None else int(kspace.shape[0]),
        "seed": seed,
        "made_by": f"bidsqa {bidsqa.__version__}",
    }
    versions = _versions(image, snr, coils, seed, kspace)
    ruler = Ruler(
        name=name,
        versions=stored(versions, bits),
        kind=kind_of_scan(suffix, acquisition or {}, volume.spacing),
        threshold=automatic_threshold(snr),
        snr_db=tuple(round(float(level), 3) for level in snr),
        provenance=notes,
    )
    return check_ruler(ruler)


def _versions(image: Array, snr: Sequence[float], coils: int, seed: int, kspace: Array | None) -> Array:
    """All eight, float32; the original last."""
    if kspace is None:
        noisy, original = image_versions(image, snr, seed, coils), image
    else:
        original = _reconstructed(kspace)
        noisy = noisy_versions(kspace, snr, np.random.default_rng(seed), region=bright_part(original))
    return np.concatenate([noisy, original[None]]).astype(np.float32)


def _reconstructed(kspace: Array) -> Array:
    """The image of measured k-space, if that is one a ruler can be made of."""
    low, high = SIDES
    fits = kspace.ndim == 3 and kspace.shape[0] <= MOST_COILS and all(low <= side <= high for side in kspace.shape[1:])
    if not fits:
        raise InputError(
            f"The k-space has the shape {' x '.join(map(str, kspace.shape))}.",
            f"Give one slice as coils, lines and columns: at most {MOST_COILS} coils, {low} to {high} on each side.",
        )
    image = sum_of_squares(from_kspace(kspace))
    if not (np.isfinite(image).all() and image.max() > 0):
        raise InputError("The k-space holds no image.", "It must hold finite numbers that aren't all 0.")
    return image


def stored(versions: Array, bits: int) -> Array:
    """The images as whole numbers of 8 or 16 bits, the brightest pixel of all at the top."""
    return np.rint(versions * ((2**bits - 1) / float(versions.max()))).astype({8: np.uint8, 16: np.uint16}[bits])


def slice_index(volume: Volume, axis: int) -> int:
    """A slice with much brain in it: a little above the middle of the head in axial slices."""
    low, high = head_extent(rough_head(volume), axis)
    return round(low + PLACE[axis] * (high - 1 - low))


def _check_image(image: Array, axis: int, index: int) -> None:
    low, high = SIDES
    if not all(low <= side <= high for side in image.shape):
        raise InputError(
            f"The {PLANES[axis]} slice {index} has {image.shape[0]} x {image.shape[1]} pixels.",
            f"A ruler's images have {low} to {high} on each side.",
        )
    if float(image.max()) <= 0:
        raise InputError(f"The {PLANES[axis]} slice {index} is empty.", "Choose another: --slice N")
