# SPDX-License-Identifier: Apache-2.0
"""Faults that are caused for real, each with what should come of it."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import time
from collections.abc import Callable

from bidsqa.bids.names import record_path, record_paths
from bidsqa.validation.fault_stage import Outcome, Stage, complete, last_words, records, small_disk, torn_files
from bidsqa.validation.kills import worker_out_of_memory

GRACE = 30.0  # seconds between Slurm's SIGTERM and its SIGKILL
FAR = 4_102_444_800  # the year 2100

# a network's file system: renames are refused in passing, or done while the answer is lost
NETWORK = """
import errno, os
_real, _calls = os.replace, [0]
def _replace(source, target):
    _calls[0] += 1
    if _calls[0] % 5 == 1:
        raise OSError(errno.ESTALE, "Stale file handle", str(target))
    _real(source, target)
    if _calls[0] % 5 == 3:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(source))
os.replace = _replace
"""
CROSSING = """
import errno, os
def _replace(source, target):
    raise OSError(errno.EXDEV, "Invalid cross-device link", str(source), None, str(target))
os.replace = _replace
"""
HANG = """
import time, bidsqa.steps
from bidsqa.anatomy import Anatomy
bidsqa.steps.delineate = lambda volume, settings: Anatomy.load(MASKS)
_measure = bidsqa.steps.measure
def _hang(volume, anatomy, suffix):
    if __import__("os").path.exists(MARK):
        return _measure(volume, anatomy, suffix)
    open(MARK, "w").close()
    time.sleep(3600)
bidsqa.steps.measure = _hang
"""
WEIGHTS = """
from pathlib import Path
import bidsqa.models.table
bidsqa.models.table.WEIGHTS_FOLDER = Path(FOLDER)
"""


def disk_full(stage: Stage) -> Outcome | None:
    """The disk of the output folder fills up."""
    with small_disk(stage.folder("disk"), "400k") as mounted:
        if not mounted:
            return None
        out = stage.place / "disk" / "out"
        ended = stage.run(out, "--nprocs", "2")
        whole = not torn_files(out)
    held = ended.code == 1 and whole and "No space left" in ended.said and "Traceback" not in ended.said
    return Outcome("the disk of the output folder fills up", held, f"exit code {ended.code}; {last_words(ended.said)}")


def work_disk_full(stage: Stage) -> Outcome | None:
    """The disk of the work folder fills up."""
    out = stage.folder("work-full-out")
    with small_disk(stage.folder("disk"), "100k") as mounted:
        if not mounted:
            return None
        ended = stage.run(out, "--nprocs", "2", "-w", str(stage.place / "disk"))
    causes = {(record.failure or {}).get("cause", "") for record in records(out)}
    named = len(causes) == 1 and "no room left" in causes.pop()
    again = stage.run(out, "--nprocs", "2")
    held = ended.code == 1 and named and again.code == 0 and complete(stage, out)
    return Outcome("the disk of the work folder fills up", held, f"exit code {ended.code}; {last_words(ended.said)}")


def read_only(stage: Stage) -> Outcome | None:
    """The output folder can't be written."""
    with small_disk(stage.folder("disk"), "1m", ",ro") as mounted:
        if not mounted:
            return None
        ended = stage.run(stage.place / "disk" / "out")
    held = ended.code == 2 and "can't be written" in ended.said
    return Outcome("a read-only output folder", held, f"exit code {ended.code}; {last_words(ended.said)}")


def two_runs(stage: Stage) -> Outcome:
    """Two runs on the same scans, into one output folder and with one work folder, at once."""
    out, work = stage.folder("two-out"), stage.folder("two-work")
    levels = ("participant", "group")
    runs = [stage.start(out, "--nprocs", "1", "-w", str(work), levels=levels) for _ in range(2)]
    codes = [run.end().code for run in runs]
    left = [*work.glob("bidsqa/scan_*"), *work.glob("run-*"), *work.glob(".*")]
    rows = (out / "group_T1w.tsv").read_text().splitlines()
    held = codes == [0, 0] and complete(stage, out) and len(rows) == stage.scans() + 1 and not left
    told = f"exit codes {codes[0]} and {codes[1]}; {len(rows) - 1} rows in the table of {stage.scans()} scans"
    return Outcome("two runs at once, on the same scans, with the same output and work folder", held, told)


def clock_jumps(stage: Stage) -> Outcome:
    """Files from the year 2100 and from before 1970, in the dataset and in the output."""
    out = stage.folder("clock-out")
    before = [stage.scan(number).stat() for number in (1, 2)]
    os.utime(stage.scan(1), (FAR, FAR))
    os.utime(stage.scan(2), (-1000, -1000))
    try:
        first = stage.run(out)
        fine = complete(stage, out)
        for path in out.rglob("*"):
            os.utime(path, (FAR, FAR))
        again = stage.run(out, levels=("participant", "group"))
    finally:
        for number, status in zip((1, 2), before, strict=True):
            os.utime(stage.scan(number), ns=(status.st_atime_ns, status.st_mtime_ns))
    idle = f"{stage.scans()} done" in again.said
    held = first.code == again.code == 0 and fine and idle and complete(stage, out)
    told = f"exit codes {first.code} and {again.code}; the second run finds all done"
    return Outcome("clocks that jump: files from the year 2100 and from before 1970", held, told)


def terminated(stage: Stage) -> Outcome:
    """SIGTERM while scans are in hand, as Slurm sends it before it kills."""
    out = stage.folder("term-out")
    running = stage.start(out, "--nprocs", "2")
    _wait_for(lambda: any(out.glob("logs/*.log")) and time.monotonic() - running.started > 4)
    sent = time.monotonic()
    os.kill(running.pid, signal.SIGTERM)
    ended = running.end()
    grace = time.monotonic() - sent
    clean = not torn_files(out) and all(record.status == "ok" for record in records(out))
    again = stage.run(out, "--nprocs", "2")
    held = ended.code == 128 + signal.SIGTERM and clean and grace < GRACE and again.code == 0 and complete(stage, out)
    told = f"exit code {ended.code} after {grace:.1f} s, no scan blamed; the next run completes"
    return Outcome("SIGTERM with scans in hand (Slurm gives 30 s)", held, told)


def input_replaced(stage: Stage) -> Outcome:
    """A scan's file is replaced after it was read."""
    out, work, scan = stage.folder("changed-out"), stage.folder("changed-work"), stage.scan(1)
    kept, new = stage.place / "kept.nii.gz", stage.place / "new.nii.gz"
    shutil.copy2(scan, kept)
    shutil.copy(stage.scan(2), new)
    try:
        running = stage.start(out, "--participant-label", "01", "-w", str(work))
        _wait_for(lambda: any(work.glob("bidsqa/*/conform/volume.json")))
        os.replace(new, scan)
        ended = running.end()
        (first,) = records(out)
        again = stage.run(out, "--participant-label", "01")
        (second,) = records(out)
    finally:
        os.replace(kept, scan)
    noticed = any("changed after it was read" in text for text in first.warnings)
    known = first.provenance["input"]["sha256"] != second.provenance["input"]["sha256"]
    held = ended.code == again.code == 0 and noticed and known and not second.warnings and "1 changed" in again.said
    told = f"exit code {ended.code}; the record warns, keeps the checksum of what was judged, and is made anew"
    return Outcome("a scan's file is replaced while it is judged", held, told)


def network_renames(stage: Stage) -> Outcome:
    """Every fifth rename is refused as stale, another one done while its answer is lost; deleted files linger."""
    out = stage.folder("network-out")
    lingering = out / "sub-01" / "anat" / ".nfs000000000123456700000001"
    lingering.parent.mkdir(parents=True)
    (out / ".nfs000000000123456700000002").write_bytes(b"x")
    lingering.write_bytes(b"{")
    ended = stage.run(out, "--nprocs", "2", "--force", levels=("participant", "group"), plant=NETWORK)
    held = ended.code == 0 and complete(stage, out) and lingering.exists()
    told = f"exit code {ended.code}; every file whole"
    return Outcome("renames as on NFS: refused as stale, done without an answer; .nfs files", held, told)


def no_renames(stage: Stage) -> Outcome:
    """A file system that can't rename at all."""
    ended = stage.run(stage.folder("crossing-out"), plant=CROSSING)
    held = ended.code == 2 and "can't rename a file" in ended.said and "Traceback" not in ended.said
    return Outcome("a file system that can't rename", held, f"exit code {ended.code}; {last_words(ended.said)}")


def hanging_scan(stage: Stage) -> Outcome:
    """A step that never ends."""
    out, mark = stage.folder("hang-out"), stage.place / "hangs"
    mark.unlink(missing_ok=True)
    plant = f"MARK, MASKS = {str(mark)!r}, {str(stage.anatomy())!r}\n{HANG}"
    ended = stage.run(out, "--nprocs", "2", "--models", "none", "--scan-minutes", "1", plant=plant)
    failed = [record for record in records(out) if record.status == "failed"]
    told = (failed[0].failure or {}).get("cause", "") if failed else ""
    held = ended.code == 1 and len(failed) == 1 and "longer than the 1 min" in told
    held = held and len(records(out)) == stage.scans()
    return Outcome(
        "a step that hangs, with --scan-minutes 1", held, f"exit code {ended.code}; {last_words(ended.said)}"
    )


def damaged_weights(stage: Stage) -> Outcome:
    """One byte of the weights is another; the file is cut short."""
    from bidsqa.models.table import WEIGHTS_FOLDER

    said, held = [], True
    for way in ("flipped", "cut"):
        folder = stage.folder("weights")
        shutil.copytree(WEIGHTS_FOLDER, folder)
        content = bytearray((folder / "severity.onnx").read_bytes())
        content[len(content) // 2] ^= 1
        (folder / "severity.onnx").write_bytes(content if way == "flipped" else content[: len(content) // 2])
        ended = stage.run(stage.folder("weights-out"), plant=f"FOLDER = {str(folder)!r}\n{WEIGHTS}")
        digest = hashlib.sha256((folder / "severity.onnx").read_bytes()).hexdigest()
        held = held and ended.code == 2 and digest[:12] in ended.said
        said.append(f"exit code {ended.code}; {last_words(ended.said)}")
    return Outcome("weights with one bit flipped, or cut short", held, said[0])


def damaged_records(stage: Stage) -> Outcome:
    """Records that are cut short, empty, no JSON of ours, or folders, at the group level; then a run over them."""
    out = stage.folder("records-out")
    stage.run(out, "--nprocs", "2")
    paths = record_paths(out)
    paths[0].write_text(paths[0].read_text()[:1000])
    paths[1].write_text("")
    for number, content in (("91", "[1, 2"), ("92", '{"bids_name": 5}')):
        path = record_path(out, f"sub-{number}_T1w")
        path.parent.mkdir(parents=True)
        path.write_text(content)
    record_path(out, "sub-93_T1w").mkdir(parents=True)
    ended = stage.run(out, levels=("group",))
    named = sum(line.startswith("Warning: sub-") for line in ended.said.splitlines())
    rows = len((out / "group_T1w.tsv").read_text().splitlines()) - 1
    again = stage.run(out, "--nprocs", "2")
    fine = [record_path(out, f"sub-{number:02d}_T1w") for number in range(1, stage.scans() + 1)]
    redone = again.code == 0 and "2 changed" in again.said and all('"ok"' in path.read_text() for path in fine)
    held = ended.code == 1 and named == 5 and rows == stage.scans() - 2 and redone
    told = (
        f"exit code {ended.code}, {named} named, {rows} of {stage.scans()} in the table; the next run makes them anew"
    )
    return Outcome("records cut short, empty, foreign, or folders, at the group level", held, told)


def record_is_a_folder(stage: Stage) -> Outcome:
    """Something that can't be replaced is in the place of a record."""
    out = stage.folder("folder-out")
    record_path(out, "sub-01_T1w").mkdir(parents=True)
    (record_path(out, "sub-01_T1w") / "file").touch()
    ended = stage.run(out, "--nprocs", "2", "--force")
    held = ended.code == 1 and f"{stage.scans() - 1} scans judged" in ended.said and "can't be written" in ended.said
    return Outcome("a folder in the place of a record", held, f"exit code {ended.code}; {last_words(ended.said)}")


def _wait_for(happened: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > end:
            raise TimeoutError("it did not happen")
        time.sleep(0.02)


FAULTS: tuple[Callable[[Stage], Outcome | None], ...] = (
    worker_out_of_memory,
    hanging_scan,
    disk_full,
    work_disk_full,
    read_only,
    two_runs,
    clock_jumps,
    terminated,
    input_replaced,
    network_renames,
    no_renames,
    damaged_weights,
    damaged_records,
    record_is_a_folder,
)
