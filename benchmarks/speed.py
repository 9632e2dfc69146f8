# SPDX-License-Identifier: Apache-2.0
"""Seconds and peak memory of every scan of a dataset, by step, beside the budget of the design.

    python benchmarks/speed.py BIDS_DIR [--nprocs 2] [--out FOLDER]

Runs the main job as a user would (``bidsqa BIDS_DIR OUT participant``) and reads the records.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bidsqa.record import Record
from bidsqa.validation.tables import Table

BUDGET = {"conform": 1.0, "severity + ssim": 2.0, "anatomy": 2.5, "metrics": 2.0, "figures + record": 1.5}
MERGED = {
    "severity": "severity + ssim",
    "ssim": "severity + ssim",
    "figures": "figures + record",
    "record": "figures + record",
}


def main() -> int:
    """Run, print the two tables, write them for the documentation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bids_dir", type=Path)
    parser.add_argument("--nprocs", type=int, default=2)
    parser.add_argument("--out", type=Path, help="keep the output here (default: a temporary folder)")
    parser.add_argument("--tables", type=Path, default=Path("docs/benchmark_tables"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        out = (arguments.out or Path(temporary) / "out").absolute()
        start = time.perf_counter()
        command = ["bidsqa", str(arguments.bids_dir), str(out), "participant", "--nprocs", str(arguments.nprocs)]
        code = subprocess.run([sys.executable, "-m", "bidsqa.cli.main", *command[1:]], check=False).returncode
        wall = time.perf_counter() - start
        records = [Record.loads(path.read_text()) for path in sorted(out.glob("sub-*/**/*_desc-qa_*.json"))]
    scans = _by_scan(records, wall, arguments.nprocs, code)
    steps = _by_step(records)
    for name, table in (("speed_by_scan", scans), ("speed_by_step", steps)):
        print(table.text())
        table.write(arguments.tables / f"{name}.json")
    return 0


def _by_scan(records: list[Record], wall: float, nprocs: int, code: int) -> Table:
    rows = []
    for record in records:
        seconds, peaks = record.provenance["seconds"], record.provenance["peak_mb"]
        shape = "x".join(map(str, record.image.get("shape", [])))
        rows.append(
            [
                record.bids_name,
                shape,
                round(sum(seconds.values()), 1),
                round(max(peaks.values(), default=0)),
                record.verdict["decision"],
            ]
        )
    count = max(1, len(records))
    note = (
        f"{len(records)} scans in {wall:.0f} s with {nprocs} processes: {wall / count:.1f} s a scan, "
        f"{3600 * count / wall:.0f} scans an hour, start-up included; exit code {code}."
    )
    command = "python benchmarks/speed.py BIDS_DIR"
    return Table("Cost of each scan", ["scan", "grid", "seconds", "peak MB", "decision"], rows, note, command)


def _by_step(records: list[Record]) -> Table:
    large = [record for record in records if record.status == "ok" and _voxels(record) > 5e6]
    rows = []
    for group, budget in BUDGET.items():
        totals, peaks = [], []
        for record in large:
            steps = [name for name in record.provenance["seconds"] if MERGED.get(name, name) == group]
            totals.append(sum(record.provenance["seconds"][name] for name in steps))
            peaks.append(max((record.provenance["peak_mb"].get(name, 0) for name in steps), default=0))
        if totals:
            rows.append([group, budget, round(statistics.median(totals), 2), round(max(totals), 2), round(max(peaks))])
    note = f"Median and largest over the {len(large)} scans of more than 5 million voxels."
    columns = ["step", "budget, s", "median, s", "largest, s", "peak MB"]
    return Table("Cost of each step", columns, rows, note, "python benchmarks/speed.py BIDS_DIR")


def _voxels(record: Record) -> float:
    voxels = 1.0
    for edge in record.image.get("shape", [0]):
        voxels *= edge
    return voxels


if __name__ == "__main__":
    raise SystemExit(main())
