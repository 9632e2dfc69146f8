# SPDX-License-Identifier: Apache-2.0
"""Writes what ``build_and_run.sh`` noted as a table for the documentation.

python tests/containers/results.py results.tsv docs/benchmark_tables/containers.json
"""

from __future__ import annotations

import sys
from pathlib import Path

from bidsqa.validation.tables import Table

COLUMNS = ("what", "seconds", "size, MB", "result")
NOTE = (
    "Two cores that other work shared. Each run: root file system and data read-only, no network, a user without an "
    "entry (Podman) or without a home (Apptainer), the four scans of the demo, compared with the run outside; sizes on "
    "disk, of the image or of the file."
)
COMMAND = "bash tests/containers/build_and_run.sh"


def main() -> None:
    """Read, print, write."""
    lines = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    table = Table("Containers", COLUMNS, [line.split("\t") for line in lines], NOTE, COMMAND)
    print(table.text())
    table.write(Path(sys.argv[2]))


if __name__ == "__main__":
    main()
