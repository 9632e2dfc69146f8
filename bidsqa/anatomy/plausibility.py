# SPDX-License-Identifier: Apache-2.0
"""Is this anatomy believable? Volumes, shape, and whether two independent ways to the tissues agree."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
BRAIN_ML = (600.0, 2300.0)
TISSUE_SHARE = {"csf": (0.005, 0.65), "gm": (0.15, 0.8), "wm": (0.1, 0.7)}
AGREEMENT = 0.4
MAXIMUM_CUT = 0.5
# scans of heads reach 0.3-0.46, noise and blocks stay below 0.1
INFORMATION = 0.2
HEAD_RATIO = (1.0, 12.0)
BRIGHT_STEP = 0.4
# measured background that ends this close to the head (mm) is a rim of blur and ringing, not air
RIM_MM = 15.0
# interpolation leaves fewer values of the air below 0 than this
NEGATIVE_SHARE = 0.02


def brain_problem(facts: dict[str, Any]) -> str:
    """Why the brain mask can't be trusted; empty if it can.

    Parameters
    ----------
    facts : dict
        ``brain_ml``, ``brain_cut`` (share of the mask's surface at the border of the scan), ``brain_fill`` (share of
        its bounding box, 0-1), ``brain_certainty`` (mean coarse share inside, 0-1) and ``atlas_information`` (0-1).
    """
    volume = facts["brain_ml"]
    if volume == 0:
        return "no brain was found"
    low = 150.0 if facts["brain_cut"] > 0.01 else BRAIN_ML[0]
    if not low <= volume <= BRAIN_ML[1]:
        return f"the brain mask has an implausible volume of {volume:.0f} ml"
    if facts["brain_cut"] > MAXIMUM_CUT:
        return "the brain mask runs into the border of the scan on all sides"
    if not 0.3 <= facts["brain_fill"] <= 0.9 and facts["brain_cut"] <= 0.01:
        return f"the brain mask has an implausible shape (it fills {facts['brain_fill']:.2f} of its box)"
    if facts["atlas_information"] < INFORMATION:
        return "the average head does not fit this scan"
    if facts["brain_certainty"] < 0.75:
        return "the segmentation is too unsure where the brain is"
    return ""


def tissue_problem(facts: dict[str, Any]) -> str:
    """Why the tissue maps can't be trusted; empty if they can.

    Parameters
    ----------
    facts : dict
        ``csf_share``, ``gm_share``, ``wm_share`` of the brain, ``tissue_agreement`` (mean Dice of the coarse shares and
        mixture in grey and white matter) and ``tissue_contrast`` (distance of the grey and white means in pooled
        deviations).
    """
    for name, (low, high) in TISSUE_SHARE.items():
        share = facts[f"{name}_share"]
        if not low <= share <= high:
            return f"{name} takes an implausible {100 * share:.1f} % of the brain"
    if facts["tissue_agreement"] < AGREEMENT:
        return f"place and intensities disagree on the tissues (overlap {facts['tissue_agreement']:.2f})"
    if facts["tissue_contrast"] < BRIGHT_STEP:
        return "grey and white matter can't be told apart by intensity"
    return ""


def head_problem(facts: dict[str, Any], background: str) -> str:
    """Why the head mask can't be trusted; empty if it can."""
    if facts["head_ml"] == 0:
        return "no head was found"
    if background == "stripped":
        return ""
    ratio = facts["head_ml"] / max(facts["brain_ml"], 1e-9)
    if facts["brain_ml"] and not HEAD_RATIO[0] <= ratio <= HEAD_RATIO[1]:
        return f"the head mask is {ratio:.1f} times the brain"
    return ""


def air_problem(
    hat_voxels: int,
    possible: int,
    air_voxels: int,
    minimum: int,
    reach_mm: float,
    background: str,
    denoised: bool = False,
    negative: float = 0.0,
) -> str:
    """Why the air can't be used for noise; empty if it can.

    Parameters
    ----------
    hat_voxels, possible : int
        Measured background above the face, and all of the background there, frame included.
    air_voxels, minimum : int
    reach_mm : float
        How far from the head most of the measured background reaches.
    background : str
    denoised : bool
        Whether the air holds no magnitude noise any more, whatever kind of background it is.
    negative : float
        Share of the air below 0.
    """
    if possible == 0:
        return "the field of view holds no background above the face"
    filled = hat_voxels < 0.98 * possible
    if hat_voxels < 0.02 * possible or air_voxels < minimum or background == "stripped":
        kind = "the head was stripped" if background == "stripped" else "its values were replaced by a constant"
        return (
            f"the background holds no measured noise: {kind}"
            if filled or background == "stripped"
            else "the background is too small"
        )
    if filled and reach_mm < RIM_MM:
        return "the background is filled with a constant but for a rim around the head"
    if negative > NEGATIVE_SHARE:
        return f"{negative:.0%} of the background is negative: an offset was subtracted, and noise can't be read there"
    if denoised:
        return "the background holds no measured noise: a filter has changed or removed it"
    return ""


def dice(first: Array, second: Array) -> float:
    """Overlap of two masks, 0-1; 1 for two empty ones."""
    total = int(np.count_nonzero(first)) + int(np.count_nonzero(second))
    return 1.0 if total == 0 else 2.0 * int(np.count_nonzero(first & second)) / total
