# SPDX-License-Identifier: Apache-2.0
"""What one scan costs on a cluster: CPU seconds, memory, files and bytes, by the size of the image.

    python benchmarks/scan_costs.py [--spacing 4 2 1 0.7] [--write FOLDER]

Each size is run as a job of one scan and as a job of two: the difference is what a further scan costs, the rest is what
every job costs. Memory is that of all processes of the job together (proportional set size, sampled).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from bidsqa.validation.tables import Table

COLUMNS = (
    "voxel edge, mm",
    "grid",
    "million voxels",
    "CPU s a scan",
    "CPU s a job besides",
    "peak MB",
    "work folder, MB",
)
FILE_COLUMNS = ("what", "files", "KB")
PAUSE = 0.1


@dataclass
class Cost:
    """What a job took: CPU seconds, peak memory of its processes together and of its intermediate files, MB both."""

    cpu: float
    memory: float
    work: float


class Sampler(threading.Thread):
    """Watches the processes of a session and a folder."""

    def __init__(self, session: int, folder: Path) -> None:
        super().__init__(daemon=True)
        self.session, self.folder = session, folder
        self.memory = self.work = 0.0
        self.ended = threading.Event()

    def run(self) -> None:
        """Sample until told to end."""
        while not self.ended.wait(PAUSE):
            self.memory = max(self.memory, sum(map(_proportional_kb, _members(self.session))) / 1000)
            self.work = max(self.work, sum(size for _, size in _files(self.folder)) / 1e6)


def _members(session: int) -> list[int]:
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                if os.getsid(int(entry.name)) == session:
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def _proportional_kb(process: int) -> float:
    try:
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1.024
    except OSError:
        pass
    return 0.0


def _files(folder: Path) -> list[tuple[Path, int]]:
    found = []
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place) / name
            try:
                found.append((path, path.lstat().st_size))
            except OSError:
                continue
    return found


def run_job(data: Path, out: Path, labels: list[str], scratch: Path) -> Cost:
    """Judge some participants in one process and measure it."""
    scratch.mkdir()
    command = [sys.executable, "-P", "-m", "bidsqa.cli.main", str(data), str(out), "participant", "--nprocs", "1"]
    process = subprocess.Popen(
        [*command, "--participant-label", *labels],
        env={**os.environ, "TMPDIR": str(scratch), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    sampler = Sampler(process.pid, scratch)
    sampler.start()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    sampler.ended.set()
    sampler.join()
    if process.returncode:
        raise SystemExit(f"bidsqa ended with {process.returncode}")
    return Cost(usage.ru_utime + usage.ru_stime, sampler.memory, sampler.work)


def write_data(root: Path, spacing: float) -> tuple[int, ...]:
    """Two T1w scans of a made-up head; gives the grid."""
    from bidsqa.simulation.phantom import make_phantom

    phantom = make_phantom(seed=0, spacing=(spacing,) * 3)
    root.mkdir()
    (root / "dataset_description.json").write_text(json.dumps({"Name": "Costs", "BIDSVersion": "1.9.0"}))
    shape: tuple[int, ...] = ()
    for label in ("01", "02"):
        folder = root / f"sub-{label}" / "anat"
        folder.mkdir(parents=True)
        volume = phantom.image("T1w", seed=int(label))
        phantom.to_nifti(volume).to_filename(folder / f"sub-{label}_T1w.nii.gz")
        shape = volume.data.shape
    return shape


def measure(spacing: float, place: Path) -> tuple[list[object], Path]:
    """A row of the table, and the output folder of the job of two scans."""
    data = place / "data"
    shape = write_data(data, spacing)
    one = run_job(data, place / "out-1", ["01"], place / "scratch-1")
    two = run_job(data, place / "out-2", ["01", "02"], place / "scratch-2")
    voxels = shape[0] * shape[1] * shape[2] / 1e6
    further = two.cpu - one.cpu
    grid = "x".join(map(str, shape))
    memory = max(one.memory, two.memory)
    row = [spacing, grid, round(voxels, 2), round(further, 1), round(one.cpu - further, 1), round(memory)]
    return [*row, round(max(one.work, two.work))], place / "out-2"


def outputs(out: Path) -> list[list[object]]:
    """Files and kilobytes that a scan leaves, by kind, and those of a job."""
    kinds: dict[str, tuple[int, int]] = {}
    for path, size in _files(out):
        relative = path.relative_to(out)
        if "figures" in relative.parts:
            kind = "figures of a scan"
        elif relative.parts[0].startswith("sub-") and path.suffix == ".json":
            kind = "record of a scan"
        elif path.suffix == ".html":
            kind = "page of a scan"
        elif relative.parts[0] == "logs":
            kind = "logs of a job"
        else:
            kind = "of the dataset, once"
        files, total = kinds.get(kind, (0, 0))
        kinds[kind] = (files + 1, total + size)
    rows: list[list[object]] = []
    for kind in sorted(kinds, key=lambda name: (not name.endswith("scan"), name)):
        files, total = kinds[kind]
        share = 2 if kind.endswith("scan") else 1
        rows.append([kind, f"{files / share:g}", round(total / share / 1000)])
    folders = len(list(out.glob("sub-01/**/")))
    rows.append(["folders of a participant (without sessions)", folders, ""])
    return rows


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spacing", type=float, nargs="+", default=[4.0, 2.0, 1.0, 0.7])
    parser.add_argument("--write", type=Path, help="also write the tables as JSON into this folder")
    options = parser.parse_args()
    rows, files = [], []
    start = time.perf_counter()
    for spacing in options.spacing:
        with tempfile.TemporaryDirectory(prefix="costs-") as folder:
            row, out = measure(spacing, Path(folder))
            rows.append(row)
            if spacing == 1.0 or not files:
                files = outputs(out)
    note = (
        f"Made-up heads, T1w, one process, one thread, {os.cpu_count()} cores shared with other work (load average "
        f"{os.getloadavg()[0]:.0f}); {time.perf_counter() - start:.0f} s for all. "
        "Memory is that of all processes of a job."
    )
    command = "python benchmarks/scan_costs.py"
    tables = {
        "scan_costs": Table("Cost of a scan in a job", COLUMNS, rows, note, command),
        "scan_files": Table(
            "Files that stay", FILE_COLUMNS, files, "Of the scan of 1 mm above; one anat folder a participant.", command
        ),
    }
    for name, table in tables.items():
        print(table.text())
        if options.write:
            table.write(options.write / f"{name}.json")


if __name__ == "__main__":
    main()
