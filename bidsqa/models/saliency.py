# SPDX-License-Identifier: Apache-2.0
"""Where in a slice a learned score comes from: coarse maps of the worst slices, on the scale of the score.

The SSIM network estimates its score block by block anyway; neighbouring blocks are smoothed a little. The severity
network pools its features over the head; with soft windows in place of the head it reads each part by itself, the
features being computed once. What a part reads by itself is not on the scale that was made for whole slices, so that
the parts share the slice's severity in proportion to their readings. Both maps thus have about the slice's score as
their mean over the head.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from bidsqa.errors import WeightsError
from bidsqa.image import PLANES, Volume, take_slice
from bidsqa.models import severity_inputs, ssim_inputs
from bidsqa.models.loading import Network
from bidsqa.models.local_map import LocalMap
from bidsqa.models.score import Score
from bidsqa.models.severity_scale import Scale, slice_readings
from bidsqa.models.table import SCORES
from bidsqa.models.windows import window_place

Array = np.ndarray[Any, Any]
MAPS = 3
APART = 10
INSIDE = 0.5
# soft windows: their SD over the root of the head's area (and in pixels at least and at most), their distance over the
# SD, and how much of one must lie in the head
WINDOW_SD, SMALLEST_SD, LARGEST_SD, DISTANCE, COVERED = 0.125, 8.0, 20.0, 0.8, 0.8
FEWEST_WINDOWS = 6


def worst_places(name: str, score: Score) -> list[tuple[int, list[int], list[float]]]:
    """The slices to map: the worst of each plane, or where one plane alone was scored its three worst.

    Parameters
    ----------
    name : str
        The model, for the direction of its score.
    score : Score

    Returns
    -------
    list of (axis, indices, values)
        The acquisition plane first; in a plane the worst first, none nearer to another than a tenth of what was scored.
    """
    sign = -1.0 if SCORES[name].direction.startswith("lower") else 1.0
    places = []
    for part in score.slices:
        apart = max((max(part.index) - min(part.index)) // APART, 1)
        chosen: list[tuple[int, float]] = []
        ranked = sorted((sign * value, index, value) for value, index in zip(part.value, part.index, strict=True))
        for _, index, value in ranked:
            if len(chosen) < max(MAPS // len(score.slices), 1) and all(abs(index - at) >= apart for at, _ in chosen):
                chosen.append((index, value))
        places.append((PLANES.index(part.plane), [index for index, _ in chosen], [value for _, value in chosen]))
    return places


def ssim_maps(network: Network, volume: Volume, head: Array, score: Score) -> tuple[LocalMap, ...]:
    """Predicted local SSIM of the worst slices, in blocks of 8 x 8 mm, smoothed over the neighbouring ones.

    Parameters
    ----------
    network : Network
        Without a second output, the map, there are none.
    volume : Volume
    head : ndarray of bool, shape (X, Y, Z)
        As the score was given.
    score : Score
        Of the volume.
    """
    maps: list[LocalMap] = []
    for axis, indices, values in worst_places(network.model.name, score):
        slices, shares = ssim_inputs.prepare(volume, head, axis, np.array(indices))
        outputs = network.run({"slices": slices, "head": shares})
        if len(outputs) < 2 or np.shape(outputs[1]) != shares.shape:
            return ()
        start, pixel = window_place(head, volume.spacing, axis, ssim_inputs.WINDOW, ssim_inputs.PIXEL_MM)
        step = (ssim_inputs.BLOCK * pixel[0], ssim_inputs.BLOCK * pixel[1])
        for index, value, local, share in zip(indices, values, outputs[1][:, 0], shares[:, 0], strict=True):
            inside = share >= INSIDE
            if inside.any():
                grid = np.where(inside, _smoothed(np.clip(local, 0, 1), share), np.nan).astype(np.float16)
                maps.append(LocalMap(network.model.name, axis, index, value, grid, start, step))
    return tuple(maps)


def _smoothed(local: Array, share: Array) -> Array:
    """Mean of each block and its neighbours, weights 1 2 1 both ways times their share of head: single blocks err."""
    kernel = np.outer([1.0, 2.0, 1.0], [1.0, 2.0, 1.0])
    total, weight = (ndimage.convolve(values, kernel, mode="constant") for values in (local * share, share))
    smooth: Array = total / np.maximum(weight, 1e-6)
    return smooth


def severity_maps(network: Network, scale: Scale, volume: Volume, head: Array, score: Score) -> tuple[LocalMap, ...]:
    """The severity of the worst slices, parted among soft windows of about a sixth of the head's width.

    Parameters
    ----------
    network : Network
        Without the input ``head`` there are none.
    scale : Scale
        Of the readings.
    volume : Volume
    head : ndarray of bool, shape (X, Y, Z)
        As the score was given.
    score : Score
        Of the volume.
    """
    if not {"image", "head", "scalars"} <= set(network.inputs):
        return ()
    maps: list[LocalMap] = []
    for axis, indices, values in worst_places(network.model.name, score):
        outline = take_slice(np.any(head, axis=axis, keepdims=True), axis, 0)
        middle = severity_inputs.window_middle(outline, severity_inputs.WINDOW)
        corner = [round(at - (severity_inputs.WINDOW - 1) / 2) for at in middle]
        inputs = severity_inputs.network_inputs(volume, head, axis, np.array(indices))
        for place, (index, value) in enumerate(zip(indices, values, strict=True)):
            image, mask, scalars = (inputs[name][place : place + 1] for name in ("image", "head", "scalars"))
            centres, step, windows, share = soft_windows(mask[0, 0])
            kept = np.flatnonzero(_kept(share))
            if kept.size == 0:
                continue
            readings = slice_readings(_windowed(network, image, windows[kept] * mask[0, 0], scalars))
            parts = scale.uncompressed(readings)
            mean = float((parts * share[kept]).sum() / share[kept].sum())
            grid = np.full(len(share), np.nan)
            grid[kept] = value * parts / mean if mean > 0 else value
            start = (corner[0] + centres[0] + 0.5 - 0.5 * step, corner[1] + centres[0] + 0.5 - 0.5 * step)
            shaped = grid.reshape(len(centres), -1).astype(np.float16)
            maps.append(LocalMap(network.model.name, axis, index, value, shaped, start, (step, step)))
    return tuple(maps)


def soft_windows(head: Array) -> tuple[Array, float, Array, Array]:
    """Gaussian windows on a square grid over a slice, as wide as the head's size wants them.

    Parameters
    ----------
    head : ndarray of float32, shape (N, N)
        Head mask of the slice, 0-1.

    Returns
    -------
    centres : ndarray, shape (G,)
        Rows, and columns, of the windows' middles in pixel indices.
    step : float
        Their distance, pixels.
    windows : ndarray of float32, shape (G * G, N, N)
        Peak 1.
    share : ndarray, shape (G * G,)
        How much of each window is head (0-1); what a window loses at the picture's border is none.
    """
    size = head.shape[0]
    width = float(np.clip(WINDOW_SD * np.sqrt(head.sum()), SMALLEST_SD, LARGEST_SD))
    step = DISTANCE * width
    count = max(int(size / step), 1)
    centres = (np.arange(count) - (count - 1) / 2) * step + (size - 1) / 2
    lines = np.exp(-0.5 * ((np.arange(size)[None] - centres[:, None]) / width) ** 2).astype(np.float32)
    windows = (lines[:, None, :, None] * lines[None, :, None, :]).reshape(count * count, size, size)
    share = (lines @ head @ lines.T).ravel() / (2 * np.pi * width**2)
    return centres, step, windows, share


def _kept(share: Array) -> Array:
    """The windows that lie in the head; where few do (a narrow part of the head), those that do most."""
    enough = np.sort(share)[::-1][:FEWEST_WINDOWS][-1]
    kept: Array = (share >= min(COVERED, enough)) & (share > 0.25)
    return kept


def _windowed(network: Network, image: Array, heads: Array, scalars: Array) -> Array:
    """Output of the severity network for each of several head masks over one slice, (windows, 12).

    One image beside many masks is enough: the convolutions then run once. A network of the user's whose graph has no
    room for that gets the image as often as there are masks.
    """
    many = len(heads)
    arrays = {"image": image, "head": heads[:, None].astype(np.float32), "scalars": np.repeat(scalars, many, axis=0)}
    try:
        output = network.run(arrays)[0]
    except WeightsError:
        output = np.empty(0)
    if len(output) != many:
        output = network.run({**arrays, "image": np.repeat(image, many, axis=0)})[0]
    return np.asarray(output)
