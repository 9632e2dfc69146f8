# SPDX-License-Identifier: Apache-2.0
"""Runs the main job on a dataset of bad scans and prints what each record says.

    python benchmarks/bad_input.py [--nprocs 2]

Every bad scan must cost only itself: the command ends with exit code 1, every scan has its record.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from bidsqa.record import Record
from bidsqa.simulation.phantom import make_phantom
from bidsqa.validation.bad_scans import write_dataset
from bidsqa.validation.tables import Table


def main() -> int:
    """Run, print, write the table; 1 when a scan has no record or not the expected status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nprocs", type=int, default=2)
    parser.add_argument("--tables", type=Path, default=Path("docs/validation_tables"))
    arguments = parser.parse_args()
    head = make_phantom(seed=0, spacing=(2.0, 2.0, 2.0)).image("T1w", seed=1)
    with tempfile.TemporaryDirectory() as temporary:
        root, out = Path(temporary) / "bad", Path(temporary) / "out"
        scans = write_dataset(root, np.rint(head.data).astype(np.int16), head.affine)
        command = [sys.executable, "-m", "bidsqa.cli.main", str(root), str(out), "participant"]
        code = subprocess.run([*command, "--nprocs", str(arguments.nprocs)], check=False).returncode
        rows, wrong = [], 0
        for scan in scans:
            path = out / f"sub-{scan.label}" / "anat" / f"sub-{scan.label}_desc-qa_T1w.json"
            record = Record.loads(path.read_text()) if path.exists() else None
            expected = "ok" if scan.label == "unreadable" and os.geteuid() == 0 else scan.status
            wrong += record is None or record.status != expected
            rows.append([scan.what, record.status if record else "no record", _says(record)])
    note = f"{len(rows)} scans, one run, exit code {code}; {wrong} of them with another outcome than they should have."
    if os.geteuid() == 0:
        note += " Run by root, who may read everything."
    table = Table(
        "Bad input", ["input", "status", "what the record says"], rows, note, "python benchmarks/bad_input.py"
    )
    print(table.text())
    table.write(arguments.tables / "bad_input.json")
    return int(wrong > 0 or code != 1)


def _says(record: Record | None) -> str:
    if record is None:
        return ""
    if record.failure:
        return f"{record.failure['cause']} ({record.failure['hint']})"
    return "; ".join(record.warnings)


if __name__ == "__main__":
    raise SystemExit(main())
