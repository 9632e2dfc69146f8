# SPDX-License-Identifier: Apache-2.0
"""Train a severity network: ``python -m bidsqa.training.severity --data ../shared/data --out checkpoints/severity``.

One process, one core, no GPU needed. The pool of clean slices is made once and kept beside the checkpoint. The
learning rate follows a cosine over the given minutes; a checkpoint is written every few minutes and a run that was
stopped goes on from it. ``curve_<architecture>.csv`` holds the losses and the watched subjects' numbers.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bidsqa.models.networks_severity import ARCHITECTURES
from bidsqa.training.checkpoints import adopt_earlier
from bidsqa.training.curve import Curve
from bidsqa.training.loop import fit, print_row
from bidsqa.training.machine import choose_machine
from bidsqa.training.plan import Plan
from bidsqa.training.pool import drawn_scans, real_scans
from bidsqa.training.severity_batches import MIX, Batch, make_batch
from bidsqa.training.severity_data import Slices, cut_slices
from bidsqa.training.severity_losses import compact_loss, hays_loss, ordered_loss
from bidsqa.training.warm_start import warm_start

RATES = {"compact": 2.5e-3, "hays": 1e-3}
DECAY = 1e-2
EMA = 0.995
LEARNING: dict[str, Any] = {"decay": DECAY, "clip": 2.0, "warm_steps": 50, "average": EMA, "average_lag": 9}
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
    steps: int | None = None


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
    score, harm = torch.cat(scores).cpu().numpy(), torch.cat(harms).cpu().numpy()
    order = np.corrcoef(np.argsort(np.argsort(score)), np.argsort(np.argsort(harm)))[0, 1]
    clean, bad = score[harm == 0], score[harm > 0.15]
    above = (bad[:, None] > clean[None]).mean() + 0.5 * (bad[:, None] == clean[None]).mean()
    return {"watch_loss": total / len(batches), "watch_rank": float(order), "watch_auc": float(above)}


class SeverityTask:
    """What the loop asks for (:class:`bidsqa.training.loop.Task`).

    Parameters
    ----------
    slices, watched : Slices
        To train on, and of other subjects to watch.
    architecture : str
        Key of ``networks_severity.ARCHITECTURES``.
    batch : int
        Clean slices a batch; it has two degraded copies of each besides.
    seed : int
    start : Path, optional
        Exported weights to go on from.
    mix : Mapping of float
        Artifacts and their chances.
    """

    def __init__(
        self,
        slices: Slices,
        watched: Slices,
        architecture: str = "compact",
        batch: int = 14,
        seed: int = 1,
        start: Path | None = None,
        mix: Mapping[str, float] = MIX,
    ) -> None:
        self._slices, self._architecture, self._batch = slices, architecture, batch
        self._seed, self._start, self._mix = seed, start, mix
        generator = torch.Generator().manual_seed(WATCH_SEED)
        self.watched = [make_batch(watched, batch, generator, mix) for _ in range(WATCH_BATCHES)]

    def network(self) -> Any:
        """With random weights."""
        return ARCHITECTURES[self._architecture]()

    def warm(self, network: Any) -> None:
        """Take over the start's weights."""
        if self._start is not None:
            first = make_batch(self._slices, 3 * self._batch, torch.Generator().manual_seed(self._seed), self._mix)
            warm_start(network, self._start, lambda started: losses(started, self._architecture, first))

    def batch(self, step: int, share: float) -> Batch:
        """The batch of a step."""
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + step)
        return make_batch(self._slices, self._batch, generator, self._mix)

    def loss(self, network: Any, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The sum of the losses, and each."""
        parts = losses(network, self._architecture, batch)
        return torch.stack(list(parts.values())).sum(), parts

    def watch(self, network: Any, batches: list[Batch]) -> dict[str, float]:
        """See :func:`watch`."""
        return watch(network, self._architecture, batches)


def train(recipe: Recipe) -> None:
    """Run, or go on with, the training of a recipe."""
    torch.set_num_threads(1)
    recipe.out.mkdir(parents=True, exist_ok=True)
    slices, watched = prepare_pool(recipe)
    name = recipe.architecture
    task = SeverityTask(slices, watched, name, recipe.batch, recipe.seed, recipe.start)
    plan = Plan(
        seed=recipe.seed,
        rate=recipe.rate or RATES[name],
        seconds=None if recipe.steps else 60 * recipe.minutes,
        steps=recipe.steps,
        look_seconds=60 * recipe.save_minutes,
        **LEARNING,
    )
    checkpoint = recipe.out / f"{name}.safetensors"
    adopt_earlier(checkpoint)
    fit(task, plan, checkpoint, Curve(recipe.out / f"curve_{name}.csv"), choose_machine("cpu"), print_row)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Train a severity network.")
    parser.add_argument("--data", type=Path, required=True, help="folder with scans/ and labels/")
    parser.add_argument("--out", type=Path, required=True, help="folder for pool, checkpoints and curve")
    parser.add_argument("--architecture", choices=sorted(ARCHITECTURES), default="compact")
    parser.add_argument("--minutes", type=float, default=Recipe.minutes)
    parser.add_argument("--steps", type=int, help="budget in steps instead of minutes")
    parser.add_argument("--batch", type=int, default=Recipe.batch)
    parser.add_argument("--drawn", type=int, default=Recipe.drawn, help="scans drawn from label maps")
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--rate", type=float, help="highest learning rate (default: the architecture's)")
    parser.add_argument("--start", type=Path, help="exported weights to go on from")
    train(Recipe(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
