# SPDX-License-Identifier: Apache-2.0
"""Recipe of the SSIM network: ``python -m bidsqa.training.ssim --data ../shared/data --out checkpoints/ssim``.

The length is a time budget: the learning rate follows a cosine over the share of the budget that is spent, so that the
same command makes a sensible network on a slow and on a fast machine. The step count reached is in the log and card.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bidsqa.models.networks_ssim import ARCHITECTURES, ResidualNetwork
from bidsqa.training.checkpoints import adopt_earlier
from bidsqa.training.curve import Curve
from bidsqa.training.loop import fit, print_row
from bidsqa.training.machine import choose_machine
from bidsqa.training.plan import Plan
from bidsqa.training.segmentation_data import class_of_label
from bidsqa.training.ssim_pairs import Pairs, draw_clean, join, make_pairs, pick
from bidsqa.training.ssim_pool import (
    Slices,
    drawn_slices,
    load_parts,
    map_slices,
    phantom_slices,
    real_slices,
    save_parts,
)
from bidsqa.training.warm_start import warm_start

Array = np.ndarray[Any, Any]
MIX = {"real": 0.56, "maps": 0.18, "drawn": 0.18, "phantom": 0.08}
CUT_SHARE = 0.7
RESERVE = 150
MOVED_SHARE = 0.1875
IID_SHARE = 0.2
LOG_SECONDS = 150
WATCHED = 96
LEARNING: dict[str, Any] = {"decay": 1e-4, "clip": 1.0, "warm_share": 0.02, "average": 0.995, "average_lag": 10}


@dataclass(frozen=True)
class Recipe:
    """What a training depends on besides the data.

    Parameters
    ----------
    architecture : str
        Key of ``networks_ssim.ARCHITECTURES``.
    seconds : float
        Time budget, pool excluded.
    batch : int
    rate : float
        Highest learning rate.
    cut : int
        Side of the cut-outs in the first 70 % of the budget; whole windows afterwards.
    seed : int
    contrast : bool
        Augment contrast, field and sharpness of the clean slices.
    phantoms : tuple of int
        Seeds of phantom heads in the pool.
    drawn : int
        Scans drawn from label maps in the pool.
    start : Path, optional
        Exported weights to go on from instead of random ones.
    steps : int, optional
        Budget in steps instead of time.
    """

    architecture: str = "ssim_map"
    seconds: float = 3600.0
    batch: int = 16
    rate: float = 2e-3
    cut: int = 128
    seed: int = 1
    contrast: bool = True
    phantoms: tuple[int, ...] = (101, 102, 103, 104)
    drawn: int = 13
    start: Path | None = None
    steps: int | None = None


def build_pool(data: Path, recipe: Recipe) -> list[Slices]:
    """Clean slices to train on: real scans, label maps, scans drawn from label maps, phantoms."""
    return [
        *real_slices(data, ("train",)),
        *map_slices(data, ("train",)),
        *drawn_slices(data, recipe.drawn, recipe.seed, ("train",)),
        *phantom_slices(recipe.phantoms),
    ]


def kept_pool(data: Path, recipe: Recipe, path: Path) -> list[Slices]:
    """The pool from a file of an earlier start, else built and kept there."""
    if not path.is_file():
        save_parts(build_pool(data, recipe), path)
    return load_parts(path)


def part_chances(parts: Sequence[Slices]) -> Array:
    """Chance of each part: the mix of sources, sites by the square root of their scans, planes of a scan alike."""
    kinds = [part.site if part.site in MIX else "real" for part in parts]
    weights = np.zeros(len(parts))
    scans = {(part.site, part.subject, part.suffix) for part in parts}
    per_site = {site: sum(1 for scan in scans if scan[0] == site) for site in {scan[0] for scan in scans}}
    for place, part in enumerate(parts):
        planes = sum(1 for other in parts if (other.subject, other.suffix) == (part.subject, part.suffix))
        weights[place] = 1 / planes / math.sqrt(per_site[part.site])
    present = sum(share for kind, share in MIX.items() if kind in kinds)
    for kind, share in MIX.items():
        chosen = np.array([other == kind for other in kinds])
        if chosen.any():
            weights[chosen] *= share / present / weights[chosen].sum()
    return weights / weights.sum()


def loss_of(output: Tensor | tuple[Tensor, Tensor], pairs: Pairs) -> tuple[Tensor, Tensor]:
    """Loss and mean absolute error of the scores.

    Squared errors, of the slice score and, for networks with a map, of each block weighted by its head; clean slices
    are part of every batch and pin 1.
    """
    if not isinstance(output, tuple):
        error = output - pairs.score
        return 10 * error.square().mean(), error.abs().mean().detach()
    score, local = output
    error = score - pairs.score
    weight = pairs.head / pairs.head.sum().clamp(min=1)
    blocks = ((local - pairs.target).square() * weight).sum()
    return 10 * error.square().mean() + 5 * blocks, error.abs().mean().detach()


def run_network(network: nn.Module, pairs: Pairs) -> Tensor | tuple[Tensor, Tensor]:
    """The network on a batch, with the head where it wants one."""
    result: Tensor | tuple[Tensor, Tensor]
    result = network(pairs.degraded) if isinstance(network, ResidualNetwork) else network(pairs.degraded, pairs.head)
    return result


class Reserve:
    """Recent pairs: simulating one costs more than learning from it, so each is used about four times, cut anew.

    Every group of pairs follows from its seed, so that a training that goes on makes those it needs again.

    Parameters
    ----------
    parts, chances, classes
        As for :func:`bidsqa.training.ssim_pairs.draw_clean`.
    recipe : Recipe
    """

    def __init__(self, parts: Sequence[Slices], chances: Array, classes: Array, recipe: Recipe) -> None:
        self._parts, self._chances, self._classes, self._recipe = parts, chances, classes, recipe
        self._made: dict[int, Pairs] = {}

    def draw(self, seeds: Sequence[int], window: int | None) -> Pairs:
        """A batch: some moved slices, the clean selves of half of them, the rest from the reserve.

        A slice and its clean self in one batch differ by the motion alone, which is what there is to learn.

        Parameters
        ----------
        seeds : sequence of int
            Of the groups in the reserve, the newest last: it is drawn now.
        window : int, optional
            Side of the cut-outs.
        """
        kept = list(seeds[-RESERVE:])
        self._made = {seed: self._made[seed] for seed in kept if seed in self._made}
        generator = torch.Generator().manual_seed(kept[-1])
        kinds = self._kinds(generator)
        count = len(kinds)
        older = torch.randint(0, len(kept), (self._recipe.batch - count,), generator=generator).tolist()
        row = torch.randint(0, count, (self._recipe.batch - count,), generator=generator).tolist()
        rest = [
            pick(self._group(kept[number]), [place], generator, window)
            for number, place in zip(older, row, strict=True)
        ]
        return join([pick(self._group(kept[-1]), range(count), generator, window), *rest])

    def _kinds(self, generator: torch.Generator) -> list[str]:
        """Motion of the slices of a group: the first that its seed decides."""
        moved = max(2, round(MOVED_SHARE * self._recipe.batch))
        drawn = torch.rand(moved, generator=generator).tolist()
        return ["motion_iid" if value < IID_SHARE else "motion" for value in drawn] + ["none"] * (moved // 2)

    def _group(self, seed: int) -> Pairs:
        if seed not in self._made:
            kinds = self._kinds(torch.Generator().manual_seed(seed))
            clean_too = kinds.count("none")
            moved = len(kinds) - clean_too
            clean = draw_clean(self._parts, self._chances, self._classes, moved, seed, self._recipe.contrast)
            image, head, air = (torch.cat([tensor, tensor[:clean_too]]) for tensor in clean)
            self._made[seed] = make_pairs(image, head, air, seed, kinds)
        return self._made[seed]


def watch_pairs(parts: Sequence[Slices], classes: Array, count: int, batch: int) -> list[Pairs]:
    """Fixed pairs of scans not trained on to watch the training by; nothing is chosen by them."""
    chances = part_chances(parts)
    result = []
    for start in range(0, count, batch):
        clean, head, air = draw_clean(parts, chances, classes, batch, seed=900_000 + start, augment=False)
        result.append(make_pairs(clean, head, air, seed=910_000 + start))
    return result


@torch.no_grad()
def watch(network: nn.Module, batches: Sequence[Pairs]) -> dict[str, float]:
    """Loss; mean, SD and mean absolute value of predicted minus true SSIM."""
    network.eval()
    errors, total = [], 0.0
    for pairs in batches:
        output = run_network(network, pairs)
        total += float(loss_of(output, pairs)[0])
        errors.append(((output[0] if isinstance(output, tuple) else output) - pairs.score).flatten())
    error = torch.cat(errors)
    return {
        "watch_loss": total / len(batches),
        "watch_bias": float(error.mean()),
        "watch_sd": float(error.std()),
        "watch_mae": float(error.abs().mean()),
    }


class SsimTask:
    """What the loop asks for (:class:`bidsqa.training.loop.Task`).

    Parameters
    ----------
    recipe : Recipe
    parts : sequence of Slices
        Clean slices to train on.
    classes : ndarray
        Class of each label value, for parts that are label windows.
    watched : sequence of Pairs
        Of other subjects.
    """

    def __init__(self, recipe: Recipe, parts: Sequence[Slices], classes: Array, watched: Sequence[Pairs]) -> None:
        self.watched = list(watched)
        self._recipe = recipe
        self._reserve = Reserve(parts, part_chances(parts), classes, recipe)
        self._before = [self._seed(-1 - turn) for turn in range(4)] if recipe.start is not None else []

    def _seed(self, step: int) -> int:
        # before the first step of seed 0 numbers would be negative, which NumPy refuses
        return (self._recipe.seed * 1_000_003 + step) % 2**62

    def network(self) -> nn.Module:
        """With random weights."""
        return ARCHITECTURES[self._recipe.architecture]()

    def warm(self, network: nn.Module) -> None:
        """Take over the start's weights."""
        if self._recipe.start is not None:
            drawn = [self._reserve.draw(self._before[: turn + 1], self._recipe.cut) for turn in range(4)]
            pairs = join(drawn)
            warm_start(network, self._recipe.start, lambda started: run_network(started, pairs))

    def batch(self, step: int, share: float) -> Pairs:
        """The batch of a step: cut-outs first, whole windows when most of the budget is spent."""
        seeds = self._before + [self._seed(number) for number in range(max(0, step - RESERVE), step + 1)]
        return self._reserve.draw(seeds, self._recipe.cut if share < CUT_SHARE else None)

    def loss(self, network: nn.Module, batch: Pairs) -> tuple[Tensor, dict[str, Tensor]]:
        """See :func:`loss_of`."""
        loss, error = loss_of(run_network(network, batch), batch)
        return loss, {"score_error": error}

    def watch(self, network: nn.Module, batches: Sequence[Pairs]) -> dict[str, float]:
        """See :func:`watch`."""
        return watch(network, batches)


def train(recipe: Recipe, parts: Sequence[Slices], classes: Array, watched: Sequence[Pairs], out: Path) -> nn.Module:
    """Train until the budget is spent, resuming from ``out/checkpoint.safetensors`` where there is one.

    Returns
    -------
    torch.nn.Module
        The averaged network, also in the checkpoint.
    """
    plan = Plan(
        seed=recipe.seed,
        rate=recipe.rate,
        seconds=None if recipe.steps else recipe.seconds,
        steps=recipe.steps,
        look_seconds=LOG_SECONDS,
        **LEARNING,
    )
    out.mkdir(parents=True, exist_ok=True)
    task = SsimTask(recipe, parts, classes, watched)
    checkpoint = out / "checkpoint.safetensors"
    adopt_earlier(checkpoint)
    return fit(task, plan, checkpoint, Curve(out / "curve.csv"), choose_machine("cpu"), print_row).network


def main(arguments: Sequence[str] | None = None) -> None:
    """Train; see the module's first lines."""
    parser = argparse.ArgumentParser(prog="python -m bidsqa.training.ssim", description="Train the SSIM network.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with scans/ and labels/")
    parser.add_argument("--out", type=Path, default=Path("checkpoints/ssim"), help="folder of checkpoints, curve")
    parser.add_argument("--architecture", choices=sorted(ARCHITECTURES), default=Recipe.architecture)
    parser.add_argument("--seconds", type=float, default=Recipe.seconds, help="time budget")
    parser.add_argument("--steps", type=int, help="budget in steps instead of time")
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--rate", type=float, default=Recipe.rate, help="highest learning rate")
    parser.add_argument("--start", type=Path, help="exported weights to go on from")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-contrast", action="store_true", help="no contrast augmentation")
    parser.add_argument("--no-phantom", action="store_true", help="no phantom heads in the pool")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    recipe = Recipe(
        architecture=chosen.architecture,
        seconds=chosen.seconds,
        steps=chosen.steps,
        seed=chosen.seed,
        rate=chosen.rate,
        start=chosen.start,
        contrast=not chosen.no_contrast,
        phantoms=() if chosen.no_phantom else Recipe.phantoms,
    )
    classes = class_of_label(chosen.data / "labels" / "labels.json")
    began = time.monotonic()
    parts = kept_pool(chosen.data, recipe, chosen.out / "pool.npz")
    watched = watch_pairs(real_slices(chosen.data, ("watch",)), classes, WATCHED, recipe.batch)
    count = sum(len(part.images) for part in parts)
    print(f"{count} clean slices of {len(parts)} scan planes in {time.monotonic() - began:.0f} s", flush=True)
    train(recipe, parts, classes, watched, chosen.out)


if __name__ == "__main__":
    main()
