# SPDX-License-Identifier: Apache-2.0
"""Nipype's MultiProc plugin, finishing scans one after the other and outliving a worker that is killed."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from nipype.pipeline.plugins.multiproc import MultiProcPlugin, process_initializer, run_node


class DepthFirstMultiProcPlugin(MultiProcPlugin):  # type: ignore[misc]
    """MultiProc with the ready nodes of the earliest scan first.

    MultiProc's own order starts every scan before it finishes one: the work directory would hold all scans of a batch
    at a time, and the first result would come with the last. And where a worker is killed, mostly for want of memory,
    MultiProc waits for its result for ever: here the nodes in hand fail and new workers go on with the others.
    """

    pool: ProcessPoolExecutor

    def _sort_jobs(self, jobids: Iterable[int], scheduler: str | None = None) -> list[int]:
        ranks: dict[str, int] = {}
        for node in self.procs:
            ranks.setdefault(_scan_of(node.fullname), len(ranks))
        return sorted(jobids, key=lambda job: (ranks[_scan_of(self.procs[job].fullname)], job))

    def _submit_job(self, node: Any, updatehash: bool = False) -> int:
        self._taskid += 1
        try:
            future = self.pool.submit(run_node, node, updatehash, self._taskid)
        except BrokenProcessPool:
            self.pool = ProcessPoolExecutor(self.processors, initializer=process_initializer, initargs=(self._cwd,))
            future = self.pool.submit(run_node, node, updatehash, self._taskid)
        future.add_done_callback(functools.partial(self._take_result, self._taskid))
        self._task_obj[self._taskid] = future
        return int(self._taskid)

    def _take_result(self, taskid: int, future: Future[dict[str, Any]]) -> None:
        try:
            self._taskresult[taskid] = future.result()
        except BaseException as error:  # the worker is gone, or the run is being stopped
            self._taskresult[taskid] = {"taskid": taskid, "result": None, "traceback": [repr(error)]}


def _scan_of(fullname: str) -> str:
    """``bidsqa.scan_x.node`` to ``scan_x``."""
    return fullname.split(".")[1] if "." in fullname else fullname
