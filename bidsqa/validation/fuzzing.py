# SPDX-License-Identifier: Apache-2.0
"""Hostile input by the thousand: what is drawn, what is done with it, and what must hold whatever it is.

For every case: bidsqa refuses it with a cause and a hint, or accepts it with finite numbers. It never hangs, never asks
for more memory than the limit, never writes outside the output folder, and no text of it is markup in a page.
"""

from __future__ import annotations

import contextlib
import resource
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bidsqa.errors import BidsqaError

MEGABYTE = 1_000_000
PATIENCE = 10.0
BATCH = 100  # cases drawn at a time where the time is bounded
REFUSED, ACCEPTED = "refused", "accepted"


class Violation(AssertionError):
    """Something that must never happen did."""


@dataclass(frozen=True)
class Target:
    """One kind of hostile input.

    Parameters
    ----------
    name : str
    what : str
        What is drawn, in words.
    cases : callable
        Gives the strategy.
    check : callable
        ``check(case, folder)`` feeds a case to bidsqa in a folder of its own and returns the outcome in a word;
        raises `Violation`, or lets out any error but a `BidsqaError`, where a property is broken.
    seconds, megabytes : float
        What one case may take: time of the processor (ten times as much on the clock), address space.
    """

    name: str
    what: str
    cases: Callable[[], Any]
    check: Callable[[Any, Path], str]
    seconds: float = 5.0
    megabytes: float = 300.0


@dataclass
class Tally:
    """What became of the cases of a target.

    Parameters
    ----------
    outcomes : Counter
        Cases by outcome.
    seconds, slowest : float
        Processor time of all cases together and of the slowest one.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    slowest: float = 0.0


def run_target(
    target: Target, folder: Path, cases: int, seconds: float = 1e9, seed: int | None = None, *, shrink: bool = False
) -> Tally:
    """Draw cases and check each.

    Parameters
    ----------
    target : Target
    folder : Path
        Scratch space; each case has a folder of its own in it, removed afterwards.
    cases : int
        At most so many.
    seconds : float
        No case is begun after this time.
    seed : int, optional
        Other cases; by default the same ones each time.
    shrink : bool
        Look for the smallest case that breaks a property, which can take minutes.

    Raises
    ------
    Violation
        With the case.
    """
    import hypothesis

    tally = Tally()
    start = time.monotonic()

    def body(case: Any) -> None:
        if time.monotonic() - start > seconds:
            return
        begun = time.process_time()
        outcome = check_case(target, case, folder)
        spent = time.process_time() - begun
        tally.outcomes[outcome] += 1
        tally.seconds += spent
        tally.slowest = max(tally.slowest, spent)

    left, batch = cases, cases if seed is None else BATCH
    while left > 0 and time.monotonic() - start <= seconds:
        options = hypothesis.settings(
            max_examples=min(batch, left),
            deadline=None,
            database=None,
            derandomize=seed is None,
            suppress_health_check=list(hypothesis.HealthCheck),
            phases=(hypothesis.Phase.generate, *((hypothesis.Phase.shrink,) if shrink else ())),
            report_multiple_bugs=False,
        )
        test = hypothesis.given(target.cases())(body)
        if seed is not None:
            test = hypothesis.seed(seed + left)(test)
        options(test)()
        left -= batch
    return tally


def check_case(target: Target, case: Any, folder: Path) -> str:
    """The outcome of one case, within the target's limits."""
    import shutil
    import tempfile

    own = Path(tempfile.mkdtemp(dir=folder))
    try:
        with limits(target.seconds, target.megabytes):
            return target.check(case, own)
    except BidsqaError as error:
        return refusal(error)
    finally:
        shutil.rmtree(own, ignore_errors=True)


def refusal(error: BidsqaError) -> str:
    """The outcome of a clear refusal.

    Raises
    ------
    Violation
        It isn't clear, or it came of want of memory.
    """
    if "memory" in error.cause:
        raise Violation(f"more memory was asked for than the limit: {error}") from error
    for text in (error.cause, error.hint):
        if not text.strip() or len(text) > 2000:
            raise Violation(f"no clear refusal: {error!r}") from error
    return REFUSED


@contextlib.contextmanager
def limits(seconds: float, megabytes: float) -> Iterator[None]:
    """Within the block, more time raises `Violation` and more memory `MemoryError` (Linux; main thread).

    Parameters
    ----------
    seconds : float
    megabytes : float
        Address space beyond what the process has.
    """

    def too_long(signum: int, frame: Any) -> None:
        raise Violation(f"no end after {seconds:g} s")

    def waits(signum: int, frame: Any) -> None:
        raise Violation(f"no end after {PATIENCE * seconds:g} s of waiting")

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    allowed = int(_address_space() + megabytes * MEGABYTE)
    before = signal.signal(signal.SIGPROF, too_long), signal.signal(signal.SIGALRM, waits)
    resource.setrlimit(resource.RLIMIT_AS, (allowed if hard == resource.RLIM_INFINITY else min(allowed, hard), hard))
    # seconds of the processor, so that other work on the machine doesn't count; one who waits for ever uses none
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE * seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGPROF, before[0])
        signal.signal(signal.SIGALRM, before[1])
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
