# SPDX-License-Identifier: Apache-2.0
"""What the metrics come to on real scans: ``python -m bidsqa.validation.metric_ranges``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bidsqa.metrics import METRIC_KEYS
from bidsqa.validation.tables import Table

LEVELS = (5, 50, 95)
CONTRASTS = ("T1w", "T2w", "FLAIR")
# fewer values have no range
FEWEST = 3


@dataclass(frozen=True)
class Measured:
    """The metrics of one scan.

    Parameters
    ----------
    contrast, subject, site : str
    metrics : mapping of str to float or None
    """

    contrast: str
    subject: str
    site: str
    metrics: Mapping[str, float | None]


def measured(data: Path) -> Iterator[Measured]:
    """Each real scan under ``data``, one at a time."""
    from bidsqa.anatomy import delineate
    from bidsqa.metrics import measure
    from bidsqa.training.pool import real_scans

    for scan in real_scans(data):
        found = measure(scan.volume, delineate(scan.volume), scan.contrast)[0]
        print(f"{scan.name}: {sum(value is not None for value in found.values())} of {len(found)} metrics", flush=True)
        yield Measured(scan.contrast, scan.subject, scan.site, found)


def range_table(scans: Sequence[Measured]) -> Table:
    """Median, 5th and 95th percentile of each metric by contrast, and how many scans have it.

    Parameters
    ----------
    scans : sequence of Measured

    Returns
    -------
    Table
        A row for each metric, in the order of the metric table, and a column for each contrast.
    """
    groups = {name: [scan.metrics for scan in scans if scan.contrast == name] for name in CONTRASTS}
    rows = [[key, *(words([found.get(key) for found in group]) for group in groups.values())] for key in METRIC_KEYS]
    counts = ", ".join(f"{len(group)} {name}" for name, group in groups.items())
    subjects, sites = len({scan.subject for scan in scans}), len({scan.site for scan in scans})
    return Table(
        title="Metrics of real scans",
        columns=("metric", *CONTRASTS),
        rows=rows,
        note="Median (5th to 95th percentile; scans that have the metric, of how many) of the scans at hand: "
        f"{counts}, of {subjects} people from {sites} sites, as published. Most are good; some are stripped, defaced "
        "or have blanked air and so lack the metrics of noise. An orientation, no norm.",
        command="python -m bidsqa.validation.metric_ranges",
    )


def words(values: Sequence[float | None]) -> str:
    """``0.42 (0.31 to 0.6; 13 of 18)``, without range for few values, or ``none``.

    Parameters
    ----------
    values : sequence of float or None
        Of one metric and contrast; None where the scan has no value.
    """
    known = [value for value in values if value is not None]
    if not known:
        return "none"
    low, middle, high = (f"{value:.3g}" for value in np.percentile(np.array(known), LEVELS))
    span = f"{low} to {high}; " if len(known) >= FEWEST else ""
    return f"{middle} ({span}{len(known)} of {len(values)})"


def main() -> None:
    """Measure, print, write; without the scans nothing is written."""
    parser = argparse.ArgumentParser(description="Ranges of the metrics on real scans.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="holds scans/scans_table.tsv")
    parser.add_argument("--out", type=Path, default=Path("docs/validation_tables"), help="folder of the table")
    given = parser.parse_args()
    if not (given.data / "scans" / "scans_table.tsv").is_file():
        print(f"No real scans under {given.data}: nothing measured, nothing written.")
        return
    table = range_table(list(measured(given.data)))
    table.write(given.out / "metric_ranges.json")
    print(table.text())


if __name__ == "__main__":
    main()
