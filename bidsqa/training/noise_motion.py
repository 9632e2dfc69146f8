# SPDX-License-Identifier: Apache-2.0
"""Recipe of the noise and motion network: ``python -m bidsqa.training.noise_motion --data ../shared/data --out ...``.

Mini-batches of noise (2 slices x 5 versions, root mean squared error of the noise output) and of motion (5 slices x 2
versions, cross-entropy of the motion output) take turns; a step runs the trunk and one branch alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bidsqa.models.networks_noise_motion import ARCHITECTURES, SPREAD, NoiseMotionNet
from bidsqa.models.noise_motion_inputs import standardise
from bidsqa.simulation.coil_noise import bright_part
from bidsqa.training.curve import Curve
from bidsqa.training.label_calibration import snr_scores
from bidsqa.training.loop import fit, print_row
from bidsqa.training.machine import choose_machine
from bidsqa.training.noise_motion_batches import Batch, Recipe, Reserve, motion_batch, target_mean
from bidsqa.training.noise_motion_sets import (
    Windows,
    cut_windows,
    draw_row,
    load_windows,
    save_windows,
    varied,
    versions_at,
)
from bidsqa.training.plan import Plan
from bidsqa.training.pool import Clean, drawn_scans, real_scans
from bidsqa.training.warm_start import warm_start

Array = np.ndarray[Any, Any]
LABELS = ("snr", "iedd")
# dB, equally spaced: seven noisy versions, then the original
RULER_LEVELS = (12.0, 15.0, 18.0, 21.0, 24.0, 27.0, 30.0)
# of the slices that are drawn
SHARES = REAL_SHARE, DRAWN_SHARE, PHANTOM_SHARE = (0.55, 0.37, 0.08)
PER_PLANE, PER_DRAWN_PLANE, PHANTOMS = 16, 5, (101, 102, 103, 104)
WATCHED_SETS, WATCHED_PAIRS, WATCH_SEED = 12, 60, 9_000_001
# share of the budget in which cut-outs are learned from
CUT_SHARE = 0.6
LEARNING: dict[str, Any] = {"decay": 1e-4, "clip": 1.0, "warm_share": 0.02, "average": 0.99, "average_lag": 10}


def loss_of(network: NoiseMotionNet, batch: Batch) -> Tensor:
    """Root mean squared error of noise, in units of 6 dB, or cross-entropy of motion."""
    output = network.task_output(batch.slices, batch.task)
    if batch.task == "noise":
        return torch.sqrt(((output - batch.target) / SPREAD).square().mean() + 1e-12)
    return nn.functional.binary_cross_entropy_with_logits(output, batch.target)


def watched_batches(windows: Windows) -> list[Batch]:
    """Fixed rulers (eight versions a slice) and motion pairs of subjects that aren't trained on."""
    rng = np.random.default_rng(WATCH_SEED)
    batches = []
    for _ in range(WATCHED_SETS):
        row = draw_row(windows, rng)
        clean = varied(windows.image[row], rng, augment=False)
        versions = versions_at(clean, np.array(RULER_LEVELS), rng, filled=False)
        scores = windows.labels(row, snr_scores(versions, bright_part(versions[-1])))
        labels = torch.tensor(scores, dtype=torch.float32)
        batches.append(Batch(torch.from_numpy(standardise(versions))[:, None], labels, "noise"))
    return batches + [motion_batch(windows, 10, rng) for _ in range(WATCHED_PAIRS // 10)]


def ruler_errors(outputs: Sequence[Array], labels: Sequence[Array] | None = None) -> Array:
    """Each set read against each other one as its ruler: |read - true version|, one a version and pair of sets.

    Parameters
    ----------
    outputs : sequence of ndarray, shape (m,)
        A network's outputs for the versions of each set.
    labels : sequence of ndarray, shape (m,), optional
        Their labels, where equal numbers of versions aren't equal quality: the true version is the one of the nearest
        label then.
    """
    known = labels if labels is not None else [np.arange(len(output)) for output in outputs]
    errors = [
        np.abs(_nearest(outputs[number], ruler) - _nearest(known[number], known[place]))
        for place, ruler in enumerate(outputs)
        for number in range(len(outputs))
        if place != number
    ]
    return np.concatenate(errors)


def _nearest(values: Array, ruler: Array) -> Array:
    return np.asarray(np.abs(values[:, None] - ruler[None, :]).argmin(axis=1))


@torch.no_grad()
def watch(network: NoiseMotionNet, batches: Sequence[Batch]) -> dict[str, float]:
    """Ruler error, and accuracy and area under the curve of motion; ``watch_loss`` joins what the network has."""
    network.eval()
    row: dict[str, float] = {"watch_loss": 0.0}
    if "noise" in network.tasks:
        sets = [batch for batch in batches if batch.task == "noise"]
        outputs = [network.task_output(batch.slices, "noise").cpu().numpy() for batch in sets]
        errors = ruler_errors(outputs, [batch.target.cpu().numpy() for batch in sets])
        row |= {"watch_ruler_error": float(errors.mean()), "watch_within_1": float((errors <= 1).mean())}
        row["watch_loss"] += row["watch_ruler_error"]
    if "motion" in network.tasks:
        parts = [batch for batch in batches if batch.task == "motion"]
        logit = torch.cat([network.task_output(batch.slices, "motion") for batch in parts])
        truth = torch.cat([batch.target for batch in parts])
        clean, moved = logit[truth == 1], logit[truth == 0]
        row |= {
            "watch_accuracy": float(((logit > 0) == (truth == 1)).float().mean()),
            "watch_auc": float((clean[:, None] > moved[None]).float().mean()),
        }
        # not the cross-entropy, which few confident mistakes decide
        row["watch_loss"] += 2 * (1 - row["watch_auc"])
    return row


class NoiseMotionTask:
    """What the loop asks for (:class:`bidsqa.training.loop.Task`).

    Parameters
    ----------
    recipe : Recipe
    windows, watched : Windows
        To train on, and of other subjects.
    """

    def __init__(self, recipe: Recipe, windows: Windows, watched: Windows) -> None:
        self._recipe, self._start = recipe, recipe.start
        self._reserve = Reserve(windows, recipe, target_mean(windows, recipe))
        self.watched = watched_batches(watched)

    def network(self) -> NoiseMotionNet:
        """With random weights."""
        network = ARCHITECTURES[self._recipe.architecture]()
        assert isinstance(network, NoiseMotionNet)
        return network

    def warm(self, network: nn.Module) -> None:
        """Take over the start's weights."""
        if self._start is None:
            return
        batches = [self._reserve.batch(task, turn) for turn in range(3) for task in self.network_tasks()]

        def run(started: nn.Module) -> None:
            assert isinstance(started, NoiseMotionNet)
            started(torch.cat([batch.slices for batch in batches]))

        warm_start(network, self._start, run)

    def batch(self, step: int, share: float) -> Batch:
        """Noise, then motion, and so on; a network of one task gets its own at every step."""
        order = [task for task in self.network_tasks() for _ in range(self._turns(task))]
        rounds, place = divmod(step, len(order))
        task = order[place]
        cut = self._recipe.cut if share < CUT_SHARE else None
        return self._reserve.batch(task, rounds * order.count(task) + place - order.index(task), cut)

    def _turns(self, task: str) -> int:
        return self._recipe.motion_turns if task == "motion" else 1

    def network_tasks(self) -> tuple[str, ...]:
        """The tasks of the architecture."""
        name = self._recipe.architecture
        return ("noise",) if name == "noise" else ("motion",) if name.startswith("motion") else ("noise", "motion")

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """See :func:`loss_of`."""
        assert isinstance(network, NoiseMotionNet)
        loss = loss_of(network, batch)
        zero = torch.zeros(())
        return loss, {f"{task}_loss": loss if task == batch.task else zero for task in network.tasks}

    def watch(self, network: nn.Module, batches: list[Batch]) -> dict[str, float]:
        """See :func:`watch`."""
        assert isinstance(network, NoiseMotionNet)
        return watch(network, batches)


def phantom_scans(seeds: Sequence[int] = PHANTOMS) -> list[Clean]:
    """Phantom heads, one contrast a seed in turn."""
    from bidsqa.simulation.phantom import make_phantom

    contrasts = ("T1w", "T2w", "FLAIR", "PDw")
    return [
        Clean(
            f"phantom{seed}",
            f"phantom{seed}",
            "phantom",
            contrasts[place % 4],
            "train",
            make_phantom(seed=seed).image(contrasts[place % 4], seed=seed),
        )
        for place, seed in enumerate(seeds)
    ]


def prepare_pool(data: Path, recipe: Recipe, folder: Path) -> tuple[Windows, Windows]:
    """Windows to train on and to watch, from the files of an earlier start or from the scans."""
    paths = [folder / f"{name}.npz" for name in ("train", "watch")]
    if not all(path.is_file() for path in paths):
        real = cut_windows(real_scans(data, ("train",)), PER_PLANE)
        made = [
            cut_windows(drawn_scans(data, recipe.drawn, recipe.seed), PER_DRAWN_PLANE),
            cut_windows(phantom_scans(), PER_DRAWN_PLANE),
        ]
        joined = Windows(
            np.concatenate([part.image for part in (real, *made)]),
            np.concatenate([share * part.weight for share, part in zip(SHARES, (real, *made), strict=True)]),
            np.concatenate([part.about for part in (real, *made)]),
        )
        save_windows(joined, paths[0])
        save_windows(cut_windows(real_scans(data, ("watch",)), PER_PLANE), paths[1])
    train, watched = (load_windows(path) for path in paths)
    return train, watched


def plan_of(recipe: Recipe) -> Plan:
    """The loop's plan: about 25 looks, the best of which is kept."""
    return Plan(
        seed=recipe.seed,
        rate=recipe.rate,
        seconds=None if recipe.steps else recipe.seconds,
        steps=recipe.steps,
        look_seconds=None if recipe.steps else recipe.seconds / 25,
        look_steps=max(recipe.steps // 25, 1) if recipe.steps else None,
        keep_best=True,
        **LEARNING,
    )


def train(recipe: Recipe, windows: Windows, watched: Windows, out: Path) -> nn.Module:
    """Train until the budget is spent, going on from ``out/checkpoint.safetensors`` where there is one."""
    out.mkdir(parents=True, exist_ok=True)
    task = NoiseMotionTask(recipe, windows, watched)
    curve = Curve(out / "curve.csv")
    return fit(task, plan_of(recipe), out / "checkpoint.safetensors", curve, choose_machine("cpu"), print_row).network


def main(arguments: Sequence[str] | None = None) -> None:
    """Train; see the module's first lines."""
    parser = argparse.ArgumentParser(description="Train the noise and motion network.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with scans/ and labels/")
    parser.add_argument("--out", type=Path, default=Path("checkpoints/noise_motion"), help="checkpoint and curve")
    parser.add_argument("--pool", type=Path, help="folder of the pool (OUT if not given)")
    parser.add_argument("--architecture", choices=sorted(ARCHITECTURES), default=Recipe.architecture)
    parser.add_argument("--labels", choices=LABELS, default=Recipe.labels)
    parser.add_argument("--eta", type=float, default=Recipe.eta)
    parser.add_argument("--seconds", type=float, default=Recipe.seconds)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--cut", type=int, default=Recipe.cut, help="side of the cut-outs; 256: none")
    parser.add_argument("--motion-turns", type=int, default=Recipe.motion_turns)
    parser.add_argument("--largest-moves", type=float, default=Recipe.largest_moves)
    parser.add_argument("--start", type=Path, help="exported weights to go on from")
    parser.add_argument("--rate", type=float, default=Recipe.rate)
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    chosen = vars(parser.parse_args(arguments))
    data, out, pool = chosen.pop("data"), chosen.pop("out"), chosen.pop("pool")
    torch.set_num_threads(1)
    recipe = Recipe(**chosen)
    began = time.monotonic()
    windows, watched = prepare_pool(data, recipe, pool or out)
    print(f"{len(windows.image)} clean slices in {time.monotonic() - began:.0f} s", flush=True)
    train(recipe, windows, watched, out)


if __name__ == "__main__":
    main()
