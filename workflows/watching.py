# SPDX-License-Identifier: Apache-2.0
"""Following a run: what is told of each scan, and the record that every scan gets, however it ended."""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bidsqa.errors import BidsqaError, InputError
from bidsqa.record import Record
from bidsqa.stopping import raise_interruption

from .job import Job

# where one record can't be written for these, none can
OUTPUT_IS_GONE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@dataclass(frozen=True)
class Event:
    """Something to tell the user.

    Parameters
    ----------
    kind : str
        ``scan_started``, ``step``, ``scan_done`` or ``scan_failed``; ``notice`` about the whole run.
    bids_name : str
    step : str
    seconds : float
        Since the scan started.
    message : str
        Cause and hint of a failure; the decision of a scan that is done; a notice's sentence.
    """

    kind: str
    bids_name: str
    step: str = ""
    seconds: float = 0.0
    message: str = ""


@dataclass
class RunResult:
    """How the run went.

    Parameters
    ----------
    done, failed : list of str
        Names of the scans.
    decisions : dict of str to str
        A finished scan's decision.
    ended : BidsqaError or None
        Why the run could not go on to the last scan.
    """

    done: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    decisions: dict[str, str] = field(default_factory=dict)
    ended: BidsqaError | None = None


class OutputIsGone(BidsqaError):
    """The output folder takes no more files: to judge further scans would be work for nothing."""


class Watcher:
    """Nipype's status callback: follows each scan through its nodes.

    Parameters
    ----------
    jobs : dict of str to Job
        By the label of the scan's graph.
    work : Path
        The work directory.
    keep_work : bool
        Leave it as it is.
    on_event : callable
        Told of everything.
    result : RunResult
        Is filled in.
    """

    def __init__(
        self,
        jobs: dict[str, Job],
        work: Path,
        keep_work: bool,
        on_event: Callable[[Event], None],
        result: RunResult,
    ) -> None:
        self.jobs = jobs
        self.work = work
        self.keep_work = keep_work
        self.on_event = on_event
        self.started: dict[str, float] = {}
        self.before = {label: _identity(Path(job.record)) for label, job in jobs.items()}
        self.leftovers: list[Path] = []
        self.losses: dict[str, tuple[str, Exception]] = {}
        self.result = result

    def __call__(self, node: Any, status: str) -> None:
        raise_interruption()  # Nipype takes a stop for an error of the node in hand and would go on
        parts = node.fullname.split(".")
        if len(parts) < 3 or parts[1] not in self.jobs:
            return
        label, step = parts[1], parts[-1]
        job = self.jobs[label]
        name = job.source["bids_name"]
        if status == "start":
            if label not in self.started:
                self.started[label] = time.monotonic()
                self.on_event(Event("scan_started", name, step))
            return
        seconds = time.monotonic() - self.started.get(label, time.monotonic())
        if status == "exception":
            self.settle(label, seconds)
        elif status == "end" and step == "record":
            self.settle(label, seconds)
        elif status == "end":
            self.on_event(Event("step", name, step, seconds))

    def lose(self, label: str, step: str, error: Exception) -> None:
        """The process that ran a scan's step is gone: this is why."""
        self.losses.setdefault(label, (step, error))

    def lose_all(self, error: Exception) -> None:
        """The graph could not be run: this is why its scans have no record."""
        for label in self.jobs:
            self.lose(label, "start", error)

    def settle(self, label: str, seconds: float) -> None:
        """A scan is finished or failed: tell, and clear its part of the work directory."""
        job = self.jobs.pop(label, None)
        if job is None:
            return
        name = job.source["bids_name"]
        # a record left by an earlier run must not pass for this run's
        fresh = _identity(Path(job.record)) != self.before[label]
        record = _read_record(Path(job.record)) if fresh else None
        if record is None or (record.status == "failed" and label in self.losses):
            record = self._write_lost(job, *self.losses.get(label, _WITHOUT_A_WORD))
        if record.status == "failed":
            self.result.failed.append(name)
            self.on_event(failed_event(record, seconds))
        else:
            decision = str(record.verdict.get("decision", ""))
            self.result.done.append(name)
            self.result.decisions[name] = decision
            self.on_event(Event("scan_done", name, "record", seconds, decision))
        folder = self.work / "bidsqa" / label
        if record.status == "ok" and not self.keep_work:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            # other nodes of a failed scan may still be running in it
            self.leftovers.append(folder)

    def _write_lost(self, job: Job, step: str, error: Exception) -> Record:
        try:
            return write_lost(job, step, error)
        except OutputIsGone as gone:
            self.result.failed.append(job.source["bids_name"])
            self.result.ended = gone  # Nipype would turn what is raised into something else
            raise

    def clear(self, *, settle: bool = True) -> None:
        """Once no node runs any more: settle scans that ended without a word, remove what failed scans left."""
        raise_interruption()
        for label in list(self.jobs) if settle else ():
            self.settle(label, 0.0)
        for folder in [] if self.keep_work else self.leftovers:
            shutil.rmtree(folder, ignore_errors=True)


_WITHOUT_A_WORD = (
    "unknown",
    InputError(
        "the process of this scan ended without a result",
        "it was probably stopped for want of memory; run again with fewer processes or more memory",
    ),
)


def failed_event(record: Record, seconds: float = 0.0) -> Event:
    """What is told of a failed scan."""
    failure = record.failure or {}
    message = f"{failure.get('cause', 'unknown')} ({failure.get('hint', '')})"
    return Event("scan_failed", record.bids_name, str(failure.get("step", "")), seconds, message)


def write_lost(job: Job, step: str, error: Exception) -> Record:
    """The record of a scan that could not write one itself.

    Parameters
    ----------
    job : Job
    step : str
        In hand.
    error : Exception
        Why it has none.

    Returns
    -------
    Record
        Also where it could not be written, for a reason that concerns this scan only; the cause says so then.

    Raises
    ------
    OutputIsGone
        The disk is full or no longer writable.
    """
    from bidsqa import steps

    from .interfaces import write_failure

    try:
        write_failure(job, step, error)
    except OSError as problem:
        if problem.errno in OUTPUT_IS_GONE:
            raise OutputIsGone(
                f"the output folder takes no more files: {problem.strerror}",
                "make room there or mend it and give the same command again; finished scans are kept",
            ) from problem
        error = InputError(
            f"the record {job.record} can't be written: {problem.strerror or problem}", "remove what is in its place"
        )
    else:
        written = _read_record(Path(job.record))
        if written is not None:
            return written
    return steps.failure_record(job.parsed_source, step, error, job.parsed_settings, None)


def _identity(path: Path) -> tuple[int, int] | None:
    """Tells one atomically written version of a file from the next."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _read_record(path: Path) -> Record | None:
    try:
        return Record.load(path)
    except (OSError, ValueError):
        return None
