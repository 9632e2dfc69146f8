# SPDX-License-Identifier: Apache-2.0
"""Where in a slice "non-diagnostic" comes from: coarse maps on the scale of the chances.

Behind its last feature map a network is linear (:meth:`bidsqa.models.networks_diagnostic.ConvNet.with_map`), so that
the logit of each class is a constant and a sum over places. With q the chances of the better classes among themselves
and H(q) their entropy, the log-odds of "non-diagnostic" are l_0 - Σ q_k l_k - H(q): linear in the logits too, exactly,
for the q of this slice. An empty picture's parts are subtracted, so that air has none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from bidsqa.image import Volume, take_slice
from bidsqa.models.diagnostic_inputs import SIZE, corner, fitted, prepare
from bidsqa.models.loading import Network
from bidsqa.models.local_map import LocalMap
from bidsqa.models.saliency import worst_places
from bidsqa.models.score import Score
from bidsqa.models.windows import block_mean

Array = np.ndarray[Any, Any]
# metadata of the weights: where the middle of the map's first cell lies in the 512 x 512 pixels
FIRST_KEY = "map_first_middle"
INSIDE = 0.3
# farthest that a place may lie from the slice in log-odds
FARTHEST = 6.0
KERNEL = np.outer([1.0, 2.0, 1.0], [1.0, 2.0, 1.0])


def diagnostic_maps(
    network: Network, temperature: float, volume: Volume, head: Array, score: Score
) -> tuple[LocalMap, ...]:
    """Chance that each part of the worst slices serves a diagnosis.

    Parameters
    ----------
    network : Network
        Without the map among its outputs, or the place of its first cell among its settings, there are none.
    temperature : float
        What logits are divided by.
    volume : Volume
    head : ndarray of bool, shape (X, Y, Z)
        As the score was given.
    score : Score
        Of the volume.

    Returns
    -------
    tuple of LocalMap
        A place's value, 0-1, is the chance of any class but "non-diagnostic" if all of the head were like it.
    """
    if FIRST_KEY not in network.settings:
        return ()
    first = float(network.settings[FIRST_KEY])
    maps: list[LocalMap] = []
    for axis, indices, values in worst_places(network.model.name, score):
        pictures = [take_slice(volume.data, axis, index) for index in indices]
        outputs = network.run({"slices": np.concatenate([prepare(pictures), np.zeros((1, 1, SIZE, SIZE), np.float32)])})
        if len(outputs) < 2:
            return ()
        logits, parts = (np.asarray(output, dtype=np.float64) / temperature for output in outputs[:2])
        for row, (picture, index, value) in enumerate(zip(pictures, indices, values, strict=True)):
            share = _head_share(take_slice(head, axis, index), parts.shape[-1], first)
            weights = contrast_of(logits[row])
            local = np.einsum("k,kyx->yx", weights, parts[row] - parts[-1])
            grid = _grid(local, share, log_odds(logits[row]))
            if np.isfinite(grid).any():
                cell = SIZE / parts.shape[-1]
                top, left = corner(picture.shape)
                start = (top + first - cell / 2, left + first - cell / 2)
                maps.append(LocalMap(network.model.name, axis, index, value, grid, start, (cell, cell)))
    return tuple(maps)


def contrast_of(logits: Array) -> Array:
    """Weights of the logits (K,) in the log-odds of the first class: 1, and -q of the others, q summing to 1."""
    odds = np.exp(logits[1:] - logits[1:].max())
    return np.concatenate([[1.0], -odds / odds.sum()])


def log_odds(logits: Array) -> float:
    """Logarithm of the odds of the first class against all others."""
    top = float(logits[1:].max())
    return float(logits[0] - top - np.log(np.exp(logits[1:] - top).sum()))


def _head_share(head: Array, count: int, first: float) -> Array:
    """Share of head in each cell of a grid of so many cells a side, whose first one's middle is at ``first``."""
    cell = SIZE // count
    # cells that look to one side are those of a picture moved to the other
    moved = np.roll(fitted(head.astype(np.float32)), -round(first - cell / 2), axis=(0, 1))
    return block_mean(moved[None], cell)[0]


def _grid(local: Array, share: Array, odds: float) -> Array:
    """Parts of the log-odds as chances of a better class than the first, smoothed over neighbours; NaN outside."""
    inside = share >= INSIDE
    if not inside.any():
        return np.full(local.shape, np.nan, dtype=np.float16)
    total, weight = (ndimage.convolve(values, KERNEL, mode="constant") for values in (local * share, share))
    smooth = total / np.maximum(weight, 1e-6)
    middle = float((smooth * share)[inside].sum() / share[inside].sum())
    far = np.clip((smooth - middle) * inside.sum(), -FARTHEST, FARTHEST)
    chances: Array = 1 / (1 + np.exp(np.clip(odds + far, -60, 60)))
    return np.where(inside, chances, np.nan).astype(np.float16)
