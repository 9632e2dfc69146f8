# SPDX-License-Identifier: Apache-2.0
"""Judge weights on any BIDS dataset of good scans: each scan is degraded on purpose, clean and degraded are scored.

Whole scans are degraded in three dimensions. The scale is that of the weights, which no scan of the dataset had a part
in; scans that the weights say they learned from are left out. Sites are told apart in a table of their own, in which
degraded scans of a site stand against clean scans of the other sites.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from bidsqa.errors import UsageError
from bidsqa.models import MODELS, Scorer
from bidsqa.models.ssim import GOOD
from bidsqa.simulation import degrade_volume
from bidsqa.training.pool import Clean
from bidsqa.validation.plots import dose_response
from bidsqa.validation.separation import (
    STRONG,
    VISIBLE,
    percent,
    ranged,
    separation,
    separation_interval,
    summarise,
)
from bidsqa.validation.severity_cases import JUDGED
from bidsqa.validation.severity_cases import STRENGTHS as BUILT
from bidsqa.validation.tables import Table

STRENGTHS = tuple(sorted(BUILT))
ARTIFACTS = JUDGED
MINIMUM_SUBJECTS = 2
COMMAND = "bidsqa-train evaluate"
# above it (severity) or below it (ssim) a scan deserves a look
LIMITS = {"severity": 1.0, "ssim": GOOD}
FIXED = ("scan", "subject", "site", "contrast", "artifact", "strength", "damage")


@dataclass(frozen=True)
class Result:
    """One scan, clean or degraded, and what the models make of it.

    Parameters
    ----------
    scan, subject, site, contrast : str
    artifact : str
        ``none`` for the clean scan.
    strength, damage : float
        Strength 0-1 and 1 - SSIM in the head.
    scores : Mapping of float
        By model, as bidsqa reports them.
    """

    scan: str
    subject: str
    site: str
    contrast: str
    artifact: str
    strength: float
    damage: float
    scores: Mapping[str, float]

    @property
    def clean(self) -> bool:
        """Not degraded."""
        return self.artifact == "none"

    @property
    def key(self) -> tuple[str, str, float]:
        """What tells it from the others."""
        return self.scan, self.artifact, self.strength

    def harm(self, model: str) -> float:
        """The score with the sign that makes higher worse."""
        return _harm(model, self.scores[model])


def _harm(model: str, value: float) -> float:
    return value if MODELS[model].direction.startswith("lower") else 1 - value


def check_subjects(subjects: Collection[str]) -> None:
    """There are enough subjects to tell them apart.

    Raises
    ------
    UsageError
    """
    if len(subjects) < MINIMUM_SUBJECTS:
        raise UsageError(
            f"Judging needs good scans of at least {MINIMUM_SUBJECTS} subjects that the weights did not learn from; "
            f"there are {len(subjects)}.",
            "Give another dataset.",
        )


def judge(
    scans: Iterable[Clean],
    scorers: Mapping[str, Scorer],
    strengths: Sequence[float] = STRENGTHS,
    done: Iterable[Result] = (),
    artifacts: Sequence[str] = ARTIFACTS,
) -> Iterator[Result]:
    """Score each scan clean and degraded, one result at a time.

    Parameters
    ----------
    scans : iterable of Clean
    scorers : Mapping of Scorer
    strengths : sequence of float
        0-1; the same seed at each, so that an artifact only grows.
    done : iterable of Result
        Of an earlier start; not judged again.
    artifacts : sequence of str
    """
    known = {result.key for result in done}
    for clean in scans:
        seed = int.from_bytes(clean.name.encode(), "little") % 1_000_003
        for artifact, strength in [("none", 0.0), *product(artifacts, strengths)]:
            if (clean.name, artifact, strength) in known:
                continue
            volume, harm = clean.volume, {"damage": 0.0}
            if strength > 0:
                volume, _, harm = degrade_volume(clean.volume, artifact, strength, seed)
            yield Result(
                scan=clean.name,
                subject=clean.subject,
                site=clean.site,
                contrast=clean.contrast,
                artifact=artifact,
                strength=strength,
                damage=float(harm["damage"]),
                scores={name: float(scorer.score(volume).value) for name, scorer in scorers.items()},
            )


def as_csv(results: Sequence[Result], weights: Mapping[str, str]) -> str:
    """Every single result; the columns of the scores name the weights (SHA-256) that gave them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*FIXED, *(f"{name} {digest[:12]}" for name, digest in weights.items())])
    for result in results:
        facts = [getattr(result, name) for name in FIXED]
        scores = [result.scores[name] for name in weights]
        writer.writerow([f"{value:.6g}" if isinstance(value, float) else value for value in (*facts, *scores)])
    return text.getvalue()


def read_results(path: Path, weights: Mapping[str, str]) -> list[Result]:
    """What an earlier start wrote; empty where there is nothing.

    Raises
    ------
    UsageError
        The file is of other weights.
    """
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as handle:
        rows = list(csv.reader(handle))
    columns = [f"{name} {digest[:12]}" for name, digest in weights.items()]
    if not rows or rows[0] != [*FIXED, *columns]:
        raise UsageError(f"{path} holds results of other models or weights.", "Give another output folder.")
    results = []
    for row in rows[1:]:
        scan, subject, site, contrast, artifact, *numbers = row
        strength, damage, *scores = (float(number) for number in numbers)
        values = dict(zip(weights, scores, strict=True))
        results.append(Result(scan, subject, site, contrast, artifact, strength, damage, values))
    return results


def tables(results: Sequence[Result], model: str, note: str) -> dict[str, Table]:
    """The tables of a model by file name: by artifact and strength, by contrast, by site, clean scans."""
    return {
        f"{model}_artifacts": _by_artifact(results, model, note),
        f"{model}_contrasts": _by_contrast(results, model, note),
        f"{model}_sites": _by_site(results, model, note),
        f"{model}_clean": _clean(results, model, note),
    }


def describe(results: Sequence[Result], model: str, digest: str) -> str:
    """What the numbers rest on."""
    clean = [result for result in results if result.clean]
    subjects, sites = len({result.subject for result in clean}), sorted({result.site for result in clean})
    kinds = ", ".join(sorted({result.contrast for result in clean}))
    return (
        f"Weights {digest[:12]}. {len(clean)} clean scans ({kinds}) of {subjects} subjects and {len(sites)} "
        f"site{'s' if len(sites) > 1 else ''}, and {len(results) - len(clean)} degraded copies of them (simulated in "
        "three dimensions; blanked air blanked again). What counts as clean is what the dataset holds. AUC: one "
        "threshold for all scans; intervals (95 %) by bootstrap over subjects."
    )


def _scored(results: Sequence[Result], model: str) -> list[tuple[Result, float]]:
    return [(row, row.harm(model)) for row in results]


def _beyond(rows: Sequence[Result], model: str) -> tuple[int, int]:
    """How many scores lie beyond the limit, of how many."""
    limit = _harm(model, LIMITS[model])
    return sum(row.harm(model) > limit for row in rows), len(rows)


def _limit_words(model: str) -> str:
    return f"{'above' if MODELS[model].direction.startswith('lower') else 'below'} {LIMITS[model]:g}"


def _by_artifact(results: Sequence[Result], model: str, note: str) -> Table:
    found = summarise(_scored(results, model), _harm(model, LIMITS[model]))["artifacts"]
    strengths = sorted({row.strength for row in results if not row.clean})
    lines = [
        [
            artifact,
            *(f"{part['auc_by_strength'][value]:.2f}" for value in strengths),
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
    return Table(
        f"{MODELS[model].title}: clean against degraded, by artifact and strength", columns, lines, note, COMMAND
    )


def _by_contrast(results: Sequence[Result], model: str, note: str) -> Table:
    lines = []
    for contrast in sorted({row.contrast for row in results}):
        own = [row for row in results if row.contrast == contrast]
        number = sum(row.clean for row in own)
        for artifact, part in summarise(_scored(own, model))["artifacts"].items():
            area, order = ranged(part["auc"], part["interval"]), ranged(part["rho"], part["rho_interval"])
            lines.append([contrast, artifact, number, area, order])
    columns = ["contrast", "artifact", "clean scans", f"AUC (>= {STRONG:g})", "Spearman within a scan"]
    return Table(f"{MODELS[model].title}: by contrast and artifact", columns, lines, note, COMMAND)


def _by_site(results: Sequence[Result], model: str, note: str) -> Table:
    lines = []
    for site in sorted({row.site for row in results}):
        own = [row for row in results if row.clean and row.site == site]
        strong = [row for row in results if row.strength >= STRONG and row.site == site]
        others = _scored([row for row in results if row.clean and row.site != site], model)
        bad = _scored(strong, model)
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


def _clean(results: Sequence[Result], model: str, note: str) -> Table:
    lines = []
    for contrast in sorted({row.contrast for row in results}):
        own = [row for row in results if row.clean and row.contrast == contrast]
        worst = max(own, key=lambda row: row.harm(model)).scores[model]
        middle = np.median([row.scores[model] for row in own])
        subjects = len({row.subject for row in own})
        lines.append([contrast, len(own), subjects, f"{middle:.2f}", f"{worst:.2f}", percent(_beyond(own, model))])
    columns = ["contrast", "scans", "subjects", "median", "worst", _limit_words(model)]
    return Table(f"{MODELS[model].title} of the clean scans", columns, lines, note, COMMAND)


def draw(results: Sequence[Result], model: str, path: Path) -> None:
    """Score of every scan against the strength of each artifact, as SVG."""
    dose_response([(row, row.scores[model]) for row in results], path, MODELS[model].title, LIMITS[model])
