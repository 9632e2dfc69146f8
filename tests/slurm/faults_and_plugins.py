# SPDX-License-Identifier: Apache-2.0
"""A study on a cluster of one node: the array of ``bidsqa-hpc`` with tasks killed and requeued, Nipype's Slurm plugins.

    python tests/slurm/faults_and_plugins.py [--subjects 20] [--write FILE]

Everything is compared with the same study judged by one command. Needs the programs of `one_node`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from one_node import OneNode, one_node
from small_study import write_small_study

COLUMNS = ("what", "scans", "tasks", "seconds", "records and pages like the other run's", "lost", "left over")
TIMES = ("seconds", "peak_mb")
# times and memory on a page, in its table and in the record that it holds, and the scan's place in its study
VARYING = re.compile(
    rb'<dt>(?:seconds|peak memory) .*?</dd>|"(?:seconds|peak_mb)":\{[^}]*\}|'
    rb'<script type="application/json" id="cohort">.*?</script>',
    re.DOTALL,
)
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass
class Outcome:
    """What a run left.

    Parameters
    ----------
    what : str
    scans, tasks : int
    seconds : float
    equal : int
        Records and pages with the same content, times and memory aside, as those of the other run.
    missing : list of str
        Scans without a record or page, or that failed in one of the two.
    leftovers : list of str
        Half-written files and work folders.
    notes : list of str
        What was done to it.
    """

    what: str
    scans: int
    tasks: int
    seconds: float
    equal: int
    missing: list[str]
    leftovers: list[str]
    notes: list[str] = field(default_factory=list)

    def row(self) -> list[Any]:
        """For the table."""
        told = f"{self.what} ({'; '.join(self.notes)})" if self.notes else self.what
        cells = [told, self.scans, self.tasks or "", round(self.seconds)]
        return [*cells, f"{self.equal} of {self.scans}", len(self.missing), len(self.leftovers)]


def command(module: str, *words: object) -> list[str]:
    """A console script of this installation."""
    return [sys.executable, "-P", "-m", f"bidsqa.cli.{module}", *map(str, words)]


def records(out: Path) -> dict[str, dict[str, Any]]:
    """All records without times and memory, and what their pages hold, by name; a name that comes twice is an error."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(out.glob("sub-*/**/*_desc-qa_*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        for key in TIMES:
            record["provenance"].pop(key, None)
        assert record["bids_name"] not in found, f"two records of {record['bids_name']}"
        page = out / f"{record['bids_name']}.html"
        record["page"] = hashlib.sha256(VARYING.sub(b"", page.read_bytes())).hexdigest() if page.exists() else None
        found[record["bids_name"]] = record
    return found


def judge(what: str, out: Path, expected: dict[str, Any], seconds: float, tasks: int = 0) -> Outcome:
    """Compare an output folder with the records expected in it."""
    found = records(out)
    assert set(found) <= set(expected), "records of scans that were not asked for"
    equal = sum(found.get(name) == record for name, record in expected.items())
    missing = [name for name in expected if found.get(name, {}).get("status") != expected[name]["status"]]
    left = [str(path.relative_to(out)) for path in out.rglob(".*") if path.name.startswith((".tmp-", ".bidsqa-work-"))]
    return Outcome(what, len(expected), tasks, seconds, equal, missing, left)


def run_array(node: OneNode, data: Path, out: Path, jobs: Path, *words: str) -> tuple[str, str]:
    """Write and hand over the array; the numbers of the two jobs."""
    done = subprocess.run(
        command("hpc", "sbatch", data, out, "--job-dir", jobs, "--submit", *words),
        env=node.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    array, group = re.search(r"array (\d+), then group (\d+)", done.stdout).groups()  # type: ignore[union-attr]
    return array, group


def task_state(node: OneNode, array: str, task: int) -> str:
    """State of a task as Slurm says it."""
    told = node.run("scontrol", "show", "job", f"{array}_{task}")
    return re.search(r"JobState=(\w+)", told)[1]  # type: ignore[index]


def wait_for_state(node: OneNode, array: str, task: int, states: Sequence[str], seconds: float = 300) -> str:
    """Wait until a task is in one of the states."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        state = task_state(node, array, task)
        if state in states:
            return state
        time.sleep(0.3)
    raise TimeoutError(f"task {task} of {array} is {state}, not {states}")


def wait_for_log(log: Path, text: str, seconds: float = 120) -> None:
    """Wait until a task's log has a text."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if log.exists() and text in log.read_text(errors="replace"):
            return
        time.sleep(0.2)
    raise TimeoutError(f"{log} never says {text!r}")


def kill_bidsqa(label: str, out: Path) -> int:
    """``kill -9`` of everything of a task but its shell, as the kernel does for want of memory; how many it were."""
    victims = []
    for entry in Path("/proc").iterdir():
        try:
            words = (
                (entry / "cmdline").read_bytes().decode(errors="replace").split("\0") if entry.name.isdigit() else []
            )
        except OSError:
            continue
        if "bidsqa.cli.main" in words and label in words and str(out) in words:
            victims.append(int(entry.name))
    for victim in victims:
        os.kill(victim, signal.SIGKILL)
    return len(victims)


def restart(node: OneNode, array: str, task: int) -> None:
    """Requeue a task and let it run at once."""
    node.run("scontrol", "requeue", f"{array}_{task}")
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            node.run("scontrol", "update", f"jobid={array}_{task}", "StartTime=now")
            return
        except subprocess.CalledProcessError:
            time.sleep(0.5)  # it is still being ended
    raise TimeoutError(f"task {task} of {array} can't be started again")


def array_with_faults(
    node: OneNode, data: Path, out: Path, place: Path, expected: dict[str, Any], *words: str
) -> Outcome:
    """The array: one task killed with -9 and requeued, one requeued while it runs, then the group level."""
    start = time.monotonic()
    participants = list(dict.fromkeys(name.partition("_")[0] for name in expected))
    failing = {name.partition("_")[0] for name, record in expected.items() if record["status"] == "failed"}
    array, group = run_array(node, data, out, place / "jobs", *words)
    log = place / "jobs" / "logs" / f"{array}_1.log"
    wait_for_log(log, "new")
    time.sleep(1.0)
    killed = kill_bidsqa("001", out)
    assert killed, "the first task was over too soon to be killed"
    wait_for_state(node, array, 1, ("FAILED", "COMPLETED"))
    restart(node, array, 1)
    wait_for_log(place / "jobs" / "logs" / f"{array}_2.log", "new")
    wait_for_state(node, array, 2, ("RUNNING",))
    restart(node, array, 2)
    node.wait_for(array, group, seconds=1800)
    outcome = judge("array of bidsqa-hpc, then group", out, expected, time.monotonic() - start, len(participants))
    for task, label in enumerate(participants, start=1):
        assert task_state(node, array, task) == ("FAILED" if label in failing else "COMPLETED"), f"task {task}"
    assert "Restarts=1" in node.run("scontrol", "show", "job", f"{array}_2")
    assert log.read_text().count("task 1 on") == 2, "the log of the first try is kept"
    outcome.notes = ["a task killed with -9 and requeued", "a task requeued while it ran"]
    return outcome


def with_plugin(
    node: OneNode, name: str, data: Path, place: Path, expected: dict[str, Any], labels: Sequence[str], *words: str
) -> Outcome:
    """Nipype's plugin on some participants."""
    out = place / f"out-{name}"
    file = place / f"{name}.yml"
    file.write_text(f"plugin: {name}\n")
    start = time.monotonic()
    done = subprocess.run(
        command(
            "main", data, out, "participant", "group", "--participant-label", *labels, "--use-plugin", file, *words
        ),
        env={key: value for key, value in node.environment.items() if key != "LOGNAME"},
        capture_output=True,
        text=True,
        check=False,
    )
    some = {key: value for key, value in expected.items() if key.partition("_")[0].removeprefix("sub-") in labels}
    code = int(any(record["status"] == "failed" for record in some.values()))
    assert done.returncode == code, done.stdout + done.stderr
    assert not node.run("squeue", "-h", "-a").strip(), "the command ends when its jobs have ended"
    return judge(f"Nipype's plugin {name}, then group", out, some, time.monotonic() - start)


def rows_of(out: Path) -> list[str]:
    """Names in the study's tables."""
    return [
        line.partition("\t")[0]
        for suffix in ("T1w", "T2w")
        for line in (out / f"group_{suffix}.tsv").read_text(encoding="utf-8").splitlines()[1:]
    ]


def main() -> int:
    """Run everything, print the table."""
    from bidsqa.validation.tables import Table

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=20)
    parser.add_argument("--plugin-subjects", type=int, default=2)
    parser.add_argument("--write", type=Path, help="also write the table as JSON for the documentation")
    options = parser.parse_args()
    os.environ.update(dict.fromkeys(THREADS, "1"))  # as in the array's script: other numbers change the last digits
    with tempfile.TemporaryDirectory(prefix="bidsqa-slurm-") as folder:
        place = Path(folder)
        data, plain, out = place / "data", place / "plain", place / "a study's out"
        names = write_small_study(data, options.subjects)
        start = time.monotonic()
        subprocess.run(command("main", data, plain, "participant", "group", "--nprocs", 2), check=True)
        outcomes = [judge("one command, two processes", plain, records(plain), time.monotonic() - start)]
        expected = records(plain)
        assert sorted(expected) == names
        with one_node(place / "slurm", cpus=2) as node:
            outcomes.append(array_with_faults(node, data, out, place, expected))
            assert sorted(rows_of(out)) == names, "every scan stands once in the tables"
            labels = [f"{number:03d}" for number in range(1, options.plugin_subjects + 1)]
            for name in ("SLURM", "SLURMGraph"):
                outcomes.append(with_plugin(node, name, data, place, expected, labels))
    note = (
        f"Made-up heads of 4 mm on a Slurm of one node with two CPUs (load average {os.getloadavg()[0]:.0f}). "
        "Records and pages are compared without times and memory. Left over: half-written files and work folders."
    )
    script = "python tests/slurm/faults_and_plugins.py"
    table = Table("A study on Slurm", COLUMNS, [outcome.row() for outcome in outcomes], note, script)
    print(table.text())
    if options.write:
        table.write(options.write)
    return int(any(each.equal < each.scans or each.missing or each.leftovers for each in outcomes))


if __name__ == "__main__":
    raise SystemExit(main())
