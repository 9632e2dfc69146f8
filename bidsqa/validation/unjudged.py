# SPDX-License-Identifier: Apache-2.0
"""What contrast changes, and artifacts that no other table is about, do to both scores, on a few scans.

``python -m bidsqa.validation.unjudged`` prints the tables. Contrast changes are no damage: what they add to a score is
its error. The other artifacts are not among those that the severity is judged by; a user meets them all the same.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from bidsqa import models
from bidsqa.models import Scorer
from bidsqa.models.ssim import GOOD
from bidsqa.validation.tables import Table, write_rows

SCANS = ("sub-fnndsc01_T1w", "sub-boston01_T2w", "sub-ljubljana04_run-1_T1w", "sub-ljubljana20_run-2_FLAIR")
NUISANCES = ("gamma", "log", "sigmoid", "clahe")
OTHERS = ("slice_motion", "wrap", "gibbs", "spike", "undersampling")
STRENGTHS = (0.5, 1.0)
LIMIT = 1.0
FOLDER = Path("docs/validation_tables")
COMMAND = "python -m bidsqa.validation.unjudged"


@dataclass(frozen=True)
class Scored:
    """One scan, clean (``none``) or changed, with both scores."""

    scan: str
    artifact: str
    strength: float
    damage: float
    severity: float
    kind: str
    ssim: float


def judge(
    data: Path, scorers: Mapping[str, Scorer], done: Sequence[Scored] = (), keep: Callable[[Scored], None] | None = None
) -> list[Scored]:
    """Score the scans, clean and changed.

    Parameters
    ----------
    data : Path
    scorers : Mapping of Scorer
        ``severity`` and ``ssim``.
    done : sequence of Scored
        Of an earlier start, not judged again.
    keep : callable, optional
        Told each new one.
    """
    from bidsqa.simulation import degrade_volume
    from bidsqa.training.pool import real_scans
    from bidsqa.validation.severity_cases import case_seed, cropped

    found = {(row.scan, row.artifact, row.strength): row for row in done}
    for clean in real_scans(data, ("test", "watch")):
        if clean.name not in SCANS:
            continue
        whole = cropped(clean.volume)
        for artifact, strength in [("none", 0.0), *product((*NUISANCES, *OTHERS), STRENGTHS)]:
            if (clean.name, artifact, strength) in found:
                continue
            volume, harm = whole, {"damage": 0.0}
            if strength > 0:
                volume, _, harm = degrade_volume(whole, artifact, strength, case_seed(clean.name, artifact))
            severity, ssim = scorers["severity"].score(volume), scorers["ssim"].score(volume)
            kind = str(severity.extra["family"])
            row = Scored(clean.name, artifact, strength, harm["damage"], severity.value, kind, ssim.value)
            found[row.scan, row.artifact, row.strength] = row
            if keep is not None:
                keep(row)
    return list(found.values())


def nuisance_rows(rows: Sequence[Scored]) -> list[list[Any]]:
    """By contrast change and strength: what it adds to each score, and how many scans cross the limits by it."""
    clean = {row.scan: row for row in rows if row.artifact == "none"}
    lines = []
    for artifact, strength, own in _groups(rows, NUISANCES):
        severity = np.array([row.severity - clean[row.scan].severity for row in own])
        ssim = np.array([row.ssim - clean[row.scan].ssim for row in own])
        crossed = sum(row.severity > LIMIT >= clean[row.scan].severity for row in own)
        fallen = sum(row.ssim < GOOD <= clean[row.scan].ssim for row in own)
        lines.append(
            [
                artifact, f"{strength:g}", len(own), _spread(severity, "+"), f"{max(row.severity for row in own):.2f}",
                f"{crossed} of {len(own)}", _named(own), _spread(ssim, "+", 3), f"{fallen} of {len(own)}",
            ]
        )  # fmt: skip
    return lines


def other_rows(rows: Sequence[Scored]) -> list[list[Any]]:
    """By artifact and strength: damage, both scores, and how many scans each of them would have looked at."""
    lines = []
    for artifact, strength, own in _groups(rows, ("none", *OTHERS)):
        severity, ssim = np.array([row.severity for row in own]), np.array([row.ssim for row in own])
        lines.append(
            [
                "clean" if artifact == "none" else artifact, f"{strength:g}", len(own),
                f"{np.median([row.damage for row in own]):.2f}", _spread(severity),
                f"{int((severity > LIMIT).sum())} of {len(own)}", _named(own), _spread(ssim, "", 3),
                f"{int((ssim < GOOD).sum())} of {len(own)}",
            ]
        )  # fmt: skip
    return lines


def _groups(rows: Sequence[Scored], artifacts: Sequence[str]) -> list[tuple[str, float, list[Scored]]]:
    keys = [(name, level) for name in artifacts for level in sorted({row.strength for row in rows})]
    groups = [(*key, [row for row in rows if (row.artifact, row.strength) == key]) for key in keys]
    return [group for group in groups if group[2]]


def _spread(values: np.ndarray[Any, Any], sign: str = "", digits: int = 2) -> str:
    middle, low, high = (f"{value:{sign}.{digits}f}" for value in (np.median(values), values.min(), values.max()))
    return f"{middle} ({low} to {high})"


def _named(rows: Sequence[Scored]) -> str:
    """Kinds that are named, the most frequent first."""
    kinds = [row.kind for row in rows]
    return ", ".join(f"{name} {kinds.count(name)}" for name in sorted(set(kinds), key=lambda name: -kinds.count(name)))


def tables(rows: Sequence[Scored], digests: Mapping[str, str]) -> dict[str, Table]:
    """Both tables by file name."""
    weights = ", ".join(f"{name} {digest[:12]}" for name, digest in digests.items())
    note = (
        f"Weights: {weights}. {', '.join(sorted({row.scan for row in rows}))}: sites not trained on, and of ljubljana "
        "subjects not trained on, which development looked at. Whole scans, blanked air blanked again; one seed."
    )
    changed = Table(
        "What contrast changes do to the scores",
        [
            "contrast change", "strength", "scans", "severity less that of the scan as it is, median (range)",
            "largest severity", "brought above 1", "kinds named", "ssim less that of the scan as it is",
            "brought below 0.85",
        ],
        nuisance_rows(rows),
        f"{note} They are no damage: a score should stay where it was.",
        COMMAND,
    )  # fmt: skip
    other = Table(
        "Artifacts that the scores were not judged by: what both make of them",
        [
            "artifact", "strength", "scans", "median damage", "severity, median (range)", "above 1", "kinds named",
            "ssim, median (range)", "below 0.85",
        ],
        other_rows(rows),
        f"{note} A scan that is neither above 1 nor below 0.85 passes both.",
        COMMAND,
    )  # fmt: skip
    return {"scores_nuisances": changed, "scores_unjudged": other}


def read_rows(path: Path) -> list[Scored]:
    """What an earlier start wrote; empty where there is nothing."""
    if not path.is_file():
        return []
    kinds: dict[str, Callable[[str], Any]] = {
        part.name: str if part.name in ("scan", "artifact", "kind") else float for part in fields(Scored)
    }
    with path.open(encoding="utf-8", newline="") as handle:
        return [Scored(**{name: kinds[name](cell) for name, cell in row.items()}) for row in csv.DictReader(handle)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Judge, print, write."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with scans/")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of the documentation's tables")
    parser.add_argument("--rows", type=Path, help="CSV of an earlier start to go on from")
    given = parser.parse_args(arguments)
    import torch

    torch.set_num_threads(1)
    scorers = {name: models.load(name, "cpu") for name in ("severity", "ssim")}
    path = given.rows or given.out / "scores_unjudged.csv"
    rows = read_rows(given.rows) if given.rows else []

    def keep(row: Scored) -> None:
        rows.append(row)
        write_rows(path, rows)

    judge(given.data, scorers, list(rows), keep)
    for name, table in tables(rows, {name: one.provenance()["sha256"] for name, one in scorers.items()}).items():
        print(table.text())
        table.write(given.out / f"{name}.json")
    write_rows(given.out / "scores_unjudged.csv", rows)


if __name__ == "__main__":
    main()
