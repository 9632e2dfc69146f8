# SPDX-License-Identifier: Apache-2.0
"""Peak memory of a scan by its grid, beside what its nodes declare, and whether ``--mem-gb`` holds.

    python benchmarks/memory.py [--largest 600] [--declared-anew]

Heads of the phantom are stretched to each grid and judged by the main job, one at a time; the records tell the peak of
each step's process, and the memory of all processes together is sampled from outside. The command fails where a step
took more than `bidsqa.workflows.scan.Need` declares for its number of voxels, or a run more than ``--mem-gb``.
``--declared-anew`` measures nothing: it sets the peaks of the table that is there beside what is declared by now.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from scipy import ndimage

from bidsqa.image import Volume
from bidsqa.record import Record
from bidsqa.simulation.phantom import make_phantom
from bidsqa.validation.tables import Table
from bidsqa.workflows.run import PARENT_GB
from bidsqa.workflows.scan import Need

GRIDS = (
    ("3 mm", (60, 80, 64)),
    ("1 mm", (176, 256, 256)),
    ("0.7 mm", (256, 320, 320)),
    ("0.5 mm", (352, 448, 448)),
    ("0.5 mm, 512 cubed", (512, 512, 512)),
)
STEPS = ("conform", "severity", "ssim", "anatomy", "metrics", "figures", "record")
ALL = "all processes"
KINDS = {"severity": "score", "ssim": "score"}
LIMIT_GB, LIMIT_SCANS = 2.0, 3
SAMPLE_SECONDS = 0.2
COMMAND = "python benchmarks/memory.py"


@dataclass(frozen=True)
class Peaks:
    """A scan's peaks in MB by step, and that of all processes."""

    name: str
    grid: tuple[int, int, int]
    peaks: dict[str, float]


@dataclass(frozen=True)
class Run:
    """How one call of the command went: the peak of all its processes in MB, the records."""

    peak_mb: float
    records: list[Record]


def main() -> int:
    """Measure, print the two tables, write them; 1 where something took more than declared."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", type=float, default=600.0, help="leave out grids of more million voxels")
    parser.add_argument("--declared-anew", action="store_true")
    parser.add_argument("--tables", type=Path, default=Path("docs/benchmark_tables"))
    arguments = parser.parse_args()
    if arguments.declared_anew:
        measured = _measured_before(arguments.tables / "memory.json")
        limit, over = None, False
    else:
        head = make_phantom(seed=0, spacing=(1.0, 1.0, 1.0)).image("T1w", seed=1)
        with tempfile.TemporaryDirectory() as temporary:
            measured = _measure(Path(temporary), head, arguments.largest)
            limit, over = _within_limit(Path(temporary), head)
    shapes, beyond = _beside_declared(measured)
    for name, table in (("memory", shapes), ("memory_limit", limit)):
        if table is not None:
            print(table.text())
            table.write(arguments.tables / f"{name}.json")
    return int(bool(beyond) or over)


def _measure(place: Path, head: Volume, largest: float) -> list[Peaks]:
    """Each grid of not more than so many million voxels."""
    found = []
    for number, (name, shape) in enumerate(GRIDS):
        if np.prod(shape) > largest * 1e6:
            continue
        root, out = place / f"grid{number}", place / f"out{number}"
        _write_scan(root, "01", head, GRIDS[0][1])  # a process that has judged a scan holds more than a new one
        _write_scan(root, "02", head, shape)
        run = _run(root, out, "--nprocs", "1", "--mem-gb", "64")
        peaks = run.records[-1].provenance["peak_mb"]
        found.append(Peaks(name, shape, {**{step: peaks[step] for step in STEPS}, ALL: run.peak_mb}))
        print(found[-1], file=sys.stderr, flush=True)
        for path in (root, out):
            shutil.rmtree(path)
    return found


def _measured_before(path: Path) -> list[Peaks]:
    table = json.loads(path.read_text(encoding="utf-8"))
    found = []
    for name, grid, *cells in table["rows"]:
        edges = [int(edge) for edge in grid.split("x")]
        peaks = {step: float(cell.split()[0]) for step, cell in zip(table["columns"][2:], cells, strict=True)}
        found.append(Peaks(name, (edges[0], edges[1], edges[2]), peaks))
    return found


def _beside_declared(measured: list[Peaks]) -> tuple[Table, list[str]]:
    """The table, and what took more than declared."""
    rows, beyond = [], []
    for scan in measured:
        need = Need(int(np.prod(scan.grid)))
        declared = {step: 1000 * need.gigabytes(KINDS.get(step, step)) for step in STEPS}
        declared[ALL] = 1000 * (need.peak + PARENT_GB)
        beyond += [f"{step} at {scan.name}" for step, peak in scan.peaks.items() if peak > declared[step]]
        cells = [f"{peak:.0f} ({declared[step]:.0f})" for step, peak in scan.peaks.items()]
        rows.append([scan.name, "x".join(map(str, scan.grid)), *cells])
    note = (
        "Largest resident memory of the process during each step, MB, after a small scan in the same process; in "
        "brackets what the step's node declares for this number of voxels. All processes: proportional share (PSS) of "
        "the parent and its process, sampled five times a second; in brackets the need by which --mem-gb refuses a "
        f"scan. More than declared: {', '.join(beyond) or 'none'}."
    )
    return Table("Memory of a scan", ["scan", "grid", *STEPS, ALL], rows, note, COMMAND), beyond


def _within_limit(place: Path, head: Volume) -> tuple[Table, bool]:
    """Some scans of 1 mm and one that is too large, with more processes than the limit has room for."""
    root, out = place / "many", place / "many-out"
    for number in range(LIMIT_SCANS):
        _write_scan(root, f"{number:02d}", head, dict(GRIDS)["1 mm"])
    _write_scan(root, "large", head, dict(GRIDS)["0.5 mm"])
    run = _run(root, out, "--nprocs", str(LIMIT_SCANS), "--mem-gb", str(LIMIT_GB))
    refused = [record.failure["cause"] for record in run.records if record.failure]
    judged = sum(record.status == "ok" for record in run.records)
    over = run.peak_mb > 1000 * LIMIT_GB or judged != LIMIT_SCANS or len(refused) != 1
    row = [f"{LIMIT_GB:g} GB", LIMIT_SCANS, judged, round(run.peak_mb), "; ".join(refused)]
    note = f"{LIMIT_SCANS} scans at 1 mm and one at 0.5 mm; peak: proportional share of all processes, MB."
    columns = ["--mem-gb", "--nprocs", "scans judged", "peak MB", "what the record of the refused one says"]
    return Table("The limit of memory, measured", columns, [row], note, COMMAND), over


def _write_scan(root: Path, label: str, head: Volume, shape: tuple[int, int, int]) -> None:
    """The head stretched to a grid, with noise of its own, so that nothing is smoother than a scan."""
    factors = [new / old for new, old in zip(shape, head.shape, strict=True)]
    data = ndimage.zoom(head.data, factors, order=1, output=np.float32)
    stored = np.empty(data.shape, dtype=np.int16)
    noise = np.random.default_rng(0)
    for plane in range(data.shape[2]):
        wobble = noise.normal(0, 0.02 * head.data.max(), data.shape[:2])
        stored[..., plane] = np.rint(np.abs(data[..., plane] + wobble))
    spacing = head.spacing / np.array(factors)
    path = root / f"sub-{label}" / "anat" / f"sub-{label}_T1w.nii.gz"
    path.parent.mkdir(parents=True)
    nibabel.Nifti1Image(stored, np.diag([*spacing, 1.0])).to_filename(path)


def _run(root: Path, out: Path, *options: str) -> Run:
    command = [sys.executable, "-P", "-m", "bidsqa.cli.main", str(root), str(out), "participant", *options]
    process = subprocess.Popen(
        [*command, "--scan-minutes", "600"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, sum(map(_proportional_mb, _family(process.pid))))
        time.sleep(SAMPLE_SECONDS)
    records = [Record.loads(path.read_text()) for path in sorted(out.glob("sub-*/anat/*_desc-qa_*.json"))]
    return Run(peak, records)


def _family(process: int) -> list[int]:
    """A process and those below it."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # the name in brackets may hold blanks
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
    found = [process]
    for member in found:
        found += [child for child, parent in parents.items() if parent == member]
    return found


def _proportional_mb(process: int) -> float:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024 / 1e6
    return 0.0


if __name__ == "__main__":
    raise SystemExit(main())
