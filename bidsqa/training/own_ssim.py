# SPDX-License-Identifier: Apache-2.0
"""The SSIM network on a user's own scans: its task, and what the card shows of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bidsqa.errors import InputError, UsageError
from bidsqa.models.loading import Run, load_network
from bidsqa.models.ssim import ERROR_KEY, GOOD, SsimScorer
from bidsqa.training import ssim
from bidsqa.training.own_model import MOST_JUDGED, Finished, Read, network_of
from bidsqa.training.own_recipe import Recipe
from bidsqa.training.pool import Clean
from bidsqa.training.ssim import WATCHED, SsimTask, watch_pairs
from bidsqa.training.ssim_card import exported
from bidsqa.training.ssim_pairs import make_pairs
from bidsqa.training.ssim_pool import Slices, cut_parts, load_parts, save_parts
from bidsqa.validation.tables import Table

SHOWN_SLICES = 8
SHOWN_PER_PLANE = 6
ROUNDS = 2
# no label maps here, whose values would have classes
CLASSES = np.zeros(256, dtype=np.uint8)


class OwnSsim:
    """See :class:`bidsqa.training.own_model.OwnModel`."""

    name = "ssim"
    architecture = "ssim_map"
    rates: Mapping[str, float] = {"shipped": 4e-4, "none": 2e-3}
    batch = 16
    per_plane = 20
    learning: Mapping[str, Any] = ssim.LEARNING

    def check(self, recipe: Recipe) -> None:
        """There is nothing to choose artifacts from."""
        if recipe.artifacts:
            raise UsageError("--artifacts is for the severity.", "The ssim network learns motion and nothing else.")

    def cut(self, scans: Iterable[Clean], per_plane: int, seed: int) -> list[Slices]:
        """Windows at 1 mm."""
        parts = cut_parts(scans, per_plane)
        if not parts:
            raise InputError("no slice shows enough of a head", "training needs structural scans of heads")
        return parts

    def save(self, pool: Sequence[Slices], path: Path) -> None:
        """As npz."""
        save_parts(pool, path)

    def load(self, path: Path) -> list[Slices]:
        """From npz."""
        return load_parts(path)

    def task(self, train: Sequence[Slices], watch: Sequence[Slices], recipe: Recipe, start: Path | None) -> SsimTask:
        """As the shipped training, without label maps and phantoms."""
        own = ssim.Recipe(
            architecture=self.architecture, batch=recipe.batch, rate=recipe.rate, seed=recipe.seed, start=start
        )
        return SsimTask(own, train, CLASSES, watch_pairs(watch, CLASSES, WATCHED, recipe.batch))

    def finish(
        self,
        network: Any,
        start: Path | None,
        watch: Sequence[Slices],
        read: Read,
        recipe: Recipe,
        about: Mapping[str, str],
    ) -> Finished:
        """Nothing is calibrated: the score is the similarity itself.

        Its error on whole scans is taken to be the shipped network's: a few watched scans can't tell a smaller one.
        """
        error = load_network(self.name).settings[ERROR_KEY]
        content = exported(network, self.architecture, about["version"], {**about, ERROR_KEY: error})
        trained = network_of(self.name, content)
        runs = {} if start is None else {"start": load_network(self.name, weights=start).run}
        runs["trained"] = trained.run
        scorer = SsimScorer(trained)
        tables = [
            compare(watch, runs, "Watched subjects: predicted minus true SSIM of moved slices"),
            clean_table(scorer, read("watch", MOST_JUDGED), "Watched subjects: score of their clean scans"),
        ]
        parts = cut_parts(read("test", MOST_JUDGED), SHOWN_PER_PLANE)
        if parts:
            site = f"The site held out ({recipe.held_out})"
            tables.append(compare(parts, runs, f"{site}: predicted minus true SSIM of moved slices"))
            tables.append(clean_table(scorer, read("test", MOST_JUDGED), f"{site}: score of its clean scans"))
        return Finished(content, tables, [])


def compare(parts: Sequence[Slices], runs: Mapping[str, Run], title: str) -> Table:
    """Error of each network on slices after simulated motion, by contrast.

    Parameters
    ----------
    parts : sequence of Slices
        Of subjects that were not trained on.
    runs : Mapping of callable
        Networks by name, in the order of the columns.
    title : str
    """
    found: dict[str, dict[str, list[Any]]] = {}
    count = 0
    for number, part in enumerate(parts):
        rows = np.unique(np.linspace(0, len(part.images) - 1, SHOWN_SLICES).astype(int))
        clean = torch.from_numpy(part.images[rows].astype(np.float32))[:, None]
        head = torch.from_numpy(part.heads[rows])[:, None]
        for turn in range(ROUNDS):
            pairs = make_pairs(clean, head, clean == 0, 60_000 + 1000 * turn + number, plain=True)
            values = found.setdefault(part.suffix, {"truth": [], **{who: [] for who in runs}})
            values["truth"].append(pairs.score[:, 0].numpy())
            for who, run in runs.items():
                scores = run({"slices": pairs.degraded.numpy(), "head": pairs.head.numpy()})[0]
                values[who].append(np.clip(scores[:, 0], 0, 1))
            count += len(rows)
    table = []
    for contrast, values in sorted(found.items()):
        truth = np.concatenate(values["truth"])
        cells = []
        for who in runs:
            predicted = np.concatenate(values[who])
            error = predicted - truth
            fit = np.corrcoef(truth, predicted)[0, 1] if min(predicted.std(), truth.std()) > 0 else float("nan")
            cells += [f"{error.mean():+.3f} ± {error.std():.3f}", f"{np.abs(error).mean():.3f}", f"{fit:.2f}"]
        table.append([contrast, len(truth), *cells])
    columns = [
        "contrast",
        "slices",
        *(part for who in runs for part in (f"{who}: error ± SD", f"{who}: absolute", f"{who}: r")),
    ]
    note = (
        f"{count} slices of {len({part.subject for part in parts})} subjects: 12 % without motion, 70 % rigid motion "
        "between k-space lines, 18 % Sciarra's in-house motion; strengths uniform. Simulators as in the training."
    )
    return Table(title, columns, table, note)


def clean_table(scorer: SsimScorer, scans: Iterable[Clean], title: str) -> Table:
    """Score of clean scans by contrast."""
    scores: dict[str, list[tuple[str, float]]] = {}
    for clean in scans:
        scores.setdefault(clean.contrast, []).append((clean.subject, scorer.score(clean.volume).value))
    rows = []
    for contrast, own in sorted(scores.items()):
        values = np.array([value for _, value in own])
        below = f"{int((values < GOOD).sum())} of {len(own)}"
        subjects = len({subject for subject, _ in own})
        rows.append([contrast, len(own), subjects, f"{np.median(values):.3f}", f"{values.min():.3f}", below])
    return Table(title, ["contrast", "scans", "subjects", "median", "lowest", f"below {GOOD:g}"], rows)
