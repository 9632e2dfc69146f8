# SPDX-License-Identifier: Apache-2.0
"""The noise and motion network on a user's own scans: its task, and what the card shows of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bidsqa.errors import InputError, UsageError
from bidsqa.models.loading import load_network
from bidsqa.models.noise_motion import MOVED, NoiseMotionScorer
from bidsqa.models.noise_motion_inputs import prepare_images
from bidsqa.models.ranking import LABELS_KEY
from bidsqa.training import noise_motion, noise_motion_batches
from bidsqa.training.noise_motion import RULER_LEVELS, NoiseMotionTask, ruler_errors
from bidsqa.training.noise_motion_export import exported
from bidsqa.training.noise_motion_sets import (
    Windows,
    cut_windows,
    draw_row,
    load_windows,
    motion_pair,
    save_windows,
    varied,
    versions_at,
)
from bidsqa.training.own_model import MOST_JUDGED, Finished, Read, network_of
from bidsqa.training.own_recipe import Recipe
from bidsqa.training.pool import Clean
from bidsqa.training.readers_card import limit_table, readers_notes
from bidsqa.training.readers_limits import RatedSeries, Shifts
from bidsqa.validation.statistics import area
from bidsqa.validation.tables import Table

# the original's level goes on in a line
EVEN_LEVELS = np.array([*RULER_LEVELS, 2 * RULER_LEVELS[-1] - RULER_LEVELS[-2]])
LIKE_READERS = " (the true version is the one that the readers' limits put beside it)"
JUDGED_SETS, JUDGED_PAIRS, JUDGE_SEED = 12, 40, 41
SIMULATED = (
    "label_source: simulated. human_validation: none. Labels of noise are estimates without a reference (IEDD), no "
    "reader's; all is simulated."
)


class OwnNoiseMotion:
    """See :class:`bidsqa.training.own_model.OwnModel`.

    Parameters
    ----------
    rated : sequence of RatedSeries
        Series that the site's readers judged; with them labels are calibrated by what readers accept.
    """

    name = "noise_motion"
    architecture = "dual"
    rates: Mapping[str, float] = {"shipped": 3e-4, "none": 1.5e-3}
    batch = 10
    per_plane = 16
    learning: Mapping[str, Any] = noise_motion.LEARNING

    def __init__(self, rated: Sequence[RatedSeries] = ()) -> None:
        self.rated = tuple(rated)

    def check(self, recipe: Recipe) -> None:
        """There is nothing to choose artifacts from."""
        if recipe.artifacts:
            raise UsageError("--artifacts is for the severity.", "This network learns noise and motion.")

    def cut(self, scans: Iterable[Clean], per_plane: int, seed: int) -> Windows:
        """Windows at native pixels."""
        windows = cut_windows(scans, per_plane)
        if not len(windows.image):
            raise InputError("no slice shows enough of a head", "training needs structural scans of heads")
        return windows

    def save(self, pool: Windows, path: Path) -> None:
        """As npz."""
        save_windows(pool, path)

    def load(self, path: Path) -> Windows:
        """From npz."""
        return load_windows(path)

    def task(self, train: Windows, watch: Windows, recipe: Recipe, start: Path | None) -> NoiseMotionTask:
        """As the shipped training; ``batch`` images a step, those of noise in fives, those of motion in pairs."""
        own = noise_motion_batches.Recipe(
            noise_slices=max(1, recipe.batch // 5),
            motion_slices=max(1, recipe.batch // 2),
            rate=recipe.rate,
            seed=recipe.seed,
            start=start,
        )
        watched = self.moved(watch, ("train", "watch"), recipe)
        return NoiseMotionTask(own, self.moved(train, ("train",), recipe), watched)

    def moved(self, windows: Windows, sides: Sequence[str], recipe: Recipe) -> Windows:
        """The slices with their labels' moves, from the rated series of some sides; as they are without any."""
        if not self.rated:
            return windows
        return replace(windows, shift=Shifts(self.rated, recipe.eta).of(windows.about, sides)[0])

    def finish(
        self, network: Any, start: Path | None, watch: Windows, read: Read, recipe: Recipe, about: Mapping[str, str]
    ) -> Finished:
        """Nothing is calibrated afterwards: rulers give the output its meaning."""
        further = {key: value for key, value in about.items() if key != "version"}
        further[LABELS_KEY] = "readers" if self.rated else "simulated"
        content = exported(network, self.architecture, about["version"], further)
        runs = {"own": NoiseMotionScorer(network_of(self.name, content))}
        if start is not None:
            runs = {"start": NoiseMotionScorer(load_network(self.name, weights=start)), **runs}
        watch = self.moved(watch, ("train", "watch"), recipe)
        tables = [
            judged(watch, runs, "Watched subjects: noise against rulers, and motion"),
            clean_table(runs["own"], read("watch", MOST_JUDGED), "Watched subjects: their clean scans"),
        ]
        held_out = cut_windows(read("test", MOST_JUDGED), 6)
        if len(held_out.image):
            site = f"The site held out ({recipe.held_out})"
            held_out = self.moved(held_out, ("train", "watch", "test"), recipe)
            tables.append(judged(held_out, runs, f"{site}: noise against rulers, and motion"))
            tables.append(clean_table(runs["own"], read("test", MOST_JUDGED), f"{site}: its clean scans"))
        if not self.rated:
            return Finished(content, tables, [SIMULATED])
        tables.insert(0, limit_table(self.rated, runs))
        return Finished(content, tables, readers_notes(self.rated, recipe.eta))


def judged(windows: Windows, scorers: Mapping[str, NoiseMotionScorer], title: str) -> Table:
    """Ruler error, and accuracy of motion, of each network.

    Parameters
    ----------
    windows : Windows
        Of subjects that were not trained on.
    scorers : Mapping of NoiseMotionScorer
        By name, in the order of the rows.
    title : str
    """
    rng = np.random.default_rng(JUDGE_SEED)
    sets, labels = [], []
    for _ in range(JUDGED_SETS):
        row = draw_row(windows, rng)
        clean = varied(windows.image[row], rng, augment=False)
        sets.append(versions_at(clean, np.array(RULER_LEVELS), rng, filled=False))
        labels.append(windows.labels(row, EVEN_LEVELS))
    pairs = np.concatenate([np.stack(motion_pair(windows, rng, augment=False)) for _ in range(JUDGED_PAIRS)])
    rows = []
    for name, scorer in scorers.items():
        errors = ruler_errors([scorer.score_images(prepare_images(versions))[0] for versions in sets], labels)
        moved = np.concatenate(
            [scorer.score_images(prepare_images(pairs[at : at + 2]))[1] for at in range(0, len(pairs), 2)]
        )
        still, truly = moved[::2], moved[1::2]
        accuracy = float(np.mean(np.concatenate([still <= MOVED, truly > MOVED])))
        rows.append(
            [name, f"{errors.mean():.2f}", f"{100 * np.mean(errors <= 1):.0f} %", f"{100 * accuracy:.0f} %",
             f"{area(truly, still):.2f}", f"{100 * np.mean(still > MOVED):.0f} %"]
        )  # fmt: skip
    columns = ["network", "ruler error", "within 1", "motion: accuracy", "AUC", "false alarms"]
    subjects = len(set(windows.about[:, 0].tolist()))
    like_readers = "" if windows.shift is None else LIKE_READERS
    note = (
        f"{JUDGED_SETS} slices of {subjects} subjects with noise of 12 to 30 dB in 3 dB steps and without, each read "
        f"against all others as rulers{like_readers}; {JUDGED_PAIRS} slices without and with motion. Simulators as in "
        "the training."
    )
    return Table(title, columns, rows, note)


def clean_table(scorer: NoiseMotionScorer, scans: Iterable[Clean], title: str) -> Table:
    """Output of clean scans by contrast."""
    found: dict[str, list[tuple[str, float, float]]] = {}
    for clean in scans:
        score = scorer.score(clean.volume)
        found.setdefault(clean.contrast, []).append((clean.subject, score.value, score.extra["p_motion"]))
    rows = []
    for contrast, own in sorted(found.items()):
        values = np.array([value for _, value, _ in own])
        alarms = sum(moved > MOVED for _, _, moved in own)
        subjects = len({subject for subject, _, _ in own})
        rows.append(
            [contrast, len(own), subjects, f"{np.median(values):.1f}", f"{values.min():.1f}", f"{alarms} of {len(own)}"]
        )
    columns = ["contrast", "scans", "subjects", "noise output, median", "lowest", "called moved"]
    return Table(title, columns, rows)
