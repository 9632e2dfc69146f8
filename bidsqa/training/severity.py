# SPDX-License-Identifier: Apache-2.0
"""Train a severity network: ``python -m bidsqa.training.severity --data ../shared/data --out checkpoints/severity``.

One process, one core, no GPU needed. The pool of clean slices is made once and kept beside the checkpoints. The
learning rate follows a cosine over the given minutes; a checkpoint is written every few minutes and a run that was
stopped goes on from it. ``curve.csv`` holds the losses and the watched subjects' numbers.
"""

from __future__ import annotations

import argparse
import copy
import csv
import itertools
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bidsqa.models.networks_severity import ARCHITECTURES
from bidsqa.training.pool import drawn_scans, real_scans
from bidsqa.training.severity_batches import Batch, make_batch
from bidsqa.training.severity_data import Slices, cut_slices
from bidsqa.training.severity_losses import compact_loss, hays_loss, ordered_loss
from bidsqa.training.warm_start import warm_start

RATES = {"compact": 2.5e-3, "hays": 1e-3}
DECAY = 1e-2
EMA = 0.995
WATCH_BATCHES = 4
WATCH_SEED = 77


@dataclass(frozen=True)
class Recipe:
    """What a run needs; written into the card."""

    data: Path
    out: Path
    architecture: str = "compact"
    minutes: float = 80.0
    batch: int = 14
    drawn: int = 64
    per_plane: int = 20
    drawn_per_plane: int = 12
    seed: int = 1
    save_minutes: float = 4.0
    rate: float | None = None
    start: Path | None = None


def prepare_pool(recipe: Recipe) -> tuple[Slices, Slices]:
    """Slices to train on and to watch (training sites, other subjects), made once and kept in ``out``."""
    train_file, watch_file = recipe.out / "train.npz", recipe.out / "watch.npz"
    if not watch_file.exists():
        real = cut_slices(real_scans(recipe.data, ("train",)), recipe.per_plane, recipe.seed)
        drawn = cut_slices(drawn_scans(recipe.data, recipe.drawn, recipe.seed), recipe.drawn_per_plane, recipe.seed)
        joined(real, drawn).save(train_file)
        cut_slices(real_scans(recipe.data, ("watch",)), recipe.per_plane, recipe.seed).save(watch_file)
    return Slices.load(train_file), Slices.load(watch_file)


def joined(real: Slices, drawn: Slices, drawn_share: float = 0.45) -> Slices:
    """Two sets in one; ``drawn_share`` of what is drawn comes from the second."""
    return Slices(
        image=np.concatenate([real.image, drawn.image]),
        head=np.concatenate([real.head, drawn.head]),
        edges=np.concatenate([real.edges, drawn.edges]),
        scan=np.concatenate([real.scan, drawn.scan + len(real.names)]),
        weight=np.concatenate(
            [
                real.weight / real.weight.sum() * (1 - drawn_share),
                drawn.weight / drawn.weight.sum() * drawn_share,
            ]
        ),
        names=real.names + drawn.names,
        sites=real.sites + drawn.sites,
    )


def losses(network: Any, architecture: str, batch: Batch) -> dict[str, torch.Tensor]:
    """Parts of the loss on one batch."""
    size = len(batch.image) // 3
    if architecture == "hays":
        score = network(batch.image)
        clean, first, second = score[:size], score[size : 2 * size], score[2 * size :]
        harm = batch.damage.sum(dim=1)[size:].reshape(2, size)
        other = clean.roll(1)
        low, high = torch.where(harm[0] < harm[1], first, second), torch.where(harm[0] < harm[1], second, first)
        return {
            "triplet": 0.5 * (hays_loss(clean, other, first, harm[0]) + hays_loss(clean, other, second, harm[1])),
            "ordered": ordered_loss(low, high, (harm[0] - harm[1]).abs()),
        }
    output = network(batch.image.contiguous(memory_format=torch.channels_last), batch.head, batch.scalars)
    return compact_loss(output, batch.damage, batch.strength, size)


def watch(network: Any, architecture: str, batches: list[Batch]) -> dict[str, float]:
    """Loss on the watched subjects, rank correlation of score and damage, AUC of clean against visible."""
    network.eval()
    total, scores, harms = 0.0, [], []
    with torch.no_grad():
        for batch in batches:
            total += float(sum(losses(network, architecture, batch).values()))
            if architecture == "hays":
                score = network(batch.image)
            else:
                score = network(batch.image, batch.head, batch.scalars)[:, :2].sum(dim=1)
            scores.append(score)
            harms.append(batch.damage.sum(dim=1))
    network.train()
    score, harm = torch.cat(scores).numpy(), torch.cat(harms).numpy()
    order = np.corrcoef(np.argsort(np.argsort(score)), np.argsort(np.argsort(harm)))[0, 1]
    clean, bad = score[harm == 0], score[harm > 0.15]
    above = (bad[:, None] > clean[None]).mean() + 0.5 * (bad[:, None] == clean[None]).mean()
    return {"watch_loss": total / len(batches), "watch_rank": float(order), "watch_auc": float(above)}


def update_average(average: Any, network: Any, decay: float) -> None:
    """Exponential average of the weights; counters are copied."""
    with torch.no_grad():
        for kept, new in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
            if kept.dtype.is_floating_point:
                kept.mul_(decay).add_(new, alpha=1 - decay)
            else:
                kept.copy_(new)


def train(recipe: Recipe) -> None:
    """Run, or go on with, the training of a recipe."""
    torch.set_num_threads(1)
    torch.manual_seed(recipe.seed)
    recipe.out.mkdir(parents=True, exist_ok=True)
    slices, watched = prepare_pool(recipe)
    generator = torch.Generator().manual_seed(WATCH_SEED)
    watch_batches = [make_batch(watched, recipe.batch, generator) for _ in range(WATCH_BATCHES)]
    network = ARCHITECTURES[recipe.architecture]()
    if recipe.start is not None:
        first = make_batch(slices, 3 * recipe.batch, torch.Generator().manual_seed(recipe.seed))
        warm_start(network, recipe.start, lambda started: losses(started, recipe.architecture, first))
    highest = recipe.rate or RATES[recipe.architecture]
    average = copy.deepcopy(network)
    optimiser = torch.optim.AdamW(network.parameters(), lr=highest, weight_decay=DECAY)
    checkpoint = recipe.out / f"{recipe.architecture}.pt"
    iteration, spent = 0, 0.0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        iteration, spent = state["iteration"], state["seconds"]
    started = time.monotonic() - spent
    saved = time.monotonic()
    running: dict[str, float] = {}
    while True:
        elapsed = time.monotonic() - started
        progress = min(elapsed / (60 * recipe.minutes), 1.0)
        warm = min(1.0, (iteration + 1) / 50)
        for group in optimiser.param_groups:
            group["lr"] = highest * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))
        batch = make_batch(slices, recipe.batch, torch.Generator().manual_seed(recipe.seed * 1_000_003 + iteration))
        parts = losses(network, recipe.architecture, batch)
        loss = torch.stack(list(parts.values())).sum()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimiser.step()
        update_average(average, network, min(EMA, (iteration + 1) / (iteration + 10)))
        for name, part_loss in {**parts, "loss": loss}.items():
            value = part_loss.detach()
            running[name] = 0.95 * running.get(name, float(value)) + 0.05 * float(value)
        iteration += 1
        last = progress >= 1.0
        if last or time.monotonic() - saved > 60 * recipe.save_minutes:
            saved = time.monotonic()
            seen = watch(average, recipe.architecture, watch_batches)
            _log(recipe.out / f"curve_{recipe.architecture}.csv", iteration, elapsed, {**running, **seen})
            state = {
                "network": network.state_dict(),
                "average": average.state_dict(),
                "optimiser": optimiser.state_dict(),
                "iteration": iteration,
                "seconds": elapsed,
            }
            part = checkpoint.with_suffix(".part")
            torch.save(state, part)
            part.replace(checkpoint)
        if last:
            return


def _log(path: Path, iteration: int, seconds: float, values: dict[str, float]) -> None:
    row = {"iteration": iteration, "seconds": round(seconds), **{key: f"{value:.5f}" for key, value in values.items()}}
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)
    print(" ".join(f"{key}={value}" for key, value in itertools.islice(row.items(), 12)), flush=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Train a severity network.")
    parser.add_argument("--data", type=Path, required=True, help="folder with scans/ and labels/")
    parser.add_argument("--out", type=Path, required=True, help="folder for pool, checkpoints and curve")
    parser.add_argument("--architecture", choices=sorted(ARCHITECTURES), default="compact")
    parser.add_argument("--minutes", type=float, default=Recipe.minutes)
    parser.add_argument("--batch", type=int, default=Recipe.batch)
    parser.add_argument("--drawn", type=int, default=Recipe.drawn, help="scans drawn from label maps")
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--rate", type=float, help="highest learning rate (default: the architecture's)")
    parser.add_argument("--start", type=Path, help="exported weights to go on from")
    train(Recipe(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
