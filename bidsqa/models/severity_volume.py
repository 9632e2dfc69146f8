# SPDX-License-Identifier: Apache-2.0
"""What the severity score reads from the whole head without training: its field and the echoes that ghosts leave."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from bidsqa.image import Volume, head_extent, middle_indices
from bidsqa.models.aggregation import thin

Array = np.ndarray[Any, Any]
GRID = 16
POWER = 4
CEILING = 6.0
ECHO_SLICES = 8
SMALLEST_SIDE = 64
LARGEST_DIVISOR = 11
REACH = 8
SILENCE = 4.0
CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))
# a fall of the log power within a few lines that no tissue makes: the edge of what was measured
CLIFF = 1.5
CLIFF_WIDTH = 3


def ghost_echo(volume: Volume, head: Array) -> tuple[float, float]:
    """Strength of the strongest echo along an image axis: a ghost repeats the head at a fixed distance.

    An image plus its shifted copy has a power spectrum with a ripple, so that the inverse transform of the log
    spectrum (the cepstrum; Bogert, Healy and Tukey 1963) has a peak at the shift whatever the image is. The log spectra
    of a plane's slices are averaged: the ghost's shift is the same in all, the anatomy isn't. Peaks count on the two
    image axes only, from 1/11 of the side on, above what lies beside the axis.

    Parameters
    ----------
    volume : Volume
        With its whole field of view: a cropped scan loses echoes.
    head : ndarray of bool, shape (X, Y, Z)

    Returns
    -------
    amplitude : float
        Root of the summed squares of the cepstrum's excess over four standard deviations; 0 and more.
    error : float
        Half the difference between the amplitudes of every other slice and of the rest.
    """
    if not head.any():
        return 0.0, 0.0
    level = float(np.abs(volume.data[head][::7]).mean())
    amplitude, error = 0.0, 0.0
    for axis in range(3):
        sides = [size for place, size in enumerate(volume.shape) if place != axis]
        if max(sides) < SMALLEST_SIDE or level <= 0:
            continue
        chosen = thin(middle_indices(head_extent(head, axis), 0.7), ECHO_SLICES)
        power = np.abs(np.fft.fft2(np.moveaxis(volume.data, axis, 0)[chosen] / level)) ** 2
        whole, first, second = (
            _mean_cepstrum(part) for part in (power, power[::2], power[1::2] if len(power) > 1 else power)
        )
        for turned in (False, True):
            lines, *halves = ((part.T if turned else part) for part in (whole, first, second))
            if lines.shape[0] >= SMALLEST_SIDE:
                found = _line_excess(lines)
                if found > amplitude:
                    amplitude = found
                    error = 0.5 * abs(_line_excess(halves[0]) - _line_excess(halves[1]))
    return amplitude, error


def grain(windows: Array, heads: Array) -> tuple[float, float]:
    """Noise of the pixels relative to the head's brightness.

    The diagonal differences (x00 - x01 - x10 + x11) / 2 of 2 x 2 pixels have the noise's standard deviation and see
    little of edges; their median absolute value sees still less (Donoho 1995, doi 10.1109/18.382009).

    Parameters
    ----------
    windows : ndarray of float32, shape (N, H, W)
        Slices in units of their head's mean, native pixels.
    heads : ndarray of bool, shape (N, H, W)

    Returns
    -------
    deviation : float
        Standard deviation over the head's mean; 0 and more. Interpolated scans show less than they have.
    error : float
        Its standard error from the spread over the slices.
    """
    quads = [(slice(None), slice(row, row - 1 or None), slice(column, column - 1 or None)) for row, column in CORNERS]
    corners = [windows[quad] for quad in quads]
    inside = np.logical_and.reduce([heads[quad] for quad in quads])
    # blanked air inside the rough mask is flat whatever the noise was
    inside &= np.minimum.reduce(corners) > 0
    if inside.sum() < 100:
        return 0.0, 0.0
    size = 1.4826 * 0.5 * np.abs(corners[0] - corners[1] - corners[2] + corners[3])
    by_slice = [float(np.median(part[mask])) for part, mask in zip(size, inside, strict=True) if mask.sum() >= 100]
    spread = float(np.std(by_slice, ddof=1)) / len(by_slice) ** 0.5 if len(by_slice) > 1 else 0.0
    return float(np.median(size[inside])), spread


def _mean_cepstrum(power: Array) -> Array:
    """Cepstrum from the power spectra of slices (N, H, W): of the mean of their logarithms; zero lag at index (0, 0).

    Scanners fill k-space with zeros to interpolate; the edge of what was measured would ring like an echo, so that only
    the measured rectangle is transformed.
    """
    mean_log = np.log(power + 1e-3 * np.median(power) + 1e-20).mean(axis=0)
    plain = np.log(power + 1e-20).mean(axis=0)
    for axis in (0, 1):
        kept = _measured(np.median(plain, axis=1 - axis))
        size = mean_log.shape[axis]
        if kept < size // 2:
            lines = np.concatenate([np.arange(kept), np.arange(size - kept + 1, size)])
            mean_log = np.take(mean_log, lines, axis=axis)
    return np.asarray(np.fft.ifft2(mean_log).real)


def _measured(profile: Array) -> int:
    """Lines from the centre of k-space to where it was filled with zeros; half of all where it wasn't.

    Parameters
    ----------
    profile : ndarray, shape (N,)
        Median log power of each line, FFT order.
    """
    half = len(profile) // 2
    line = 0.5 * (profile[1 : half + 1] + profile[-1 : -half - 1 : -1])
    first = max(CLIFF_WIDTH, int(0.3 * half))
    places = np.arange(first, half - CLIFF_WIDTH)
    if places.size == 0:
        return half
    drops = np.array([line[k - CLIFF_WIDTH : k].mean() - line[k + 1 : k + 1 + CLIFF_WIDTH].mean() for k in places])
    best = int(np.argmax(drops))
    return int(places[best]) - 1 if drops[best] > CLIFF else half


def _line_excess(cepstrum: Array) -> float:
    """Excess of column 0 (lags along the first axis) over the columns beside it: root of the summed squares."""
    size = cepstrum.shape[0]
    lags = np.arange(max(2, size // LARGEST_DIVISOR), size // 2 + 1)
    beside = [
        column for column in range(-REACH, REACH + 1) if abs(column) >= 2 and abs(column) < cepstrum.shape[1] // 2
    ]
    around = cepstrum[lags][:, beside]
    centre = np.median(around, axis=1)
    spread = 1.4826 * float(np.median(np.abs(around - centre[:, None])))
    if spread <= 0:
        return 0.0
    excess = np.abs(cepstrum[lags, 0] - centre)
    # a smooth point spread decays slowly along the axes; an echo is a lone peak
    excess = excess - ndimage.median_filter(excess, 9, mode="mirror")
    loud = np.maximum(excess - SILENCE * spread, 0)
    return float(np.sqrt((loud**2).sum()))


def field_range(volume: Volume, head: Array) -> tuple[float, float]:
    """How uneven the head's brightness is on a large scale, untrained: p98 - p2 of a fitted log field.

    The head's box is divided in 16 x 16 x 16 cells; the fourth-power mean of each cell follows its brightest tissue;
    its logarithm is fitted by a second-order polynomial with weights that lessen outliers.

    Returns
    -------
    spread : float
        0 and more; about 0.7 for a field that doubles the brightness across the head. 0 where the head is too small.
    error : float
        Half the difference between the fits of two halves of the cells (a checkerboard).
    """
    boxes = [np.flatnonzero(head.any(axis=tuple(other for other in range(3) if other != axis))) for axis in range(3)]
    if any(box.size < 2 for box in boxes):
        return 0.0, 0.0
    strides = [max(1, box.size // 96) for box in boxes]
    cut = tuple(slice(int(box[0]), int(box[-1]) + 1, step) for box, step in zip(boxes, strides, strict=True))
    data, mask = np.abs(volume.data[cut]).astype(np.float64), head[cut]
    level = float(data[mask].mean())
    if level <= 0:
        return 0.0, 0.0
    cells = [np.minimum(np.arange(size) * GRID // size, GRID - 1) for size in data.shape]
    number = (cells[0][:, None, None] * GRID + cells[1][None, :, None]) * GRID + cells[2][None, None, :]
    inside = number[mask]
    counts = np.bincount(inside, minlength=GRID**3)
    totals = np.bincount(number.ravel(), minlength=GRID**3)
    powers = np.bincount(inside, weights=(np.minimum(data[mask] / level, CEILING)) ** POWER, minlength=GRID**3)
    kept = np.flatnonzero((counts >= 4) & (counts > 0.5 * totals) & (powers > 1e-6 * counts))
    if kept.size < 60:
        return 0.0, 0.0
    values = np.log(powers[kept] / counts[kept]) / POWER
    place = (np.column_stack([kept // GRID**2, kept // GRID % GRID, kept % GRID]) + 0.5) * 2 / GRID - 1
    terms = np.column_stack(
        [
            np.ones(kept.size),
            place,
            place**2,
            place[:, 0] * place[:, 1],
            place[:, 0] * place[:, 2],
            place[:, 1] * place[:, 2],
        ]
    )
    colour = (kept // GRID**2 + kept // GRID + kept) % 2 == 0
    halves = [_fitted_range(terms[part], values[part], terms) for part in (colour, ~colour)]
    return _fitted_range(terms, values, terms), 0.5 * abs(halves[0] - halves[1])


def _fitted_range(terms: Array, values: Array, everywhere: Array) -> float:
    """p98 - p2, over ``everywhere``, of a least-squares fit that is re-weighted six times with Cauchy weights."""
    weight = np.ones(len(values))
    solution = np.zeros(terms.shape[1])
    for _ in range(6):
        root = np.sqrt(weight)[:, None]
        solution = np.linalg.lstsq(terms * root, values * root[:, 0], rcond=None)[0]
        residual = values - terms @ solution
        scale = max(1.4826 * float(np.median(np.abs(residual))), 1e-4)
        weight = 1 / (1 + (residual / (2 * scale)) ** 2)
    low, high = np.percentile(everywhere @ solution, (2, 98))
    return float(high - low)
