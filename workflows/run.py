# SPDX-License-Identifier: Apache-2.0
"""Running scans: batches of graphs under a Nipype plugin, events for the terminal, failures that cost one scan each."""

from __future__ import annotations

import contextlib
import getpass
import logging
import math
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsqa.bids.writing import sweep
from bidsqa.errors import InputError, is_fault_of_disk
from bidsqa.stopping import keeping_interruptions

from .job import Job
from .room import bytes_needed, folder_with_room
from .watching import Event, OutputIsGone, RunResult, Watcher, failed_event, write_lost

if TYPE_CHECKING:
    from bidsqa.bids import Scan
    from bidsqa.settings import Settings

    from .scan import Need

BATCH = 60
PARENT_GB = 0.08  # what it doesn't share with the workers that it was forked into
log = logging.getLogger("bidsqa.run")


def run_scans(
    scans: Sequence[Scan],
    out: Path,
    work: Path,
    settings: Settings,
    *,
    nprocs: int = 1,
    mem_gb: float | None = None,
    minutes_a_scan: float | None = None,
    apart: bool = False,
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
        Memory for all processes together in GB: fewer run at a time where they need more, and a scan that needs more
        than that alone is refused.
    minutes_a_scan : float, optional
        Time that the steps of one scan may take, added up.
    apart : bool
        The steps run in processes of their own, so that one that is killed or hangs costs its scan only. Always so for
        more than one process and where there is a limit of time.
    plugin : dict, optional
        Nipype's ``{"plugin": name, "plugin_args": {...}}`` from ``--use-plugin``; memory and time are its business.
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
    from .scan import need_of

    _prepare_nipype(work, stop_on_first_crash)
    result = RunResult()
    apart = apart or nprocs > 1 or minutes_a_scan is not None

    def tell(sentence: str) -> None:
        on_event(Event("notice", "", message=sentence))

    def run_graph(jobs: list[tuple[Job, Need]], workers: int, place: Path) -> None:
        from .scan import scan_wf_name

        labels = {scan_wf_name(job.source["bids_name"]): job for job, _ in jobs}
        watcher = Watcher(labels, place, keep_work, on_event, result)
        how = (
            _own_plugin(apart, workers, mem_gb, minutes_a_scan, watcher) if plugin is None else _given(plugin, watcher)
        )
        _run_graph(jobs, place, how, watcher, stop_on_first_crash)

    with keeping_interruptions():
        for start in range(0, len(scans), BATCH):
            asked = [(Job.of(scan, out, settings), need_of(Path(scan.path))) for scan in scans[start : start + BATCH]]
            jobs = asked if plugin is not None else _those_that_fit(asked, mem_gb, on_event, result)
            workers = _workers(nprocs, mem_gb, [need for _, need in jobs])
            # Nipype's Linear would start every scan of a graph before it finishes one
            graphs = [jobs] if plugin is not None or apart else [[job] for job in jobs]
            needed = bytes_needed([need for _, need in jobs], workers)
            with folder_with_room(work, None if work_is_fixed else out, needed, keep=keep_work, tell=tell) as place:
                for graph in graphs:
                    if result.ended is None and not (stop_on_first_crash and result.failed):
                        run_graph(graph, workers, place)
            if result.ended is not None or (stop_on_first_crash and result.failed):
                break
    return result


def _run_graph(
    jobs: list[tuple[Job, Need]], place: Path, how: dict[str, Any], watcher: Watcher, only_to_first: bool
) -> None:
    """Run the graph of some scans; whatever happens to one of them is in its record."""
    from .scan import init_scans_wf

    if not jobs:
        return
    result = watcher.result
    with _tidy_when_stopped(watcher):
        try:
            init_scans_wf(jobs=jobs, base_dir=place).run(**how)
        except Exception as error:
            if not result.failed and not watcher.jobs:
                raise
            log.debug("Nipype ended with: %s", error)
            if is_fault_of_disk(error):
                watcher.lose_all(error)
        # of a run that ends early the scans in hand are not failed, they are not begun
        watcher.clear(settle=result.ended is None and not (only_to_first and result.failed))


def _those_that_fit(
    jobs: list[tuple[Job, Need]], mem_gb: float | None, on_event: Callable[[Event], None], result: RunResult
) -> list[tuple[Job, Need]]:
    """The scans that the memory allows one at a time; the others get a record that names what they need."""
    fitting = []
    for job, need in jobs:
        total = need.peak + PARENT_GB
        if mem_gb is None or total <= mem_gb or result.ended is not None:
            fitting.append((job, need))
            continue
        error = InputError(
            f"this scan needs about {total:.1f} GB of memory, {mem_gb:.2g} GB may be used",
            f"give at least that much: --mem-gb {math.ceil(total * 10) / 10:.1f}",
        )
        try:
            record = write_lost(job, "memory", error)
        except OutputIsGone as gone:
            result.ended = gone
            continue
        result.failed.append(record.bids_name)
        on_event(failed_event(record))
    return fitting


@contextlib.contextmanager
def _tidy_when_stopped(watcher: Watcher) -> Iterator[None]:
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
    if mem_gb is None or not needs:
        return nprocs
    hungriest = max(need.peak for need in needs)
    return max(1, min(nprocs, int((mem_gb - PARENT_GB) / hungriest)))


def _given(plugin: dict[str, Any], watcher: Watcher) -> dict[str, Any]:
    """Arguments of ``Workflow.run`` for the user's plugin."""
    from .batch_system import given_plugin

    return given_plugin(plugin, watcher)


def _own_plugin(
    apart: bool, workers: int, mem_gb: float | None, minutes: float | None, watcher: Watcher
) -> dict[str, Any]:
    """Arguments of ``Workflow.run`` without a plugin of the user's: Linear in this process, or processes apart."""
    if not apart:
        return {"plugin": "Linear", "plugin_args": {"status_callback": watcher}}
    from .depth_first import DepthFirstMultiProcPlugin

    plugin = DepthFirstMultiProcPlugin(
        processors=workers,
        memory_gb=None if mem_gb is None else mem_gb - PARENT_GB,
        seconds_a_scan=None if minutes is None else 60 * minutes,
        status_callback=watcher,
        on_loss=watcher.lose,
    )
    return {"plugin": plugin}


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
                "poll_sleep_duration": "0.1",
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
