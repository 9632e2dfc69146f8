# SPDX-License-Identifier: Apache-2.0
"""Running scans: batches of graphs under a Nipype plugin, events for the terminal, failures that cost one scan each."""

from __future__ import annotations

import contextlib
import getpass
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsqa.bids.writing import sweep
from bidsqa.record import Record
from bidsqa.stopping import keeping_interruptions, raise_interruption

from .job import Job
from .room import bytes_needed, folder_with_room

if TYPE_CHECKING:
    from bidsqa.bids import Scan
    from bidsqa.settings import Settings

    from .scan import Need

BATCH = 60
POLL_SECONDS = 0.1
PARENT_GB = 0.3
log = logging.getLogger("bidsqa.run")


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
    """

    done: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    decisions: dict[str, str] = field(default_factory=dict)


class _Watcher:
    """Nipype's status callback: follows each scan through its nodes."""

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

    def settle(self, label: str, seconds: float) -> None:
        """A scan is finished or failed: tell, and clear its part of the work directory."""
        job = self.jobs.pop(label, None)
        if job is None:
            return
        name = job.source["bids_name"]
        # a record left by an earlier run must not pass for this run's
        fresh = _identity(Path(job.record)) != self.before[label]
        record = _read_record(Path(job.record)) if fresh else None
        if record is None or record.status == "failed":
            if record is None:
                record = _write_lost(job)
            failure = record.failure or {}
            self.result.failed.append(name)
            message = f"{failure.get('cause', 'unknown')} ({failure.get('hint', '')})"
            self.on_event(Event("scan_failed", name, str(failure.get("step", "")), seconds, message))
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

    def clear(self) -> None:
        """Once no node runs any more: settle scans that ended without a word, remove what failed scans left."""
        raise_interruption()
        for label in list(self.jobs):
            self.settle(label, 0.0)
        for folder in [] if self.keep_work else self.leftovers:
            shutil.rmtree(folder, ignore_errors=True)


def run_scans(
    scans: Sequence[Scan],
    out: Path,
    work: Path,
    settings: Settings,
    *,
    nprocs: int = 1,
    mem_gb: float | None = None,
    plugin: dict[str, Any] | None = None,
    keep_work: bool = False,
    stop_on_first_crash: bool = False,
    work_is_fixed: bool = True,
    on_event: Callable[[Event], None] = lambda event: None,
) -> RunResult:
    """Assess the scans, each in a graph of its own, and write their records and pages.

    Parameters
    ----------
    scans : sequence of Scan
        What to assess; the caller has left out what is done.
    out, work : Path
        Output folder and work directory, absolute.
    settings : Settings
    nprocs : int
        Processes at the same time.
    mem_gb : float, optional
        Memory for all processes together in GB: fewer run at a time where they need more.
    plugin : dict, optional
        Nipype's ``{"plugin": name, "plugin_args": {...}}`` from ``--use-plugin``; else Linear for one process,
        MultiProc for more.
    keep_work : bool
        Leave the work directory as it is.
    stop_on_first_crash : bool
        End the run with the first failed scan.
    work_is_fixed : bool
        False: where ``work`` has too little room, a hidden folder in ``out`` is used instead, and removed at the end.
    on_event : callable
        Told of each scan's progress, in this process.

    Returns
    -------
    RunResult
    """
    from .scan import init_scans_wf, need_of, scan_wf_name

    _prepare_nipype(work, stop_on_first_crash)
    result = RunResult()

    def tell(sentence: str) -> None:
        on_event(Event("notice", "", message=sentence))

    with keeping_interruptions():
        for start in range(0, len(scans), BATCH):
            jobs = [(Job.of(scan, out, settings), need_of(Path(scan.path))) for scan in scans[start : start + BATCH]]
            workers = _workers(nprocs, mem_gb, [need for _, need in jobs])
            # in one process Nipype would start every scan of a graph before it finishes one
            alone = plugin is None and workers == 1
            needed = bytes_needed([need for _, need in jobs], workers)
            with folder_with_room(work, None if work_is_fixed else out, needed, keep=keep_work, tell=tell) as place:
                for graph in [[job] for job in jobs] if alone else [jobs]:
                    labels = {scan_wf_name(job.source["bids_name"]): job for job, _ in graph}
                    watcher = _Watcher(labels, place, keep_work, on_event, result)
                    with _tidy_when_stopped(watcher):
                        try:
                            workflow = init_scans_wf(jobs=graph, base_dir=place)
                            workflow.run(**_plugin(plugin, workers, mem_gb, watcher))
                        except Exception as error:
                            if not result.failed and not watcher.jobs:
                                raise
                            log.debug("Nipype ended with: %s", error)
                        watcher.clear()
                    if stop_on_first_crash and result.failed:
                        return result
    return result


@contextlib.contextmanager
def _tidy_when_stopped(watcher: _Watcher) -> Iterator[None]:
    """On a stop end the workers at once and remove what they were writing.

    They must be gone before the work directory is: they would take a missing file for a failure of their scan.
    """
    import multiprocessing

    others = set(multiprocessing.active_children())
    try:
        yield
    except Exception:
        raise
    except BaseException:
        workers = set(multiprocessing.active_children()) - others
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.join()
        for folder in {folder for job in watcher.jobs.values() for folder in job.folders}:
            sweep(folder)
        raise


def write_graph(scan: Scan, out: Path, work: Path, settings: Settings) -> Path:
    """Draw the graph of a scan as SVG into ``OUT/logs``; needs Graphviz's ``dot``.

    Returns
    -------
    Path
        The picture, or the dot file where there is no Graphviz.
    """
    from .scan import init_scan_wf, need_of

    _prepare_nipype(work, False)
    workflow = init_scan_wf(job=Job.of(scan, out, settings), need=need_of(Path(scan.path)), name="bidsqa")
    workflow.base_dir = str(work)
    target = out / "logs" / "graph.dot"
    target.parent.mkdir(parents=True, exist_ok=True)
    kind = "svg" if shutil.which("dot") else "dot"
    workflow.write_graph(dotfilename=str(target), graph2use="orig", format=kind, simple_form=True)
    drawn = target.with_suffix(".svg")
    return drawn if drawn.exists() else target


def _workers(nprocs: int, mem_gb: float | None, needs: list[Need]) -> int:
    """As many processes as memory allows for the hungriest scan, at least one."""
    if mem_gb is None:
        return nprocs
    hungriest = max(need.peak for need in needs)
    return max(1, min(nprocs, int((mem_gb - PARENT_GB) / hungriest)))


def _plugin(plugin: dict[str, Any] | None, workers: int, mem_gb: float | None, watcher: _Watcher) -> dict[str, Any]:
    """Arguments of ``Workflow.run``: the user's plugin, else Linear or MultiProc."""
    told: dict[str, Any] = {"status_callback": watcher}
    if plugin is not None:
        from .batch_system import given_plugin

        return given_plugin(plugin, watcher)
    if workers == 1:
        return {"plugin": "Linear", "plugin_args": told}
    from .depth_first import DepthFirstMultiProcPlugin

    limits = {"n_procs": workers, "raise_insufficient": False, **({} if mem_gb is None else {"memory_gb": mem_gb})}
    return {"plugin": DepthFirstMultiProcPlugin(plugin_args={**limits, **told})}


def _prepare_nipype(work: Path, stop_on_first_crash: bool) -> None:
    """Nipype without network, without chatter, with everything inside the work directory."""
    with contextlib.suppress(KeyError, OSError):
        os.environ.setdefault("LOGNAME", getpass.getuser())
    os.environ.setdefault("LOGNAME", f"uid{os.getuid()}")
    work.mkdir(parents=True, exist_ok=True)
    from nipype import config
    from nipype import logging as nipype_logging

    config.update_config(
        {
            "execution": {
                "check_version": "false",
                "crashdump_dir": str(work / "crash"),
                "crashfile_format": "txt",
                "hash_method": "timestamp",
                "poll_sleep_duration": str(POLL_SECONDS),
                "remove_unnecessary_outputs": "false",
                "stop_on_first_crash": str(stop_on_first_crash).lower(),
            },
            "logging": {"log_to_file": "false", "workflow_level": "ERROR", "interface_level": "ERROR"},
            "monitoring": {"enabled": "false"},
        }
    )
    nipype_logging.update_logging(config)
    for name in ("nipype", "nipype.workflow", "nipype.utils", "nipype.interface", "nipype.filemanip"):
        logger = logging.getLogger(name)
        # its errors reach the user as records and the run's log, not as tracebacks on the terminal
        logger.handlers = []
        logger.propagate = True
        logger.setLevel(logging.CRITICAL)


def _identity(path: Path) -> tuple[int, int] | None:
    """Tells one atomically written version of a file from the next."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _read_record(path: Path) -> Record | None:
    try:
        return Record.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _write_lost(job: Job) -> Record:
    """A scan whose process ended without a word still gets its record."""
    from bidsqa.errors import InputError

    from .interfaces import write_failure

    error = InputError(
        "the process of this scan ended without a result",
        "it was probably stopped for want of memory; run again with fewer processes or more memory",
    )
    write_failure(job, "unknown", error)
    record = _read_record(Path(job.record))
    assert record is not None
    return record
