# SPDX-License-Identifier: Apache-2.0
"""Training batches of the severity network: clean slices and two degraded copies of each, made on the fly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bidsqa.models.severity_inputs import WINDOW, normalise, slice_scalars
from bidsqa.simulation.artifact import Parameters, per_sample, quantile
from bidsqa.simulation.table import ARTIFACTS, FAMILIES
from bidsqa.simulation.visible_damage import damage_batch
from bidsqa.training.severity_data import Slices

# physical order: resolution, coil, k-space, noise; and the chance of each to be picked
MIX = {
    "anisotropy": 0.08,
    "blur": 0.11,
    "gibbs": 0.03,
    "bias": 0.06,
    "motion": 0.24,
    "ghosting": 0.24,
    "undersampling": 0.02,
    "wrap": 0.02,
    "spike": 0.02,
    "noise": 0.18,
}
COUNTS = (0.65, 0.25, 0.10)
GIBBS_AS_BLUR = 0.5
# artifacts arise on a field a little larger than what the network sees
FIELD = 192


@dataclass(frozen=True)
class Batch:
    """Network inputs and targets of 3 B slices: B clean ones, then two degraded copies of each.

    Parameters
    ----------
    image, head : tensor of float32, shape (3 B, 1, 160, 160)
    scalars : tensor of float32, shape (3 B, 7)
    damage : tensor of float32, shape (3 B, 2)
        1 - SSIM and NRMSE in the head; 0 for clean slices.
    strength : tensor of float32, shape (3 B, 5)
        By family, 0 where absent.
    """

    image: Tensor
    head: Tensor
    scalars: Tensor
    damage: Tensor
    strength: Tensor


def make_batch(slices: Slices, size: int, generator: torch.Generator, mix: Mapping[str, float] = MIX) -> Batch:
    """Draw, augment and degrade.

    Parameters
    ----------
    slices : Slices
    size : int
        Clean slices B.
    generator : torch.Generator
        The only source of chance.
    mix : Mapping of float
        Artifacts, in physical order, and their chances.
    """
    chosen = torch.multinomial(torch.from_numpy(slices.weight), size, replacement=True, generator=generator).numpy()
    top, left = (
        int(torch.randint(0, slices.image.shape[side] - FIELD + 1, (1,), generator=generator)) for side in (1, 2)
    )
    clean = torch.from_numpy(slices.image[chosen, top : top + FIELD, left : left + FIELD].astype(np.float32))[:, None]
    head = torch.from_numpy(slices.head[chosen, top : top + FIELD, left : left + FIELD])[:, None]
    edges = torch.from_numpy(slices.edges[chosen])
    clean, head, edges = _turned(clean, head, edges, generator)
    zero = _zero_mask(clean, head, generator)
    clean = _augmented(clean, head, edges, generator)
    plan, twin_plan = _plans(size, generator, mix)
    seeds = torch.randint(0, 2**31 - 1, (2, len(mix)), generator=generator).tolist()
    paired = torch.rand(size, generator=generator) < 0.5
    for name, strength in plan.items():
        # paired: the same artifacts at another strength, so that strength alone orders the two copies
        again = torch.where(strength > 0, _draw_strength(size, generator), 0.0)
        twin_plan[name] = torch.where(paired, again, twin_plan[name])
    first = _degraded(clean, head, edges, plan, seeds[0], seeds[0], paired)
    second = _degraded(clean, head, edges, twin_plan, seeds[0], seeds[1], paired)
    images = [torch.where(zero, torch.zeros_like(image), image) for image in (clean, first, second)]
    images = _quantised(images, generator)
    top, left = (int(torch.randint(0, clean.shape[-1] - WINDOW + 1, (1,), generator=generator)) for _ in range(2))
    window = (slice(None), slice(None), slice(top, top + WINDOW), slice(left, left + WINDOW))
    images, head = [image[window] for image in images], head[window]
    nothing = torch.zeros(size, 2)
    harms = [nothing]
    for image in images[1:]:
        harm = damage_batch(images[0], image, head)
        harms.append(torch.stack([harm["damage"], harm["nrmse"]], dim=1).clamp(0, 1.5))
    strengths = [torch.zeros(size, len(FAMILIES)), _by_family(plan, size), _by_family(twin_plan, size)]
    return finish(
        torch.cat(images), head.repeat(3, 1, 1, 1), edges.repeat(3, 1), torch.cat(harms), torch.cat(strengths)
    )


def finish(image: Tensor, head: Tensor, edges: Tensor, damage: Tensor, strength: Tensor) -> Batch:
    """The same normalisation and scalars as inference."""
    mask = head[:, 0].numpy()
    windows = normalise(image[:, 0].numpy(), mask)
    scalars = slice_scalars(windows, mask, edges.numpy())
    return Batch(torch.from_numpy(windows)[:, None], head.float(), torch.from_numpy(scalars), damage, strength)


def _turned(clean: Tensor, head: Tensor, edges: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Random mirror images and quarter turns, element by element."""
    clean, head, edges = clean.clone(), head.clone(), edges.clone()
    draws = torch.rand((3, len(clean)), generator=generator)
    for axis, chance in ((-1, draws[0]), (-2, draws[1])):
        picked = chance < 0.5
        clean[picked], head[picked] = clean[picked].flip(axis), head[picked].flip(axis)
    picked = draws[2] < 0.4
    clean[picked], head[picked] = clean[picked].transpose(-1, -2), head[picked].transpose(-1, -2)
    edges[picked] = edges[picked][:, [1, 0, 2]]
    return clean, head, edges


def _zero_mask(clean: Tensor, head: Tensor, generator: torch.Generator) -> Tensor:
    """What the scanner blanks: exact zeros, and now and then all air of slices that have none."""
    zero = clean == 0
    blanked = zero.float().mean(dim=(1, 2, 3)) > 0.01
    wide = functional.max_pool2d(functional.max_pool2d(head.float(), (9, 1), 1, (4, 0)), (1, 9), 1, (0, 4))
    air = wide == 0
    also = ~blanked & (torch.rand(len(clean), generator=generator) < 0.4)
    return (zero & per_sample(blanked, clean)) | (air & per_sample(also, clean))


def _augmented(clean: Tensor, head: Tensor, edges: Tensor, generator: torch.Generator) -> Tensor:
    """What a good scan may also look like: other contrast, slight blur, mild field, little noise."""
    size = len(clean)
    gamma = torch.exp(0.4 * (2 * torch.rand(size, generator=generator) - 1))
    image = 2 * (clean / 2).clamp(min=0) ** per_sample(gamma, clean)
    some = torch.rand((3, size), generator=generator)
    level = torch.rand((3, size), generator=generator)
    faint = torch.where(some[0] < 0.4, 0.25 * level[0], torch.zeros(size))
    image = _apply("blur", image, head, torch.ones_like(edges), faint, generator)
    image = _apply(
        "bias", image, head, edges, torch.where(some[1] < 0.6, 0.22 * level[1], torch.zeros(size)), generator
    )
    return _apply("noise", image, head, edges, 0.09 * level[2] ** 2, generator)


def _apply(
    name: str, image: Tensor, head: Tensor, edges: Tensor, strength: Tensor, generator: torch.Generator
) -> Tensor:
    artifact = ARTIFACTS[name]
    return artifact.apply(image, artifact.sample(generator, strength, edges[:, :2]), head)


def _plans(
    size: int, generator: torch.Generator, mix: Mapping[str, float]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Strength of each artifact for each element, 0 where it isn't used; two independent plans."""
    names = list(mix)
    chances = torch.tensor([mix[name] for name in names])
    most = min(len(COUNTS), len(names))
    plans = []
    for _ in range(2):
        picks = torch.multinomial(chances.expand(size, -1), most, generator=generator)
        number = torch.multinomial(torch.tensor(COUNTS).expand(size, -1), 1, generator=generator) + 1
        used = torch.zeros((size, len(names)), dtype=torch.bool)
        used.scatter_(1, picks, torch.arange(most)[None] < number)
        plans.append(
            {
                name: torch.where(used[:, place], _draw_strength(size, generator), 0.0)
                for place, name in enumerate(names)
            }
        )
    return plans[0], plans[1]


def _draw_strength(size: int, generator: torch.Generator) -> Tensor:
    return 0.03 + 0.97 * torch.rand(size, generator=generator) ** 1.2


def _degraded(
    clean: Tensor,
    head: Tensor,
    edges: Tensor,
    plan: dict[str, Tensor],
    own: list[int],
    other: list[int],
    paired: Tensor,
) -> Tensor:
    """Apply a plan; paired elements draw from the seeds ``own``, the rest from ``other``."""
    image = clean.clone()
    for place, (name, strength) in enumerate(plan.items()):
        chosen = torch.nonzero(strength > 0).flatten()
        if not chosen.numel():
            continue
        artifact = ARTIFACTS[name]
        drawn = [
            artifact.sample(torch.Generator().manual_seed(seeds[place]), strength, edges[:, :2])
            for seeds in (own, other)
        ]
        parameters: Parameters = {
            key: torch.where(paired.reshape(-1, *[1] * (value.ndim - 1)), value, drawn[1][key])[chosen]
            for key, value in drawn[0].items()
        }
        image[chosen] = artifact.apply(image[chosen], parameters, head[chosen])
    return image


def _quantised(images: list[Tensor], generator: torch.Generator) -> list[Tensor]:
    """Store all copies of an element in the same whole steps, as scanners and converters do (8 bit in 30 %)."""
    coarse = torch.rand(len(images[0]), generator=generator) < 0.3
    top = torch.stack([quantile(element.flatten(), 0.999) for element in images[0]]).clamp(min=1e-3)
    step = per_sample(top / torch.where(coarse, 220.0, 3000.0), images[0])
    return [torch.round(image / step) * step for image in images]


def _by_family(plan: dict[str, Tensor], size: int) -> Tensor:
    """Strongest artifact of each family, shape (size, 5)."""
    result = torch.zeros(size, len(FAMILIES))
    for name, strength in plan.items():
        family = ARTIFACTS[name].family
        if family in FAMILIES:
            place = FAMILIES.index(family)
            result[:, place] = torch.maximum(result[:, place], strength * (GIBBS_AS_BLUR if name == "gibbs" else 1.0))
    return result
