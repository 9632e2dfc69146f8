# SPDX-License-Identifier: Apache-2.0
"""How long a job for one participant takes to its first scan, in small and large studies.

    python benchmarks/scale.py [--subjects 10 20000] [--write FILE]

The datasets hold empty images; the output folder holds the records and pages of all other participants already, as it
does for a late task of an array. Interpreter and imports are timed apart from what bidsqa does then: reading folders,
the state of the scans, its own files, up to the first step of the first scan. The target for that is 2 s.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from startup import write_dataset

from bidsqa.bids import names
from bidsqa.validation.tables import Table

COLUMNS = ("participants", "records in OUT", "imports, CPU s", "to the first scan, s", "of these CPU", "peak, MB")
LIBRARIES = (
    "bidsqa.bids.index",
    "bidsqa.cli.checks",
    "bidsqa.cli.participant",
    "bidsqa.cli.plan",
    "bidsqa.cli.settings",
    "bidsqa.cli.study",
    "bidsqa.cli.surroundings",
    "bidsqa.verdict",
    "bidsqa.workflows.interfaces",
    "bids",
    "nipype.interfaces.utility",
    "nipype.pipeline.engine",
    "nipype.pipeline.plugins",
    "nibabel",
    "onnxruntime",
    "sqlalchemy",
)


class Begun(BaseException):
    """The first scan begins: everything has been measured."""


def write_outputs(out: Path, subjects: int) -> None:
    """A record and a page for each participant; what they hold doesn't matter here, but their number does."""
    from bidsqa.bids.dataset import write_dataset_files

    out.mkdir(parents=True)
    write_dataset_files(out)
    for number in range(1, subjects + 1):
        name = f"sub-{number:05d}_T1w"
        path = names.record_path(out, name)
        path.parent.mkdir(parents=True)
        path.write_text("{}")
        path.parent.with_name("figures").mkdir()
        names.page_path(out, name).touch()


def measure(data: Path, out: Path, label: str) -> None:
    """Import everything, then run the command up to its first scan; print what both took."""
    import importlib

    os.environ.setdefault("NIPYPE_NO_ET", "1")
    for name in LIBRARIES:
        importlib.import_module(name)
    imports = time.process_time()
    from bidsqa.cli.main import main as command
    from bidsqa.cli.progress import Progress

    def begun(self: Progress, event: object) -> None:
        if getattr(event, "kind", "") == "scan_started":
            raise Begun

    Progress.__call__ = begun  # type: ignore[method-assign,assignment]
    start = time.perf_counter()
    with contextlib.suppress(Begun), contextlib.redirect_stdout(io.StringIO()):
        command([str(data), str(out), "participant", "--participant-label", label, "--nprocs", "1"])
    seconds = time.perf_counter() - start
    cpu = time.process_time() - imports
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(imports, seconds, cpu, peak, flush=True)
    os._exit(0)  # workers may have been started; nobody needs them


def child(data: Path, out: Path, label: str) -> list[float]:
    """The four numbers of `measure`, in a process of its own."""
    command = [sys.executable, "-P", __file__, "--measure", str(data), str(out), label]
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    return [float(number) for number in done.stdout.split()[-4:]]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, nargs="+", default=[10, 20_000])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--write", type=Path, help="also write the table as JSON for the documentation")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        data, out, label = options.measure
        measure(Path(data), Path(out), label)
        return
    rows = []
    for subjects in options.subjects:
        with tempfile.TemporaryDirectory() as folder:
            data, out = Path(folder) / "data", Path(folder) / "out"
            write_dataset(data, subjects)
            write_outputs(out, subjects - 3)
            # a participant more a run, since each run leaves a record
            numbers = [child(data, out, f"{subjects - at % 3:05d}") for at in range(options.repeat)]
            imports, seconds, cpu, peak = map(min, zip(*numbers, strict=True))
            rows.append([subjects, subjects - 3, round(imports, 2), round(seconds, 2), round(cpu, 2), round(peak)])
    note = (
        f"One empty T1w image a participant, a warm file cache; the quickest of {options.repeat} runs; "
        f"{os.cpu_count()} cores shared with other work (load average {os.getloadavg()[0]:.0f}), "
        "so the CPU column is the one to compare."
    )
    table = Table("Start of one participant's job", COLUMNS, rows, note, "python benchmarks/scale.py")
    print(table.text())
    if options.write:
        table.write(options.write)


if __name__ == "__main__":
    main()
