# SPDX-License-Identifier: Apache-2.0
"""Processes that run nodes, one at a time each: one that is killed costs its own node alone and is replaced.

The pool of the standard library breaks as a whole where one of its processes is killed, which would cost the scans of
the other processes too; and where the parent is killed its processes wait for work for ever.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from nipype.pipeline.plugins.multiproc import process_initializer, run_node

PATIENCE = 5.0  # seconds that an idle process gets to end by itself
PARENT_DIED = 1  # PR_SET_PDEATHSIG of prctl(2)


@dataclass
class Worker:
    """A process and the node that it has in hand.

    Parameters
    ----------
    process : multiprocessing.Process
    connection : Connection
        To it.
    taskid : int or None
        The node's number; None while it waits for work.
    label : str
        The scan's.
    started : float
        When it got the node, monotonic seconds.
    """

    process: BaseProcess
    connection: Connection
    taskid: int | None = None
    label: str = ""
    started: float = 0.0


@dataclass(frozen=True)
class Finished:
    """A node that ended, or whose process did.

    Parameters
    ----------
    taskid : int
    label : str
        The scan's.
    seconds : float
        That it took.
    result : dict or None
        What Nipype's `run_node` gave; None: the process is gone.
    exitcode : int
        Of that process: negative, the signal's number.
    """

    taskid: int
    label: str
    seconds: float
    result: dict[str, Any] | None
    exitcode: int = 0


class Workers:
    """Up to `count` processes, started when they are needed.

    Parameters
    ----------
    count : int
        Nodes at the same time at most.
    folder : str
        The processes' working directory.
    """

    def __init__(self, count: int, folder: str) -> None:
        self._count = count
        self._folder = folder
        self._workers: list[Worker] = []

    @property
    def busy(self) -> list[Worker]:
        """Those with a node in hand."""
        return [worker for worker in self._workers if worker.taskid is not None]

    def submit(self, taskid: int, label: str, node: Any, updatehash: bool) -> None:
        """Hand a node to a process that waits, or to a new one; the caller submits `count` at a time at most."""
        for worker in [worker for worker in self._workers if worker.taskid is None]:
            with contextlib.suppress(OSError):
                self._hand_over(worker, taskid, label, node, updatehash)
                return
            self._forget(worker)  # it died while it waited
        self._hand_over(self._start(), taskid, label, node, updatehash)

    def finished(self, timeout: float) -> list[Finished]:
        """What ended since the last call; waits for the first, seconds at most."""
        busy = {worker.connection: worker for worker in self.busy}
        found = []
        for connection in wait(list(busy), timeout) if busy else ():
            worker = busy[connection]  # type: ignore[index]
            assert worker.taskid is not None
            seconds = time.monotonic() - worker.started
            try:
                result = worker.connection.recv()
            except (EOFError, OSError):
                worker.process.join()
                self._forget(worker)
                exitcode = worker.process.exitcode or 0
                found.append(Finished(worker.taskid, worker.label, seconds, None, exitcode))
            else:
                found.append(Finished(worker.taskid, worker.label, seconds, result))
                worker.taskid = None
        return found

    def kill(self, label: str) -> None:
        """Kill the processes that have a scan in hand."""
        for worker in self.busy:
            if worker.label == label:
                worker.process.kill()

    def close(self) -> None:
        """End all: at once where there is a node in hand."""
        for worker in self._workers:
            if worker.taskid is not None:
                worker.process.kill()
            worker.connection.close()
        for worker in self._workers:
            worker.process.join(PATIENCE)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._workers.clear()

    def _start(self) -> Worker:
        assert len(self._workers) < self._count
        context = multiprocessing.get_context()
        ours, theirs = context.Pipe()
        # a forked process inherits the ends of the others' pipes, which would then never say that this process is gone
        method = context.get_start_method()
        closing = [*(worker.connection for worker in self._workers), ours] if method == "fork" else []
        parent = 0 if method == "forkserver" else os.getpid()
        process = context.Process(target=_serve, args=(theirs, closing, self._folder, parent), daemon=True)
        process.start()
        theirs.close()
        worker = Worker(process, ours)
        self._workers.append(worker)
        return worker

    def _hand_over(self, worker: Worker, taskid: int, label: str, node: Any, updatehash: bool) -> None:
        worker.connection.send((node, updatehash, taskid))
        worker.taskid, worker.label, worker.started = taskid, label, time.monotonic()

    def _forget(self, worker: Worker) -> None:
        worker.connection.close()
        self._workers.remove(worker)


def _serve(connection: Connection, inherited: Sequence[Connection], folder: str, parent: int) -> None:
    """Run nodes until there are no more, in a process of its own."""
    for other in inherited:
        other.close()
    if parent:
        _die_with(parent)
    process_initializer(folder)
    while True:
        try:
            node, updatehash, taskid = connection.recv()
        except (EOFError, OSError):
            return
        try:
            connection.send(run_node(node, updatehash, taskid))
        except BrokenPipeError:
            return
        except Exception as error:  # a result that can't be sent
            connection.send({"taskid": taskid, "result": None, "traceback": [repr(error)]})


def _die_with(parent: int) -> None:
    """Ask Linux to kill this process when its parent is killed: nobody would take its results."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PARENT_DIED, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:  # it was killed in between
        os._exit(1)
