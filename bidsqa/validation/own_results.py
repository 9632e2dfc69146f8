# SPDX-License-Identifier: Apache-2.0
"""One scan of a user's dataset, clean or degraded, with all that was made of it; the file that keeps them."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bidsqa.errors import UsageError
from bidsqa.models import MODELS

FIXED = ("scan", "subject", "site", "contrast", "image", "artifact", "strength", "damage", "s_paper", "truth")
WORDS = 6
NAN = float("nan")
ANEW = "Remove the file to judge the scans anew, or give another output folder."


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
    uncertainties : Mapping of float
        Of the scores.
    kinds : Mapping of str
        Kind of artifact that a model names; empty where it names none of its own.
    baselines : Mapping of float
        Classical measures, higher is worse (:func:`bidsqa.validation.baselines.baselines`).
    s_paper : float
        Severity by Hays et al. 2025, Table 1; NaN where the paper has none.
    truth : float
        True SSIM of the slices that the ssim score judges; NaN where there is none.
    image : str
        First digits of the SHA-256 of the clean scan's data: of which image the numbers are.
    """

    scan: str
    subject: str
    site: str
    contrast: str
    artifact: str
    strength: float
    damage: float
    scores: Mapping[str, float]
    uncertainties: Mapping[str, float] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    baselines: Mapping[str, float] = field(default_factory=dict)
    s_paper: float = NAN
    truth: float = NAN
    image: str = ""

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
        return harm(model, self.scores[model])


def harm(model: str, value: float) -> float:
    """A model's score with the sign that makes higher worse."""
    return value if MODELS[model].direction.startswith("lower") else 1 - value


def _columns(weights: Mapping[str, str], baselines: Sequence[str]) -> list[str]:
    scores = [
        column
        for name, digest in weights.items()
        for column in (f"{name} {digest[:12]}", f"{name} uncertainty", f"{name} kind")
    ]
    return [*FIXED, *baselines, *scores]


def as_csv(results: Sequence[Result], weights: Mapping[str, str]) -> str:
    """Every single result; the columns of the scores name the weights (SHA-256) that gave them."""
    names = list(results[0].baselines) if results else []
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_columns(weights, names))
    for result in results:
        cells: list[float | str] = [getattr(result, name) for name in FIXED]
        cells += [result.baselines[name] for name in names]
        for name in weights:
            cells += [result.scores[name], result.uncertainties.get(name, NAN), result.kinds.get(name, "")]
        writer.writerow([_shown(value) for value in cells])
    return text.getvalue()


def _shown(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return "" if math.isnan(value) else f"{value:.6g}"


def read_results(path: Path, weights: Mapping[str, str]) -> list[Result]:
    """What an earlier start wrote; empty where there is nothing.

    Raises
    ------
    UsageError
        The file is of other weights or of an earlier version, or was damaged.
    """
    if not path.is_file():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            rows = list(csv.reader(handle))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} can't be read: {error}.", ANEW) from error
    if not rows:
        return []
    names = _checked_head(path, rows[0], weights)
    found = []
    for number, row in enumerate(rows[1:], start=2):
        try:
            found.append(_parsed(row, weights, names))
        except ValueError as error:
            raise UsageError(f"{path} is damaged: line {number} is not a whole result ({error}).", ANEW) from error
    return found


def _checked_head(path: Path, head: Sequence[str], weights: Mapping[str, str]) -> Sequence[str]:
    """Names of the baselines in a file of these weights.

    Raises
    ------
    UsageError
    """
    names = head[len(FIXED) : len(head) - 3 * len(weights)]
    if list(head) == _columns(weights, names) and not any(name.endswith(" uncertainty") for name in names):
        return names
    digests = [f"{name} {digest[:12]}" for name, digest in weights.items()]
    scored = [f"{name} {digest}" for name, digest in (_words(cell) for cell in head) if name in MODELS and digest]
    if list(head[:4]) == list(FIXED[:4]) and scored == digests:
        raise UsageError(f"{path} was written by an earlier version of bidsqa-train, which noted less.", ANEW)
    raise UsageError(f"{path} holds results of other models or weights.", "Give another output folder.")


def _words(column: str) -> tuple[str, str]:
    """Model and digest of a column of scores; without digest for other columns."""
    name, _, rest = column.partition(" ")
    return name, "" if rest in ("uncertainty", "kind") else rest


def _parsed(row: Sequence[str], weights: Mapping[str, str], names: Sequence[str]) -> Result:
    if len(row) != len(FIXED) + len(names) + 3 * len(weights):
        raise ValueError(f"{len(row)} cells instead of {len(FIXED) + len(names) + 3 * len(weights)}")
    (scan, subject, site, contrast, image, artifact), cells = row[:WORDS], row[WORDS:]
    strength, damage, paper, truth = (float(cell) if cell else NAN for cell in cells[: len(FIXED) - WORDS])
    cells = cells[len(FIXED) - WORDS :]
    measures = {name: float(cell) for name, cell in zip(names, cells, strict=False)}
    own = {name: cells[len(names) + 3 * place :] for place, name in enumerate(weights)}
    return Result(
        scan=scan,
        subject=subject,
        site=site,
        contrast=contrast,
        image=image,
        artifact=artifact,
        strength=strength,
        damage=damage,
        scores={name: float(part[0]) for name, part in own.items()},
        uncertainties={name: float(part[1]) for name, part in own.items() if part[1]},
        kinds={name: part[2] for name, part in own.items() if part[2]},
        baselines=measures,
        s_paper=paper,
        truth=truth,
    )
