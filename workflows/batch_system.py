# SPDX-License-Identifier: Apache-2.0
"""Nipype's plugins that hand work to a batch system: what they lack for a run that ends well.

Nipype's SLURM plugin asks the queue once for every job at every turn, leaves jobs behind when the run is stopped, and
tells Slurm nothing of what a node needs; SLURMGraph returns as soon as everything is handed over.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any

from nipype.pipeline.plugins.slurm import SLURMPlugin
from nipype.pipeline.plugins.slurmgraph import SLURMGraphPlugin

from bidsqa.errors import UsageError
from bidsqa.stopping import raise_interruption

from .plugin_names import BATCH_PLUGINS

# the queue is asked again after so many seconds; more and more while nothing changes, for it serves everybody
LEAST_PAUSE, MOST_PAUSE, LONGER = 1.0, 15.0, 1.3
# network file systems may show a file of another machine that late, s
FILE_SECONDS = 60
MEMORY_MARGIN = 1.2  # a job's limit counts what a process shares with others, and the start of Python
TURN_SECONDS = {"SLURM": 0.5, "SLURMGraph": 0.5}
# sbatch is tried again where the controller is busy or the user's jobs are at their limit
PATIENCE = {"retry_timeout": 10, "max_tries": 30}
SLOW_TURN_SECONDS = 5.0
_MEMORY_GIVEN = re.compile(r"(^|\s)--mem(-per-cpu|-per-gpu)?(=|\s)")
_PROCESSORS_GIVEN = re.compile(r"(^|\s)(-c|--cpus-per-task(=|\s))")


def given_plugin(plugin: dict[str, Any], watcher: Any) -> dict[str, Any]:
    """Arguments of ``Workflow.run`` for the plugin that the user asked for.

    Parameters
    ----------
    plugin : dict
        ``{"plugin": name, "plugin_args": {...}}``.
    watcher : callable
        The status callback; it knows the scans that are not settled (``jobs``) and can be told to look (``settle``).
    """
    from nipype import config

    name = plugin.get("plugin", "Linear")
    arguments = {**plugin.get("plugin_args", {}), "status_callback": watcher}
    if name not in BATCH_PLUGINS:
        return {"plugin": name, "plugin_args": arguments}
    turn = str(TURN_SECONDS.get(name, SLOW_TURN_SECONDS))
    config.update_config({"execution": {"poll_sleep_duration": turn, "job_finished_timeout": str(FILE_SECONDS)}})
    if name == "SLURM":
        return {"plugin": PoliteSlurmPlugin(plugin_args={**PATIENCE, **arguments})}
    if name == "SLURMGraph":
        return {"plugin": WaitingSlurmGraphPlugin(plugin_args=arguments)}
    return {"plugin": name, "plugin_args": arguments}


def check_submission(options: str) -> None:
    """Ask Slurm whether it would take a job with these options, before anything is begun.

    Raises
    ------
    UsageError
        It wouldn't, or isn't there; with its own words.
    """
    command = f"sbatch --test-only {options}"
    try:
        done = subprocess.run(
            ["bash", "-c", command], input="#!/bin/sh\n", capture_output=True, text=True, check=False, timeout=120
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"Slurm can't be asked: {error}.", "Start bidsqa where sbatch works.") from error
    if done.returncode:
        told = done.stderr.strip().splitlines()
        hint = "Check sbatch_args in the plugin file; bidsqa must run where sbatch works (not inside a container)."
        raise UsageError(f"Slurm takes no job: {told[-1] if told else 'sbatch failed'}.", hint)


def own_jobs(pattern: str = "%A") -> list[str] | None:
    """This user's jobs in the queue, one line each; None where the queue gives no answer now.

    Parameters
    ----------
    pattern : str
        Of ``squeue --format``.
    """
    command = ["squeue", "-h", "-u", str(os.getuid()), "-o", pattern]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.splitlines() if done.returncode == 0 else None


def new_mark() -> str:
    """A word that tells the jobs of one graph from others in the queue (``sbatch --comment``)."""
    return f"bidsqa{uuid.uuid4().hex[:12]}"


def marked_jobs(mark: str) -> list[str] | None:
    """The jobs in the queue that bear a mark; None where the queue gives no answer now."""
    lines = own_jobs("%A %k")
    if lines is None:
        return None
    return [job for job, _, comment in (line.partition(" ") for line in lines) if comment.strip() == mark]


def take_back(mark: str) -> None:
    """Take the jobs that bear a mark out of the queue, and end those that run."""
    jobs = marked_jobs(mark) or []
    for start in range(0, len(jobs), 500):
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(["scancel", *jobs[start : start + 500]], capture_output=True, check=False, timeout=120)


def requests(node: Any, given: str) -> str:
    """Options of ``sbatch`` for a node: the memory and processors that it declares, unless the user gave them."""
    wanted = []
    if not _MEMORY_GIVEN.search(given):
        wanted.append(f"--mem={math.ceil(node.mem_gb * MEMORY_MARGIN * 1e9 / 2**20)}M")
    if not _PROCESSORS_GIVEN.search(given):
        wanted.append(f"--cpus-per-task={node.n_procs or 1}")
    return " ".join(wanted)


class _Pause:
    """Whether it is time to ask the queue again."""

    def __init__(self) -> None:
        self._pause = LEAST_PAUSE
        self._asked = -math.inf

    def due(self) -> bool:
        return time.monotonic() - self._asked >= self._pause

    def asked(self, changed: bool) -> None:
        self._asked = time.monotonic()
        self._pause = LEAST_PAUSE if changed else min(MOST_PAUSE, self._pause * LONGER)


class PoliteSlurmPlugin(SLURMPlugin):  # type: ignore[misc]
    """SLURM that asks the queue once for all jobs, tells it what each needs, and takes its jobs back when stopped."""

    _sbatch_args: str

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._time = _Pause()
        self._queued: set[int] = set()
        self._asked_for: set[int] = set()
        self._given = str(self._sbatch_args or "")
        self._mark = new_mark()

    def run(self, graph: Any, config: Any, updatehash: bool = False) -> None:
        try:
            super().run(graph, config, updatehash=updatehash)
        except BaseException:
            take_back(self._mark)
            raise

    def _submit_batchtask(self, scriptfile: str, node: Any) -> Any:
        self._sbatch_args = f"{self._given} {requests(node, self._given)} --comment={self._mark}"
        return super()._submit_batchtask(scriptfile, node)

    def _is_pending(self, taskid: int) -> bool:
        raise_interruption()
        if self._time.due():
            waiting_for = set(self._pending)
            found = own_jobs()
            if found is not None:
                queued = {int(job) for job in found if job.isdigit()}
                self._time.asked(bool((self._queued ^ queued) & (waiting_for | self._asked_for)))
                self._queued, self._asked_for = queued, waiting_for
            else:
                self._time.asked(False)
        # a job handed over since the queue was asked is not missed there
        return taskid not in self._asked_for or taskid in self._queued

    def _task_finished_cb(self, jobid: int, cached: bool = False) -> None:
        node = self.procs[jobid]
        if node.name == "record":
            refresh_folder(Path(json.loads(node.inputs.job)["record"]).parent)
        super()._task_finished_cb(jobid, cached)


class WaitingSlurmGraphPlugin(SLURMGraphPlugin):  # type: ignore[misc]
    """SLURMGraph that waits for the end of what it handed over, and takes it back when stopped."""

    _sbatch_args: str

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._settled = _Settling(options["plugin_args"]["status_callback"])
        self._mark = new_mark()
        self._given = str(self._sbatch_args or "")

    def _get_args(self, node: Any, keywords: list[str]) -> tuple[Any, ...]:
        # what waits for a failed node would stay in the queue for ever
        ours = f"--comment={self._mark} --kill-on-invalid-dep=yes {requests(node, self._given)}"
        self._sbatch_args = f"{self._given} {ours}"
        values: tuple[Any, ...] = super()._get_args(node, keywords)
        return values

    def _submit_graph(self, pyfiles: list[str], dependencies: dict[int, list[int]], nodes: list[Any]) -> None:
        try:
            super()._submit_graph(pyfiles, dependencies, nodes)
            self._wait()
        except BaseException:
            take_back(self._mark)
            raise

    def _wait(self) -> None:
        pause, before = _Pause(), -1
        while True:
            raise_interruption()
            if pause.due():
                jobs = marked_jobs(self._mark)
                self._settled.look()
                if jobs == []:
                    return
                left = before if jobs is None else len(jobs)
                pause.asked(left != before)
                before = left
            time.sleep(0.2)


class _Settling:
    """Finds out by their records which scans are finished: SLURMGraph tells nothing."""

    def __init__(self, watcher: Any) -> None:
        self._watcher = watcher
        self._start = time.monotonic()
        self._before = {label: _version(job.record) for label, job in watcher.jobs.items()}

    def look(self) -> None:
        for label, job in list(self._watcher.jobs.items()):
            refresh_folder(Path(job.record).parent)
            if _version(job.record) != self._before[label]:
                self._watcher.settle(label, time.monotonic() - self._start)


def _version(path: str) -> tuple[int, int] | None:
    """Tells one atomically written version of a file from the next."""
    with contextlib.suppress(OSError):
        status = os.stat(path)
        return status.st_ino, status.st_mtime_ns
    return None


def refresh_folder(folder: Path) -> None:
    """Have a network file system look again at what it believes about a folder: another machine wrote into it."""
    for place in (folder.parent, folder):
        with contextlib.suppress(OSError):
            os.listdir(place)
