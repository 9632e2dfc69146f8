# SPDX-License-Identifier: Apache-2.0
"""The tables of ``bidsqa-train evaluate`` on sites that the shipped networks were not trained on, for the docs.

``bidsqa-train evaluate BIDS_DIR OUT_DIR`` judges the scans; ``python -m bidsqa.validation.unseen OUT_DIR`` takes its
``results.csv`` and writes the tables with titles that say which scans they are about.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bidsqa.models.table import MODELS
from bidsqa.validation import own_dataset
from bidsqa.validation.own_results import Result, read_results
from bidsqa.validation.own_separation import COMMAND
from bidsqa.validation.tables import Table

SCORES = ("severity", "ssim")
STRENGTHS = (0.1, 0.3, 0.5, 0.6, 0.75, 1.0)
FOLDER = Path("docs/validation_tables")
# what the severity's own validation shows in other tables is left out here
SHOWN = (
    "severity_strengths", "severity_sites", "severity_kinds", "ssim_strengths", "ssim_sites", "ssim_truth",
    "scores_auc", "scores_rank",
)  # fmt: skip
SCALE = (
    "The networks were not trained on these sites, but the shipped scale of the severity holds their clean scans among "
    "others; with each site left out of it, the shares above 1 stand in 'Severity: asked for and reached'."
)


def complete(results: Sequence[Result]) -> list[Result]:
    """Results of the scans that were judged to the end: all have as many copies."""
    counts = {row.scan: sum(other.scan == row.scan for other in results) for row in results}
    return [row for row in results if counts[row.scan] == max(counts.values())]


def unseen_tables(results: Sequence[Result], weights: dict[str, str]) -> dict[str, Table]:
    """Tables by file name, ``unseen_`` before the names that the command gives them."""
    judged = sorted({row.strength for row in results if not row.clean} & set(STRENGTHS))
    # a strength that only some artifacts have was made for the paper's protocol
    kinds = {row.artifact for row in results if not row.clean}
    graded = [
        level
        for level in judged
        if {row.artifact for row in results if row.strength == level and not row.clean} == kinds
    ]
    note = f"{own_dataset.describe(results, weights)} {SCALE}"
    made = own_dataset.shared_tables(results, SCORES, note, graded)
    for model in SCORES:
        made |= own_dataset.tables(results, model, note, graded)
    return {
        f"unseen_{name}": replace(
            made[name], title=f"Sites not trained on. {made[name].title}", command=f"{COMMAND} BIDS_DIR OUT_DIR"
        )
        for name in SHOWN
        if name in made
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Read, print, write."""
    parser = argparse.ArgumentParser(prog="python -m bidsqa.validation.unseen", description=__doc__)
    parser.add_argument("folder", type=Path, help="OUT_DIR of bidsqa-train evaluate")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of the documentation's tables")
    given = parser.parse_args(arguments)
    weights = {name: MODELS[name].sha256 for name in SCORES}
    results = complete(read_results(given.folder / "results.csv", weights))
    for name, table in unseen_tables(results, weights).items():
        print(table.text())
        table.write(given.out / f"{name}.json")


if __name__ == "__main__":
    main()
