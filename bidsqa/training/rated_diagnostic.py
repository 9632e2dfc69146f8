# SPDX-License-Identifier: Apache-2.0
"""Diagnostic quality on a site's own readings (after Ma et al. 2020; see :mod:`bidsqa.training.rated_model`).

Several readers of one image make a soft label; classes are weighted by how rare they are, w_c = N / (K n_c).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bidsqa.errors import InputError, UsageError
from bidsqa.models.diagnostic import CLASSES, TEMPERATURE_KEY, softmax
from bidsqa.models.diagnostic_inputs import SIZE, prepare
from bidsqa.models.diagnostic_maps import FIRST_KEY
from bidsqa.models.networks_diagnostic import ARCHITECTURES, WithMap
from bidsqa.models.ranking import LABELS_KEY
from bidsqa.rating import read_items, read_ratings
from bidsqa.rating.pictures import Gallery
from bidsqa.training.export import half_rounded, to_onnx
from bidsqa.training.rated_model import Result, check_unchanged
from bidsqa.validation.diagnostic import accuracy_table, confusion_table
from bidsqa.validation.temperature import calibration_error, fit_temperature

Array = np.ndarray[Any, Any]
BATCH = 8
MOST_SHIFT = 24


@dataclass(frozen=True)
class Graded:
    """Slices with the classes that readers gave them.

    Parameters
    ----------
    image : Tensor of float16, shape (N, 1, 512, 512)
    votes : Tensor of float32, shape (N, K)
        Readers by class, worst first.
    subject : tuple of str
    """

    image: Tensor
    votes: Tensor
    subject: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.subject)

    def some(self, rows: Sequence[int]) -> Graded:
        """These rows."""
        index = torch.as_tensor(list(rows), dtype=torch.long)
        return Graded(self.image[index], self.votes[index], tuple(self.subject[row] for row in index.tolist()))


@dataclass(frozen=True)
class Batch:
    """Slices (float32) and the share of readers by class."""

    image: Tensor
    shares: Tensor


def class_weights(votes: Tensor) -> Tensor:
    """w_c = N / (K n_c), shape (K,); 0 for a class that nobody gave."""
    counts = (votes / votes.sum(dim=1, keepdim=True)).sum(dim=0)
    return torch.where(counts > 0, len(votes) / (votes.shape[1] * counts.clamp(min=1e-6)), torch.zeros_like(counts))


class DiagnosticTask:
    """What the loop asks for (:class:`bidsqa.training.loop.Task`).

    Parameters
    ----------
    architecture : str
    train, watch : Graded
    batch, seed : int
    """

    def __init__(self, architecture: str, train: Graded, watch: Graded, batch: int, seed: int) -> None:
        self._architecture, self._train, self._size, self._seed = architecture, train, batch, seed
        self._weights = class_weights(train.votes)
        self.watched = [
            _batch(watch.some(range(start, min(start + batch, len(watch))))) for start in range(0, len(watch), batch)
        ]

    def network(self) -> nn.Module:
        """With random weights; channels last, which a CPU computes half again as fast."""
        network = ARCHITECTURES[self._architecture]()
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network

    def warm(self, network: nn.Module) -> None:
        """Nothing to go on from."""

    def batch(self, step: int, share: float) -> Batch:
        """Slices with equal chances, mirrored and shifted."""
        chance = np.random.default_rng((self._seed, step))
        batch = _batch(self._train.some(chance.integers(len(self._train), size=self._size).tolist()))
        rows = []
        for row in batch.image:
            turned = row.flip(-1) if chance.random() < 0.5 else row
            shift = tuple(int(value) for value in chance.integers(-MOST_SHIFT, MOST_SHIFT + 1, 2))
            rows.append(turned.roll(shift, (-2, -1)))
        return Batch(torch.stack(rows), batch.shares)

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Weighted cross-entropy to the shares of readers, and the share of slices whose commonest class is found."""
        logits = network(batch.image).float()
        weighted = batch.shares * self._weights.to(logits.device)
        loss = -(weighted * torch.log_softmax(logits, dim=1)).sum() / weighted.sum().clamp(min=1e-6)
        right = (logits.argmax(dim=1) == batch.shares.argmax(dim=1)).float().mean()
        return loss, {"accuracy": right.detach()}

    def watch(self, network: nn.Module, batches: list[Any]) -> dict[str, float]:
        """The same on the watched slices, in evaluation mode."""
        network.eval()
        with torch.no_grad():
            found = [(self.loss(network, batch), len(batch.image)) for batch in batches]
        total = sum(count for _, count in found)
        return {
            "watch_loss": sum(float(loss) * count for (loss, _), count in found) / total,
            "watch_accuracy": sum(float(told["accuracy"]) * count for (_, told), count in found) / total,
        }


def _batch(part: Graded) -> Batch:
    return Batch(part.image.float(), part.votes / part.votes.sum(dim=1, keepdim=True))


def graded(
    ratings: Path, root: Path, skipped: Callable[[str, str], None], reading: Callable[[int, int, str], None]
) -> Graded:
    """Rated slices; of a stack the middle one.

    Parameters
    ----------
    ratings, root : Path
        RATINGS of ``bidsqa-rate`` and the dataset that was rated.
    skipped, reading : callable
        Told of items that can't be read, and of progress.

    Raises
    ------
    UsageError
        No usable answer.
    """
    table, items = read_ratings(ratings, "diagnostic"), read_items(ratings)
    told: dict[str, Counter[int]] = defaultdict(Counter)
    for code, value in zip(table["item"], table["value"], strict=True):
        if str(value) in ("0", "1", "2"):
            told[str(code)][int(value)] += 1
    classes = max((int(items[code].get("classes", 3)) for code in told if code in items), default=3)
    gallery, rows = Gallery(root), []
    for number, (code, votes) in enumerate(sorted(told.items()), start=1):
        reading(number, len(told), code)
        content = items.get(code, {})
        try:
            check_unchanged(content, gallery.look(content)["image"])
            stack = gallery.floats(content, 0)
        except (InputError, OSError, KeyError, IndexError) as error:
            skipped(str(content.get("path", code)), str(error))
            continue
        picture = prepare([stack[len(stack) // 2]])[0].astype(np.float16)
        rows.append((picture, [votes[place] for place in range(classes)], str(content.get("subject"))))
    if not rows:
        raise UsageError(
            f"{ratings} holds no diagnostic class that can be used.",
            "Rate images first: bidsqa-rate BIDS_DIR RATINGS --tasks diagnostic",
        )
    images = torch.from_numpy(np.stack([row[0] for row in rows]))
    return Graded(images, torch.tensor([row[1] for row in rows]).float(), tuple(row[2] for row in rows))


class RatedDiagnostic:
    """Learns from the task ``diagnostic``."""

    name = "diagnostic"
    task_name = "diagnostic"
    architectures: tuple[str, ...] = ("convnet", "resnet10")
    rates: Mapping[str, float] = {"convnet": 1e-3, "resnet10": 1e-3}
    starts: Mapping[str, Path] = MappingProxyType({})
    batch = BATCH
    learning: Mapping[str, Any] = {"decay": 1e-3, "clip": 1.0, "warm_share": 0.02, "average": 0.99, "average_lag": 10}
    advised = 300

    def read(
        self, ratings: Path, root: Path, skipped: Callable[[str, str], None], reading: Callable[[int, int, str], None]
    ) -> Graded:
        """Rated slices."""
        return graded(ratings, root, skipped, reading)

    def check_start(self, architecture: str, start: Path) -> None:
        """No weights ship, and the command offers no start."""

    def task(
        self, architecture: str, train: Graded, watch: Graded, batch: int, seed: int, start: Path | None
    ) -> DiagnosticTask:
        """Of as many classes as were rated; from random weights, since none ship."""
        return DiagnosticTask(f"{architecture}_{train.votes.shape[1]}", train, watch, batch, seed)

    @torch.no_grad()
    def predict(self, network: nn.Module, examples: Graded) -> Array:
        """Logits (N, K), in evaluation mode: a slice reads the same whatever it is read with."""
        network.eval()
        parts = [
            network(examples.image[start : start + BATCH].float()).numpy() for start in range(0, len(examples), BATCH)
        ]
        return np.concatenate(parts).astype(np.float64)

    def finish(
        self, architecture: str, network: nn.Module, examples: Graded, predicted: Array, about: Mapping[str, str]
    ) -> Result:
        """ONNX with the temperature that out-of-fold logits ask for, and a map of where each logit comes from."""
        votes = examples.votes.numpy().astype(np.float64)
        temperature = fit_temperature(predicted, votes)
        names = CLASSES[: votes.shape[1]]
        full = f"{architecture}_{votes.shape[1]}"
        settings = {
            "bidsqa_model": self.name,
            "architecture": full,
            TEMPERATURE_KEY: f"{temperature:.6g}",
            LABELS_KEY: "readers",
            FIRST_KEY: f"{network.first_middle:g}",
            **about,
        }
        example = {"slices": np.zeros((2, 1, SIZE, SIZE), dtype=np.float32)}
        content = to_onnx(WithMap(half_rounded(network)), example, WithMap.output_names, settings)
        before, after = (calibration_error(softmax(predicted, value), votes) for value in (1.0, temperature))
        note = (
            f"Temperature {temperature:.2f}: the expected calibration error is {before:.2f} without it and {after:.2f} "
            "with it, on images of subjects not trained on."
        )
        tables = [
            accuracy_table(softmax(predicted, temperature), votes, examples.subject, note),
            confusion_table(predicted.argmax(axis=1), votes, names),
        ]
        use = "bidsqa BIDS_DIR OUT_DIR participant --models severity ssim diagnostic --weights diagnostic=FILE"
        return Result(content, ".onnx", tables, use)
