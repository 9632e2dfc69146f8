# SPDX-License-Identifier: Apache-2.0
"""Sets of versions of clean slices: with more and more noise, and with motion, in the k-space of several coils."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from bidsqa.image import PLANES, head_extent, middle_indices, rough_head, scored_axes
from bidsqa.models.aggregation import thin
from bidsqa.models.noise_motion_inputs import WINDOW
from bidsqa.models.severity_inputs import native_windows
from bidsqa.simulation.coil_motion import ORDERS, draw_moves, move
from bidsqa.simulation.coil_noise import BLANKED_FROM, CoilNoise, bright_part
from bidsqa.simulation.coils import draw_phase, draw_sensitivities, from_kspace, sum_of_squares, to_kspace
from bidsqa.training.pool import Clean

Array = np.ndarray[Any, Any]
FRACTION, SMALLEST_SHARE = 0.8, 0.08
# of sets of noise and of pairs of motion
COILS, MOTION_COILS = (1, 4, 8, 12), (1, 3, 5)
# dB: the noisiest version is drawn, the original's label is fixed, the others lie at equal steps between
LOWEST, ORIGINAL, VERSIONS = (9.0, 15.0), 32.0, 5
BLANK_CHANCE, FRAME_CHANCE, FILLED_CHANCE = 0.5, 0.3, 0.25
# gamma of the contrast, and the smallest share of k-space that is acquired where the rest is filled with zeros
GAMMA, FILLED = 0.3, 0.7
# larger pixels: how often, and half of the fewest of a side
COARSE_CHANCE, COARSEST = 0.2, 56
# reconstruction filters: how often, and the most that the outermost k-space is damped or raised (natural logarithm)
FILTER_CHANCE, DAMPED, RAISED = 0.4, 1.2, 0.5
# stripped scans: how often, depth under the head's edge (pixels), how ragged the edge is, and how fine its waves are
STRIPPED_CHANCE, STRIPPED_DEPTH, RAGGED, RAGGED_PX = 0.2, (3.0, 16.0), (0.5, 4.0), (2.0, 12.0)
HEAD_LEVEL, SMALLEST_HEAD = 0.12, 0.05
# noise below motion, dB
MOTION_NOISE, NOISY_CHANCE = (18.0, 36.0), 0.5


@dataclass(frozen=True)
class Windows:
    """Clean slices at native pixels.

    Parameters
    ----------
    image : ndarray of float16, shape (N, 256, 256)
        Near 1 at the brightest of the head.
    weight : ndarray of float64, shape (N,)
        Chance of each to be drawn; sums to 1.
    about : ndarray of str, shape (N, 4)
        Subject, site, contrast, plane.
    shift : ndarray of float64, shape (N,), optional
        dB by which the labels of each slice's versions are moved; kept in no file.
    """

    image: Array
    weight: Array
    about: Array
    shift: Array | None = None

    def labels(self, row: int, plain: Array) -> Array:
        """The labels of a slice's versions, moved by its shift."""
        return plain if self.shift is None else plain + self.shift[row]


def cut_windows(scans: Iterable[Clean], per_plane: int) -> Windows:
    """Windows of the middle slices of each scan, in each plane worth judging.

    Scans count alike, and those of a site by the root of their number. No window where no scan shows a head.

    Parameters
    ----------
    scans : iterable of Clean
    per_plane : int
        Most slices a plane.
    """
    images, about, names = [], [], []
    for scan in scans:
        head = rough_head(scan.volume)
        for axis in scored_axes(scan.volume):
            indices = thin(middle_indices(head_extent(head, axis), FRACTION), per_plane)
            windows, heads = native_windows(scan.volume, head, axis, indices, WINDOW)
            sides = (size for place, size in enumerate(scan.volume.shape) if place != axis)
            seen = np.prod([min(size, WINDOW) for size in sides])
            windows = np.abs(windows)[heads.sum(axis=(1, 2)) > SMALLEST_SHARE * seen]
            top = float(np.percentile(windows[windows > 0], 99)) if (windows > 0).any() else 0.0
            if top > 0:
                images.append((windows / top).clip(0, 8).astype(np.float16))
                about += [[scan.subject, scan.site, scan.contrast, PLANES[axis]]] * len(windows)
                names += [scan.name] * len(windows)
    if not images:
        return Windows(np.zeros((0, WINDOW, WINDOW), np.float16), np.zeros(0), np.zeros((0, 4), dtype=str))
    told = np.array(about)
    return Windows(np.concatenate(images), _weights(told[:, 1], np.array(names)), told)


def _weights(sites: Array, names: Array) -> Array:
    scans = {name: site for site, name in zip(sites.tolist(), names.tolist(), strict=True)}
    per_site = {site: sum(other == site for other in scans.values()) for site in set(scans.values())}
    slices = {name: int((names == name).sum()) for name in scans}
    raw = [1 / slices[name] / np.sqrt(per_site[scans[name]]) for name in names.tolist()]
    return np.asarray(raw) / np.sum(raw)


def save_windows(windows: Windows, path: Path) -> None:
    """Write them as npz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, image=windows.image, weight=windows.weight, about=windows.about)


def load_windows(path: Path) -> Windows:
    """Inverse of :func:`save_windows`."""
    with np.load(path, allow_pickle=False) as kept:
        return Windows(kept["image"], kept["weight"], kept["about"])


@lru_cache(maxsize=64)
def _sensitivities(coils: int, number: int) -> Array:
    return draw_sensitivities((WINDOW, WINDOW), coils, np.random.default_rng((coils, number)))


def draw_clean(windows: Windows, rng: np.random.Generator, augment: bool = True) -> tuple[Array, Array]:
    """A clean slice and which of its pixels are blanked in every version of it.

    Returns
    -------
    image : ndarray of float32, shape (256, 256)
    blank : ndarray of bool, shape (256, 256)
    """
    return varied(windows.image[draw_row(windows, rng)], rng, augment)


def draw_row(windows: Windows, rng: np.random.Generator) -> int:
    """The number of a slice, by the slices' weights."""
    return int(rng.choice(len(windows.image), p=windows.weight))


def varied(clean: Array, rng: np.random.Generator, augment: bool = True) -> tuple[Array, Array]:
    """As :func:`draw_clean`, of a slice that was chosen."""
    image = clean.astype(np.float32)
    if augment:
        image = np.rot90(image, int(rng.integers(4)))
        image = image[::-1] if rng.random() < 0.5 else image
        image = image ** np.float32(np.exp(rng.uniform(-GAMMA, GAMMA)))
        if rng.random() < COARSE_CHANCE:
            image = _coarser(image, int(rng.integers(COARSEST, WINDOW // 2)) * 2)
        if rng.random() < FILTER_CHANCE:
            image = refiltered(image, rng)
    if augment and rng.random() < STRIPPED_CHANCE:
        kept = stripped(image, rng)
        # motion of the whole head, then the mask; or of what is left, as where a stripped scan is spoiled
        return np.ascontiguousarray(image * kept if rng.random() < 0.5 else image), ~kept
    zero = image == 0
    blank = np.zeros_like(zero)
    if zero.mean() > BLANKED_FROM and rng.random() < BLANK_CHANCE:
        blank = zero
    elif augment and rng.random() < FRAME_CHANCE:
        blank = _outside_frame(~zero, rng)
    return np.ascontiguousarray(image), blank


def _coarser(image: Array, size: int) -> Array:
    """The same slice on fewer, larger pixels (by the middle of its k-space), in the middle of the window."""
    low, high = (WINDOW - size) // 2, (WINDOW + size) // 2
    small = np.abs(from_kspace(to_kspace(image)[low:high, low:high])) * np.float32(size / WINDOW)
    # where the air was blanked it stays so
    lit = image[_nearest(size)][:, _nearest(size)] > 0
    result = np.zeros_like(image)
    result[low:high, low:high] = small * lit
    return result


def refiltered(image: Array, rng: np.random.Generator) -> Array:
    """The slice as another site's reconstruction would smooth or sharpen it: k-space times exp(a r^2), air kept.

    Parameters
    ----------
    image : ndarray of float32, shape (256, 256)
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of float32, shape (256, 256)
    """
    radius = np.linspace(-1, 1, WINDOW, dtype=np.float32) ** 2
    gain = np.exp(np.float32(rng.uniform(-DAMPED, RAISED)) * (radius[:, None] + radius[None, :]) / 2)
    filtered = np.abs(from_kspace(to_kspace(image) * gain)) * (image > 0)
    return np.asarray(filtered, dtype=np.float32)


def stripped(image: Array, rng: np.random.Generator) -> Array:
    """What a rough brain extraction leaves of a slice: what lies deep enough under the head's edge, which is ragged.

    Its cut edge is sharp in slices with and without motion alike.

    Parameters
    ----------
    image : ndarray of float32, shape (256, 256)
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of bool, shape (256, 256)
        All of it where nothing would be left.
    """
    from scipy import ndimage

    head = ndimage.binary_fill_holes(image > HEAD_LEVEL)
    waves = ndimage.gaussian_filter(rng.standard_normal(image.shape, dtype=np.float32), float(rng.uniform(*RAGGED_PX)))
    edge = float(rng.uniform(*STRIPPED_DEPTH)) + float(rng.uniform(*RAGGED)) * waves / max(float(waves.std()), 1e-9)
    kept = ndimage.distance_transform_edt(head) > edge
    return np.asarray(kept if kept.mean() > SMALLEST_HEAD else np.ones_like(kept))


def _nearest(size: int) -> Array:
    return np.minimum((np.arange(size) + 0.5) * WINDOW / size, WINDOW - 1).astype(int)


def _outside_frame(lit: Array, rng: np.random.Generator) -> Array:
    """What lies outside a random frame around what is lit: a smaller field of view, padded."""
    frame = np.ones_like(lit)
    for axis in (0, 1):
        touched = np.flatnonzero(lit.any(axis=1 - axis))
        if touched.size:
            low = int(rng.integers(0, touched[0] + 1))
            high = int(rng.integers(touched[-1] + 1, lit.shape[axis] + 1))
            outside = np.ones(lit.shape[axis], dtype=bool)
            outside[low:high] = False
            frame &= ~(outside[:, None] if axis == 0 else outside[None, :])
    return ~frame


def seen_by_coils(image: Array, rng: np.random.Generator, counts: Sequence[int] = COILS) -> tuple[Array, Array]:
    """k-space of an image by synthetic coils, as many as one of the counts, and phase; and their sensitivities."""
    coils = int(rng.choice(counts))
    maps = _sensitivities(coils, int(rng.integers(4)))
    phase = draw_phase((WINDOW, WINDOW), rng)
    return to_kspace(maps * (image * np.exp(1j * phase))), maps


def _support(rng: np.random.Generator) -> Array | None:
    """Now and then an acquired part of k-space smaller than the image's grid, as scanners that interpolate have."""
    if rng.random() >= FILLED_CHANCE:
        return None
    lines = [np.abs(np.linspace(-1, 1, WINDOW)) <= float(rng.uniform(FILLED, 1)) for _ in range(2)]
    return lines[0][:, None] & lines[1][None, :]


def numbered_noise_set(windows: Windows, rng: np.random.Generator) -> tuple[Array, Array, int]:
    """As :func:`noise_set`, and the number of the slice."""
    levels = np.linspace(float(rng.uniform(*LOWEST)), ORIGINAL, VERSIONS)
    row = draw_row(windows, rng)
    return versions_at(varied(windows.image[row], rng), levels[:-1], rng), levels, row


def noise_set(windows: Windows, rng: np.random.Generator) -> tuple[Array, Array]:
    """Five versions of a slice, the noisiest first, the original last, and the bright part that their levels are about.

    Returns
    -------
    versions : ndarray of float32, shape (5, 256, 256)
    levels : ndarray, shape (5,)
        dB by Equation 1 over the bright part; the original's goes on in a line.
    """
    versions, levels, _ = numbered_noise_set(windows, rng)
    return versions, levels


def versions_at(clean: tuple[Array, Array], levels: Array, rng: np.random.Generator, filled: bool = True) -> Array:
    """A slice with noise at some levels, and itself as the last.

    Parameters
    ----------
    clean : tuple of ndarray
        Image and blanked pixels, from :func:`draw_clean`.
    levels : ndarray
        dB over the bright part.
    rng : numpy.random.Generator
    filled : bool
        Now and then fill the outer k-space with zeros.
    """
    image, blank = clean
    region = bright_part(image)
    noise = CoilNoise(seen_by_coils(image, rng)[0], rng, _support(rng) if filled else None)
    versions = np.stack([*(noise.at(noise.sigma_of(float(level), region)) for level in levels), noise.clean])
    versions[:, blank] = 0
    return versions


def motion_pair(
    windows: Windows, rng: np.random.Generator, augment: bool = True, largest: float = 1.0
) -> tuple[Array, Array]:
    """A slice without and with motion, both (256, 256), now and then under the same noise.

    Parameters
    ----------
    windows : Windows
    rng : numpy.random.Generator
    augment : bool
        As for :func:`draw_clean`.
    largest : float
        Half of the pairs have moves of 1 to so many times the paper's size, the others those of the paper.
    """
    image, blank = draw_clean(windows, rng, augment)
    kspace, maps = seen_by_coils(image, rng, MOTION_COILS)
    support = _support(rng) if augment else None
    if support is not None:
        kspace = kspace * support
    size = float(rng.uniform(1, largest)) if largest > 1 and rng.random() < 0.5 else 1.0
    moved = move(kspace, draw_moves(rng, size), ORDERS[int(rng.integers(len(ORDERS)))], int(rng.integers(2)), maps)
    if support is not None:
        # both ring at the end of k-space, so that ringing isn't taken for motion
        moved = moved * support
    seed, level = int(rng.integers(2**31)), float(rng.uniform(*MOTION_NOISE))
    pair = [sum_of_squares(from_kspace(kspace)), sum_of_squares(from_kspace(moved))]
    if rng.random() < NOISY_CHANCE:
        first, second = (CoilNoise(part, np.random.default_rng(seed), support) for part in (kspace, moved))
        sigma = first.sigma_of(level, bright_part(image))
        pair = [first.at(sigma), second.at(sigma)]
    for version in pair:
        version[blank] = 0
    return pair[0], pair[1]
