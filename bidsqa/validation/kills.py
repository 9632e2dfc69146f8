# SPDX-License-Identifier: Apache-2.0
"""Killing runs and workers at random moments, and for want of memory in a real control group."""

from __future__ import annotations

import contextlib
import importlib
import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bidsqa.validation.fault_stage import (
    HALF_WRITTEN,
    Outcome,
    Stage,
    complete,
    family,
    is_alive,
    last_words,
    records,
    still_there,
    torn_files,
)

CONTROL_GROUPS = Path("/sys/fs/cgroup")
KILLED = ("--models", "none")  # options of the runs that are killed: they write, they need not score
STORED_LIMIT = {"memory.limit_in_bytes": "memory", "memory.max": ""}  # version 1 and version 2 of the interface


@dataclass
class Trials:
    """What came of many kills.

    Parameters
    ----------
    count : int
        Kills that hit a living process.
    torn, orphans, incomplete, too_many_lost : list of str
        What was wrong, in words; empty as it should be.
    lost : int
        Scans that a failed record was written for.
    finished : int
        Scans that had a record at the moment of the kill.
    """

    count: int = 0
    torn: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)
    too_many_lost: list[str] = field(default_factory=list)
    lost: int = 0
    finished: int = 0

    @property
    def held(self) -> bool:
        """Nothing was wrong."""
        return self.count > 0 and not (self.torn or self.orphans or self.incomplete or self.too_many_lost)

    def faults(self) -> str:
        """In words."""
        return "; ".join([*self.torn, *self.orphans, *self.incomplete, *self.too_many_lost])


def ready_for_kills(stage: Stage) -> tuple[Path, float]:
    """Import what a run imports, find the masks once, and tell where they are and how long an undisturbed run takes."""
    for name in ("nipype.pipeline.engine", "bidsqa.workflows.interfaces", "bidsqa.workflows.depth_first"):
        importlib.import_module(name)
    anatomy, out = stage.anatomy(), stage.folder("undisturbed")
    ended = stage.fork(out, *KILLED, "--nprocs", "1", anatomy=anatomy).end()
    if ended.code != 0 or not complete(stage, out):
        raise RuntimeError(f"the undisturbed run failed: {ended.said}")
    return anatomy, ended.seconds


def kill_at_random(stage: Stage, whom: str, count: int, seed: int, anatomy: Path, seconds: float) -> Trials:
    """Kill (SIGKILL) the parent or one of its workers at a random moment, look at what is left, run again.

    Parameters
    ----------
    stage : Stage
    whom : str
        ``parent`` or ``worker``.
    count : int
        How often; a run that had ended by the moment drawn doesn't count.
    seed : int
        Of the moments.
    anatomy : Path
        The masks of all scans.
    seconds : float
        That an undisturbed run takes: the moments lie within.
    """
    draw, trials = random.Random(f"{whom} {seed}"), Trials()
    for number in range(2 * count):
        if trials.count == count:
            break
        out, work = stage.folder(f"kill-{whom}-out"), stage.folder(f"kill-{whom}-work")
        options = [*KILLED, "--nprocs", str(1 + number % 2), *(["-w", str(work)] if number % 4 > 1 else [])]
        running = stage.fork(out, *options, anatomy=anatomy)
        time.sleep(draw.uniform(0, seconds))
        while not (workers := family(running.pid)) and whom == "worker" and is_alive(running.pid):
            time.sleep(0.01)
        victim = running.pid if whom == "parent" else draw.choice(workers or [0])
        if victim and is_alive(victim):
            trials.count += 1
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
        ended = running.end()
        told = f"{whom} trial {number}"
        if still_there(workers):
            trials.orphans.append(f"{told}: workers live on")
        if out.is_dir():
            trials.torn += [f"{told}: {name} is torn" for name in torn_files(out)]
            found = records(out)
            lost = [record for record in found if record.status == "failed"]
            trials.lost += len(lost)
            trials.finished += len(found) - len(lost)
            expected = {"parent": (0, -signal.SIGKILL), "worker": (1 if lost else 0,)}[whom]
            if len(lost) > (whom == "worker") or ended.code not in expected:
                trials.too_many_lost.append(f"{told}: exit code {ended.code}, {len(lost)} lost: {ended.said[-300:]}")
        again = stage.fork(out, *options, anatomy=anatomy).end()
        if again.code != 0 or not complete(stage, out):
            names = [f"{record.bids_name} {record.status}" for record in records(out)]
            halves = [path.name for path in out.rglob(f"{HALF_WRITTEN}*")]
            left = f"records: {names}; half written: {halves}"
            trials.incomplete.append(f"{told}: the next run ended with {again.code}, {left}: {again.said[-300:]}")
    return trials


def worker_out_of_memory(stage: Stage) -> Outcome | None:
    """A scan that needs more than its control group has: the kernel kills the worker; None without such groups."""
    fault = "out of memory for real: a control group with too little for one of the scans"
    out, large = stage.folder("oom-out"), stage.data / "sub-large" / "anat" / "sub-large_T1w.nii.gz"
    with control_group(760_000_000) as group:
        if group is None:
            return None
        _write_large(stage, large)
        join = f"import os\nopen({str(group / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))"
        try:
            ended = stage.run(out, "--nprocs", "1", "--mem-gb", "16", plant=join)
            found = {record.bids_name: record for record in records(out)}
        finally:
            large.unlink()
            large.parent.rmdir()
            large.parent.parent.rmdir()
    failure = found["sub-large_T1w"].failure or {}
    others = [record for name, record in found.items() if name != "sub-large_T1w"]
    fine = len(others) == stage.scans() and all(record.status == "ok" for record in others)
    held = ended.code == 1 and fine and "SIGKILL" in failure.get("cause", "")
    return Outcome(fault, held, f"exit code {ended.code}, {len(others)} others judged; {last_words(ended.said)}")


def _write_large(stage: Stage, path: Path) -> None:
    import nibabel
    import numpy as np
    from scipy import ndimage

    image: Any = nibabel.load(stage.scan(1))
    data = ndimage.zoom(np.asarray(image.dataobj, dtype=np.float32), 250 / image.shape[0], order=1)
    path.parent.mkdir(parents=True)
    nibabel.Nifti1Image(data.astype(np.int16), image.affine / 5).to_filename(path)


@contextlib.contextmanager
def control_group(limit: int) -> Iterator[Path | None]:
    """A control group with a limit of memory in bytes; None where this user may not make one."""
    made = None
    for name, controller in STORED_LIMIT.items():
        group = CONTROL_GROUPS / controller / f"bidsqa-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / name).write_text(str(limit))
            made = group
            break
        except OSError:
            group.rmdir()
    try:
        yield made
    finally:
        if made is not None:
            with contextlib.suppress(OSError):
                made.rmdir()
