# SPDX-License-Identifier: Apache-2.0
"""Causes faults for real and prints what came of each.

    python benchmarks/faults.py [--trials 100] [--seed 0] [--only kills|faults|NAME]

First the main job and its workers are killed (SIGKILL) at random moments, half of the trials each; then every fault of
`bidsqa.validation.faults` is caused once. Filling disks, read-only folders and control groups need root; without it
these rows say so. The name of one fault (a function there) causes it alone and renews its row. The command fails where
anything was not as it should be.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from bidsqa.validation.fault_stage import Stage
from bidsqa.validation.faults import FAULTS
from bidsqa.validation.kills import Trials, kill_at_random, ready_for_kills
from bidsqa.validation.tables import Table

COMMAND = "python benchmarks/faults.py"


def main() -> int:
    """Cause, print, write the tables; 1 where something did not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    names = [cause.__name__ for cause in FAULTS]
    parser.add_argument("--only", choices=("kills", "faults", *names))
    parser.add_argument("--tables", type=Path, default=Path("docs/benchmark_tables"))
    arguments = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as temporary:
        stage = Stage.build(Path(temporary))
        tables = {}
        if arguments.only in (None, "kills"):
            tables["kills"], count = _kills(stage, arguments.trials, arguments.seed)
            wrong += count
        if arguments.only != "kills":
            tables["faults"], count = _faults(stage, arguments.only, arguments.tables / "faults.json")
            wrong += count
    for name, table in tables.items():
        print(table.text())
        table.write(arguments.tables / f"{name}.json")
    return int(wrong > 0)


def _kills(stage: Stage, count: int, seed: int) -> tuple[Table, int]:
    anatomy, seconds = ready_for_kills(stage)
    rows, wrong = [], 0
    for whom in ("parent", "worker"):
        trials = kill_at_random(stage, whom, count // 2, seed, anatomy, seconds)
        wrong += not trials.held
        rows.append([f"kill -9 of {'the parent' if whom == 'parent' else 'a worker'}", *_cells(trials)])
        print(rows[-1], trials.faults(), file=sys.stderr, flush=True)
    note = (
        f"{stage.scans()} small scans a run, one or two processes, half of the runs with a work folder that the next "
        f"run finds; seed {seed}. Hit: the process was there at the moment drawn. A killed worker may cost its own "
        "scan and no other; a killed parent leaves no failed record and no process. Complete: the same command again "
        "ends with exit code 0, every scan has its record and page, and nothing half written is left."
    )
    columns = ["what", "trials hit", "torn files", "processes left", "scans finished", "scans lost", "then complete"]
    return Table("Killed at random moments", columns, rows, note, COMMAND), wrong


def _cells(trials: Trials) -> list[object]:
    complete_ones = trials.count - len(trials.incomplete)
    return [trials.count, len(trials.torn), len(trials.orphans), trials.finished, trials.lost, complete_ones]


def _faults(stage: Stage, only: str | None, path: Path) -> tuple[Table, int]:
    known = json.loads(path.read_text(encoding="utf-8"))["rows"] if only not in (None, "faults") else []
    rows = []
    for number, cause in enumerate(FAULTS):
        if known and cause.__name__ != only:
            rows.append(known[number])
            continue
        outcome = cause(stage)
        if outcome is None:
            rows.append([(cause.__doc__ or "").strip().splitlines()[0], "not tried: needs root", ""])
        else:
            rows.append([outcome.fault, "yes" if outcome.held else "NO", outcome.told])
        print(rows[-1], file=sys.stderr, flush=True)
    wrong = sum(row[1] == "NO" for row in rows)
    note = f"Each caused once, on {stage.scans()} scans of a head at 5 mm; {wrong} ended otherwise than they should."
    columns = ["fault", "as it should be", "what came of it"]
    return Table("Faults, caused for real", columns, rows, note, COMMAND), wrong


if __name__ == "__main__":
    raise SystemExit(main())
