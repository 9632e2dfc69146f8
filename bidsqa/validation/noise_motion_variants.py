# SPDX-License-Identifier: Apache-2.0
"""Variants of the noise and motion network trained side by side on the same slices, with the same number of steps.

Single task against dual, calibrated against plain labels, divisive normalisation against ReLU with batch or layer
normalisation, without a contrast, and a network shaped like MEON. ``python -m bidsqa.validation.noise_motion_variants``
trains them; :mod:`bidsqa.validation.noise_motion` judges them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bidsqa.bids.writing import write_atomic
from bidsqa.models.networks_noise_motion import NoiseMotionNet
from bidsqa.models.noise_motion_inputs import standardise
from bidsqa.training.checkpoints import read_checkpoint, write_checkpoint
from bidsqa.training.label_calibration import ETA, iedd_scores
from bidsqa.training.loop import update_average
from bidsqa.training.networks_meon import MeonShaped, meon_batch, meon_loss
from bidsqa.training.noise_motion import loss_of
from bidsqa.training.noise_motion_batches import Batch, Recipe, labels_of, target_mean, turned
from bidsqa.training.noise_motion_sets import Windows, load_windows, motion_pair, noise_set

Array = np.ndarray[Any, Any]
RATE, DECAY, CLIP, LOWEST = 1.5e-3, 1e-4, 1.0, 0.01
PAIRS, KEPT = 3, 40
LEFT_OUT = "FLAIR"
MEON = "meon"


@dataclass(frozen=True)
class Variant:
    """One network of the comparison.

    Parameters
    ----------
    title : str
    make : callable
        A network with random weights.
    labels : str
        ``snr`` or ``iedd``.
    eta : float
        Of the calibration.
    without : str
        A contrast that it isn't shown.
    """

    title: str
    make: Callable[[], NoiseMotionNet]
    labels: str = "snr"
    eta: float = ETA
    without: str = ""


def _noise_only() -> NoiseMotionNet:
    return NoiseMotionNet(("noise",))


VARIANTS = {
    "dual": Variant("both tasks, DN for noise, BN for motion", NoiseMotionNet),
    "relu_bn": Variant("both tasks, ReLU+BN", lambda: NoiseMotionNet(("noise", "motion"), *["relu_bn"] * 3)),
    "relu_ln": Variant("both tasks, ReLU+LN", lambda: NoiseMotionNet(("noise", "motion"), *["relu_ln"] * 3)),
    "noise": Variant("noise alone", _noise_only),
    "motion": Variant("motion alone", lambda: NoiseMotionNet(("motion",))),
    "snr_plain": Variant("noise alone, SNR labels as they are", _noise_only, eta=0.0),
    "iedd_plain": Variant("noise alone, IEDD labels as they are", _noise_only, "iedd", 0.0),
    "iedd": Variant("noise alone, IEDD labels calibrated", _noise_only, "iedd"),
    "no_flair": Variant(f"noise alone, no {LEFT_OUT} in the training", _noise_only, without=LEFT_OUT),
}


class Trainee:
    """A network with its optimiser and its average.

    Parameters
    ----------
    network : torch.nn.Module
    """

    def __init__(self, network: nn.Module) -> None:
        import copy

        self.network, self.average = network.train(), copy.deepcopy(network)
        self._optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
        self._steps = 0

    def learn(self, loss: torch.Tensor, share: float) -> None:
        """One step, ``share`` of the budget being spent."""
        for group in self._optimiser.param_groups:
            group["lr"] = RATE * (LOWEST + (1 - LOWEST) * 0.5 * (1 + np.cos(np.pi * share)))
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        self._optimiser.step()
        self._steps += 1
        update_average(self.average, self.network, min(0.99, self._steps / (self._steps + 10)))


@dataclass(frozen=True)
class NoiseSet:
    """Versions of one slice.

    Parameters
    ----------
    versions : ndarray of float32, shape (5, 256, 256)
    levels, iedd : ndarray, shape (5,)
        dB that they were made at, and by IEDD.
    contrast : str
    """

    versions: Array
    levels: Array
    iedd: Array
    contrast: str


class Sets:
    """Sets of versions by turn; pairs come again a few times, turned anew."""

    def __init__(self, windows: Windows, seed: int) -> None:
        self._windows, self._seed = windows, seed
        self._pairs: list[Array] = []

    def noise(self, step: int) -> NoiseSet:
        """The noisy versions of a step."""
        rng = np.random.default_rng((self._seed, step, 1))
        windows = self._windows
        chosen = int(rng.choice(len(windows.image), p=windows.weight))
        one = Windows(windows.image[chosen : chosen + 1], np.ones(1), windows.about[chosen : chosen + 1])
        versions, levels = noise_set(one, rng)
        return NoiseSet(versions, levels, iedd_scores(versions), str(windows.about[chosen, 2]))

    def pairs(self, step: int) -> Batch:
        """A mini-batch of motion: one pair is new."""
        rng = np.random.default_rng((self._seed, step, 2))
        fresh = np.stack(motion_pair(self._windows, rng))
        self._pairs = [*self._pairs[-KEPT:], fresh]
        older = [self._pairs[number] for number in rng.integers(0, len(self._pairs), size=PAIRS - 1)]
        slices = standardise(np.concatenate([turned(pair, rng) for pair in (fresh, *older)]))
        return Batch(torch.from_numpy(slices)[:, None], torch.tensor([1.0, 0.0]).repeat(PAIRS), "motion")


def noise_step(trainees: dict[str, Trainee], sets: Sets, means: dict[str, float], step: int, share: float) -> None:
    """Every network with a noise branch, and the one shaped like MEON, learn from the same versions."""
    drawn = sets.noise(step)
    slices = torch.from_numpy(standardise(drawn.versions))[:, None]
    for name, variant in VARIANTS.items():
        network = trainees[name].network
        assert isinstance(network, NoiseMotionNet)
        if "noise" in network.tasks and drawn.contrast != variant.without:
            recipe = Recipe(labels=variant.labels, eta=variant.eta)
            target = labels_of(drawn.levels, drawn.iedd, recipe, means[name]).astype(np.float32)
            trainees[name].learn(loss_of(network, Batch(slices, torch.from_numpy(target), "noise")), share)
    batch = meon_batch(drawn.versions, drawn.levels, np.random.default_rng((step, 3)))
    network = trainees[MEON].network
    assert isinstance(network, MeonShaped)
    trainees[MEON].learn(meon_loss(network, *batch), share)


def motion_step(trainees: dict[str, Trainee], sets: Sets, step: int, share: float) -> None:
    """Every network with a motion branch learns from the same pairs."""
    batch = sets.pairs(step)
    for name in VARIANTS:
        network = trainees[name].network
        assert isinstance(network, NoiseMotionNet)
        if "motion" in network.tasks:
            trainees[name].learn(loss_of(network, batch), share)


def train(windows: Windows, out: Path, seconds: float, seed: int) -> int:
    """Train all variants for a time, or as many steps as it allows; returns the steps of each task."""
    torch.manual_seed(seed)
    trainees = {name: Trainee(variant.make()) for name, variant in VARIANTS.items()}
    trainees[MEON] = Trainee(MeonShaped())
    sets = Sets(windows, seed)
    by_labels = {labels: target_mean(windows, Recipe(labels=labels, eta=ETA, seed=seed)) for labels in ("snr", "iedd")}
    means = {name: by_labels[variant.labels] for name, variant in VARIANTS.items()}
    began, step = time.monotonic(), 0
    while (share := (time.monotonic() - began) / seconds) < 1:
        noise_step(trainees, sets, means, step, share)
        motion_step(trainees, sets, step, share)
        step += 1
        if step % 25 == 0:
            print(f"step {step}, {100 * share:.0f} %", flush=True)
    for name, trainee in trainees.items():
        write_checkpoint(out / f"{name}.safetensors", {"average": trainee.average.state_dict()}, {"step": step})
    facts = {"steps": step, "seconds": seconds, "seed": seed}
    write_atomic(out / "variants.json", json.dumps(facts) + "\n")
    return step


def load_variant(folder: Path, name: str) -> nn.Module:
    """A trained variant, ready to run."""
    network: nn.Module = MeonShaped() if name == MEON else VARIANTS[name].make()
    network.load_state_dict(read_checkpoint(folder / f"{name}.safetensors")[0]["average"])
    return network.eval()


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the variants."""
    parser = argparse.ArgumentParser(description="Train variants of the noise and motion network side by side.")
    parser.add_argument("--pool", type=Path, required=True, help="folder of the training's pool")
    parser.add_argument("--out", type=Path, default=Path("checkpoints/variants"))
    parser.add_argument("--seconds", type=float, default=1500.0)
    parser.add_argument("--seed", type=int, default=3)
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    chosen.out.mkdir(parents=True, exist_ok=True)
    print(train(load_windows(chosen.pool / "train.npz"), chosen.out, chosen.seconds, chosen.seed), "steps")


if __name__ == "__main__":
    main()
