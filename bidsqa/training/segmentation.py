# SPDX-License-Identifier: Apache-2.0
"""Recipe of the segmentation network: ``python -m bidsqa.training.segmentation --data ../shared/data``.

The length is a time budget, as in :mod:`bidsqa.training.ssim`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bidsqa.models.networks_segmentation import ShareNetwork
from bidsqa.models.segmentation import normalised
from bidsqa.training.curve import Curve
from bidsqa.training.loop import fit, print_row
from bidsqa.training.machine import choose_machine
from bidsqa.training.plan import Plan
from bidsqa.training.segmentation_data import class_of_label, load_maps
from bidsqa.training.segmentation_scenes import Scene, draw_scene
from bidsqa.training.ssim import LEARNING

Array = np.ndarray[Any, Any]
CUT = 64
BATCH = 2
STEPS_A_SCENE = 8
RESERVE = 30
WATCHED = 12
LOG_SECONDS = 240


@dataclass(frozen=True)
class Cuts:
    """A batch of cut-outs.

    Parameters
    ----------
    image : Tensor, shape (B, 1, X, Y, Z)
    prior, first, truth : Tensor, shape (B, 5, X, Y, Z)
    """

    image: Tensor
    prior: Tensor
    first: Tensor
    truth: Tensor


def cut(scene: Scene, rng: np.random.Generator) -> list[Array]:
    """A cube of 64 voxels with brain in it, mirrored and in another contrast by chance."""
    image = normalised(scene.image, scene.prior)
    shape = image.shape
    brain = np.argwhere(scene.prior[2:, ::4, ::4, ::4].sum(axis=0) > 0.3) * 4
    middle = brain[int(rng.integers(len(brain)))] if len(brain) else np.array(shape) // 2
    corner = [
        int(np.clip(m - CUT // 2 + rng.integers(-8, 9), 0, max(0, n - CUT))) for m, n in zip(middle, shape, strict=True)
    ]
    window = tuple(slice(c, c + CUT) for c in corner)
    short = [(0, max(0, CUT - n)) for n in shape]
    parts = [
        np.pad(image[window], short),
        *(
            np.pad(shares[(slice(None), *window)], [(0, 0), *short])
            for shares in (scene.prior, scene.first, scene.truth)
        ),
    ]
    for place in (1, 2, 3):
        # beyond the block is air
        whole = np.maximum(parts[place].astype(np.float32), 0)
        whole[0] += np.maximum(1 - whole.sum(axis=0), 0)
        parts[place] = whole / whole.sum(axis=0)
    gamma, gain = np.exp(rng.normal(0, 0.15)), np.exp(rng.normal(0, 0.1))
    parts[0] = np.clip(gain * parts[0] ** gamma, 0, 4)
    if rng.random() < 0.5:
        parts = [part[..., ::-1, :, :] for part in parts]
    return [parts[0][None], *parts[1:]]


def join(cuts: Sequence[Sequence[Array]]) -> Cuts:
    """Cut-outs as one batch."""
    stacked = (np.ascontiguousarray(np.stack(group), dtype=np.float32) for group in zip(*cuts, strict=True))
    return Cuts(*(torch.from_numpy(part).contiguous(memory_format=torch.channels_last_3d) for part in stacked))


def loss_of(logits: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy of the shares plus one minus their overlap (soft Dice) for brain, CSF, grey and white matter."""
    entropy = -(truth * torch.log_softmax(logits, dim=1)).sum(dim=1).mean()
    return 2 * entropy + (1 - overlaps(torch.softmax(logits, dim=1), truth)).mean()


def overlaps(shares: Tensor, truth: Tensor) -> Tensor:
    """Soft Dice 2·Σst / (Σs² + Σt²) of brain, CSF, grey and white matter over the batch, shape (4,)."""
    found = torch.cat([shares[:, 2:].sum(dim=1, keepdim=True), shares[:, 2:]], dim=1)
    wanted = torch.cat([truth[:, 2:].sum(dim=1, keepdim=True), truth[:, 2:]], dim=1)
    axes = (0, 2, 3, 4)
    both = 2 * (found * wanted).sum(dim=axes) + 1
    return both / (found.square().sum(dim=axes) + wanted.square().sum(dim=axes) + 1)


class SegmentationTask:
    """What the loop asks for (:class:`bidsqa.training.loop.Task`).

    Parameters
    ----------
    maps : sequence of ndarray
        Label maps to train on.
    classes : ndarray
        Class of each label value.
    seed : int
    watched : sequence of Cuts
        Of other maps.
    """

    def __init__(self, maps: Sequence[Array], classes: Array, seed: int, watched: Sequence[Cuts]) -> None:
        self.watched = list(watched)
        self._maps, self._classes, self._seed = maps, classes, seed
        self._scenes: dict[int, Scene] = {}

    def network(self) -> nn.Module:
        """With random weights; its first output is what it is given."""
        network = ShareNetwork()
        return network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload,no-any-return]

    def warm(self, network: nn.Module) -> None:
        """Nothing to go on from."""

    def _scene(self, number: int) -> Scene:
        if number not in self._scenes:
            self._scenes[number] = scene_of(self._maps, self._classes, (self._seed, number))
        return self._scenes[number]

    def batch(self, step: int, share: float) -> Cuts:
        """Cut-outs of the last 30 scenes; a new scene every eighth step."""
        newest = step // STEPS_A_SCENE
        oldest = max(0, newest - RESERVE + 1)
        self._scenes = {number: scene for number, scene in self._scenes.items() if number >= oldest}
        rng = np.random.default_rng((self._seed, 1_000_000 + step))
        numbers = [newest, *rng.integers(oldest, newest + 1, BATCH - 1).tolist()]
        return join([cut(self._scene(number), rng) for number in numbers])

    def loss(self, network: nn.Module, batch: Cuts) -> tuple[Tensor, dict[str, Tensor]]:
        """See :func:`loss_of`."""
        assert isinstance(network, ShareNetwork)
        return loss_of(network.logits(batch.image, batch.prior, batch.first), batch.truth), {}

    @torch.no_grad()
    def watch(self, network: nn.Module, batches: Sequence[Cuts]) -> dict[str, float]:
        """Loss, and soft Dice of the network and of the shares it was given."""
        network.eval()
        assert isinstance(network, ShareNetwork)
        logits = [network.logits(batch.image, batch.prior, batch.first) for batch in batches]
        loss = float(
            torch.stack([loss_of(one, batch.truth) for one, batch in zip(logits, batches, strict=True)]).mean()
        )
        scores = torch.stack(
            [overlaps(torch.softmax(one, dim=1), batch.truth) for one, batch in zip(logits, batches, strict=True)]
        ).mean(dim=0)
        first = torch.stack([overlaps(batch.first, batch.truth) for batch in batches]).mean(dim=0)
        names = ("brain", "csf", "gm", "wm")
        return {
            "watch_loss": loss,
            **{f"watch_{name}": float(value) for name, value in zip(names, scores, strict=True)},
            **{f"first_{name}": float(value) for name, value in zip(names, first, strict=True)},
        }


def scene_of(maps: Sequence[Array], classes: Array, seed: tuple[int, int]) -> Scene:
    """The scene of a number: maps in turn, drawn again where the average head found no place."""
    attempt = 0
    while True:
        scene = draw_scene(maps[seed[1] % len(maps)], classes, np.random.default_rng((*seed, attempt)))
        if scene is not None:
            return compact(scene)
        attempt += 1


def compact(scene: Scene) -> Scene:
    """In half precision, to keep many."""
    return Scene(*(part.astype(np.float16) for part in (scene.image, scene.prior, scene.first, scene.truth)))


def watched_cuts(maps: Sequence[Array], classes: Array) -> list[Cuts]:
    """Fixed scenes of maps that are not trained on."""
    rng = np.random.default_rng(77)
    return [join([cut(scene_of(maps, classes, (770, number)), rng)]) for number in range(WATCHED)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Train; see the module's first lines."""
    parser = argparse.ArgumentParser(prog="python -m bidsqa.training.segmentation", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with labels/")
    parser.add_argument(
        "--out", type=Path, default=Path("checkpoints/segmentation"), help="folder of checkpoints, curve"
    )
    parser.add_argument("--seconds", type=float, default=3600.0, help="time budget")
    parser.add_argument("--steps", type=int, help="budget in steps instead of time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    folder = chosen.data / "labels"
    classes = class_of_label(folder / "labels.json")
    maps = [head.labels for head in load_maps(folder)]
    watched = watched_cuts([head.labels for head in load_maps(folder, held_out=True)], classes)
    plan = Plan(
        seed=chosen.seed,
        rate=chosen.rate,
        seconds=None if chosen.steps else chosen.seconds,
        steps=chosen.steps,
        look_seconds=LOG_SECONDS,
        look_first=True,
        **LEARNING,
    )
    chosen.out.mkdir(parents=True, exist_ok=True)
    task = SegmentationTask(maps, classes, chosen.seed, watched)
    curve = Curve(chosen.out / "curve.csv")
    fit(task, plan, chosen.out / "checkpoint.safetensors", curve, choose_machine("cpu"), print_row)


if __name__ == "__main__":
    main()
