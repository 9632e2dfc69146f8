# SPDX-License-Identifier: Apache-2.0
"""Recipe of the SSIM network: ``python -m bidsqa.training.ssim --data ../shared/data --out checkpoints/ssim``.

The length is a time budget: the learning rate follows a cosine over the share of the budget that is spent, so that the
same command makes a sensible network on a slow and on a fast machine. The step count reached is in the log and card.
"""

from __future__ import annotations

import argparse
import csv
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bidsqa.models.networks_ssim import ARCHITECTURES, ResidualNetwork
from bidsqa.training.segmentation_data import class_of_label
from bidsqa.training.ssim_pairs import Pairs, draw_clean, join, make_pairs, pick
from bidsqa.training.ssim_pool import Slices, drawn_slices, map_slices, phantom_slices, real_slices
from bidsqa.training.warm_start import warm_start

Array = np.ndarray[Any, Any]
MIX = {"real": 0.56, "maps": 0.18, "drawn": 0.18, "phantom": 0.08}
CUT_SHARE = 0.7
RESERVE = 150
MOVED_SHARE = 0.1875
IID_SHARE = 0.2
LOG_SECONDS = 150
AVERAGE_DECAY = 0.995
LOG_COLUMNS = ("seconds", "step", "window", "rate", "loss", "score_error", "watch_bias", "watch_sd", "watch_mae")


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


@dataclass
class State:
    """What a checkpoint holds."""

    step: int = 0
    spent: float = 0.0
    rows: list[dict[str, float]] = field(default_factory=list)


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
    names = ("subject", "site", "suffix", "plane")
    if path.is_file():
        with np.load(path, allow_pickle=False) as kept:
            about = [dict(zip(names, row, strict=True)) for row in kept["about"].tolist()]
            return [
                Slices(images=kept[f"images{place}"], heads=kept[f"heads{place}"], **row)
                for place, row in enumerate(about)
            ]
    parts = build_pool(data, recipe)
    arrays = {f"{name}{place}": getattr(part, name) for place, part in enumerate(parts) for name in ("images", "heads")}
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, about=np.array([[getattr(part, name) for name in names] for part in parts]), **arrays)
    return parts


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


def learning_rate(recipe: Recipe, share: float) -> float:
    """Warm-up over 2 % of the budget, then a cosine to a hundredth."""
    if share < 0.02:
        return recipe.rate * (0.1 + 0.9 * share / 0.02)
    return recipe.rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(share, 1.0))))


class Reserve:
    """Recent pairs: simulating one costs more than learning from it, so each is used about four times, cut anew.

    Parameters
    ----------
    parts, chances, classes
        As for :func:`bidsqa.training.ssim_pairs.draw_clean`.
    recipe : Recipe
    """

    def __init__(self, parts: Sequence[Slices], chances: Array, classes: Array, recipe: Recipe) -> None:
        self._parts, self._chances, self._classes, self._recipe = parts, chances, classes, recipe
        self._kept: list[Pairs] = []

    def draw(self, seed: int, window: int | None) -> Pairs:
        """A batch: some moved slices, the clean selves of half of them, the rest from the reserve.

        A slice and its clean self in one batch differ by the motion alone, which is what there is to learn.
        """
        moved = max(2, round(MOVED_SHARE * self._recipe.batch))
        clean = draw_clean(self._parts, self._chances, self._classes, moved, seed, self._recipe.contrast)
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.rand(moved, generator=generator).tolist()
        kinds = ["motion_iid" if value < IID_SHARE else "motion" for value in drawn] + ["none"] * (moved // 2)
        image, head, air = (torch.cat([tensor, tensor[: moved // 2]]) for tensor in clean)
        self._kept = [*self._kept[-RESERVE + 1 :], make_pairs(image, head, air, seed, kinds)]
        count = len(kinds)
        older = torch.randint(0, len(self._kept), (self._recipe.batch - count,), generator=generator).tolist()
        row = torch.randint(0, count, (self._recipe.batch - count,), generator=generator).tolist()
        rest = [pick(self._kept[number], [place], generator, window) for number, place in zip(older, row, strict=True)]
        return join([pick(self._kept[-1], range(count), generator, window), *rest])


class Average:
    """Running average of a network's weights; the averaged network is watched and exported."""

    def __init__(self, network: nn.Module) -> None:
        import copy

        self.network = copy.deepcopy(network).eval()
        self._count = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take in the network's present weights; the first steps are forgotten faster."""
        self._count += 1
        keep = min(AVERAGE_DECAY, self._count / (self._count + 10))
        for mean, value in zip(self.network.state_dict().values(), network.state_dict().values(), strict=True):
            if mean.dtype.is_floating_point:
                mean.mul_(keep).add_(value, alpha=1 - keep)
            else:
                mean.copy_(value)


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
    """Mean, SD and mean absolute value of predicted minus true SSIM."""
    network.eval()
    errors = []
    for pairs in batches:
        output = run_network(network, pairs)
        errors.append(((output[0] if isinstance(output, tuple) else output) - pairs.score).flatten())
    error = torch.cat(errors)
    return {"watch_bias": float(error.mean()), "watch_sd": float(error.std()), "watch_mae": float(error.abs().mean())}


def train(recipe: Recipe, parts: Sequence[Slices], classes: Array, watched: Sequence[Pairs], out: Path) -> nn.Module:
    """Train until the budget is spent, resuming from ``out/last.npz`` where there is one.

    Returns
    -------
    torch.nn.Module
        The averaged network, also in ``out/average.safetensors``.
    """
    torch.manual_seed(recipe.seed)
    network = ARCHITECTURES[recipe.architecture]()
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=1e-4)
    state, chances = State(), part_chances(parts)
    reserve = Reserve(parts, chances, classes, recipe)
    if recipe.start is not None:
        pairs = join([reserve.draw(recipe.seed * 1_000_003 - 1 - turn, recipe.cut) for turn in range(4)])
        warm_start(network, recipe.start, lambda started: run_network(started, pairs))
    average = Average(network)
    resume(out, network, average, optimiser, state)
    began = last = time.monotonic()
    before = state.spent
    losses: list[tuple[float, float]] = []
    while state.spent < recipe.seconds:
        share = state.spent / recipe.seconds
        window = recipe.cut if share < CUT_SHARE else None
        pairs = reserve.draw(recipe.seed * 1_000_003 + state.step, window)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(recipe, share)
        network.train()
        loss, error = loss_of(run_network(network, pairs), pairs)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        average.update(network)
        losses.append((float(loss.detach()), float(error)))
        state.step += 1
        state.spent = before + time.monotonic() - began
        if time.monotonic() - last > LOG_SECONDS or state.spent >= recipe.seconds:
            last = time.monotonic()
            mean = np.mean(losses, axis=0)
            reached = (state.spent, state.step, window or 224, learning_rate(recipe, share), *mean)
            state.rows.append({**dict(zip(LOG_COLUMNS, reached, strict=False)), **watch(average.network, watched)})
            losses.clear()
            keep(out, network, average, optimiser, state)
    return average.network


def keep(out: Path, network: nn.Module, average: Average, optimiser: torch.optim.Optimizer, state: State) -> None:
    """Write the checkpoint (safetensors, no pickle) and the curve."""
    from safetensors.torch import save_file

    out.mkdir(parents=True, exist_ok=True)
    moments = {
        f"{number}.{key}": value if isinstance(value, Tensor) else torch.tensor(float(value))
        for number, entry in optimiser.state_dict()["state"].items()
        for key, value in entry.items()
    }
    settings = {"step": str(state.step), "spent": str(state.spent)}
    for name, tensors in (
        ("network", network.state_dict()),
        ("average", average.network.state_dict()),
        ("optimiser", moments),
    ):
        fresh = out / f"{name}.new"
        save_file({key: value.contiguous() for key, value in tensors.items()}, fresh, settings)
        fresh.replace(out / f"{name}.safetensors")
    with (out / "curve.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, LOG_COLUMNS)
        writer.writeheader()
        for row in state.rows:
            writer.writerow({key: f"{value:.6g}" for key, value in row.items()})


def resume(out: Path, network: nn.Module, average: Average, optimiser: torch.optim.Optimizer, state: State) -> None:
    """Go on from a checkpoint if there is one."""
    from safetensors import safe_open
    from safetensors.torch import load_file

    if not (out / "optimiser.safetensors").is_file():
        return
    network.load_state_dict(load_file(out / "network.safetensors"))
    average.network.load_state_dict(load_file(out / "average.safetensors"))
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in load_file(out / "optimiser.safetensors").items():
        number, key = name.split(".", 1)
        moments.setdefault(int(number), {})[key] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})
    with safe_open(out / "network.safetensors", framework="pt") as handle:
        settings = handle.metadata()
    state.step, state.spent = int(settings["step"]), float(settings["spent"])
    average._count = state.step
    with (out / "curve.csv").open(encoding="utf-8") as rows:
        state.rows = [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(rows)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Train; see the module's first lines."""
    parser = argparse.ArgumentParser(prog="python -m bidsqa.training.ssim", description="Train the SSIM network.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with scans/ and labels/")
    parser.add_argument("--out", type=Path, default=Path("checkpoints/ssim"), help="folder of checkpoints, curve")
    parser.add_argument("--architecture", choices=sorted(ARCHITECTURES), default=Recipe.architecture)
    parser.add_argument("--seconds", type=float, default=Recipe.seconds, help="time budget")
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
        seed=chosen.seed,
        rate=chosen.rate,
        start=chosen.start,
        contrast=not chosen.no_contrast,
        cut=Recipe.cut if chosen.architecture == "ssim_map" else 224,
        phantoms=() if chosen.no_phantom else Recipe.phantoms,
    )
    classes = class_of_label(chosen.data / "labels" / "labels.json")
    began = time.monotonic()
    parts = kept_pool(chosen.data, recipe, chosen.out / "pool.npz")
    watched = watch_pairs(real_slices(chosen.data, ("watch",)), classes, 96, recipe.batch)
    count = sum(len(part.images) for part in parts)
    print(f"{count} clean slices of {len(parts)} scan planes in {time.monotonic() - began:.0f} s", flush=True)
    train(recipe, parts, classes, watched, chosen.out)


if __name__ == "__main__":
    main()
