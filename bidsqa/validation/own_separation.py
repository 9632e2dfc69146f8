# SPDX-License-Identifier: Apache-2.0
"""Clean against degraded scans of a user's dataset: by artifact, contrast, strength and site, beside baselines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bidsqa.models import MODELS
from bidsqa.models.ssim import GOOD
from bidsqa.validation.own_results import Result, harm
from bidsqa.validation.plots import area_bars
from bidsqa.validation.separation import (
    STRONG,
    VISIBLE,
    Scored,
    percent,
    plain,
    ranged,
    separation,
    separation_interval,
    summarise,
)
from bidsqa.validation.severity_cases import JUDGED
from bidsqa.validation.tables import Table

COMMAND = "bidsqa-train evaluate"
# above it (severity) or below it (ssim) a scan deserves a look
LIMITS = {"severity": 1.0, "ssim": GOOD}


def scored(results: Sequence[Result], model: str) -> list[tuple[Result, float]]:
    """Results with a model's score, higher is worse."""
    return [(row, row.harm(model)) for row in results]


def scored_by(results: Sequence[Result], models: Sequence[str]) -> dict[str, Scored]:
    """Results scored by each model, by each classical measure and by a constant; higher is worse."""
    found: dict[str, Scored] = {model: scored(results, model) for model in models}
    for name in results[0].baselines if results else ():
        found[name] = [(row, row.baselines[name]) for row in results]
    found["constant"] = [(row, 0.0) for row in results]
    return found


def beside_baselines(results: Sequence[Result], models: Sequence[str], note: str) -> dict[str, Table]:
    """Area and rank correlation of models and baselines on the same copies, one column an artifact."""
    found = {name: summarise(cases)["artifacts"] for name, cases in scored_by(results, models).items()}
    artifacts = list(next(iter(found.values())))
    parts = {
        "scores_auc": (
            f"Clean against degraded scans (strength {STRONG:g} and more), scores beside classical measures: "
            "AUC [95 % interval]",
            "auc",
            "interval",
        ),
        "scores_rank": (
            "Order of the copies of a scan, scores beside classical measures: Spearman's coefficient of strength and "
            "score, mean over scans [95 % interval]",
            "rho",
            "rho_interval",
        ),
    }
    return {
        key: Table(
            title,
            ["score", *artifacts],
            [[name, *(ranged(own[kind][value], own[kind][span]) for kind in artifacts)] for name, own in found.items()],
            note,
            COMMAND,
        )
        for key, (title, value, span) in parts.items()
    }


def draw_areas(results: Sequence[Result], models: Sequence[str], path: Path) -> None:
    """Areas of :func:`beside_baselines` as bars with their intervals, as SVG; nothing where no copy is strong."""
    if not any(row.strength >= STRONG for row in results):
        return
    found = {name: summarise(cases)["artifacts"] for name, cases in scored_by(results, models).items()}
    del found["constant"]
    bars = {
        name: {kind: (own["auc"], *own["interval"]) for kind, own in parts.items()} for name, parts in found.items()
    }
    area_bars(bars, path, len(models))


def _beyond(rows: Sequence[Result], model: str) -> tuple[int, int]:
    """How many scores lie beyond the limit, of how many."""
    limit = harm(model, LIMITS[model])
    return sum(row.harm(model) > limit for row in rows), len(rows)


def _limit_words(model: str) -> str:
    return f"{'above' if MODELS[model].direction.startswith('lower') else 'below'} {LIMITS[model]:g}"


def by_artifact(results: Sequence[Result], model: str, note: str) -> Table:
    """One row an artifact, all contrasts together."""
    found = summarise(scored(results, model), harm(model, LIMITS[model]))["artifacts"]
    strengths = sorted({row.strength for row in results if not row.clean})
    lines = [
        [
            artifact,
            *(plain(part["auc_by_strength"].get(value, float("nan"))) for value in strengths),
            ranged(part["auc"], part["interval"]),
            ranged(part["rho"], part["rho_interval"]),
            percent(part["ordered"]),
            percent(part["caught"]),
        ]
        for artifact, part in found.items()
    ]
    columns = [
        "artifact",
        *(f"AUC at {value:g}" for value in strengths),
        f"AUC (>= {STRONG:g})",
        "Spearman within a scan",
        f"worse than its clean scan (>= {VISIBLE:g})",
        f"{_limit_words(model)} (>= {STRONG:g})",
    ]
    title = f"{MODELS[model].title}: clean against degraded, by artifact and strength"
    return Table(title, columns, lines, note, COMMAND)


def by_contrast(results: Sequence[Result], model: str, note: str) -> Table:
    """One row a contrast and artifact, strong copies together."""
    lines = []
    for contrast in sorted({row.contrast for row in results}):
        own = [row for row in results if row.contrast == contrast]
        number = sum(row.clean for row in own)
        for artifact, part in summarise(scored(own, model))["artifacts"].items():
            area, order = ranged(part["auc"], part["interval"]), ranged(part["rho"], part["rho_interval"])
            lines.append([contrast, artifact, number, area, order])
    columns = ["contrast", "artifact", "clean scans", f"AUC (>= {STRONG:g})", "Spearman within a scan"]
    return Table(f"{MODELS[model].title}: by contrast and artifact", columns, lines, note, COMMAND)


def by_strength(results: Sequence[Result], model: str, note: str) -> Table:
    """The long form: one row a contrast, artifact and strength.

    Degraded scans stand against the clean scans of other subjects in their contrast, and, where there are several
    sites, against those of the other sites alone: site by site, then the pairs pooled. Against the clean scans of all
    contrasts they stand where one threshold must do for all.
    """
    lines: list[list[object]] = []
    everywhere = [row for row in results if row.clean]
    for contrast in sorted({row.contrast for row in results}):
        own = [row for row in results if row.contrast == contrast]
        clean = [row for row in own if row.clean]
        origin = {row.scan: row.harm(model) for row in clean}
        for artifact in sorted({row.artifact for row in own} - {"none"}, key=JUDGED.index):
            for strength in sorted({row.strength for row in own if row.artifact == artifact}):
                part = [row for row in own if (row.artifact, row.strength) == (artifact, strength)]
                worse = [row.harm(model) > origin[row.scan] for row in part]
                lines.append(
                    [
                        contrast,
                        artifact,
                        f"{strength:g}",
                        len(part),
                        f"{np.median([row.damage for row in part]):.3f}",
                        f"{np.median([row.scores[model] for row in part]):.2f}",
                        _area(part, clean, model),
                        _area(part, clean, model, other_sites=True),
                        _area(part, everywhere, model),
                        percent((sum(worse), len(worse))),
                        percent(_beyond(part, model)),
                    ]
                )
    columns = [
        "contrast", "artifact", "strength", "copies", "median damage", "median score", "AUC",
        "AUC against clean scans of other sites", "AUC against clean scans of all contrasts",
        "worse than its clean scan", _limit_words(model),
    ]  # fmt: skip
    return Table(f"{MODELS[model].title}: by contrast, artifact and strength", columns, lines, note, COMMAND)


def _area(part: Sequence[Result], clean: Sequence[Result], model: str, other_sites: bool = False) -> str:
    bad, good = scored(part, model), scored(clean, model)
    allowed = None
    if other_sites:
        allowed = np.array([[row.site != other.site for other in clean] for row in part], dtype=bool)
        if not allowed.any():
            return ""
    return ranged(separation(bad, good, allowed), separation_interval(bad, good, allowed))


def by_site(results: Sequence[Result], model: str, note: str) -> Table:
    """One row a site, its degraded scans against clean scans of the other sites."""
    lines = []
    for site in sorted({row.site for row in results}):
        own = [row for row in results if row.clean and row.site == site]
        strong = [row for row in results if row.strength >= STRONG and row.site == site]
        others = scored([row for row in results if row.clean and row.site != site], model)
        bad = scored(strong, model)
        lines.append(
            [
                site.removeprefix("site-"),
                len({row.subject for row in own}),
                len(own),
                f"{np.median([row.scores[model] for row in own]):.2f}",
                percent(_beyond(own, model)),
                percent(_beyond(strong, model)),
                ranged(separation(bad, others), separation_interval(bad, others)) or "no other site",
            ]
        )
    columns = [
        "site",
        "subjects",
        "clean scans",
        "median of clean",
        f"clean {_limit_words(model)}",
        f"degraded {_limit_words(model)} (>= {STRONG:g})",
        f"AUC against clean scans of other sites (>= {STRONG:g})",
    ]
    return Table(f"{MODELS[model].title}: by site", columns, lines, note, COMMAND)


def clean_scans(results: Sequence[Result], model: str, note: str) -> Table:
    """The clean scans by contrast: how many would be flagged."""
    lines = []
    for contrast in sorted({row.contrast for row in results}):
        own = [row for row in results if row.clean and row.contrast == contrast]
        worst = max(own, key=lambda row: row.harm(model)).scores[model]
        middle = np.median([row.scores[model] for row in own])
        subjects = len({row.subject for row in own})
        lines.append([contrast, len(own), subjects, f"{middle:.2f}", f"{worst:.2f}", percent(_beyond(own, model))])
    columns = ["contrast", "scans", "subjects", "median", "worst", _limit_words(model)]
    return Table(f"{MODELS[model].title} of the clean scans", columns, lines, note, COMMAND)
