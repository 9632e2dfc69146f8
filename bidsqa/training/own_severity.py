# SPDX-License-Identifier: Apache-2.0
"""The severity network on a user's own scans: its task, its calibration, what the card shows of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bidsqa.errors import UsageError
from bidsqa.models.loading import Run, load_network
from bidsqa.models.severity import SeverityScorer, volume_readings
from bidsqa.models.severity_inputs import WINDOW, prepare
from bidsqa.models.severity_scale import FAMILIES, READINGS_OF, Scale, slice_readings
from bidsqa.simulation.table import ARTIFACTS
from bidsqa.simulation.visible_damage import damage_batch
from bidsqa.training.own_model import MOST_JUDGED, Finished, Read, network_of
from bidsqa.training.own_recipe import Recipe
from bidsqa.training.pool import Clean
from bidsqa.training.severity import LEARNING, SeverityTask
from bidsqa.training.severity_batches import FIELD, MIX, Batch, finish
from bidsqa.training.severity_data import Slices, cut_slices
from bidsqa.training.severity_export import exported
from bidsqa.validation.severity_cases import Case
from bidsqa.validation.severity_judging import USED, Judged, calibrate
from bidsqa.validation.statistics import area, prediction_limit
from bidsqa.validation.tables import Table

STRENGTHS = (0.25, 0.5, 1.0)
SHOWN_SLICES = 24
SHOWN_PER_PLANE = 6
FEW = 20


class OwnSeverity:
    """See :class:`bidsqa.training.own_model.OwnModel`."""

    name = "severity"
    architecture = "compact"
    rates: Mapping[str, float] = {"shipped": 5e-4, "none": 2.5e-3}
    batch = 14
    per_plane = 20
    learning: Mapping[str, Any] = LEARNING

    def check(self, recipe: Recipe) -> None:
        """The artifacts exist, and one at least is what a reading stands for."""
        mix_of(recipe.artifacts)

    def cut(self, scans: Iterable[Clean], per_plane: int, seed: int) -> Slices:
        """Slices at native pixels."""
        return cut_slices(scans, per_plane, seed)

    def save(self, pool: Slices, path: Path) -> None:
        """As npz."""
        pool.save(path)

    def load(self, path: Path) -> Slices:
        """From npz."""
        return Slices.load(path)

    def task(self, train: Slices, watch: Slices, recipe: Recipe, start: Path | None) -> SeverityTask:
        """With the recipe's artifacts."""
        return SeverityTask(train, watch, self.architecture, recipe.batch, recipe.seed, start, mix_of(recipe.artifacts))

    def finish(
        self, network: Any, start: Path | None, watch: Slices, read: Read, recipe: Recipe, about: Mapping[str, str]
    ) -> Finished:
        """Calibrated on the watched scans, and on some trained on for what needs no training."""
        mix = mix_of(recipe.artifacts)
        trained = network_of(self.name, exported(network))
        runs = {} if start is None else {"start": load_network(self.name, weights=start).run}
        runs["trained"] = trained.run
        scorer = SeverityScorer(trained)
        clean = judge_clean(scorer, itertools.chain(read("watch", MOST_JUDGED), read("train", MOST_JUDGED)))
        scale = own_scale(clean, mix)
        unseen = [row for row in clean if row.case.side == "watch"]
        tables = [
            compare(watch, runs, mix, "Watched subjects: clean against degraded slices"),
            clean_table(unseen, scale, "Watched subjects: severity of their clean scans"),
        ]
        held_out = judge_clean(scorer, read("test", MOST_JUDGED))
        if held_out:
            slices = cut_slices(read("test", MOST_JUDGED), SHOWN_PER_PLANE, recipe.seed)
            site = f"The site held out ({recipe.held_out})"
            tables.append(compare(slices, runs, mix, f"{site}: clean against degraded slices"))
            tables.append(clean_table(held_out, scale, f"{site}: severity of its clean scans"))
        return Finished(exported(network, scale, about["version"], about), tables, _notes(len(unseen), mix))


def _notes(count: int, mix: Mapping[str, float]) -> list[str]:
    notes = [f"Severity 1, the review threshold, is calibrated on the {count} clean watched scans."]
    if count < FEW:
        notes.append(
            f"These are few (fewer than {FEW}): the limits were kept at least as wide as those of the shipped weights."
        )
    left = [family for family in FAMILIES if family not in families_of(mix)]
    if left:
        notes.append(f"Not trained on, and not part of the score: {', '.join(left)}.")
    return notes


def mix_of(artifacts: Sequence[str]) -> dict[str, float]:
    """The shipped training's artifacts and chances, or those of a subset.

    Raises
    ------
    UsageError
        An artifact that isn't trained on, or none that a reading stands for.
    """
    unknown = [name for name in artifacts if name not in MIX]
    if unknown:
        raise UsageError(f"The severity isn't trained on {unknown[0]!r}.", f"Choose from {', '.join(MIX)}.")
    chosen = {name: share for name, share in MIX.items() if not artifacts or name in artifacts}
    if not families_of(chosen):
        raise UsageError(
            f"No part of the score stands for {' and '.join(chosen)} alone.",
            f"Add one of {', '.join(name for name in MIX if ARTIFACTS[name].family in FAMILIES)}.",
        )
    return chosen


def families_of(mix: Mapping[str, float]) -> list[str]:
    """Families of artifacts that are trained on, in the score's order."""
    return [family for family in FAMILIES if any(ARTIFACTS[name].family == family for name in mix)]


def judge_clean(scorer: SeverityScorer, scans: Iterable[Clean]) -> list[Judged]:
    """Raw readings of clean scans."""
    judged = []
    for clean in scans:
        prepared = prepare(clean.volume)
        readings, _ = volume_readings([slice_readings(output) for output in scorer.outputs(prepared)], prepared)
        case = Case(
            scan=clean.name,
            subject=clean.subject,
            site=clean.site,
            contrast=clean.contrast,
            side=clean.side,
            artifact="none",
            strength=0.0,
            damage=0.0,
            prepared=replace(prepared, planes=()),
            baselines={},
        )
        judged.append(Judged(case, readings))
    return judged


def own_scale(clean: Sequence[Judged], mix: Mapping[str, float]) -> Scale:
    """The scale of the user's scans; readings of kinds that are not trained on don't count.

    A handful of watched scans says little about how far clean scans spread. With fewer than twenty the limits lie at
    least as far from the clean median as those of the shipped weights.

    Parameters
    ----------
    clean : sequence of Judged
        Watched scans, and some of those trained on (for the readings that need no training).
    mix : Mapping of float
    """
    wanted = {name for family in families_of(mix) for name in READINGS_OF[family]}
    shipped = Scale.from_json(load_network("severity").settings.get("calibration", ""))
    scale = calibrate(clean, [name for name in USED if name in wanted])
    # the model of the kinds reads places on the scale, which mean the same on any; it needs all of them
    if shipped.kinds is not None and wanted >= {name for names in READINGS_OF.values() for name in names}:
        scale = replace(scale, kinds=shipped.kinds)
    unseen = [row for row in clean if row.case.side != "train"]
    if len(unseen) >= FEW:
        return scale
    limit = {
        name: max(value, scale.clean[name] + (shipped.width(name) if name in shipped.limit else 0.0))
        for name, value in scale.limit.items()
    }
    wide = replace(scale, limit=limit, scale=1.0)
    values = np.array([float(wide.joined(row.readings)) for row in unseen])
    return replace(wide, scale=max(1.0, float(np.percentile(values, 95)), prediction_limit(values)))


def clean_table(judged: Sequence[Judged], scale: Scale, title: str) -> Table:
    """Severity of clean scans by contrast."""
    rows = []
    for contrast in sorted({row.case.contrast for row in judged}):
        own = [row for row in judged if row.case.contrast == contrast]
        values = np.array([float(scale.joined(row.readings)) for row in own])
        subjects = len({row.case.subject for row in own})
        above = f"{int((values > 1).sum())} of {len(own)}"
        rows.append([contrast, len(own), subjects, f"{np.median(values):.2f}", f"{values.max():.2f}", above])
    return Table(title, ["contrast", "scans", "subjects", "median", "highest", "above 1"], rows)


def graded(slices: Slices, name: str, strength: float, seed: int) -> Batch:
    """Some clean slices and one copy of each, degraded by one artifact of one strength, without augmentation."""
    rows = np.unique(np.linspace(0, len(slices.image) - 1, SHOWN_SLICES).astype(int))
    edge = (slices.image.shape[1] - FIELD) // 2
    inner = slice(edge, edge + FIELD)
    clean = torch.from_numpy(slices.image[rows, inner, inner].astype(np.float32))[:, None]
    head = torch.from_numpy(slices.head[rows, inner, inner])[:, None]
    edges = torch.from_numpy(slices.edges[rows])
    artifact = ARTIFACTS[name]
    parameters = artifact.sample(torch.Generator().manual_seed(seed), [strength] * len(rows), edges[:, :2])
    degraded = artifact.apply(clean, parameters, head)
    blanked = (clean == 0) & ((clean == 0).float().mean(dim=(1, 2, 3), keepdim=True) > 0.01)
    degraded = torch.where(blanked, torch.zeros_like(degraded), degraded)
    edge = (FIELD - WINDOW) // 2
    clean, degraded, head = (part[..., edge : edge + WINDOW, edge : edge + WINDOW] for part in (clean, degraded, head))
    harm = damage_batch(clean, degraded, head)
    damage = torch.stack([harm["damage"], harm["nrmse"]], dim=1).clamp(0, 1.5)
    return finish(
        torch.cat([clean, degraded]),
        head.repeat(2, 1, 1, 1),
        edges.repeat(2, 1),
        torch.cat([torch.zeros_like(damage), damage]),
        torch.zeros(2 * len(rows), len(FAMILIES)),
    )


def compare(slices: Slices, runs: Mapping[str, Run], mix: Mapping[str, float], title: str) -> Table:
    """How well each network tells degraded slices from clean ones, and how far its estimate of the damage is off.

    Parameters
    ----------
    slices : Slices
        Of subjects that were not trained on.
    runs : Mapping of callable
        Networks by name, in the order of the columns.
    mix : Mapping
        Artifacts.
    title : str
    """
    rows = []
    for place, name in enumerate(mix):
        areas: dict[str, list[str]] = {who: [] for who in runs}
        errors: dict[str, list[float]] = {who: [] for who in runs}
        for strength in STRENGTHS:
            batch = graded(slices, name, strength, seed=7000 + place)
            half, truth = len(batch.image) // 2, batch.damage.sum(dim=1).numpy()
            inputs = {key: getattr(batch, key).numpy() for key in ("image", "head", "scalars")}
            for who, run in runs.items():
                found = run(inputs)[0][:, :2].sum(axis=1)
                areas[who].append(f"{area(found[half:], found[:half]):.2f}")
                errors[who].append(float(np.abs(found - truth).mean()))
        cells = [cell for who in runs for cell in (" / ".join(areas[who]), f"{np.mean(errors[who]):.3f}")]
        rows.append([name, *cells])
    strengths = " / ".join(f"{strength:g}" for strength in STRENGTHS)
    columns = ["artifact", *(part for who in runs for part in (f"{who}: AUC at {strengths}", f"{who}: error"))]
    note = (
        f"{min(SHOWN_SLICES, len(slices.image))} slices of {len(slices.names)} scans, clean and degraded in two "
        "dimensions as in the training. AUC of the estimated damage, one threshold for all slices; error: mean "
        "absolute error of the estimated damage (1 - SSIM, plus NRMSE)."
    )
    return Table(title, columns, rows, note)
