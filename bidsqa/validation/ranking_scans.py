# SPDX-License-Identifier: Apache-2.0
"""Whole scans of sites not trained on, as they are and spoiled: ``python -m bidsqa.validation.ranking_scans``.

The ranking network learned from slices and from the corruptions of Tang et al.; here the main job's scorer reads whole
scans under the artifacts of :data:`bidsqa.simulation.ARTIFACTS`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bidsqa.models import Scorer, load
from bidsqa.simulation import degrade_volume
from bidsqa.training.export import SHOWN_DIGITS
from bidsqa.training.pool import Clean, real_scans
from bidsqa.validation.baselines import baselines
from bidsqa.validation.statistics import area, area_interval, share_interval
from bidsqa.validation.tables import Table

Array = np.ndarray[Any, Any]
COMMAND = "python -m bidsqa.validation.ranking_scans"
KINDS = ("noise", "blur", "motion", "ghosting", "bias", "anisotropy")
STRENGTHS = (0.3, 0.6, 1.0)
COMPARED = 0.6
SEED = 40


@dataclass(frozen=True)
class Row:
    """One reading.

    Parameters
    ----------
    scan, subject : str
    kind : str
        Empty for the scan as it is.
    strength, utility : float
    measures : Mapping of float
        Classical measures, higher is worse (:func:`bidsqa.validation.baselines.baselines`).
    """

    scan: str
    subject: str
    kind: str
    strength: float
    utility: float
    measures: Mapping[str, float] = field(default_factory=dict)


def read(scorer: Scorer, scans: Sequence[Clean]) -> list[Row]:
    """Utilities and classical measures of each scan, as it is and spoiled."""
    rows = []
    for number, clean in enumerate(scans):
        versions = [("", 0.0, clean.volume)]
        for kind in KINDS:
            for strength in STRENGTHS:
                versions.append((kind, strength, degrade_volume(clean.volume, kind, strength, seed=SEED + number)[0]))
        for kind, strength, volume in versions:
            utility = scorer.score(volume).value
            rows.append(Row(clean.name, clean.subject, kind, strength, utility, baselines(volume)))
        print(f"{clean.name}: {rows[-len(versions)].utility:.2f}", flush=True)
    return rows


def harm(row: Row, measure: str = "") -> float:
    """The classical measure of this name, or the utility turned round: higher is worse."""
    return row.measures[measure] if measure else -row.utility


def separation(rows: Sequence[Row], kind: str, strength: float, measure: str = "") -> tuple[float, str]:
    """Area under the curve of spoiled scans against clean ones of other heads, and in words with its interval."""
    bad = [row for row in rows if row.kind == kind and row.strength == strength]
    good = [row for row in rows if not row.kind]
    others = np.array([[one.subject != other.subject for other in good] for one in bad])
    worse, better = ([(row.subject, harm(row, measure)) for row in part] for part in (bad, good))
    low, high = area_interval(worse, better, allowed=others)
    value = area(np.array([number for _, number in worse]), np.array([number for _, number in better]), others)
    return value, f"{value:.2f} [{low:.2f}, {high:.2f}]"


def best_measure(rows: Sequence[Row], kind: str, strength: float) -> str:
    """The classical measure that does best on these very scans."""
    found = {name: separation(rows, kind, strength, name) for name in rows[0].measures}
    name = max(found, key=lambda one: found[one][0], default="")
    return f"{found[name][1]} {name}" if name else ""


def table_of(rows: Sequence[Row], digest: str) -> Table:
    """By artifact: area at each strength, and how often a spoiled scan is ranked below itself."""
    own = {row.scan: row.utility for row in rows if not row.kind}
    lines = []
    for kind in KINDS:
        spoiled = [row for row in rows if row.kind == kind]
        below = sum(row.utility < own[row.scan] for row in spoiled)
        low, high = share_interval(below, len(spoiled))
        share = f"{100 * below / len(spoiled):.0f} % [{100 * low:.0f}, {100 * high:.0f}]"
        fall = float(np.median([own[row.scan] - row.utility for row in spoiled if row.strength == STRENGTHS[-1]]))
        areas = [separation(rows, kind, level)[1] for level in STRENGTHS]
        lines.append([kind, *areas, best_measure(rows, kind, COMPARED), share, f"{fall:.1f}"])
    values = np.array(list(own.values()))
    note = (
        f"{len(own)} real scans of {len({row.subject for row in rows})} subjects of sites not trained on; as they are "
        f"they get {np.median(values):.1f} in the median ({values.min():.1f} to {values.max():.1f}). Area under the "
        "curve against clean scans of other heads, intervals by bootstrap over subjects. The artifacts are those of "
        "bidsqa.simulation, which the network was not taught; ghosting, bias and anisotropy have no counterpart in "
        "what it learned from. The classical measure is the best of five on these very scans. "
        f"Labels: synthetic. Weights {digest[:SHOWN_DIGITS]}."
    )
    levels = [f"AUC at {level:g}" for level in STRENGTHS]
    columns = ["artifact", *levels, f"best measure at {COMPARED:g}", "ranked below itself", "median fall at 1"]
    return Table("Ranked utility of whole scans, as they are and spoiled", columns, lines, note, COMMAND)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read and print."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="The ranking network on whole scans.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with scans/")
    parser.add_argument("--weights", type=Path, help="weights to judge instead of the shipped ones")
    parser.add_argument("--tables", type=Path, default=Path("docs/validation_tables"))
    chosen = parser.parse_args(arguments)
    scorer = load("ranking", weights=chosen.weights)
    table = table_of(read(scorer, list(real_scans(chosen.data, ("test",)))), scorer.provenance()["sha256"])
    table.write(chosen.tables / "ranking_scans.json")
    print(table.text())


if __name__ == "__main__":
    main()
