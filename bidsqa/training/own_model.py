# SPDX-License-Identifier: Apache-2.0
"""What training on a user's own scans needs to know of a model: pool, task, export, what its card shows."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from bidsqa.models.loading import Network, load_network
from bidsqa.training.loop import Task
from bidsqa.training.own_recipe import Recipe
from bidsqa.training.pool import Clean
from bidsqa.validation.tables import Table

Read = Callable[[str, int], Iterator[Clean]]
MOST_JUDGED = 40


@dataclass(frozen=True)
class Finished:
    """Weights ready for use.

    Parameters
    ----------
    content : bytes
        ONNX.
    tables : list of Table
        For the card: first those of the watched scans, then those of the site held out.
    notes : list of str
        Sentences for the card.
    """

    content: bytes
    tables: list[Table]
    notes: list[str]


class OwnModel(Protocol):
    """One of the models that can be trained."""

    name: str
    architecture: str
    rates: Mapping[str, float]
    """Highest learning rate by kind of start: ``shipped`` (or a file) and ``none``."""
    batch: int
    per_plane: int
    learning: Mapping[str, Any]
    """Fields of :class:`bidsqa.training.plan.Plan` that the shipped weights were trained with."""

    def check(self, recipe: Recipe) -> None:
        """Raise UsageError where the recipe can't work."""

    def cut(self, scans: Iterable[Clean], per_plane: int, seed: int) -> Any:
        """Clean slices in memory; InputError where no scan shows a head."""

    def save(self, pool: Any, path: Path) -> None:
        """Keep a pool in a file."""

    def load(self, path: Path) -> Any:
        """A pool from its file."""

    def task(self, train: Any, watch: Any, recipe: Recipe, start: Path | None) -> Task:
        """What the loop asks."""

    def finish(
        self, network: Any, start: Path | None, watch: Any, read: Read, recipe: Recipe, about: Mapping[str, str]
    ) -> Finished:
        """Export, calibrate and judge a trained network.

        Parameters
        ----------
        network : torch.nn.Module
        start : Path, optional
            Weights that it started from.
        watch : pool
        read : callable
            Clean scans of a side, at most so many.
        recipe : Recipe
        about : Mapping of str
            For the metadata: ``version`` and what the weights learned from.
        """


def network_of(model: str, content: bytes) -> Network:
    """A network from ONNX bytes, loaded as ``bidsqa --weights`` loads it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{model}.onnx"
        path.write_bytes(content)
        return load_network(model, weights=path)
