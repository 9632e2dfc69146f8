# SPDX-License-Identifier: Apache-2.0
"""Level-set fields of the head phantom: a coarse canvas to draw shapes on, noise, and smooth upsampling.

Every surface of the phantom is the zero level of a field in mm (negative inside). Fields are drawn on a 2 mm canvas
that is the same for every voxel size, and interpolated to the scan's grid by cubic convolution (Keys 1981,
doi 10.1109/TASSP.1981.1163711, Eq. 15); so one seed is one head, whatever the voxels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import fft, ndimage

Field = np.ndarray[Any, np.dtype[np.float32]]
Point = tuple[float, float, float]
Box = tuple[slice, slice, slice]

CANVAS_MM = 2.0
FAR_MM = 40.0
MARGIN_MM = 14.0
BLOCK_ROWS = 32


def soft_union(first: Field, second: Field, radius: float) -> Field:
    """Union of two level sets with a fillet of about ``radius`` mm (polynomial smooth minimum)."""
    overlap = first - second
    np.abs(overlap, out=overlap)
    np.subtract(np.float32(radius), overlap, out=overlap)
    np.maximum(overlap, 0, out=overlap)
    overlap *= overlap
    overlap *= np.float32(-0.25 / radius)
    overlap += np.minimum(first, second)
    return np.asarray(overlap, dtype=np.float32)


def soft_intersection(first: Field, second: Field, radius: float) -> Field:
    """Intersection of two level sets with a rounded edge of about ``radius`` mm."""
    return -soft_union(-first, -second, radius)


@dataclass(frozen=True)
class Canvas:
    """The 2 mm grid in world coordinates, with the head's own (warped) coordinates at each point.

    Parameters
    ----------
    origin : ndarray, shape (3,)
        World coordinates of the first point, mm.
    x, y, z : ndarray of float32, shape (A, B, C)
        Head coordinates, mm: right, anterior and superior of a point about the middle of the brain.
    """

    origin: np.ndarray[Any, np.dtype[np.float64]]
    x: Field
    y: Field
    z: Field

    @property
    def shape(self) -> tuple[int, int, int]:
        """Points along each axis."""
        return (self.x.shape[0], self.x.shape[1], self.x.shape[2])

    def blank(self) -> Field:
        """A field with nothing drawn on it yet."""
        return np.full(self.shape, FAR_MM, dtype=np.float32)

    def box(self, low: Point, high: Point, margin: float = MARGIN_MM) -> Box:
        """Part of the canvas that surely holds the given range of head coordinates."""
        parts = []
        for axis in range(3):
            start = int(np.floor((low[axis] - margin - self.origin[axis]) / CANVAS_MM))
            stop = int(np.ceil((high[axis] + margin - self.origin[axis]) / CANVAS_MM)) + 1
            parts.append(slice(max(start, 0), max(min(stop, self.shape[axis]), 0)))
        return (parts[0], parts[1], parts[2])

    def _draw(
        self, field: Field, low: list[float], high: list[float], shape: Callable[..., Field], blend: float, paired: bool
    ) -> None:
        for side in (1.0, -1.0) if paired else (1.0,):
            ends = sorted((side * low[0], side * high[0]))
            box = self.box((ends[0], low[1], low[2]), (ends[1], high[1], high[2]))
            drawn = shape(np.float32(side) * self.x[box], self.y[box], self.z[box])
            field[box] = soft_union(field[box], drawn, blend) if blend > 0 else np.minimum(field[box], drawn)

    def ellipsoid(self, field: Field, centre: Point, radii: Point, blend: float = 0.0, paired: bool = False) -> None:
        """Add an ellipsoid to a field (in place), with a fillet of ``blend`` mm; ``paired`` adds its mirror image."""
        u0, v0, w0 = (np.float32(part) for part in centre)
        a, b, c = (np.float32(part) for part in radii)

        def shape(x: Field, y: Field, z: Field) -> Field:
            u, v, w = (x - u0) / a, (y - v0) / b, (z - w0) / c
            reach = np.sqrt(u * u + v * v + w * w)
            slope = np.sqrt((u / a) ** 2 + (v / b) ** 2 + (w / c) ** 2)
            return np.asarray(reach * (reach - np.float32(1.0)) / np.maximum(slope, np.float32(1e-3)))

        low = [middle - radius for middle, radius in zip(centre, radii, strict=True)]
        high = [middle + radius for middle, radius in zip(centre, radii, strict=True)]
        self._draw(field, low, high, shape, blend, paired)

    def tube(
        self,
        field: Field,
        points: list[Point],
        radii: list[float],
        blend: float = 0.0,
        paired: bool = False,
        flat: float = 1.0,
    ) -> None:
        """Add a tube along a polyline (in place), its radius given at each point.

        ``flat`` makes the tube that many times thinner from left to right (below 1: wider).
        """
        for first, second, start, stop in zip(points[:-1], points[1:], radii[:-1], radii[1:], strict=True):
            ends = np.array([first, second], dtype=np.float64)
            widest = max(start, stop) * np.array([1.0 / flat, 1.0, 1.0])
            low, high = ends.min(axis=0) - widest, ends.max(axis=0) + widest
            self._draw(field, low.tolist(), high.tolist(), _segment(ends, start, stop, flat), blend, paired)


def _segment(ends: np.ndarray[Any, Any], start: float, stop: float, flat: float) -> Callable[..., Field]:
    first = ends[0].astype(np.float32)
    step = ((ends[1] - ends[0]) * np.array([flat, 1.0, 1.0])).astype(np.float32)
    length = np.float32(step @ step)
    radius, growth, squeeze = np.float32(start), np.float32(stop - start), np.float32(flat)

    def shape(x: Field, y: Field, z: Field) -> Field:
        u, v, w = (x - first[0]) * squeeze, y - first[1], z - first[2]
        along = np.clip((u * step[0] + v * step[1] + w * step[2]) / length, 0, 1)
        distance = (u - along * step[0]) ** 2 + (v - along * step[1]) ** 2 + (w - along * step[2]) ** 2
        return np.asarray(np.sqrt(distance) - (radius + growth * along))

    return shape


def band_noise(
    generator: np.random.Generator, shape: tuple[int, int, int], wavelength: float, width: float = 0.25
) -> Field:
    """Gaussian random field whose waves are about ``wavelength`` mm long, mean 0 and standard deviation 1.

    Parameters
    ----------
    generator : numpy Generator
    shape : tuple of int
        Points of the canvas.
    wavelength : float
        In mm, at least 14 (the field is made on every other point and interpolated).
    width : float
        Relative width of the band of spatial frequencies (standard deviation over centre).
    """
    knots = [size // 2 + 3 for size in shape]
    padded = [fft.next_fast_len(count + 4, real=True) for count in knots]
    spectrum = fft.rfftn(generator.standard_normal(padded, dtype=np.float32))
    rates = [np.fft.fftfreq(size, 2 * CANVAS_MM).astype(np.float32) for size in padded[:2]]
    last = np.fft.rfftfreq(padded[2], 2 * CANVAS_MM).astype(np.float32)
    rate = np.sqrt(rates[0][:, None, None] ** 2 + rates[1][None, :, None] ** 2 + last[None, None, :] ** 2)
    spectrum *= np.exp(-0.5 * ((rate * wavelength - 1.0) / width) ** 2)
    noise = fft.irfftn(spectrum, s=padded)[tuple(slice(0, count) for count in knots)]
    noise = np.asarray(noise / noise.std(), dtype=np.float32)
    return _spread(noise, [1.0 + 0.5 * np.arange(size) for size in shape])


def _spread(knots: Field, positions: list[np.ndarray[Any, Any]]) -> Field:
    """Values between the knots, at fractional positions along each axis."""
    weights = [cubic_weights(places, count) for places, count in zip(positions, knots.shape, strict=True)]
    return weighted_sums(knots, weights)


def smooth_noise(
    generator: np.random.Generator,
    shape: tuple[int, int, int],
    scale: float,
    stretch: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> Field:
    """Smooth random field, mean 0 and standard deviation about 1.

    It changes over about ``scale`` mm, times ``stretch`` along each axis.
    """
    knots = [
        max(4, int(np.ceil(size * CANVAS_MM / (scale * factor))) + 3)
        for size, factor in zip(shape, stretch, strict=True)
    ]
    noise = generator.standard_normal(knots, dtype=np.float32) / np.float32(0.55)
    return _spread(
        noise,
        [1.0 + np.arange(size) * CANVAS_MM / (scale * factor) for size, factor in zip(shape, stretch, strict=True)],
    )


def cubic_weights(positions: np.ndarray[Any, Any], count: int) -> Field:
    """Matrix that interpolates ``count`` samples at fractional positions by cubic convolution (edges repeat).

    Returns
    -------
    ndarray of float32, shape (len(positions), count)
        Rows sum to 1.
    """
    base = np.floor(positions).astype(int)
    part = positions - base
    kernel = (
        ((-0.5 * part + 1.0) * part - 0.5) * part,
        (1.5 * part - 2.5) * part * part + 1.0,
        ((-1.5 * part + 2.0) * part + 0.5) * part,
        (0.5 * part - 0.5) * part * part,
    )
    weights = np.zeros((len(positions), count), dtype=np.float32)
    rows = np.arange(len(positions))
    for offset, values in zip((-1, 0, 1, 2), kernel, strict=True):
        np.add.at(weights, (rows, np.clip(base + offset, 0, count - 1)), values.astype(np.float32))
    return weights


def weighted_sums(values: Field, weights: Sequence[Field]) -> Field:
    """Interpolate along all three axes, one after the other.

    Parameters
    ----------
    values : ndarray of float32, shape (A, B, C)
    weights : sequence of three ndarrays of float32, shapes (X, A), (Y, B), (Z, C)
        From :func:`cubic_weights`.

    Returns
    -------
    ndarray of float32, shape (X, Y, Z)

    Notes
    -----
    A block of rows needs only the few samples that its weights reach. Blocks are also too small for BLAS to share one
    among threads: for such small products threads wait for each other longer than they calculate.
    """
    for axis, matrix in enumerate(weights):
        shape = (*values.shape[:axis], len(matrix), *values.shape[axis + 1 :])
        summed = np.empty(shape, dtype=np.float32)
        # the axis comes to the rows of a stack of matrices; the last one stays, to be multiplied from the right
        source, target = (part.swapaxes(0, 1) if axis == 0 else part for part in (values, summed))
        for start in range(0, len(matrix), BLOCK_ROWS):
            block = matrix[start : start + BLOCK_ROWS]
            used = np.flatnonzero(block.any(axis=0))
            reach, part = slice(used[0], used[-1] + 1), slice(start, start + len(block))
            if axis == 2:
                np.matmul(source[..., reach], block[:, reach].T, out=target[..., part])
            else:
                np.matmul(block[:, reach], source[:, reach], out=target[:, part])
        values = summed
    return values


def sample_at(field: Field, canvas: Canvas, x: Field, y: Field, z: Field) -> Field:
    """Values of a canvas field at arbitrary world points, linearly interpolated."""
    points = np.stack([(part - start) / CANVAS_MM for part, start in zip((x, y, z), canvas.origin, strict=True)])
    return np.asarray(ndimage.map_coordinates(field, points, order=1, mode="nearest"), dtype=np.float32)


def gradient_length(field: Field) -> tuple[list[Field], Field]:
    """Gradient per mm along the three axes and its length."""
    parts = [np.asarray(part, dtype=np.float32) for part in np.gradient(field, CANVAS_MM)]
    return parts, np.sqrt(parts[0] ** 2 + parts[1] ** 2 + parts[2] ** 2)


@dataclass(frozen=True)
class Upsampler:
    """Cubic interpolation of canvas fields at the points of a scan's grid, box by box.

    Parameters
    ----------
    axes : tuple of ndarray
        World coordinates of the grid's planes along each axis, mm, ascending.
    origin : ndarray, shape (3,)
        World coordinates of the canvas' first point.
    shape : tuple of int
        Points of the canvas.
    """

    axes: tuple[np.ndarray[Any, Any], ...]
    origin: np.ndarray[Any, np.dtype[np.float64]]
    shape: tuple[int, int, int]
    weights: tuple[Field, ...]

    @classmethod
    def between(cls, canvas: Canvas, axes: tuple[np.ndarray[Any, Any], ...]) -> Upsampler:
        """The interpolation from a canvas to a grid."""
        weights = tuple(
            cubic_weights((axis - start) / CANVAS_MM, size)
            for axis, start, size in zip(axes, canvas.origin, canvas.shape, strict=True)
        )
        return cls(axes=axes, origin=canvas.origin, shape=canvas.shape, weights=weights)

    def window(self, axis: int, part: slice) -> slice:
        """Canvas planes that the grid planes ``part`` depend on."""
        used = np.flatnonzero(self.weights[axis][part].any(axis=0))
        return slice(int(used[0]), int(used[-1]) + 1)

    def box_below(self, field: Field, rows: slice, reach: float) -> Box | None:
        """Smallest box of the grid, in the given rows of the first axis, where the field can be below ``reach``."""
        window = self.window(0, rows)
        low = np.any(field[window] < reach, axis=0)
        if not np.any(low):
            return None
        parts = [rows]
        for axis in (1, 2):
            touched = np.flatnonzero(np.any(low, axis=2 - axis))
            first = self.origin[axis] + (touched[0] - 1) * CANVAS_MM
            last = self.origin[axis] + (touched[-1] + 1) * CANVAS_MM
            grid = self.axes[axis]
            parts.append(slice(int(np.searchsorted(grid, first)), int(np.searchsorted(grid, last, side="right"))))
        if any(part.stop <= part.start for part in parts):
            return None
        return (parts[0], parts[1], parts[2])

    def interpolate(self, field: Field, box: Box) -> Field:
        """The field at the grid points of a box, shape of the box."""
        windows = [self.window(axis, part) for axis, part in enumerate(box)]
        weights = [self.weights[axis][part, windows[axis]] for axis, part in enumerate(box)]
        return weighted_sums(field[windows[0], windows[1], windows[2]], weights)
