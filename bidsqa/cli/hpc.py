# SPDX-License-Identifier: Apache-2.0
"""``bidsqa-hpc {sbatch,pbs,sge} BIDS_DIR OUT_DIR``: a study as an array job of a cluster, then the group level."""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bidsqa
from bidsqa.cli.console import FINE, run_command
from bidsqa.cli.hpc_options import ALIASES, HPC_GROUPS, HPC_OPTIONS, SYSTEMS
from bidsqa.cli.options import LIST, OPTION_KEYS, PATH
from bidsqa.cli.parser import Formatter, Parser, add_option
from bidsqa.cli.progress import count, printable
from bidsqa.errors import UsageError

if TYPE_CHECKING:
    from bidsqa.cli.hpc_scripts import Array
    from bidsqa.cli.hpc_sizes import Request, Sizes
    from bidsqa.cli.plan import Plan
    from bidsqa.cli.settings import RunSettings

NAME = "bidsqa-hpc"
DESCRIPTION = """\
Writes the scripts of an array job: one task a participant (or several), all into one OUT_DIR, then the group level.
Memory and time of a task come from the headers of the images and from what scans were measured to cost. Scans that are
done already are left out. Options of bidsqa itself stand behind a double dash.
"""
EXAMPLES = """\
examples:
  bidsqa-hpc sbatch study study-qa --container bidsqa.sif --partition normal
      write the scripts for Slurm and say how to hand them over
  bidsqa-hpc sbatch study study-qa --submit -- --modalities T1w --thresholds mine.toml
      with this installation and options of bidsqa, handed over at once
  bidsqa-hpc pbs study study-qa --per-task 10 --processes 4
      ten participants a task, four scans at the same time

The same command again, after the array, does what is missing.
exit codes: 0 written (and handed over); 2 wrong usage or nothing to do.
"""
# what the array decides itself, and what makes no sense in it
OWN = ("nprocs", "mem_gb", "work_dir", "keep_work", "use_plugin", "dry_run", "reports_only", "write_graph")
FEWEST_TASKS_ALLOWED = 1000
_WORD = re.compile(r"[\w.,@:/+-]+", re.ASCII)
_MAX_ARRAY = re.compile(r"^MaxArraySize\s*=\s*(\d+)", re.MULTILINE)
INSIDE = "/options"  # where a container sees the options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments : sequence of str, optional
        The process's by default, without the program's name.

    Returns
    -------
    int
        0 written, 2 wrong usage or nothing to do, 130 or 143 stopped by a signal.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    return run_command(NAME, lambda: _start(given))


def build_parser() -> Parser:
    """The parser of the command; options that are not given are absent from its result."""
    parser = Parser(
        prog=NAME,
        usage=f"{NAME} {{{','.join(SYSTEMS)}}} BIDS_DIR OUT_DIR [options] [-- options of bidsqa]",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=Formatter,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        add_help=False,
    )
    what = parser.add_argument_group("What and where")
    what.add_argument(
        "system",
        metavar="SYSTEM",
        choices=(*SYSTEMS, *ALIASES),
        help="; ".join(f"{word}: {name}" for word, name in SYSTEMS.items()),
    )
    what.add_argument("bids_dir", metavar="BIDS_DIR", help="the dataset; it is only read")
    what.add_argument("output_dir", metavar="OUT_DIR", help="for records, pages and tables")
    for title in HPC_GROUPS:
        group = parser.add_argument_group(title)
        for option in HPC_OPTIONS:
            if option.group == title:
                add_option(group, option)
    group.add_argument("--version", action="version", version=f"bidsqa {bidsqa.__version__}", help="print the version")
    group.add_argument("-h", "--help", action="help", help="print this")
    return parser


def _start(given: list[str]) -> int:
    if not given:
        raise UsageError("The batch system and the folders are missing.", f"Example: {NAME} sbatch BIDS_DIR OUT_DIR")
    end = given.index("--") if "--" in given else len(given)
    asked = _Asked(build_parser().parse_args(given[:end]))
    settings = _settings_of(asked, given[end + 1 :])
    from bidsqa.cli import checks
    from bidsqa.cli.hpc_scripts import write_job_folder

    warnings = checks.check_input(settings.bids_dir, strict=not settings.skip_bids_validation)
    checks.check_folders(settings.bids_dir, settings.output_dir, None)
    if not settings.force:
        checks.check_room(settings.output_dir, None)
    plan = _plan(settings)
    for warning in (*warnings, *plan.warnings):
        print(f"Warning: {printable(warning)}", file=sys.stderr)
    if not plan.todo:
        hint = "For the group level alone: bidsqa BIDS_DIR OUT_DIR group"
        raise UsageError(f"All is done: {plan.counts()}.", hint)
    array = _array(asked, settings, plan)
    options, files = _options(settings, array.container)
    checks.make_folder(array.folder, "job")
    write_job_folder(array, options, files)
    _tell(array, plan)
    if asked("submit"):
        _submit(array)
    return FINE


class _Asked:
    """What the command line says, defaults included."""

    def __init__(self, given: argparse.Namespace) -> None:
        self._values = {option.key: option.default for option in HPC_OPTIONS} | vars(given)
        self.system: str = ALIASES.get(given.system, given.system)
        self.folders: tuple[str, str] = (given.bids_dir, given.output_dir)

    def __call__(self, key: str) -> Any:
        return self._values[key]

    def path(self, key: str) -> Path | None:
        value = self(key)
        return Path(value).expanduser().absolute() if value else None

    def word(self, key: str) -> str:
        """A value that stands unquoted in a line that the batch system reads."""
        value = str(self(key) or "")
        if value and not _WORD.fullmatch(value):
            raise UsageError(f"--{key} can't be {value!r}.", "Letters, digits and . , @ : / + - _ are taken.")
        return value


def _settings_of(asked: _Asked, words: list[str]) -> RunSettings:
    """The options behind the double dash, checked as ``bidsqa`` itself does."""
    from bidsqa.cli.parser import parse
    from bidsqa.cli.settings import RunSettings

    given = parse([*asked.folders, "participant", *words])
    for key in OWN:
        if hasattr(given, key):
            instead = {"nprocs": "--processes", "mem_gb": "--mem"}.get(key)
            hint = f"Give {instead} to {NAME} instead." if instead else "Leave it out."
            raise UsageError(f"--{OPTION_KEYS[key].name} has no place in an array job.", hint)
    settings = RunSettings.from_namespace(given)
    settings.step_settings()
    return settings


def _plan(settings: RunSettings) -> Plan:
    from bidsqa.cli.participant import plan_scans
    from bidsqa.cli.surroundings import prepare_environment, work_folder

    with work_folder(None, keep=False) as work:
        prepare_environment(work)
        return plan_scans(settings, settings.step_settings())


def _array(asked: _Asked, settings: RunSettings, plan: Plan) -> Array:
    from bidsqa.cli.hpc_scripts import Array, grouped
    from bidsqa.cli.hpc_sizes import group_request, read_sizes, slowness, task_request
    from bidsqa.cli.plan import DONE

    todo = plan.todo
    participants = tuple(dict.fromkeys(scan.entities["sub"] for scan in todo))
    per_task, at_most = asked("per_task"), asked("most_tasks") or _most_tasks(asked.system)
    if per_task is None:
        per_task = -(-len(participants) // at_most)
    elif -(-len(participants) // per_task) > at_most:
        least = -(-len(participants) // at_most)
        raise UsageError(
            f"An array has at most {at_most} tasks here.", f"Give --per-task {least} or more, or leave it."
        )
    sizes = read_sizes(todo)
    voxels: dict[str, list[int]] = {}
    for scan in todo:
        voxels.setdefault(scan.entities["sub"], []).append(sizes.of(scan))
    done = [_record_path(settings, scan) for scan, state in plan.states if state == DONE]
    factor = slowness(done)
    tasks = [[size for label in labels for size in voxels[label]] for labels in grouped(participants, per_task)]
    task = task_request(tasks, asked("processes"), settings.omp_nthreads, factor)
    task = _overridden(task, asked, sizes)
    container = asked.path("container")
    if container is not None:
        _check_container(container, settings)
    return Array(
        system=asked.system,
        dataset=settings.bids_dir,
        out=settings.output_dir,
        folder=_job_folder(asked, settings.output_dir),
        participants=participants,
        per_task=per_task,
        processes=asked("processes"),
        threads=settings.omp_nthreads,
        task=task,
        group=group_request(_records(settings, plan)),
        container=container,
        partition=asked.word("partition"),
        account=asked.word("account"),
        prepare=asked("prepare") or "",
        at_once=asked("at_once"),
        native=_native(asked("native")),
        about=tuple(_about(plan, sizes, factor)),
    )


def _about(plan: Plan, sizes: Sizes, factor: float) -> list[str]:
    lines = [f"{count(len(plan.todo), 'scan')} to judge; the largest has {sizes.largest / 1e6:.1f} million voxels."]
    if factor > 1:
        lines.append(f"Scans took {factor:.1f} times as long here as where the costs were measured.")
    if sizes.unreadable:
        lines.append(f"The header of {count(sizes.unreadable, 'image')} can't be read; taken to be as large.")
    return lines


def _overridden(task: Request, asked: _Asked, sizes: Sizes) -> Request:
    """With the memory and time that were asked for; without headers there must be such."""
    from bidsqa.cli.memory import SHARE, parse_memory

    if not sizes.largest and (asked("mem") is None or asked("minutes") is None):
        raise UsageError("No header of an image can be read here.", "Fetch the images, or give --mem and --minutes.")
    if asked("mem") is not None:
        task = replace(task, memory_gb=parse_memory(asked("mem")) * SHARE)
    if asked("minutes") is not None:
        task = replace(task, minutes=max(1, round(asked("minutes"))))
    return task


def _most_tasks(system: str) -> int:
    """How many tasks an array may have here."""
    if system == "sbatch" and shutil.which("scontrol"):
        try:
            done = subprocess.run(
                ["scontrol", "show", "config"], capture_output=True, text=True, timeout=30, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return FEWEST_TASKS_ALLOWED
        found = _MAX_ARRAY.search(done.stdout)
        if found:
            return max(1, int(found[1]) - 1)  # the largest index is one less
    return FEWEST_TASKS_ALLOWED


def _record_path(settings: RunSettings, scan: Any) -> Path:
    from bidsqa.bids.names import record_path

    return record_path(settings.output_dir, scan)


def _records(settings: RunSettings, plan: Plan) -> int:
    """How many records the group level will find."""
    from bidsqa.bids.names import iter_records

    return len({*iter_records(settings.output_dir), *(_record_path(settings, scan) for scan, _ in plan.states)})


def _check_container(container: Path, settings: RunSettings) -> None:
    if not container.exists():
        raise UsageError(f"The container {container} doesn't exist.", "Check the path.")
    if settings.bids_database_dir is not None:
        raise UsageError("--bids-database-dir can't be used in a container here.", "Leave it out: it is rarely needed.")
    for path in (settings.bids_dir, settings.output_dir):
        if re.search("[:,]", str(path)):
            raise UsageError(f"Apptainer can't bind {path}: it has a colon or a comma.", "Give it by another path.")


def _job_folder(asked: _Asked, out: Path) -> Path:
    chosen = asked.path("job_dir")
    folder = chosen or out.with_name(f"{out.name}-jobs") / time.strftime("%Y%m%dT%H%M%S")
    try:
        occupied = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    except OSError as error:
        raise UsageError(f"The folder {folder} can't be read: {error.strerror}.", "Give another.") from error
    if occupied:
        # a running array reads its list of participants there
        raise UsageError(f"The job folder {folder} isn't empty.", "Give a new one, or leave --job-dir out.")
    if re.search("[:,]", str(folder)) and asked("container"):
        raise UsageError(f"Apptainer can't bind {folder}: it has a colon or a comma.", "Give another --job-dir.")
    return folder


def _native(text: str | None) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text or ""))
    except ValueError as error:
        raise UsageError(f"--native {text!r} can't be understood: {error}.", "Check its quotes.") from error


def _options(settings: RunSettings, container: Path | None) -> tuple[dict[str, Any], dict[str, Path]]:
    """The options of ``bidsqa`` as the jobs get them, and the files that go with them into a container."""
    values = dict(settings.option_values())
    values.pop("participant_label", None)
    files: dict[str, Path] = {}

    def placed(path: Path) -> str:
        if container is None:
            return str(path)
        name = f"{len(files)}-{re.sub(r'[^A-Za-z0-9.]', '_', path.name)}"
        files[name] = path
        return f"{INSIDE}/{name}"

    for key, option in OPTION_KEYS.items():
        value = values.get(key)
        if option.kind == PATH and value is not None and key != "config_file":
            values[key] = placed(Path(value))
        elif option.kind == LIST and key == "weights":
            pairs = (pair.partition("=") for pair in value or ())
            values[key] = [f"{name}={placed(Path(file).expanduser().absolute())}" for name, _, file in pairs]
    return {key: value for key, value in values.items() if value != []}, files


def _tell(array: Array, plan: Plan) -> None:
    tasks = count(array.tasks, "task")
    each = "of one participant" if array.per_task == 1 else f"of up to {array.per_task} participants"
    print(f"{count(len(plan.states), 'scan')}: {plan.counts()}.")
    for line in array.about:
        print(line)
    print(f"{tasks} {each}: {_say(array.task)}.")
    print(f"Then the group level: {_say(array.group)}.")
    print(f"Written: {array.folder}")
    print(f"Hand over: bash {shlex.quote(str(array.folder / 'submit.sh'))}")
    sys.stdout.flush()


def _say(request: Request) -> str:
    cpus = "1 CPU" if request.cpus == 1 else f"{request.cpus} CPUs"
    return f"{cpus}, {request.memory_mb} MiB, up to {request.minutes} minutes"


def _submit(array: Array) -> None:
    """Run ``submit.sh``; its words are ours."""
    done = subprocess.run(["bash", str(array.folder / "submit.sh")], capture_output=True, text=True, check=False)
    print(done.stdout.strip() and f"Handed over: {printable(done.stdout.strip())}")
    if done.returncode:
        told = done.stderr.strip().splitlines()
        hint = f"Mend what it says and run: bash {shlex.quote(str(array.folder / 'submit.sh'))}"
        raise UsageError(f"The jobs were not handed over: {told[-1] if told else 'no word why'}.", hint)


if __name__ == "__main__":
    sys.exit(main())
