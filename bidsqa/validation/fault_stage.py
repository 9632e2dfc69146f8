# SPDX-License-Identifier: Apache-2.0
"""What faults are tried on: a small dataset, the command in a process of its own, and looking at what it left.

Used by the tests and by ``benchmarks/faults.py``, which prints the tables of docs/reliability.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

from bidsqa.bids.names import record_paths
from bidsqa.record import Record

LIMIT = 600.0  # seconds after which a run counts as one that hangs
SPACING_MM = 5.0
HALF_WRITTEN = ".tmp-"
START = "import sys\nfrom bidsqa.cli.main import main\nsys.exit(main())\n"


@dataclass(frozen=True)
class Outcome:
    """How a fault ended.

    Parameters
    ----------
    fault : str
        What was done, in words.
    held : bool
        Whether everything was as it should be.
    told : str
        What came of it: exit codes, what the user or the record was told.
    """

    fault: str
    held: bool
    told: str


@dataclass(frozen=True)
class Ended:
    """A command that ended: its exit code, what it said, the seconds it took."""

    code: int
    said: str
    seconds: float


@dataclass
class Running:
    """A command at work in a process of its own that may be killed.

    Parameters
    ----------
    process : Popen, or Process
        With ``pid``.
    words : Path
        What it says goes to this file.
    started : float
        Monotonic seconds.
    """

    process: subprocess.Popen[bytes] | BaseProcess
    words: Path
    started: float = field(default_factory=time.monotonic)

    @property
    def pid(self) -> int:
        """The process's number."""
        assert self.process.pid is not None
        return self.process.pid

    def end(self) -> Ended:
        """Wait for the end of it."""
        if isinstance(self.process, subprocess.Popen):
            code: int | None = self.process.wait(LIMIT)
        else:
            self.process.join(LIMIT)
            code = self.process.exitcode
        if code is None:
            raise TimeoutError(f"the command hangs: {self.words.read_text()[-1000:]}")
        return Ended(code, self.words.read_text(encoding="utf-8"), time.monotonic() - self.started)


@dataclass(frozen=True)
class Stage:
    """A folder with a dataset of small heads, and the command on it.

    Parameters
    ----------
    place : Path
        Everything lies below it; each fault takes folders of its own there.
    data : Path
        The dataset.
    """

    place: Path
    data: Path

    @classmethod
    def build(cls, place: Path, scans: int = 3) -> Stage:
        """Write the dataset: heads of the phantom at 5 mm, each with noise of its own."""
        from bidsqa.simulation.phantom import make_phantom

        head = make_phantom(seed=0, spacing=(SPACING_MM,) * 3)
        data = place / "data"
        data.mkdir(parents=True)
        (data / "dataset_description.json").write_text(json.dumps({"Name": "Small heads", "BIDSVersion": "1.9.0"}))
        for number in range(1, scans + 1):
            path = data / f"sub-{number:02d}" / "anat" / f"sub-{number:02d}_T1w.nii.gz"
            path.parent.mkdir(parents=True)
            head.to_nifti(head.image("T1w", seed=number)).to_filename(path)
        return cls(place, data)

    def folder(self, name: str) -> Path:
        """A new path below the stage's place; what an earlier fault left there goes."""
        path = self.place / name
        shutil.rmtree(path, ignore_errors=True)
        return path

    def scan(self, number: int) -> Path:
        """The file of a scan, counted from 1."""
        return self.data / f"sub-{number:02d}" / "anat" / f"sub-{number:02d}_T1w.nii.gz"

    def start(self, out: Path, *options: str, levels: Sequence[str] = ("participant",), plant: str = "") -> Running:
        """Start the command; `plant` is code that runs before it, in its process and so in its workers."""
        command = [sys.executable, "-P", "-c", plant + "\n" + START, str(self.data), str(out), *levels, *options]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        words = self._words()
        with words.open("wb") as stream:
            process = subprocess.Popen(command, stdout=stream, stderr=stream, env=environment, start_new_session=True)
        return Running(process, words)

    def fork(self, out: Path, *options: str, anatomy: Path) -> Running:
        """Start the command in a process forked from this one, which saves the imports, with masks found before."""
        words = self._words()
        arguments = [str(self.data), str(out), "participant", *options]
        process = multiprocessing.get_context("fork").Process(target=_act, args=(arguments, words, anatomy))
        process.start()
        return Running(process, words)

    def anatomy(self) -> Path:
        """The masks of the first scan, found once: runs that needn't find their own take them and save time."""
        from bidsqa import steps
        from bidsqa.settings import Settings

        path = self.place / "anatomy.npz"
        if not path.exists():
            steps.delineate(steps.conform(self.scan(1)), Settings()).save(path)
        return path

    def _words(self) -> Path:
        return self.place / f"said-{time.monotonic_ns()}.txt"

    def run(self, out: Path, *options: str, levels: Sequence[str] = ("participant",), plant: str = "") -> Ended:
        """Run the command to its end."""
        return self.start(out, *options, levels=levels, plant=plant).end()

    def scans(self) -> int:
        """How many the dataset has."""
        return len(list(self.data.glob("sub-*")))


def _act(arguments: list[str], words: Path, anatomy: Path) -> None:
    from bidsqa import steps
    from bidsqa.anatomy import Anatomy

    os.setsid()
    stream = os.open(words, os.O_WRONLY | os.O_CREAT)
    for standard in (1, 2):
        os.dup2(stream, standard)
    steps.delineate = lambda volume, settings: Anatomy.load(anatomy)  # type: ignore[assignment]
    main = importlib.import_module("bidsqa.cli.main").main  # what it imports lies above this floor
    code = main(arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def records(out: Path) -> list[Record]:
    """All records of an output folder, in the order of their names."""
    return [Record.loads(path.read_text(encoding="utf-8")) for path in record_paths(out)]


def complete(stage: Stage, out: Path) -> bool:
    """Whether every scan has a record that is fine, every file is whole and nothing half written is left."""
    found = records(out)
    fine = len(found) == stage.scans() and all(record.status == "ok" for record in found)
    return fine and not torn_files(out) and not list(out.rglob(f"{HALF_WRITTEN}*"))


def last_words(said: str) -> str:
    """The line of a command's words that tells most: of an error or a failure, else the last; paths by their names."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("failed", "bidsqa:"))]
    return re.sub(r"/\S*/(?=[\w.])", "", (telling or lines[-1:] or [""])[0])


def torn_files(out: Path) -> list[str]:
    """Files of an output folder that are not whole; what is still being written under another name doesn't count."""
    paths = (path for path in sorted(out.rglob("*")) if path.is_file() and not path.name.startswith("."))
    return [str(path.relative_to(out)) for path in paths if not _is_whole(path)]


def _is_whole(path: Path) -> bool:
    """By its kind: JSON parses, pages end, tables have rows of one length, pictures can be decoded."""
    from PIL import Image

    content = path.read_bytes()
    try:
        if path.suffix == ".json":
            json.loads(content)
        elif path.suffix == ".html":
            return content.rstrip().endswith(b"</html>")
        elif path.suffix == ".tsv":
            return content.endswith(b"\n") and len({line.count(b"\t") for line in content.splitlines()}) == 1
        elif path.suffix in (".png", ".webp"):
            with Image.open(io.BytesIO(content)) as picture:
                picture.load()
        elif path.suffix == ".svg":
            return content.rstrip().endswith(b"</svg>")
        elif path.suffix != ".log":  # which grows line by line
            return bool(content)
    except (ValueError, OSError, SyntaxError):
        return False
    return True


def family(process: int) -> list[int]:
    """The processes below a process."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # the name in brackets may hold blanks
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
    found = [process]
    for member in found:
        found += [child for child, parent in parents.items() if parent == member]
    return found[1:]


def still_there(processes: Sequence[int], patience: float = 10.0) -> list[int]:
    """Those of some processes that have not ended after a while."""
    end = time.monotonic() + patience
    while (left := [process for process in processes if is_alive(process)]) and time.monotonic() < end:
        time.sleep(0.05)
    return left


def is_alive(process: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@contextlib.contextmanager
def small_disk(place: Path, size: str, options: str = "") -> Iterator[bool]:
    """A file system in memory of a size such as ``300k``; False where this user may not mount one."""
    place.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}{options}", "none", str(place)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(place)], check=False)
