# SPDX-License-Identifier: Apache-2.0
"""Degrade a whole scan in three dimensions, as a scanner would have delivered it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from bidsqa.image import Volume, acquisition_axis, clipped_fraction, rough_head
from bidsqa.image.slices import THICK_SLICE_RATIO
from bidsqa.simulation.artifact import Parameters
from bidsqa.simulation.degrading import visible_severity
from bidsqa.simulation.table import find_artifact
from bidsqa.simulation.visible_damage import damage

PHASE_ENCODED = frozenset({"ghosting", "motion", "wrap", "undersampling", "motion_iid"})


def degrade_volume(
    volume: Volume, name: str, strength: float, seed: int, keep_zero_mask: bool = True, **chosen: Any
) -> tuple[Volume, dict[str, Any], dict[str, float]]:
    """One artifact on a whole scan.

    Parameters
    ----------
    volume : Volume
        The clean scan.
    name : str
        A key of ``ARTIFACTS``.
    strength : float
        0 (bitwise the same scan) to 1 (severe); what it means is in the table.
    seed : int
        Same seed, same degraded scan.
    keep_zero_mask : bool
        Set voxels that were exactly 0 back to 0, as scanners that blank the air do after the artifact arose. Used only
        where more than 1 % of the voxels are 0.
    **chosen
        Parameters to set instead of drawing them, as for :meth:`Artifact.sample`, e.g. ``order="centric"``.

    Returns
    -------
    degraded : Volume
        Same grid and affine; values stored in whole steps where the original file had an integer type.
    parameters : dict
        ``name``, ``strength``, ``seed``, the drawn parameters as plain lists, ``s_paper`` (or None), ``s_visible`` as
        in :func:`bidsqa.simulation.visible_severity`.
    damage : dict of float
        ``ssim_head``, ``nrmse``, ``damage`` as in :func:`bidsqa.simulation.damage`.

    Raises
    ------
    KeyError
        For an unknown artifact.
    ValueError
        For a strength outside 0-1, a scan with values that are not finite, or a choice that isn't there.
    """
    artifact = find_artifact(name)
    generator = torch.Generator().manual_seed(seed)
    parameters = artifact.sample(generator, strength, volume.spacing, **chosen)
    if not chosen.keys() & {"axis", "across"}:
        _encode_in_plane(volume, name, parameters)
    described: dict[str, Any] = {"name": name, "seed": int(seed)}
    described.update({key: value[0].tolist() for key, value in parameters.items()})
    paper = artifact.paper_severity
    described["s_paper"] = float(paper(parameters)[0]) if paper is not None else None
    if strength == 0:
        described["s_visible"] = 0.0
        return volume, described, {"ssim_head": 1.0, "nrmse": 0.0, "damage": 0.0}
    head = rough_head(volume)
    with torch.no_grad():
        image = torch.from_numpy(np.ascontiguousarray(volume.data))[None, None]
        data = artifact.apply(image, parameters, torch.from_numpy(np.ascontiguousarray(head))[None, None])[0, 0].numpy()
    if np.dtype(volume.facts.dtype).kind in "iu" and volume.facts.slope > 0:
        slope, intercept = volume.facts.slope, volume.facts.intercept
        data = np.rint((data - intercept) / slope) * slope + intercept
    if keep_zero_mask and volume.facts.zero_fraction > 0.01:
        data = np.where(volume.data == 0, 0, data)
    data = np.ascontiguousarray(data, dtype=np.float32)
    facts = replace(
        volume.facts,
        minimum=float(data.min()),
        maximum=float(data.max()),
        zero_fraction=float(np.mean(data == 0)),
        clipped_fraction=clipped_fraction(data),
        sha256="",
    )
    harm = damage(volume.data, data, head)
    described["s_visible"] = float(visible_severity(harm["damage"]))
    return Volume(data=data, affine=volume.affine.copy(), facts=facts), described, harm


def _encode_in_plane(volume: Volume, name: str, parameters: Parameters) -> None:
    """Thick slices are excited one by one: their phase encoding lies in the plane, never across it."""
    if volume.anisotropy < THICK_SLICE_RATIO:
        return
    across = acquisition_axis(volume)
    if "across" in parameters:
        parameters["across"][0] = across
    if name in PHASE_ENCODED and int(parameters["axis"][0]) == across:
        parameters["axis"][0] = (across + 1) % 3
