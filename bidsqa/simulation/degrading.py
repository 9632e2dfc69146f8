# SPDX-License-Identifier: Apache-2.0
"""Degrade images in one call, with every severity; visible severity, one scale for all artifacts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from bidsqa.simulation.artifact import Artifact, Parameters, Spacing, check_images, rough_foreground
from bidsqa.simulation.table import find_artifact
from bidsqa.simulation.visible_damage import damage, damage_batch

Picture = TypeVar("Picture", Tensor, np.ndarray[Any, Any])
# 1 - SSIM where the severity reaches 0, 1/3, 2/3 and 1: the bounds of the clinical classes of Sciarra et al. 2022,
# good (SSIM 0.85 and more), usable (0.6 and more), to be repeated
ANCHORS = (0.0, 0.15, 0.40, 1.0)
LEVELS = (0.0, 1 / 3, 2 / 3, 1.0)
LADDER = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 1.0)


@dataclass(frozen=True)
class Degraded(Generic[Picture]):
    """What :func:`degrade` gives.

    Parameters
    ----------
    image : tensor or ndarray
        As the input: shape, dtype, device.
    parameters : dict of tensors
        As drawn and applied; first dimension B.
    strength : tensor, shape (B,)
        As asked for, 0-1.
    s_paper : tensor, shape (B,)
        Severity by Hays et al. 2025, Table 1, 0-1; NaN where the paper has none.
    s_visible : tensor, shape (B,)
        Severity by visible damage, 0-1, see :func:`visible_severity`.
    target : tensor, shape (B,)
        The severity that a score should give: ``s_visible``, but 0 for contrast changes, which are no damage.
    ssim, damage, nrmse : tensor, shape (B,)
        To the clean image in the head after the best gain: SSIM (-1 to 1), 1 - SSIM, and the error's root mean square
        over that of the clean head (0 and more).
    """

    image: Picture
    parameters: Parameters
    strength: Tensor
    s_paper: Tensor
    s_visible: Tensor
    target: Tensor
    ssim: Tensor
    damage: Tensor
    nrmse: Tensor


@dataclass(frozen=True)
class DamageCurve:
    """Damage of one artifact on given images with a given seed, as a function of strength that never falls.

    Parameters
    ----------
    strength : tensor, shape (K,)
        Rising, 0 to 1.
    damage : tensor, shape (B, K)
        1 - SSIM in the head, the highest up to each strength; straight lines between.
    """

    strength: Tensor
    damage: Tensor

    def at(self, strength: float | Sequence[float] | Tensor) -> Tensor:
        """Damage (B,) at a strength, one for all or one each."""
        wanted = torch.as_tensor(strength, dtype=torch.float32, device="cpu").expand(len(self.damage))
        rungs = self.strength.numpy()
        pairs = zip(wanted.tolist(), self.damage.numpy(), strict=True)
        return torch.tensor([float(np.interp(one, rungs, row)) for one, row in pairs])

    def strength_for(self, severity: float) -> Tensor:
        """Least strength (B,) whose visible severity is that high; 1 where none is."""
        wanted = float(np.interp(severity, LEVELS, ANCHORS))
        rungs = self.strength.numpy()
        found = []
        for row in self.damage.numpy():
            reached = int(np.searchsorted(row, wanted))
            around = slice(max(reached - 1, 0), reached + 1)
            found.append(float(np.interp(wanted, row[around], rungs[around])) if reached < len(row) else 1.0)
        return torch.tensor(found)


def visible_severity(damage: float | Sequence[float] | Tensor) -> Tensor:
    """One scale for the damage of all artifacts.

    Parameters
    ----------
    damage : float, sequence or tensor
        1 - SSIM in the head, 0-2.

    Returns
    -------
    tensor of float32
        0-1, rising with the damage: 0 at 0, 1/3 at 0.15, 2/3 at 0.4, 1 at 1 and above, straight lines between. The
        thirds are the clinical classes of Sciarra et al. 2022; their SSIM is that of the whole slice, so the words
        good, usable and to be repeated are a guide only.
    """
    values = torch.as_tensor(damage, dtype=torch.float32).cpu().numpy()
    return torch.from_numpy(np.asarray(np.interp(values, ANCHORS, LEVELS), dtype=np.float32))


def degrade(
    image: Picture,
    name: str,
    strength: float | Sequence[float] | Tensor,
    seed: int,
    spacing: Spacing | None = None,
    head: Picture | None = None,
    monotone: bool = True,
    **chosen: Any,
) -> Degraded[Picture]:
    """Put one artifact on images.

    Parameters
    ----------
    image : floating tensor, shape (B, 1, H, W) or (B, 1, X, Y, Z); or ndarray, shape (H, W) or (X, Y, Z)
        Clean magnitudes in any positive scale. Sides of at least 11 voxels.
    name : str
        A key of ``ARTIFACTS``.
    strength : float, sequence or tensor, shape (B,)
        0 (bitwise the same image) to 1 (severe).
    seed : int
        Same seed, same artifact; at another strength the same artifact more or less strongly.
    spacing : sequence of float or tensor, shape (dims,) or (B, dims), optional
        Voxel edges in mm; 1 mm if not given.
    head : tensor or ndarray of bool, shape of the image, optional
        Where damage counts; what is brighter than 15 % of the 99th percentile if not given.
    monotone : bool
        Take ``s_visible`` from the :func:`damage_curve` of this seed, so that it can't fall where the strength rises;
        costs nine more simulations. Otherwise it comes from the damage of this image alone.
    **chosen
        Parameters to set instead of drawing them, as for :meth:`Artifact.sample`, e.g. ``order="centric"``.

    Returns
    -------
    Degraded

    Raises
    ------
    KeyError
        For an unknown artifact.
    TypeError
        For images of whole numbers.
    ValueError
        For a strength outside 0-1, images the artifact doesn't act on or with values that are not finite, voxel edges
        that are no lengths or not one an axis, or a choice that isn't there.
    """
    artifact = find_artifact(name)
    batch, mask = _batch(image, head)
    edges = _edges(spacing, batch)
    level = torch.as_tensor(strength, dtype=torch.float32, device="cpu")
    if level.ndim > 1 or (level.ndim == 1 and len(level) not in (1, len(batch))):
        raise ValueError(f"strength must be one number, or one for each of {len(batch)} images, got {strength}")
    level = level.expand(len(batch))
    parameters = artifact.sample(torch.Generator().manual_seed(seed), level, edges, **chosen)
    with torch.no_grad():
        worse = artifact.apply(batch, parameters, mask)
    harm = _harm(batch, worse, mask)
    if monotone:
        visible = visible_severity(_curve(artifact, batch, mask, seed, edges, chosen).at(level))
    else:
        visible = visible_severity(harm["damage"])
    paper = artifact.paper_severity
    nothing = torch.zeros_like(level)
    return Degraded(
        image=_like(worse, image),
        parameters=parameters,
        strength=level,
        s_paper=nothing + torch.nan if paper is None else torch.where(level > 0, paper(parameters), nothing),
        s_visible=visible,
        target=nothing if artifact.nuisance else visible,
        ssim=harm["ssim_head"],
        damage=harm["damage"],
        nrmse=harm["nrmse"],
    )


def damage_curve(
    image: Picture,
    name: str,
    seed: int,
    spacing: Spacing | None = None,
    head: Picture | None = None,
    **chosen: Any,
) -> DamageCurve:
    """Damage over strength; arguments as for :func:`degrade`. To degrade to a wanted visible severity:

    ``degrade(image, name, damage_curve(image, name, seed).strength_for(0.5), seed)``
    """
    batch, mask = _batch(image, head)
    return _curve(find_artifact(name), batch, mask, seed, _edges(spacing, batch), chosen)


def _curve(
    artifact: Artifact, batch: Tensor, mask: Tensor, seed: int, edges: Spacing, chosen: dict[str, Any]
) -> DamageCurve:
    harms = [torch.zeros(len(batch))]
    for rung in LADDER[1:]:
        parameters = artifact.sample(torch.Generator().manual_seed(seed), [rung] * len(batch), edges, **chosen)
        with torch.no_grad():
            worse = artifact.apply(batch, parameters, mask)
        harms.append(_harm(batch, worse, mask)["damage"].clamp(min=0))
    return DamageCurve(torch.tensor(LADDER), torch.cummax(torch.stack(harms, dim=1), dim=1).values)


def _edges(spacing: Spacing | None, batch: Tensor) -> Tensor:
    """Voxel edges, one an axis (and image); 1 mm where they are not given."""
    axes = batch.ndim - 2
    edges = torch.as_tensor([1.0] * axes if spacing is None else spacing, dtype=torch.float32, device="cpu")
    if edges.ndim not in (1, 2) or edges.shape[-1] != axes:
        raise ValueError(f"spacing must have one voxel edge for each of the {axes} axes, got {spacing}")
    return edges


def _batch(image: Tensor | np.ndarray[Any, Any], head: Tensor | np.ndarray[Any, Any] | None) -> tuple[Tensor, Tensor]:
    """Image and head as batches (B, 1, ...), checked before anything is measured on them."""
    batch = image if isinstance(image, Tensor) else torch.from_numpy(np.ascontiguousarray(image))[None, None]
    check_images(batch)
    if head is None:
        return batch, rough_foreground(batch)
    mask = head if isinstance(head, Tensor) else torch.from_numpy(np.ascontiguousarray(head))[None, None]
    return batch, mask.bool()


def _like(batch: Tensor, image: Picture) -> Picture:
    if isinstance(image, Tensor):
        return batch
    return batch[0, 0].numpy()


def _harm(clean: Tensor, worse: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """Damage of slices or volumes, on the CPU; exactly 0 where nothing changed."""
    if clean.ndim == 4:
        harm = {key: value.cpu() for key, value in damage_batch(clean.float(), worse.float(), mask).items()}
    else:
        arrays = [part[:, 0].cpu().numpy() for part in (clean.float(), worse.float(), mask)]
        rows = [damage(first, second, inside) for first, second, inside in zip(*arrays, strict=True)]
        harm = {key: torch.tensor([row[key] for row in rows]) for key in ("ssim_head", "nrmse", "damage")}
    same = (clean == worse).flatten(1).all(dim=1).cpu()
    ideal = {"ssim_head": 1.0, "nrmse": 0.0, "damage": 0.0}
    return {key: torch.where(same, torch.full_like(value, ideal[key]), value) for key, value in harm.items()}
