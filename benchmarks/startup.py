# SPDX-License-Identifier: Apache-2.0
"""How long ``bidsqa`` takes before it begins: help, and collecting scans in datasets of empty files.

Run ``python benchmarks/startup.py [--subjects 10 10000] [--repeat 3]``. One participant must be collected as fast from
10,000 as from 10; the help must be there in 0.3 s.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bidsqa.validation.tables import Table

COLUMNS = ("what", "participants in the dataset", "asked for", "seconds", "of these CPU", "peak, MB")


def write_dataset(root: Path, subjects: int) -> None:
    """A dataset with one empty T1w image and its sidecar for each participant."""
    root.mkdir(parents=True)
    (root / "dataset_description.json").write_text(json.dumps({"Name": "Empty", "BIDSVersion": "1.9.0"}))
    for number in range(1, subjects + 1):
        folder = root / f"sub-{number:05d}" / "anat"
        folder.mkdir(parents=True)
        (folder / f"sub-{number:05d}_T1w.nii.gz").touch()
        (folder / f"sub-{number:05d}_T1w.json").write_text('{"MagneticFieldStrength": 3}')


def timed(command: list[str]) -> tuple[float, float, float]:
    """Seconds, CPU seconds and peak megabytes of a command in a process of its own."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000


def best(command: list[str], repeat: int) -> tuple[float, float, float]:
    """The quickest of several runs: the others measure the machine's other work."""
    return min(timed(command) for _ in range(repeat))


def collect(root: Path, labels: list[str]) -> None:
    """Collect scans as the command does; what is timed."""
    from bidsqa.bids import Selection, collect_scans

    found = collect_scans(root, Selection(participants=tuple(labels)))
    print(len(found.scans), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def measure(sizes: list[int], repeat: int) -> list[tuple[object, ...]]:
    """The rows of the table."""
    rows: list[tuple[object, ...]] = [
        ("--help", "", "", *best([sys.executable, "-m", "bidsqa.cli.main", "--help"], repeat))
    ]
    with tempfile.TemporaryDirectory() as temporary:
        for size in sizes:
            root = Path(temporary) / str(size)
            write_dataset(root, size)
            command = [sys.executable, __file__, "--collect", str(root)]
            rows.append(("collect", size, 1, *best([*command, "00007"], repeat)))
            rows.append(("collect", size, "all", *best(command, repeat)))
            plan = [sys.executable, "-m", "bidsqa.cli.main", str(root), f"{root}-out", "participant", "--dry-run"]
            plan += ["--models", "none"]
            rows.append(("--dry-run", size, 1, *best([*plan, "--participant-label", "00007"], repeat)))
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, nargs="+", default=[10, 10_000])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--write", type=Path, help="also write the table as JSON for the documentation")
    parser.add_argument("--collect", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("labels", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.collect:
        collect(options.collect, options.labels)
        return
    note = (
        "Empty images with one sidecar each, a warm file cache; start of Python and imports included; "
        f"the quickest of {options.repeat} runs. "
        "Where other work shares the machine, the CPU column is the one to compare."
    )
    table = Table("Start-up", COLUMNS, measure(options.subjects, options.repeat), note, "python benchmarks/startup.py")
    print(table.text())
    if options.write:
        table.write(options.write)


if __name__ == "__main__":
    main()
