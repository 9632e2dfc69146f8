# SPDX-License-Identifier: Apache-2.0
"""Recipe of the ranking networks: ``python -m bidsqa.training.ranking --data ../shared/data --out checkpoints/rank``.

Both images of a pair go through the same network; a small symmetric classifier turns its two scores into chances of
"better", "similar" and "worse", and the cross-entropy to the readers' votes teaches both (Tang et al. 2025). The
classifier's sigmoids saturate, so that pairs a few units apart teach the scores nothing more, however wrong they are:
the cross-entropy of Davidson's model, which doesn't saturate, stands beside it and gives the scores their unit. This
recipe learns from synthetic readers, to compare networks where the best possible is known; ``bidsqa-train ranking``
learns from people.
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

from bidsqa.models.networks_ranking import ARCHITECTURES, ComplexDropout
from bidsqa.rating.synthetic_reader import SyntheticReader
from bidsqa.training.curve import Curve
from bidsqa.training.loop import Outcome, fit, print_row
from bidsqa.training.machine import choose_machine
from bidsqa.training.plan import Plan
from bidsqa.training.ranker import Ranker
from bidsqa.training.ranking_pairs import Inputs, RankedPairs, Source, SyntheticPairs, cut_out, inputs_of, turned
from bidsqa.training.segmentation_data import class_of_label
from bidsqa.training.ssim_pool import (
    Slices,
    drawn_slices,
    load_parts,
    map_slices,
    phantom_slices,
    real_slices,
    save_parts,
)

Array = np.ndarray[Any, Any]
# the architecture that needs no reference: it alone can compare two heads
FREE = "efficientnet_b0_free"
# second row of the table of ceilings: like the readers of Tang et al.
TAU, TASTE = 0.25, 0.8
# how readily such readers call two images similar, in Davidson's model
TIE = 0.25
READERS = 3
NEW_SHARE = 0.25
RESERVE = 60
WATCHED = 64
LOOK_SECONDS = 240
# cut-outs of so many pixels are learned from in this share of the budget: a step costs a third
CUT = 128
CUT_SHARES = {"iq_net": 0.9, "efficientnet_b0": 0.85, "efficientnet_b0_free": 0.6}
# a lone scan is compared with those of other heads
ACROSS = 0.5
# there is no end of pairs by synthetic readers, so that there is little to guard against
FREE_DROPOUT = 0.05
LEARNING: dict[str, Any] = {"decay": 1e-4, "clip": 1.0, "warm_share": 0.02, "average": 0.99, "average_lag": 10}
# highest learning rate from weights that have learned already, as a share of that from random ones
WARM_RATE = 0.3
RATES = {"iq_net": 3e-3, "efficientnet_b0": 1e-3, "efficientnet_b0_free": 1e-3}


@dataclass(frozen=True)
class Recipe:
    """What a training depends on besides the data.

    Parameters
    ----------
    architecture : str
        Key of ``networks_ranking.ARCHITECTURES``.
    seconds : float
        Time budget, pool excluded.
    steps : int, optional
        Budget in steps instead.
    batch : int
        Pairs a step.
    seed : int
    readers : int
        Synthetic readers who rank each pair.
    tau, taste : float
        Theirs.
    """

    architecture: str = FREE
    seconds: float = 3600.0
    steps: int | None = None
    batch: int = 16
    seed: int = 1
    readers: int = READERS
    tau: float = TAU
    taste: float = TASTE


class Readers:
    """Several synthetic readers; their votes on pairs of known utilities.

    Parameters
    ----------
    count, tau, taste
        See :class:`Recipe`.
    """

    def __init__(self, count: int = READERS, tau: float = TAU, taste: float = TASTE) -> None:
        self._count, self._tau, self._taste = count, tau, taste

    def __call__(self, first: Array, second: Array, chance: np.random.Generator) -> Array:
        """Votes (N, 3): second better, similar, first better."""
        votes = np.zeros((len(first), 3))
        for _ in range(self._count):
            reader = SyntheticReader(int(chance.integers(2**31)), self._tau, self._taste)
            tastes = chance.normal(0, self._taste, len(first)) if self._taste else 0.0
            votes[np.arange(len(first)), reader.compare(first, second, tastes) + 1] += 1
        return votes


def cross_entropy(logits: Tensor, votes: Tensor) -> Tensor:
    """Mean cross-entropy to the shares of votes."""
    shares = votes / votes.sum(dim=1, keepdim=True).clamp(min=1)
    return -(shares * torch.log_softmax(logits, dim=1)).sum(dim=1).mean()


def davidson_logits(first: Tensor, second: Tensor) -> Tensor:
    """Logits (N, 3) of Davidson's model (:mod:`bidsqa.models.preference`) from two scores (N, 1), lower is better."""
    half = (first.float() - second.float()) / 2
    return torch.cat([half, torch.full_like(half, math.log(TIE)), -half], dim=1)


def agreement(logits: Tensor, votes: Tensor) -> Tensor:
    """Share of votes that agree with the most likely answer: accuracy against one reader."""
    chosen = logits.argmax(dim=1, keepdim=True)
    return (votes.gather(1, chosen)[:, 0] / votes.sum(dim=1).clamp(min=1)).mean()


class Reserve:
    """Recent pairs, each used about four times, turned anew: spoiling one costs as much as learning from it.

    Parameters
    ----------
    source : Source
    batch : int
    """

    def __init__(self, source: Source, batch: int) -> None:
        self._source, self._batch = source, batch
        self._new = max(2, round(NEW_SHARE * batch))
        self._made: dict[int, RankedPairs] = {}

    def draw(self, seeds: Sequence[int]) -> RankedPairs:
        """The pairs of the newest seed, the last, and some of the others."""
        kept = list(seeds[-RESERVE:])
        self._made = {seed: self._made[seed] for seed in kept if seed in self._made}
        chance = np.random.default_rng((kept[-1], 2))
        older = [(kept[int(chance.integers(len(kept)))], int(chance.integers(self._new))) for _ in range(self._batch)]
        parts = [self._group(kept[-1])]
        parts += [self._group(seed).some([row]) for seed, row in older[: self._batch - self._new]]
        return turned(joined(parts), chance)

    def _group(self, seed: int) -> RankedPairs:
        if seed not in self._made:
            self._made[seed] = self._source.draw(seed, self._new)
        return self._made[seed]


def joined(parts: Sequence[RankedPairs]) -> RankedPairs:
    """All pairs in one."""
    tensors = {
        name: torch.cat([getattr(part, name) for part in parts])
        for name in ("first", "second", "reference", "votes", "difference", "ssim")
    }
    return RankedPairs(subject=tuple(name for part in parts for name in part.subject), **tensors)


class RankingTask:
    """What the loop asks for (:class:`bidsqa.training.loop.Task`).

    Parameters
    ----------
    architecture : str
    source : Source
        Pairs to learn from.
    watched : RankedPairs
        Of other subjects.
    batch, seed : int
    start : Mapping, optional
        Tensors to go on from.
    dropout : float, optional
        Instead of IQ-Net's own, 0.5.
    """

    def __init__(
        self,
        architecture: str,
        source: Source,
        watched: RankedPairs,
        batch: int,
        seed: int,
        start: dict[str, Tensor] | None = None,
        dropout: float | None = None,
    ) -> None:
        self._architecture, self._start, self._seed, self._dropout = architecture, start, seed, dropout
        self._reserve = Reserve(source, batch)
        self._reference = Ranker(architecture).reference
        self.watched = [
            inputs_of(watched.some(range(place, min(place + batch, len(watched)))), self._reference)
            for place in range(0, len(watched), batch)
        ]

    def network(self) -> nn.Module:
        """With random weights."""
        ranker = Ranker(self._architecture)
        ranker.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self._dropout is not None:
            for part in ranker.modules():
                if isinstance(part, ComplexDropout):
                    part.probability = self._dropout
                elif isinstance(part, nn.Dropout):
                    part.p = self._dropout
        return ranker

    def warm(self, network: nn.Module) -> None:
        """Take over the start's weights."""
        if self._start is not None:
            network.load_state_dict(self._start)

    def batch(self, step: int, share: float) -> Inputs:
        """The batch of a step: cut-outs at first, then whole slices."""
        seeds = [self._seed * 1_000_003 + number for number in range(max(0, step - RESERVE + 1), step + 1)]
        inputs = inputs_of(self._reserve.draw(seeds), self._reference)
        if share >= CUT_SHARES[self._architecture]:
            return inputs
        return cut_out(inputs, CUT, np.random.default_rng((self._seed, step, 3)))

    def loss(self, network: nn.Module, batch: Inputs) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of the classifier and of Davidson's model, and the agreement with a reader."""
        assert isinstance(network, Ranker)
        scores = network.scores(batch)
        logits = network.classifier(*scores)
        both = cross_entropy(logits, batch.votes) + cross_entropy(davidson_logits(*scores), batch.votes)
        return both, {"accuracy": agreement(logits, batch.votes).detach()}

    def watch(self, network: nn.Module, batches: list[Any]) -> dict[str, float]:
        """Cross-entropy and agreement on the watched pairs."""
        network.eval()
        with torch.no_grad():
            logits = torch.cat([network(batch) for batch in batches])
        votes = torch.cat([batch.votes for batch in batches])
        return {
            "watch_loss": float(cross_entropy(logits, votes)),
            "watch_accuracy": float(agreement(logits, votes)),
        }


def train(task: RankingTask, plan: Plan, out: Path, precision: str = "float32") -> Outcome:
    """Train until the budget is spent, from ``out/checkpoint.safetensors`` where there is one."""
    out.mkdir(parents=True, exist_ok=True)
    curve = Curve(out / "curve.csv")
    return fit(task, plan, out / "checkpoint.safetensors", curve, choose_machine("cpu", precision), print_row)


def build_pool(data: Path, seed: int = 1) -> list[Slices]:
    """Clean slices to train on: real scans, label maps, scans drawn from label maps, phantoms."""
    return [
        *real_slices(data, ("train",), 20),
        *map_slices(data, ("train",), 20),
        *drawn_slices(data, 13, seed, ("train",)),
        *phantom_slices((101, 102, 103, 104)),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Train; see the module's first lines."""
    parser = argparse.ArgumentParser(prog="python -m bidsqa.training.ranking", description="Train a ranking network.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with scans/ and labels/")
    parser.add_argument("--out", type=Path, default=Path("checkpoints/ranking"), help="folder of checkpoints, curve")
    parser.add_argument("--architecture", choices=sorted(ARCHITECTURES), default=Recipe.architecture)
    parser.add_argument("--seconds", type=float, default=Recipe.seconds, help="time budget")
    parser.add_argument("--steps", type=int, help="budget in steps instead of time")
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--start", type=Path, help="exported weights to go on from")
    parser.add_argument("--across", type=float, default=ACROSS, help="share of pairs of two slices (no reference)")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    recipe = Recipe(chosen.architecture, chosen.seconds, chosen.steps, seed=chosen.seed)
    classes = class_of_label(chosen.data / "labels" / "labels.json")
    began = time.monotonic()
    pool = chosen.out.parent / "ranking_pool.npz"
    if not pool.is_file():
        save_parts(build_pool(chosen.data), pool)
    slices = load_parts(pool)
    print(f"{sum(len(part.images) for part in slices)} clean slices in {time.monotonic() - began:.0f} s", flush=True)
    reader = Readers(recipe.readers, recipe.tau, recipe.taste)
    watched = SyntheticPairs(real_slices(chosen.data, ("watch",), 20), classes, reader, augment=False).draw(9, WATCHED)
    across = chosen.across if recipe.architecture == FREE else 0.0
    source = SyntheticPairs(slices, classes, reader, across=across)
    plan = Plan(
        seed=recipe.seed,
        rate=RATES[recipe.architecture] * (1.0 if chosen.start is None else WARM_RATE),
        seconds=None if recipe.steps else recipe.seconds,
        steps=recipe.steps,
        look_seconds=LOOK_SECONDS,
        **LEARNING,
    )
    start = None
    if chosen.start is not None:
        from bidsqa.training.ranking_start import start_tensors

        inputs = inputs_of(watched.some(range(recipe.batch)), recipe.architecture != FREE)
        start = start_tensors(recipe.architecture, chosen.start, inputs)
    task = RankingTask(recipe.architecture, source, watched, recipe.batch, recipe.seed, start, FREE_DROPOUT)
    train(task, plan, chosen.out, chosen.precision)


if __name__ == "__main__":
    main()
