# SPDX-License-Identifier: Apache-2.0
"""What the user sees while scans are judged: one calm line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from bidsqa.workflows import Event

log = logging.getLogger("bidsqa.progress")


def printable(text: str) -> str:
    """Text from outside without control characters, which a terminal would obey."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def say_duration(seconds: float) -> str:
    """``8 s``, ``2 min 5 s``, ``3 h 20 min``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole < 600 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def count(number: int, word: str) -> str:
    """``1 scan``, ``2 scans``."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


class Progress:
    """Follows a run by its events.

    Parameters
    ----------
    total : int
        Scans to be judged.
    stream : text stream
        Where to tell.
    live : bool
        One line that is written over (a terminal) instead of a line a scan.
    clock : callable
        Seconds, for tests.
    """

    def __init__(self, total: int, stream: TextIO, *, live: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._total = total
        self._stream = stream
        self._live = live
        self._clock = clock
        self._start = clock()
        self._done = 0
        self._failed = 0
        self._running: dict[str, str] = {}

    def __call__(self, event: Event) -> None:
        """Take notice of one event."""
        name = printable(event.bids_name)
        log.info("%s %s %s %.1f s %s", event.kind, name, event.step, event.seconds, printable(event.message))
        if event.kind in ("scan_started", "step"):
            self._running[name] = event.step
        elif event.kind in ("scan_done", "scan_failed"):
            self._running.pop(name, None)
            self._finish(event, name)
        elif event.kind == "notice":
            self.tell(f"Note: {printable(event.message)}")
        if self._live:
            self._draw()

    def _finish(self, event: Event, name: str) -> None:
        failed = event.kind == "scan_failed"
        self._failed += failed
        self._done += not failed
        if failed:
            self.tell(f"failed  {name}: {printable(event.message)}")
        elif not self._live:
            word = printable(event.message) or "done"
            self.tell(f"{word:<6}  {name} in {say_duration(event.seconds)}; {self._state()}")

    def _state(self) -> str:
        finished = self._done + self._failed
        words = [f"{finished} of {self._total}"]
        if self._failed:
            words.append(f"{self._failed} failed")
        left = self._left(finished)
        if left is not None:
            words.append(f"about {say_duration(left)} left")
        return ", ".join(words)

    def _left(self, finished: int) -> float | None:
        if not finished or finished >= self._total:
            return None
        return (self._clock() - self._start) / finished * (self._total - finished)

    def _draw(self) -> None:
        running = ", ".join(f"{name} ({step})" if step else name for name, step in self._running.items())
        line = f"{self._state()}{'; now ' + running if running else ''}"
        width = shutil.get_terminal_size().columns - 1
        line = line if len(line) <= width else line[: max(0, width - 1)] + "…"
        # return, line, clear what the previous one left
        self._stream.write(f"\r{line}\x1b[K")
        self._stream.flush()

    def tell(self, line: str) -> None:
        """Write one line that stays."""
        self._stream.write(f"\r\x1b[K{line}\n" if self._live else f"{line}\n")
        self._stream.flush()

    def close(self) -> None:
        """Clear the live line."""
        if self._live:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
