# SPDX-License-Identifier: Apache-2.0
"""What would be done: each scan's state, what is skipped and why, time and memory."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bidsqa.cli.progress import count, printable, say_duration

if TYPE_CHECKING:
    from bidsqa.bids import Collection, Scan
    from bidsqa.settings import Settings

DONE = "done"
SECONDS_A_SCAN, GB_A_SCAN = 10.0, 1.0  # where no record tells better: DESIGN's budget for 1 mm on a warm worker
LONGEST_SECONDS, LARGEST_MB = 1e6, 1e7  # what no scan takes
SAMPLE = 20  # records that are asked for the time they took


@dataclass(frozen=True)
class Plan:
    """The scans of a run and the state that each is in.

    Parameters
    ----------
    states : tuple of (Scan, str)
        ``new``, ``done``, ``changed: ...`` or ``failed before``.
    skipped : tuple of (str, str)
        What is not judged, and why.
    force : bool
        Scans that are done are done again.
    warnings : tuple of str
        Sentences about what in the selection fits nothing.
    """

    states: tuple[tuple[Scan, str], ...]
    skipped: tuple[tuple[str, str], ...]
    force: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def todo(self) -> list[Scan]:
        """The scans to be judged."""
        return [scan for scan, state in self.states if self.force or state != DONE]

    def counts(self) -> str:
        """``212 done, 3 new, 1 failed before``."""
        kinds = Counter(state.partition(":")[0] for _, state in self.states)
        return ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items(), key=lambda item: item[0]))


def make_plan(collection: Collection, out: Path, settings: Settings, force: bool) -> Plan:
    """Look up the state of every collected scan."""
    from bidsqa.outputs import pending

    states = tuple((scan, pending(scan, out, settings)) for scan in collection.scans)
    return Plan(states, collection.skipped, force, collection.warnings)


def describe_plan(plan: Plan, out: Path, nprocs: int, mem_gb: float) -> Iterator[str]:
    """The lines of ``--dry-run``."""
    if plan.states:
        width = max(len(scan.bids_name) for scan, _ in plan.states)
        for scan, state in plan.states:
            again = " (again, by --force)" if plan.force and state == DONE else ""
            yield f"{scan.bids_name:<{width}}  {printable(state)}{again}{_absence(scan, state)}"
    if plan.skipped:
        yield ""
        yield from describe_skipped(plan.skipped)
    yield ""
    yield f"{count(len(plan.states), 'scan')}: {plan.counts()}." if plan.states else "No scans."
    todo = len(plan.todo)
    if todo:
        seconds, memory = _cost([scan for scan, _ in plan.states], out)
        workers = max(1, min(nprocs, todo, int(mem_gb / memory) or 1))
        processes = "1 process" if workers == 1 else f"{workers} processes"
        yield (
            f"{count(todo, 'scan')} to judge: about {say_duration(seconds * todo / workers)} with {processes}, "
            f"up to {memory * workers:.1f} GB of memory."
        )
        if memory > mem_gb:
            yield short_of_memory(memory, mem_gb)


def short_of_memory(needed: float, allowed: float) -> str:
    """The sentence about a limit that a single scan goes beyond (GB both)."""
    return f"That is more than the {allowed:.2g} GB that may be used: one scan alone needs about {needed:.1f} GB."


def _absence(scan: Scan, state: str) -> str:
    """What a scan needs that is a link without content."""
    from bidsqa.image import fetch_command
    from bidsqa.outputs import content_absent

    if state == DONE or not content_absent(Path(scan.path)):
        return ""
    return f"; its content is not here, it will fail without: {printable(fetch_command(Path(scan.path)))}"


def describe_skipped(skipped: Iterable[tuple[str, str]]) -> Iterator[str]:
    """One line for each thing that is not judged."""
    yield "Skipped:"
    for what, why in skipped:
        yield f"  {printable(what)}: {printable(why)}"


def _cost(scans: Sequence[Scan], out: Path) -> tuple[float, float]:
    """Median seconds and GB of a scan, from the records that are there."""
    from bidsqa.bids.names import record_path
    from bidsqa.record import Record
    from bidsqa.verdict.reading import number

    seconds, memory = [], []
    for scan in scans[:SAMPLE]:
        try:
            provenance = Record.load(record_path(out, scan)).provenance
            spent = number(sum(provenance["seconds"].values()))
            peak = number(max(provenance["peak_mb"].values(), default=0.0))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        if spent and 0 < spent < LONGEST_SECONDS:
            seconds.append(spent)
        if peak and 0 < peak < LARGEST_MB:
            memory.append(peak / 1e3)
    return (
        statistics.median(seconds) if seconds else SECONDS_A_SCAN,
        statistics.median(memory) if memory else GB_A_SCAN,
    )
