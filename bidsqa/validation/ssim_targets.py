# SPDX-License-Identifier: Apache-2.0
"""What the SSIM score was to reach beside what it reaches: ``python -m bidsqa.validation.ssim_targets``.

From the slices of sites not trained on that ``python -m bidsqa.validation.ssim`` wrote down.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bidsqa.models.ssim import CLASS_COUNTS
from bidsqa.models.table import MODELS
from bidsqa.validation.ssim import TABLE, class_accuracy
from bidsqa.validation.tables import Table

COMMAND = "python -m bidsqa.validation.ssim_targets"

Row = tuple[str, float, float, str, bool, str]
MEAN, SPREAD = 0.005, 0.03
CLASSES = dict(zip(CLASS_COUNTS, (0.95, 0.92, 0.85), strict=True))
# Sciarra et al. 2022, on other slices of the scans that they trained on
PAPER = {"mean": "-0.0009", "SD": "0.0139", 3: "0.97", 5: "0.95", 10: "0.89"}
MOVED = "part is displacement of the whole slice, which no slice shows (its own table); more sites and compute"


@dataclass(frozen=True)
class Slice:
    """A slice of a site not trained on with its true and its predicted SSIM."""

    subject: str
    truth: float
    predicted: float


def read_slices(path: Path) -> list[Slice]:
    """The slices of sites not trained on."""
    with path.open(encoding="utf-8", newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if row["side"] == "test"]
    return [Slice(row["subject"], float(row["truth"]), float(row["predicted"])) for row in rows]


def target_rows(rows: Sequence[Slice]) -> Iterator[Row]:
    """Measure, aim, value, the paper's, whether smaller is better, what stands in the way."""
    truth, found = np.array([row.truth for row in rows]), np.array([row.predicted for row in rows])
    error = found - truth
    yield "mean error, magnitude", MEAN, float(abs(error.mean())), PAPER["mean"], True, MOVED
    yield "SD of the error", SPREAD, float(error.std()), PAPER["SD"], True, MOVED
    for count, aim in CLASSES.items():
        right, most = class_accuracy(truth, found, count)
        why = f"the errors above; always naming the largest class: {most:.2f}"
        yield f"{count} classes right", aim, right, PAPER[count], False, why


def target_table(rows: Sequence[Slice], digest: str) -> Table:
    """Asked for, reached, the paper's, and what stands in the way."""
    lines = []
    for measure, aim, value, paper, smaller, why in target_rows(rows):
        met = value <= aim if smaller else value >= aim
        bound, shown = ("≤", f"{value:.3f}") if smaller else ("≥", f"{value:.2f}")
        lines.append([measure, f"{bound} {aim:g}", shown, paper, "yes" if met else "no", "" if met else why])
    columns = ["measure", "asked", "reached", "Sciarra et al.", "met", "what stands in the way"]
    note = (
        f"Weights {digest}. {len(rows)} slices of {len({row.subject for row in rows})} subjects of sites not trained "
        "on, those of the table of slices after simulated motion. The paper's numbers are from sites that it trained "
        "on."
    )
    return Table("SSIM score: asked for and reached", columns, lines, note, COMMAND)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read, print, write.

    Raises
    ------
    ValueError
        The slices were judged with other weights than the shipped ones.
    """
    parser = argparse.ArgumentParser(prog=COMMAND, description="SSIM score: asked for and reached.")
    parser.add_argument("--slices", type=Path, default=TABLE.with_suffix(".csv"), help="written with the slices' table")
    parser.add_argument("--out", type=Path, default=TABLE.with_name("ssim_targets.json"))
    given = parser.parse_args(arguments)
    digest = MODELS["ssim"].sha256[:12]
    note = json.loads(given.slices.with_suffix(".json").read_text(encoding="utf-8"))["note"]
    if digest not in note:
        raise ValueError(f"{given.slices} is of other weights than the shipped ones ({digest}): judge the slices anew")
    table = target_table(read_slices(given.slices), digest)
    print(table.text())
    table.write(given.out)


if __name__ == "__main__":
    main()
