# SPDX-License-Identifier: Apache-2.0
"""Training pairs for the SSIM network: a clean slice, the same slice after motion, and the SSIM between them.

Order as in Sciarra et al. 2022: contrast first, then motion, so that the label is that of the augmented pair. What is
not motion (contrast, field, blur, noise, air set to zero) is put into both images alike and leaves the label alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bidsqa.models.ssim_inputs import BLOCK, CEILING
from bidsqa.simulation.artifact import head_level, per_sample, uniform
from bidsqa.simulation.motion import apply_motion
from bidsqa.simulation.motion_iid import apply_iid, sample_iid
from bidsqa.simulation.table import ARTIFACTS
from bidsqa.simulation.visible_damage import ssim_map
from bidsqa.training.segmentation_data import draw_intensities
from bidsqa.training.ssim_pool import Slices

Array = np.ndarray[Any, Any]
DILATION = 2
AIR_MARGINS = (0, 2, 6)
SAMPLE = 4000
ZERO_SHARE = 0.05
MOTION_KINDS = ("none", "motion", "motion_iid")
KIND_SHARES = (0.12, 0.70, 0.18)
LEAST_STRENGTH = 0.04
LOGARITHMIC_SHARE = 0.35


@dataclass(frozen=True)
class Pairs:
    """A batch.

    Parameters
    ----------
    degraded : Tensor, shape (B, 1, H, W)
        Network input: the degraded slice on its own head's scale.
    head : Tensor, shape (B, 1, H/8, W/8)
        Share of head in each block.
    target : Tensor, shape (B, 1, H/8, W/8)
        Mean SSIM of each block over the dilated head, 0-1.
    score : Tensor, shape (B, 1)
        ``ssim_head``: mean SSIM over the dilated clean head.
    kind : tuple of str
        Which motion.
    """

    degraded: Tensor
    head: Tensor
    target: Tensor
    score: Tensor
    kind: tuple[str, ...]


def draw_strength(generator: torch.Generator, count: int, logarithmic_share: float = LOGARITHMIC_SHARE) -> Tensor:
    """Strengths from 0.04 to 1: a third log-uniform (little motion is the most common), the rest uniform."""
    share = torch.rand(count, generator=generator)
    low = math.log(LEAST_STRENGTH)
    logarithmic = torch.exp(low * (1 - share))
    linear = LEAST_STRENGTH + (1 - LEAST_STRENGTH) * share
    return torch.where(torch.rand(count, generator=generator) < logarithmic_share, logarithmic, linear)


def change_contrast(image: Tensor, generator: torch.Generator) -> Tensor:
    """One of: none, gamma, logarithm, sigmoid, a random rising curve; on 0-1, the maximum kept."""
    top = image.amax().clamp(min=1e-6)
    unit = (image / top).clamp(min=0)
    choice = int(torch.randint(0, 5, (1,), generator=generator))
    first, second = torch.rand(2, generator=generator).tolist()
    if choice == 1:
        unit = unit ** math.exp(-0.5 + first)
    elif choice == 2:
        unit = torch.log2(1 + unit)
    elif choice == 3:
        gain, cutoff = 1 + 5 * first, 0.01 + 0.74 * second
        curve = torch.sigmoid(gain * (unit - cutoff))
        low, high = (1 / (1 + math.exp(-gain * (value - cutoff))) for value in (0.0, 1.0))
        unit = (curve - low) / (high - low)
    elif choice == 4:
        steps = torch.rand(6, generator=generator) + 0.15
        knots = torch.cat([torch.zeros(1), torch.cumsum(steps, 0) / steps.sum()])
        place = (unit.clamp(max=1) * 6).clamp(max=5.9999)
        lower = place.floor().long()
        unit = knots[lower] + (place - lower) * (knots[lower + 1] - knots[lower])
    return unit * top


def paint(labels: Array, classes: Array, generator: np.random.Generator) -> Tensor:
    """An image from a label window: random contrast, tissue texture, a point spread of about a pixel; shape (H, W)."""
    values = torch.from_numpy(draw_intensities(generator, classes))
    plane = torch.from_numpy(labels.astype(np.int64))
    image = values[plane]
    texture = torch.from_numpy(generator.standard_normal((2, 1, 1, *labels.shape)).astype(np.float32))
    coarse = functional.interpolate(functional.avg_pool2d(texture[0], 4), size=labels.shape, mode="bicubic") * 4
    level = float(generator.uniform(0.0, 0.06))
    image = image * (1 + level * (texture[1] + coarse)[0, 0])
    inside = image[plane > 0]
    scale = torch.quantile(inside[::7], 0.99) if inside.numel() else torch.tensor(1.0)
    soft: Tensor = gaussian(image[None, None].clamp(min=0), float(generator.uniform(0.35, 0.8)))[0, 0]
    return soft / scale.clamp(min=1e-3)


def gaussian(image: Tensor, sigma: float) -> Tensor:
    """Separable Gaussian of 2D images (B, 1, H, W), σ in pixels."""
    radius = max(1, math.ceil(3 * sigma))
    offset = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (offset / sigma) ** 2)
    kernel = kernel / kernel.sum()
    padded = functional.pad(image, (radius,) * 4, mode="reflect")
    return functional.conv2d(functional.conv2d(padded, kernel.reshape(1, 1, 1, -1)), kernel.reshape(1, 1, -1, 1))


def draw_clean(
    parts: Sequence[Slices], chances: Array, classes: Array, count: int, seed: int, augment: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """Clean slices with their heads.

    Parameters
    ----------
    parts : sequence of Slices
    chances : ndarray, shape (len(parts),)
        Chance of each part, sum 1.
    classes : ndarray
        Class of each label value (for label windows).
    count : int
    seed : int
    augment : bool
        Change contrast, orientation, field and sharpness.

    Returns
    -------
    images : Tensor, shape (B, 1, 224, 224)
    heads : Tensor of bool, same shape
    air : Tensor of bool, same shape
        Where the source is exactly zero.
    """
    chance = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    images, heads, airs = [], [], []
    for place in chance.choice(len(parts), size=count, p=chances):
        part = parts[int(place)]
        row = int(chance.integers(len(part.images)))
        head = torch.from_numpy(part.heads[row])
        if part.synthetic:
            image = paint(part.images[row], classes, chance)
            air = torch.from_numpy(part.images[row] == 0)
        else:
            image = torch.from_numpy(part.images[row].astype(np.float32))
            air = image == 0
        if augment:
            image = change_contrast(image, generator)
        stack = torch.stack([image, head.float(), air.float()])
        if augment:
            stack = _turn(stack, chance)
        images.append(stack[:1])
        heads.append(stack[1:2] > 0.5)
        airs.append(stack[2:] > 0.5)
    image, mask = torch.stack(images), torch.stack(heads)
    return (_soften(image, mask, generator, chance) if augment else image), mask, torch.stack(airs)


def _turn(stack: Tensor, chance: np.random.Generator) -> Tensor:
    """Flips and quarter turns."""
    for axis in (1, 2):
        if chance.random() < 0.5:
            stack = stack.flip(axis)
    return stack.transpose(1, 2).contiguous() if chance.random() < 0.3 else stack


def _soften(image: Tensor, head: Tensor, generator: torch.Generator, chance: np.random.Generator) -> Tensor:
    """A field on a third of the slices, some blur on a fifth, thick samples along one axis on an eighth."""
    for name, share, most in (("bias", 0.3, 0.6), ("blur", 0.2, 0.6), ("anisotropy", 0.12, 0.5)):
        chosen = torch.from_numpy(np.flatnonzero(chance.random(len(image)) < share))
        if chosen.numel():
            artifact = ARTIFACTS[name]
            parameters = artifact.sample(generator, uniform(generator, len(chosen), 0.02, most), (1.0, 1.0))
            image = image.index_copy(0, chosen, artifact.apply(image[chosen], parameters, head[chosen]))
    return image


def degrade(clean: Tensor, kinds: Sequence[str], strength: Tensor, generator: torch.Generator) -> Tensor:
    """Each slice after its kind of motion, (B, 1, H, W); "none" takes the way through k-space and back."""
    motion = ARTIFACTS["motion"].sample(generator, strength, (1.0, 1.0))
    iid = sample_iid(generator, strength)
    result = []
    for number, kind in enumerate(kinds):
        one = clean[number : number + 1]
        if kind == "motion":
            chosen = {key: value[number : number + 1] for key, value in motion.items()}
            result.append(apply_motion(one, chosen, one > 0))
        elif kind == "motion_iid":
            result.append(apply_iid(one, {key: value[number : number + 1] for key, value in iid.items()}))
        else:
            result.append(torch.fft.ifft(torch.fft.fft(one, dim=-1), dim=-1).abs())
    return torch.cat(result)


def add_noise(images: Sequence[Tensor], head: Tensor, generator: torch.Generator) -> list[Tensor]:
    """The same complex noise on each version: none on a third, else SD 0.3 to 8 % of the head's median."""
    count = len(images[0])
    level = torch.exp(uniform(generator, count, math.log(0.003), math.log(0.08)))
    level = level * (torch.rand(count, generator=generator) < 0.67)
    sigma = per_sample(level * head_level(images[0], head), images[0])
    noise = torch.randn((2, *images[0].shape), generator=generator) * sigma
    return [torch.hypot(image + noise[0], noise[1]) if bool(level.any()) else image for image in images]


def empty_air(
    clean: Tensor, degraded: Tensor, head: Tensor, air: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Zero the air of both, as scanners and processing do after the artifact arose.

    Where the source has exact zeros they are put back in four of five slices; of the others two in five lose what
    lies beyond 0 to 6 pixels around the head.
    """
    chance = torch.rand((2, len(clean)), generator=generator)
    pick = torch.randint(0, 3, (len(clean),), generator=generator)
    keep = torch.ones_like(head)
    for number in range(len(clean)):
        has_zeros = bool(air[number].float().mean() > ZERO_SHARE)
        if has_zeros and chance[0, number] < 0.8:
            keep[number] = ~air[number]
        elif chance[1, number] < 0.4:
            keep[number] = dilated(head[number], AIR_MARGINS[int(pick[number])]) > 0
    return clean * keep, degraded * keep


def dilated(mask: Tensor, pixels: int) -> Tensor:
    """The mask (..., H, W) as 0 or 1, grown by a square of ``pixels`` to each side."""
    grown = functional.max_pool2d(mask.float(), (2 * pixels + 1, 1), 1, (pixels, 0))
    return functional.max_pool2d(grown, (1, 2 * pixels + 1), 1, (0, pixels))


def head_quantiles(image: Tensor, head: Tensor, levels: Sequence[float]) -> Tensor:
    """Quantiles of each slice's head from an even subsample, shape (B, len(levels))."""
    rows = []
    for one, mask in zip(image, head, strict=True):
        inside = one[mask] if bool(mask.any()) else one.flatten()
        rows.append(torch.quantile(inside[:: max(1, inside.numel() // SAMPLE)], torch.tensor(list(levels))))
    return torch.stack(rows)


def labelled(clean: Tensor, degraded: Tensor, head: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The labels of pairs on one scale.

    Returns
    -------
    score : Tensor, shape (B, 1)
        ``ssim_head``: L is the clean head's p99.5 - p0.5, both images on the same scale, mean over the head dilated
        by two pixels.
    target, weight : Tensor, shape (B, 1, H/8, W/8)
        Block means of the SSIM over that mask, and the head's share.
    """
    edges = head_quantiles(clean, head, (0.005, 0.995))
    similar = ssim_map(clean, degraded, (edges[:, 1] - edges[:, 0]).clamp(min=1e-4))
    near = dilated(head, DILATION)
    score = (similar * near).sum(dim=(2, 3)) / near.sum(dim=(2, 3)).clamp(min=1)
    share = functional.avg_pool2d(near, BLOCK)
    target = functional.avg_pool2d(similar * near, BLOCK) / share.clamp(min=1e-4)
    return score.clamp(0, 1), target.clamp(0, 1), functional.avg_pool2d(head.float(), BLOCK)


def rescale(degraded: Tensor, head: Tensor, generator: torch.Generator | None) -> Tensor:
    """Degraded slices on their own head's 99th percentile, with the jitter of a volume-wide scale; at most 3."""
    result = degraded / per_sample(head_quantiles(degraded, head, (0.99,))[:, 0].clamp(min=1e-4), degraded)
    if generator is not None:
        result = result * per_sample(torch.exp(0.12 * torch.randn(len(result), generator=generator)), result)
    return result.clamp(0, CEILING)


def make_pairs(
    clean: Tensor, head: Tensor, air: Tensor, seed: int, kinds: Sequence[str] | None = None, plain: bool = False
) -> Pairs:
    """Pairs from clean slices.

    Parameters
    ----------
    clean : Tensor, shape (B, 1, H, W)
    head, air : Tensor of bool, same shape
    seed : int
    kinds : sequence of str, optional
        Motion of each slice; drawn if not given.
    plain : bool
        For validation: strengths uniform, no added noise, no jitter of the scale, zeros of the source always put back.
    """
    generator = torch.Generator().manual_seed(seed)
    count = len(clean)
    drawn = torch.multinomial(torch.tensor(KIND_SHARES), count, replacement=True, generator=generator).tolist()
    chosen = tuple(kinds) if kinds is not None else tuple(MOTION_KINDS[number] for number in drawn)
    strength = draw_strength(generator, count, 0.0 if plain else LOGARITHMIC_SHARE)
    moved = degrade(clean, chosen, strength, generator)
    if plain:
        has_zeros = per_sample(air.float().mean(dim=(1, 2, 3)) > ZERO_SHARE, air)
        moved = torch.where(air & has_zeros, torch.zeros_like(moved), moved)
    else:
        clean, moved = add_noise([clean, moved], head, generator)
        clean, moved = empty_air(clean, moved, head, air, generator)
    score, target, weight = labelled(clean, moved, head)
    return Pairs(rescale(moved, head, None if plain else generator), weight, target, score, chosen)


def join(batches: Sequence[Pairs]) -> Pairs:
    """Several batches as one."""
    return Pairs(
        degraded=torch.cat([batch.degraded for batch in batches]),
        head=torch.cat([batch.head for batch in batches]),
        target=torch.cat([batch.target for batch in batches]),
        score=torch.cat([batch.score for batch in batches]),
        kind=tuple(kind for batch in batches for kind in batch.kind),
    )


def pick(pairs: Pairs, rows: Sequence[int], generator: torch.Generator, window: int | None) -> Pairs:
    """Some pairs, flipped at random, whole or as cut-outs.

    Parameters
    ----------
    pairs : Pairs
    rows : sequence of int
    generator : torch.Generator
    window : int, optional
        Side of the cut-outs (multiple of 16), placed on a grid of 8 pixels where there is head; their score is the
        mean of their blocks.
    """
    flips = torch.rand((len(rows), 2), generator=generator) < 0.5
    groups: tuple[list[Tensor], list[Tensor], list[Tensor]] = ([], [], [])
    for place, row in enumerate(rows):
        axes = [axis + 1 for axis in (0, 1) if flips[place, axis]]
        parts = [grid[row].flip(axes) for grid in (pairs.degraded, pairs.head, pairs.target)]
        if window is not None:
            parts = _cut(parts, window, generator)
        for group, part in zip(groups, parts, strict=True):
            group.append(part)
    degraded, head, target = (torch.stack(group) for group in groups)
    score = pairs.score[list(rows)]
    if window is not None:
        score = (target * head).sum(dim=(2, 3)) / head.sum(dim=(2, 3)).clamp(min=1e-3)
    return Pairs(degraded, head, target, score, tuple(pairs.kind[row] for row in rows))


def _cut(parts: Sequence[Tensor], window: int, generator: torch.Generator) -> list[Tensor]:
    """The same cut-out of the image and of the block grids; the best filled of three random places."""
    degraded, head, target = parts
    blocks = window // BLOCK
    places = head.shape[-1] - blocks + 1
    tried = torch.randint(0, places, (3, 2), generator=generator).tolist()

    def filled(corner: list[int]) -> float:
        row, column = corner
        return min(float(head[0, row : row + blocks, column : column + blocks].mean()), 0.5)

    row, column = max(tried, key=filled)
    cells = (slice(None), slice(row, row + blocks), slice(column, column + blocks))
    rows, columns = (slice(start * BLOCK, start * BLOCK + window) for start in (row, column))
    return [degraded[:, rows, columns], head[cells], target[cells]]
