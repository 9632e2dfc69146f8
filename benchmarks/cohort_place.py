# SPDX-License-Identifier: Apache-2.0
"""Seconds that the group level takes to tell the scans' pages their places.

Run ``python benchmarks/cohort_place.py [--scans 2000]``; it needs 2 MB of disk a scan. The second run finds every page
filled already.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from bidsqa.validation.tables import Table

COLUMNS = ("scans", "pages, MB", "places, s", "first filling, s", "filling again, s", "whole rewrite, s")
PAGE_BYTES = 2_000_000


def measure(out: Path, count: int) -> list[str]:
    """One row of the table."""
    from bidsqa.group.places import told_to_pages
    from bidsqa.group.rows import row_of
    from bidsqa.report import render_scan
    from bidsqa.report.cohort_place import fill_pages
    from bidsqa.validation.example_records import example_record

    rows = [row_of(example_record(f"sub-{at:05d}_T1w", seed=at)) for at in range(count)]
    for at, row in enumerate(rows):
        row.site = f"site {at % 7}"
    page = render_scan(example_record("sub-00000_T1w"), {}).encode()
    page += os.urandom(PAGE_BYTES - len(page))
    paths = [out / f"{row.name}.html" for row in rows]
    for path in paths:
        path.write_bytes(page)
    os.sync()
    start = time.perf_counter()
    told = told_to_pages(rows)
    seconds = [time.perf_counter() - start]
    for _ in range(2):
        start = time.perf_counter()
        if fill_pages(zip(paths, told, strict=True)) != count:
            raise RuntimeError("not every page was filled")
        os.sync()
        seconds.append(time.perf_counter() - start)
    start = time.perf_counter()
    for path in paths:
        path.write_bytes(page)
    os.sync()
    seconds.append(time.perf_counter() - start)
    return [str(count), f"{count * PAGE_BYTES / 1e6:.0f}", *(f"{one:.2f}" for one in seconds)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=int, nargs="+", default=[200, 2000])
    parser.add_argument("--write", type=Path, help="also write the table as JSON for the documentation")
    options = parser.parse_args()
    rows = []
    for count in options.scans:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(Path(folder), count))
    note = "Made-up records of seven sites with all metrics; pages of 2 MB; times include writing to disk (sync). "
    note += f"{os.cpu_count()} cores, shared with other work (load average {os.getloadavg()[0]:.0f})."
    table = Table("Telling pages their places", COLUMNS, rows, note, "python benchmarks/cohort_place.py")
    print(table.text())
    if options.write:
        table.write(options.write)


if __name__ == "__main__":
    main()
