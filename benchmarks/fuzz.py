# SPDX-License-Identifier: Apache-2.0
"""Tries hostile input of every kind by the thousand and prints what became of it.

    python benchmarks/fuzz.py [--cases 3000] [--seconds 600] [--targets images records] [--seed 1]

Each kind runs in a process of its own, which may die without taking the others along. Exit code 1 if a case broke a
property (see `bidsqa.validation.fuzzing`); it is printed. A table that is there already keeps the rows of kinds that
weren't asked for.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bidsqa.validation.fuzz_datasets import DATASET_TARGETS
from bidsqa.validation.fuzz_outputs import OUTPUT_TARGETS
from bidsqa.validation.fuzzing import REFUSED, run_target
from bidsqa.validation.tables import Table

TARGETS = {target.name: target for target in (*DATASET_TARGETS, *OUTPUT_TARGETS)}
COLUMNS = ["input", "what is drawn", "cases", "refused with a cause", "accepted", "slowest case (s)", "broken"]


def main() -> int:
    """Run, print, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=3000, help="of each kind")
    parser.add_argument("--seconds", type=float, default=600.0, help="on the clock, for each kind")
    parser.add_argument("--targets", nargs="+", choices=list(TARGETS), default=list(TARGETS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tables", type=Path, default=Path("docs/benchmark_tables"))
    parser.add_argument("--one", choices=list(TARGETS), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        return _run_one(given.one, given.cases, given.seconds, given.seed)
    path = given.tables / "fuzz.json"
    known = {row[0]: row for row in json.loads(path.read_text())["rows"]} if path.exists() else {}
    broken = 0
    for name in given.targets:
        row = _in_own_process(name, given)
        broken += row[-1] != "0"
        known[name] = row
        rows = [known[name] for name in TARGETS if name in known]
        command = f"python benchmarks/fuzz.py --cases {given.cases} --seconds {given.seconds:g}"
        table = Table("Hostile input, drawn at random", COLUMNS, rows, _note(rows), command)
        table.write(path)
        print("  ".join(row), flush=True)
    print(table.text())
    return int(broken > 0)


def _note(rows: list[list[str]]) -> str:
    return (
        f"{sum(int(row[2]) for row in rows):,} cases in all. Each runs within limits of time and address space; what "
        "is accepted must give finite numbers, a page without foreign markup, and no file outside the output folder. "
        "The time is the processor's."
    )


def _in_own_process(name: str, given: argparse.Namespace) -> list[str]:
    command = [sys.executable, "-P", __file__, "--one", name, "--cases", str(given.cases)]
    command += ["--seconds", str(given.seconds), "--seed", str(given.seed)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    lines = done.stdout.splitlines() or [""]
    try:
        told = json.loads(lines[-1])
    except ValueError:
        print(done.stdout[-3000:], file=sys.stderr)
        told = {"outcomes": {}, "slowest": 0.0, "broken": f"ended with {done.returncode}"}
    cases = sum(told["outcomes"].values())
    refused = told["outcomes"].get(REFUSED, 0)
    slowest = f"{told['slowest']:.2f}"
    return [name, TARGETS[name].what, str(cases), str(refused), str(cases - refused), slowest, told.get("broken", "0")]


def _run_one(name: str, cases: int, seconds: float, seed: int) -> int:
    logging.disable(logging.CRITICAL)
    broken = {}
    with tempfile.TemporaryDirectory() as temporary:
        os.chdir(temporary)
        folder = Path(temporary) / "cases"
        folder.mkdir()
        try:
            tally = run_target(TARGETS[name], folder, cases, seconds, seed)
        except BaseException as error:
            notes = "\n".join(getattr(error, "__notes__", []))
            print(f"{name}: {type(error).__name__}: {error}\n{notes[:3000]}", file=sys.stderr)
            print(json.dumps({"outcomes": {}, "slowest": 0.0, "broken": type(error).__name__}))
            return 1
        if os.listdir(temporary) != ["cases"]:
            broken = {"broken": "wrote elsewhere"}
    print(json.dumps({"outcomes": dict(tally.outcomes), "slowest": tally.slowest, **broken}))
    return int(bool(broken))


if __name__ == "__main__":
    raise SystemExit(main())
