# SPDX-License-Identifier: Apache-2.0
"""What a million scans cost, reckoned from the printed tables: CPU hours, memory, disk, files, the group level.

    python benchmarks/million.py [--scans 1000000] [--write FILE]

Reads what ``benchmarks/scan_costs.py`` and ``benchmarks/group.py`` wrote for the documentation; it measures nothing.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from bidsqa.validation.tables import Table

TABLES = Path(__file__).resolve().parents[1] / "docs" / "benchmark_tables"
PER_PARTICIPANT, PER_TASK, PER_FOLDER, CORES = 2, 20, 20_000, 500


def read(name: str) -> list[dict[str, Any]]:
    """The rows of a printed table."""
    table = json.loads((TABLES / f"{name}.json").read_text(encoding="utf-8"))
    return [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]


def plan(scans: int) -> list[list[Any]]:
    """The rows: what is needed, how much, and how it is reckoned."""
    cost = next(row for row in read("scan_costs") if row["voxel edge, mm"] == "1")
    files = {row["what"]: (float(row["files"] or 0), float(row["KB"] or 0)) for row in read("scan_files")}
    group = read("group")[-1]
    tasks = scans / PER_PARTICIPANT / PER_TASK
    seconds = scans * float(cost["CPU s a scan"]) + tasks * float(cost["CPU s a job besides"])
    figures, page, record = (files[f"{kind} of a scan"] for kind in ("figures", "page", "record"))
    folders = scans / PER_PARTICIPANT * files["folders of a participant (without sessions)"][0]
    logs = tasks * (files["logs of a job"][0] + 1)
    parts = scans / PER_FOLDER
    share = PER_FOLDER / float(group["scans"])
    each = f"{share * float(group['peak, MB']) / 1000:.1f} GB and {share * float(group['of these CPU']):.0f} CPU s each"
    return [
        ["processors", f"{seconds / 3600:,.0f} CPU hours", f"{seconds / 3600 / CORES:.1f} hours on {CORES} cores"],
        ["tasks", f"{tasks:,.0f}", f"{PER_TASK} participants of {PER_PARTICIPANT} scans each"],
        ["memory of a task", f"{float(cost['peak MB']) / 1000:.1f} GB", "one scan at a time, 1 mm"],
        ["a node's disk for each task", f"{cost['work folder, MB']} MB", "at most, while it runs"],
        ["records", _disk(scans * record[1]), f"{scans * record[0]:,.0f} files"],
        ["pages", _disk(scans * page[1]), f"{scans * page[0]:,.0f} files"],
        ["figures", _disk(scans * figures[1]), f"{scans * figures[0]:,.0f} files"],
        ["figures, packed by participant", _disk(scans * figures[1]), f"{scans / PER_PARTICIPANT:,.0f} files"],
        ["folders", "", f"{folders:,.0f}"],
        ["logs", "", f"{logs:,.0f} files"],
        [
            f"group level, {parts:.0f} output folders of {PER_FOLDER:,} scans",
            f"{parts * share * float(group['of these CPU']) / 60:.0f} CPU minutes",
            each,
        ],
        [
            "group level, one output folder",
            f"{scans / float(group['scans']) * float(group['of these CPU']) / 60:.0f} CPU minutes",
            f"{scans / float(group['scans']) * float(group['peak, MB']) / 1000:.0f} GB; a page of "
            f"{scans / float(group['scans']) * float(group['group.html, MB']) / 1000:.1f} GB, which no browser opens",
        ],
    ]


def _disk(kilobytes: float) -> str:
    return f"{kilobytes / 1e9:.2f} TB" if kilobytes >= 1e9 else f"{kilobytes / 1e6:.0f} GB"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=int, default=1_000_000)
    parser.add_argument("--write", type=Path, help="also write the table as JSON for the documentation")
    options = parser.parse_args()
    note = (
        "Reckoned, not run: the costs of a scan of 1 mm and of the group level in the tables of this site, multiplied. "
        "Slower processors, shared disks and larger images take more."
    )
    columns = ("what", "how much", "that is")
    title = f"A plan for {options.scans:,} scans"
    table = Table(title, columns, plan(options.scans), note, "python benchmarks/million.py")
    print(table.text())
    if options.write:
        table.write(options.write)


if __name__ == "__main__":
    main()
