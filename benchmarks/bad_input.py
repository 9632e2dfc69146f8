# SPDX-License-Identifier: Apache-2.0
"""Runs the main job on a dataset of bad scans and prints what each record says.

    python benchmarks/bad_input.py [--nprocs 2]

Every bad scan must cost only itself: the command ends with exit code 1; every scan has its record, with a cause and a
hint or with valid scores.
"""

from __future__ import annotations

import argparse
import math
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

MODELS = ("severity", "ssim")


def main() -> int:
    """Run, print, write the table; 1 when a scan has no record or not the expected status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nprocs", type=int, default=2)
    parser.add_argument("--tables", type=Path, default=Path("docs/benchmark_tables"))
    arguments = parser.parse_args()
    head = make_phantom(seed=0, spacing=(3.0, 3.0, 3.0)).image("T1w", seed=1)
    with tempfile.TemporaryDirectory() as temporary:
        root, out = Path(temporary) / "bad", Path(temporary) / "out"
        scans = write_dataset(root, np.rint(head.data).astype(np.int16), head.affine)
        command = [sys.executable, "-P", "-m", "bidsqa.cli.main", str(root), str(out), "participant"]
        code = subprocess.run([*command, "--nprocs", str(arguments.nprocs)], check=False).returncode
        rows, wrong, almighty = [], 0, False
        for scan in scans:
            path = out / f"sub-{scan.label}" / "anat" / f"sub-{scan.label}_desc-qa_T1w.json"
            record = Record.loads(path.read_text()) if path.exists() else None
            source = root / f"sub-{scan.label}" / "anat" / f"sub-{scan.label}_T1w.nii.gz"
            almighty |= scan.label == "unreadable" and os.access(source, os.R_OK)
            expected = "ok" if scan.label == "unreadable" and almighty else scan.status
            wrong += not _as_it_should(record, expected)
            status = record.status if record else "no record"
            rows.append([scan.what, status, _score(record, "severity"), _score(record, "ssim"), _says(record)])
    note = (
        f"A phantom head at 3 mm, spoilt in {len(rows)} ways, one run, exit code {code}; "
        f"{wrong} of them with another outcome than they should have."
    )
    if almighty:
        note += " Run by a user who may read everything."
    columns = ["input", "status", "severity", "ssim", "what the record says"]
    table = Table("Bad input, tried", columns, rows, note, "python benchmarks/bad_input.py")
    print(table.text())
    table.write(arguments.tables / "bad_input.json")
    return int(wrong > 0 or code != 1)


def _as_it_should(record: Record | None, expected: str) -> bool:
    if record is None or record.status != expected:
        return False
    if expected == "ok":
        values = [record.scores.get(name, {}).get("value") for name in MODELS]
        return all(value is not None and math.isfinite(value) for value in values)
    failure = record.failure or {}
    return bool(failure.get("cause") and failure.get("hint")) and failure.get("crashfile") is None


def _score(record: Record | None, name: str) -> float | str:
    value = record.scores.get(name, {}).get("value") if record else None
    return "" if value is None else round(value, 2)


def _says(record: Record | None) -> str:
    if record is None:
        return ""
    if record.failure:
        return f"{record.failure['cause']} ({record.failure['hint']})"
    return "; ".join(record.warnings)


if __name__ == "__main__":
    raise SystemExit(main())
