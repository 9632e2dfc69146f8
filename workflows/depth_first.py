# SPDX-License-Identifier: Apache-2.0
"""Nipype's MultiProc plugin, finishing scans one after the other and outliving workers that are killed or hang."""

from __future__ import annotations

import gc
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from nipype.pipeline.plugins.multiproc import MultiProcPlugin

from bidsqa.errors import InputError

from .workers import Finished, Workers

POLL_SECONDS = 0.25  # between two looks at the limit of time; results wake it up


class DepthFirstMultiProcPlugin(MultiProcPlugin):  # type: ignore[misc]
    """MultiProc with the ready nodes of the earliest scan first.

    MultiProc's own order starts every scan before it finishes one: the work directory would hold all scans of a batch
    at a time, and the first result would come with the last. And where a worker is killed, mostly for want of memory,
    MultiProc waits for its result for ever: here it costs its own scan, and a new worker takes its place.

    Parameters
    ----------
    processors : int
        Nodes at the same time.
    memory_gb : float or None
        For all nodes together.
    seconds_a_scan : float or None
        Time that the nodes of one scan may take, added up; its workers are killed then.
    status_callback : callable
        Nipype's: told of a node's start, end or exception.
    on_loss : callable
        Told of a scan's label, the step and the error, before the exception, where a worker was lost.
    """

    def __init__(
        self,
        *,
        processors: int,
        memory_gb: float | None,
        seconds_a_scan: float | None,
        status_callback: Callable[[Any, str], None],
        on_loss: Callable[[str, str, InputError], None],
    ) -> None:
        limits = {"n_procs": processors, **({} if memory_gb is None else {"memory_gb": memory_gb})}
        super().__init__(plugin_args={**limits, "raise_insufficient": False, "status_callback": status_callback})
        self.pool.shutdown(wait=False)  # nothing was started in it
        self._workers = Workers(processors, self._cwd)
        self._limit = seconds_a_scan
        self._on_loss = on_loss
        self._spent: dict[str, float] = defaultdict(float)
        self._late: set[str] = set()
        self._given_up: set[str] = set()
        self._results: dict[int, dict[str, Any]] = {}
        self._steps: dict[int, str] = {}

    def run(self, graph: Any, config: Any, updatehash: bool = False) -> None:
        """Run all nodes; no worker is left, however it ends."""
        # this plugin waits by itself, for a result instead of for a time
        quick = {**config, "execution": {**config["execution"], "poll_sleep_duration": "0"}}
        gc.freeze()  # MultiProc collects garbage before each node, which takes long where much is loaded
        try:
            super().run(graph, quick, updatehash=updatehash)
        finally:
            self._workers.close()
            gc.unfreeze()

    def _sort_jobs(self, jobids: Iterable[int], scheduler: str | None = None) -> list[int]:
        ranks: dict[str, int] = {}
        for node in self.procs:
            ranks.setdefault(_scan_of(node.fullname), len(ranks))
        return sorted(jobids, key=lambda job: (ranks[_scan_of(self.procs[job].fullname)], job))

    def _send_procs_to_workers(self, updatehash: bool = False, graph: Any = None) -> None:
        super()._send_procs_to_workers(updatehash=updatehash, graph=graph)
        for ended in self._workers.finished(POLL_SECONDS):
            self._spent[ended.label] += ended.seconds
            self._results[ended.taskid] = ended.result or self._lost(ended)
        self._stop_late_ones()

    def _submit_job(self, node: Any, updatehash: bool = False) -> int:
        self._taskid += 1
        taskid = int(self._taskid)
        label, self._steps[taskid] = _scan_of(node.fullname), node.fullname.split(".")[-1]
        if label in self._given_up:
            self._results[taskid] = _nothing(taskid, "its scan has failed")
        else:
            self._workers.submit(taskid, label, node, updatehash)
        return taskid

    def _get_result(self, taskid: int) -> dict[str, Any] | None:
        return self._results.get(taskid)

    def _clear_task(self, taskid: int) -> None:
        del self._results[taskid], self._steps[taskid]

    def _postrun_check(self) -> None:
        """Nothing: `run` ends the workers."""

    def _stop_late_ones(self) -> None:
        if self._limit is None:
            return
        now = time.monotonic()
        taken: dict[str, float] = defaultdict(float)
        for worker in self._workers.busy:
            taken[worker.label] += now - worker.started
        for label, seconds in taken.items():
            if self._spent[label] + seconds > self._limit:
                self._late.add(label)
                self._workers.kill(label)

    def _lost(self, ended: Finished) -> dict[str, Any]:
        """The result of a node whose process is gone."""
        error = _too_long(self._limit or 0.0) if ended.label in self._late else _killed(ended.exitcode)
        self._given_up.add(ended.label)
        self._on_loss(ended.label, self._steps[ended.taskid], error)
        return _nothing(ended.taskid, str(error))


def _nothing(taskid: int, why: str) -> dict[str, Any]:
    """The result, in Nipype's form, of a node that has none."""
    return {"taskid": taskid, "result": None, "traceback": [why]}


def _too_long(limit: float) -> InputError:
    return InputError(
        f"this scan took longer than the {limit / 60:g} min that a scan may take",
        "look whether its file or the machine is odd, or give more time: --scan-minutes N",
    )


def _killed(exitcode: int) -> InputError:
    try:
        how = f"it was ended by {signal.Signals(-exitcode).name}"
    except ValueError:
        how = f"its exit code was {exitcode}"
    hint = "this is a fault of a library or of the machine; run again, and report it if it comes back"
    if exitcode == -signal.SIGKILL:
        hint = "it was probably stopped for want of memory; run again with fewer processes or more memory"
    elif exitcode == -signal.SIGBUS:
        hint = "the disk of the work folder is probably full or gone; give another: --work-dir DIR"
    return InputError(f"the process of this scan ended without a result: {how}", hint)


def _scan_of(fullname: str) -> str:
    """``bidsqa.scan_x.node`` to ``scan_x``."""
    return fullname.split(".")[1] if "." in fullname else fullname
