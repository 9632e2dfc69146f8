# SPDX-License-Identifier: Apache-2.0
"""The folder that ``bidsqa-hpc`` writes: participants, options, and scripts that run them and hand them over."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bidsqa.cli.hpc_sizes import Request


@dataclass(frozen=True)
class Array:
    """An array job over participants and the group job after it.

    Parameters
    ----------
    system : str
        ``sbatch``, ``pbs`` or ``sge``.
    dataset, out, folder : Path
        The dataset, the output folder and the folder of the scripts, absolute.
    participants : tuple of str
        Labels without ``sub-``, in the order of the tasks.
    per_task : int
    processes, threads : int
        Scans at the same time in a task, and threads of each.
    task, group : Request
        What a task and the group job ask for.
    container : Path or None
        Apptainer image; without it the Python that writes the scripts runs the tasks.
    partition, account, prepare : str
        Empty for none.
    at_once : int or None
    native : tuple of str
        Further words for the command that hands the jobs over.
    about : tuple of str
        Sentences for the head of the scripts.
    """

    system: str
    dataset: Path
    out: Path
    folder: Path
    participants: tuple[str, ...]
    per_task: int
    processes: int
    threads: int
    task: Request
    group: Request
    container: Path | None = None
    partition: str = ""
    account: str = ""
    prepare: str = ""
    at_once: int | None = None
    native: tuple[str, ...] = ()
    about: tuple[str, ...] = ()

    @property
    def tasks(self) -> int:
        """How many tasks the array has."""
        return -(-len(self.participants) // self.per_task)


def write_job_folder(array: Array, options: Mapping[str, Any], files: Mapping[str, Path]) -> None:
    """Write everything that the jobs need into a new folder.

    Parameters
    ----------
    array : Array
    options : mapping of str to object
        Options of ``bidsqa`` by key; files are those that the jobs will see.
    files : mapping of str to Path
        What is copied beside the options, by the name that it gets there.
    """
    from bidsqa.bids.writing import write_atomic
    from bidsqa.cli.config import dump_config

    texts = scripts(array)
    for name in ("logs", "options"):
        (array.folder / name).mkdir(parents=True, exist_ok=True)
    for name, path in files.items():
        shutil.copyfile(path, array.folder / "options" / name)
    write_atomic(array.folder / "options" / "options.toml", dump_config(options))
    write_atomic(array.folder / "participants.txt", "".join(f"{label}\n" for label in array.participants))
    for name, text in texts.items():
        write_atomic(array.folder / name, text)
        (array.folder / name).chmod(0o755)


def scripts(array: Array) -> dict[str, str]:
    """The scripts by file name."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bidsqa.cli"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        comment_start_string="{##",  # ${#names[@]} is shell
        autoescape=False,  # shell, not HTML: every value goes through the filter sh or is a number or a checked word
    )
    environment.filters["sh"] = lambda value: shlex.quote(str(value))
    shared = {
        "system": array.system,
        "dataset": array.dataset,
        "out": array.out,
        "job_folder": array.folder,
        "container": array.container,
        "python": sys.executable,
        "threads": array.threads,
        "partition": array.partition,
        "account": array.account,
        "prepare": array.prepare,
        "native": "".join(f" {shlex.quote(word)}" for word in array.native),
    }
    job = environment.get_template("job.sh.j2")
    tasks = {
        "name": "bidsqa",
        "about": array.about,
        "tasks": array.tasks,
        "per_task": array.per_task,
        "processes": array.processes,
        "at_once": array.at_once,
        "memory_gb": f"{array.task.memory_gb:.2f}",
    }
    group = {"name": "bidsqa-group", "about": ("The group level of bidsqa.",), "tasks": 0, "at_once": None}
    return {
        "array.sh": job.render(**shared, **tasks, **_resources(array.task)),
        "group.sh": job.render(**shared, **group, **_resources(array.group)),
        "submit.sh": environment.get_template("submit.sh.j2").render(**shared),
    }


def _resources(request: Request) -> dict[str, Any]:
    return {"cpus": request.cpus, "memory_mb": request.memory_mb, "time": request.time}


def grouped(participants: Sequence[str], per_task: int) -> list[Sequence[str]]:
    """The participants of each task."""
    return [participants[start : start + per_task] for start in range(0, len(participants), per_task)]
