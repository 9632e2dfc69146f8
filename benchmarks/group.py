# SPDX-License-Identifier: Apache-2.0
"""Seconds and peak memory of the group level on a synthetic study.

Run ``python benchmarks/group.py [--scans 100 1000 10000 20000]``; the targets are 30 s and 1 GB for 10,000 records,
60 s and 1 GB for 20,000.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bidsqa.bids import names
from bidsqa.validation.tables import Table

COLUMNS = ("scans", "records, MB", "seconds", "of these CPU", "peak, MB", "new thresholds, s", "group.html, MB")


def write_study(out: Path, count: int) -> int:
    """Write a study's records (four fifths T1w, one fifth T2w, one in eight damaged); the total size in bytes."""
    from bidsqa.validation.example_records import example_record
    from bidsqa.verdict import load_rules

    rules, total = load_rules(), 0
    for at in range(count):
        suffix = "T2w" if at % 5 == 4 else "T1w"
        name = f"sub-{at // 5:05d}_ses-{at % 5}_{suffix}"
        damage = (at * 0.618034) % 1.0 if at % 8 == 0 else 0.0
        text = example_record(name, suffix, seed=at, damage=damage, rules=rules).dumps()
        path = names.record_path(out, name)
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
        total += len(text)
    return total


def measure(out: Path, again: bool) -> None:
    """Run the group level once in this process and print its seconds, CPU seconds and peak megabytes."""
    from bidsqa.study import run_group
    from bidsqa.verdict import load_rules

    start = time.perf_counter()
    run_group(out, load_rules() if again else None)
    seconds = time.perf_counter() - start
    print(seconds, time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)


def child(out: Path, again: bool) -> tuple[float, float, float]:
    """Seconds, CPU seconds (start-up included) and peak megabytes of the group level in a process of its own."""
    command = [sys.executable, __file__, "--measure", str(out), *(["--again"] if again else [])]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, cpu, peak = map(float, done.stdout.split())
    return seconds, cpu, peak


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=int, nargs="+", default=[100, 1000, 10000, 20000])
    parser.add_argument("--write", type=Path, help="also write the table as JSON for the documentation")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--again", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure, options.again)
        return
    rows = []
    for count in options.scans:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder)
            size = write_study(out, count)
            seconds, cpu, peak = child(out, again=False)
            anew, _, _ = child(out, again=True)
            page = (out / "group.html").stat().st_size
            numbers = (size / 1e6, seconds, cpu, peak, anew, page / 1e6)
            rows.append(
                [
                    str(count),
                    *(f"{number:.{places}f}" for number, places in zip(numbers, (0, 1, 1, 0, 1, 2), strict=True)),
                ]
            )
    note = "Made-up records with 3 x 24 slice scores for two models and all metrics; without pictures; one process. "
    note += f"{os.cpu_count()} cores, shared with other work (load average {os.getloadavg()[0]:.0f}); "
    note += "CPU time counts the start-up."
    table = Table("The group level", COLUMNS, rows, note, "python benchmarks/group.py")
    print(table.text())
    if options.write:
        table.write(options.write)


if __name__ == "__main__":
    main()
