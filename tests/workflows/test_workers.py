# SPDX-License-Identifier: Apache-2.0
"""A worker that is killed costs its own node; the others' results come, and a new one takes its place."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bidsqa.workflows.workers import Finished, Workers


class Node:
    """What a worker needs of a Nipype node."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.result: Any = None

    def run(self, updatehash: bool = False) -> Any:
        if self.what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.what == "leave":
            os._exit(7)
        elif self.what == "hang":
            time.sleep(600)
        elif self.what == "fail":
            raise ValueError("planted")
        elif self.what == "unsendable":
            return lambda: None
        return os.getpid()


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    made = Workers(2, str(tmp_path))
    yield made
    made.close()


def _collect(workers: Workers, count: int) -> dict[int, Finished]:
    found: dict[int, Finished] = {}
    end = time.monotonic() + 30
    while len(found) < count:
        assert time.monotonic() < end, "results don't come"
        found.update({ended.taskid: ended for ended in workers.finished(0.5)})
    return found


def test_results_and_errors_come_back_from_processes_that_stay(workers: Workers) -> None:
    for number, what in enumerate(["work", "fail"], start=1):
        workers.submit(number, "scan", Node(what), False)
    first = _collect(workers, 2)
    assert first[1].result["result"] != os.getpid()
    assert "planted" in "".join(first[2].result["traceback"])
    workers.submit(3, "scan", Node("work"), False)
    workers.submit(4, "scan", Node("unsendable"), False)
    second = _collect(workers, 2)
    assert second[4].result["traceback"]
    assert workers.busy == []


def test_a_killed_process_costs_its_own_node_and_is_replaced(workers: Workers) -> None:
    workers.submit(1, "unlucky", Node("die"), False)
    workers.submit(2, "neighbour", Node("work"), False)
    found = _collect(workers, 2)
    assert (found[1].result, found[1].exitcode, found[1].label) == (None, -signal.SIGKILL, "unlucky")
    assert found[2].result["traceback"] is None
    workers.submit(3, "next", Node("leave"), False)
    workers.submit(4, "next", Node("work"), False)
    found = _collect(workers, 2)
    assert (found[3].result, found[3].exitcode) == (None, 7)
    assert found[4].result["result"] != os.getpid()


def test_a_process_that_died_while_it_waited_costs_nothing(workers: Workers) -> None:
    workers.submit(1, "scan", Node("work"), False)
    os.kill(_collect(workers, 1)[1].result["result"], signal.SIGKILL)
    time.sleep(0.3)
    workers.submit(2, "scan", Node("work"), False)
    assert _collect(workers, 1)[2].result["traceback"] is None


def test_one_scan_s_processes_are_killed_at_will(workers: Workers) -> None:
    workers.submit(1, "slow", Node("hang"), False)
    workers.submit(2, "quick", Node("work"), False)
    workers.kill("slow")
    found = _collect(workers, 2)
    assert found[1].exitcode == -signal.SIGKILL
    assert found[2].result["traceback"] is None


def test_closing_does_not_wait_for_a_node(workers: Workers) -> None:
    workers.submit(1, "slow", Node("hang"), False)
    processes = [worker.process for worker in workers.busy]
    start = time.monotonic()
    workers.close()
    assert time.monotonic() - start < 5
    assert not any(process.is_alive() for process in processes)


def test_processes_die_with_their_parent(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    parent = os.fork()
    if parent == 0:
        workers = Workers(1, str(tmp_path))
        workers.submit(1, "slow", Node("hang"), False)
        os.write(writer, f"{workers.busy[0].process.pid}\n".encode())
        os.kill(os.getpid(), signal.SIGKILL)
    worker = int(os.read(reader, 20))
    os.waitpid(parent, 0)
    end = time.monotonic() + 10
    while Path(f"/proc/{worker}").exists() and time.monotonic() < end:
        if Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            break
        time.sleep(0.05)
    assert time.monotonic() < end, "a worker without a parent would hold its memory for ever"
