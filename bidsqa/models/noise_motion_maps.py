# SPDX-License-Identifier: Apache-2.0
"""Where in a slice the noise and the motion output come from: coarse maps on the scale of the outputs.

Behind its last mean each branch of the network is a constant and a sum over the places of a feature map
(:meth:`bidsqa.models.networks_noise_motion.Branch.with_map`). The weights give that sum's parts; a place's value is
what the slice would read if every place of the head were like it, so the maps have the slice's value as their mean over
the head (before the motion's logit becomes a probability).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from bidsqa.image import Volume, take_slice
from bidsqa.models.loading import Network
from bidsqa.models.local_map import LocalMap
from bidsqa.models.noise_motion_inputs import WINDOW, prepare
from bidsqa.models.saliency import worst_places
from bidsqa.models.score import Score, SliceScores
from bidsqa.models.severity_inputs import cut_native, window_middle
from bidsqa.models.windows import block_mean

Array = np.ndarray[Any, Any]
INSIDE = 0.3
# metadata of the weights: how much surer of motion than of stillness (logit) the network must be
OFFSET_KEY = "motion_offset"
# farthest that a place's value may lie from the slice's: dB, and of the logit
FARTHEST = {"": 15.0, "motion": 6.0}
PARTS = ("", "motion")


def noise_motion_maps(network: Network, volume: Volume, head: Array, score: Score) -> tuple[LocalMap, ...]:
    """Maps of the noisiest slices (``part`` empty), then of those that look most moved (``part`` is ``motion``).

    Parameters
    ----------
    network : Network
        Without maps among its outputs there are none.
    volume : Volume
    head : ndarray of bool, shape (X, Y, Z)
        As the score was given.
    score : Score
        Of the volume.
    """
    maps: list[LocalMap] = []
    for place, part in enumerate(PARTS):
        shown = score if not part else _motion_score(score)
        for axis, indices, values in worst_places(network.model.name, shown):
            outputs = network.run({"slices": prepare(volume, head, axis, np.array(indices))})
            if len(outputs) < 4:
                return ()
            outline = take_slice(np.any(head, axis=axis, keepdims=True), axis, 0)
            middle = window_middle(outline, WINDOW)
            corner = tuple(float(round(at - (WINDOW - 1) / 2)) for at in middle)
            for row, (index, value) in enumerate(zip(indices, values, strict=True)):
                parts = np.asarray(outputs[2 + place][row, 0], dtype=np.float64)
                cell = WINDOW // parts.shape[0]
                mask = cut_native(take_slice(head, axis, int(index)), middle, WINDOW)
                share = block_mean(mask[None].astype(np.float32), cell)[0]
                offset = float(network.settings.get(OFFSET_KEY, 0.0)) if part else 0.0
                grid = _grid(parts, share, float(outputs[place][row, 0]) + offset, part)
                told = 1 - value if part else value
                step = (float(cell), float(cell))
                if np.isfinite(grid).any():
                    maps.append(
                        LocalMap(network.model.name, axis, index, told, grid, (corner[0], corner[1]), step, part)
                    )
    return tuple(maps)


def _grid(parts: Array, share: Array, output: float, part: str) -> Array:
    """The parts of the sum as values on the scale of the output, NaN outside the head."""
    inside = share >= INSIDE
    if not inside.any():
        return np.full(parts.shape, np.nan, dtype=np.float16)
    middle = float((parts * share)[inside].sum() / share[inside].sum())
    far = np.clip((parts - middle) * inside.sum(), -FARTHEST[part], FARTHEST[part])
    local = output + far
    shown = 1 / (1 + np.exp(np.clip(local, -60, 60))) if part else local
    return np.where(inside, shown, np.nan).astype(np.float16)


def _motion_score(score: Score) -> Score:
    """The score with the slices' probabilities of being still in place of the noise, so that higher is better."""
    slices = tuple(
        SliceScores(part["plane"], tuple(part["index"]), tuple(1 - value for value in part["value"]))
        for part in score.extra.get("p_motion_slices", [])
    )
    return replace(score, slices=slices)
