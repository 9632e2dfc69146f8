# SPDX-License-Identifier: Apache-2.0
"""What the user sees while a network is trained: one calm line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable
from typing import Protocol, TextIO

from bidsqa.cli.progress import printable, say_duration

LIVE_SECONDS = 0.3
PLAIN_SECONDS = 15.0


class Step(Protocol):
    """What the training's loop tells after a step (``bidsqa.training.loop.Event``)."""

    @property
    def step(self) -> int:
        """Steps done."""

    @property
    def seconds(self) -> float:
        """Time spent."""

    @property
    def left(self) -> float | None:
        """Time left, where it can be told."""

    @property
    def loss(self) -> float:
        """Mean since the last row of the curve; may be NaN."""

    @property
    def row(self) -> dict[str, float] | None:
        """The row of the curve that was just written."""

    @property
    def best(self) -> tuple[int, float] | None:
        """Step and watched loss of the best look."""


class TrainingProgress:
    """Tells of reading and training.

    Parameters
    ----------
    stream : text stream
        Where to tell.
    live : bool
        One line that is written over (a terminal) instead of a line now and then.
    steps : int, optional
        All steps, where that is how the length is given.
    clock : callable
        Seconds, for tests.
    """

    def __init__(
        self, stream: TextIO, *, live: bool, steps: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream, self._live, self._steps, self._clock = stream, live, steps, clock
        self._drawn = -math.inf
        self._began = clock()

    def say(self, line: str) -> None:
        """A line that stays."""
        text = "\n".join(printable(part) for part in line.split("\n"))
        self._stream.write(f"\r\x1b[K{text}\n" if self._live else f"{text}\n")
        self._stream.flush()

    def reading(self, number: int, total: int, name: str) -> None:
        """Before each scan is read."""
        self.count("reading scan", number, total, name)

    def count(self, doing: str, number: int, total: int, name: str) -> None:
        """Before each of several pieces of work."""
        if number == 1:
            self._began = self._clock()
        each = (self._clock() - self._began) / max(number - 1, 1)
        left = f", about {say_duration(each * (total - number + 1))} left" if number > 1 else ""
        self._now_and_then(f"{doing} {number} of {total}{left}: {name}", last=number == total)

    def step(self, event: Step) -> None:
        """After each step."""
        of = f" of {self._steps}" if self._steps else ""
        words = [f"step {event.step}{of}", f"{say_duration(event.seconds)} spent"]
        if event.left is not None:
            words.append(f"about {say_duration(event.left)} left")
        if not math.isnan(event.loss):
            words.append(f"loss {event.loss:.4g}")
        if event.row is None:
            if self._live:
                self._now_and_then(", ".join(words))
            return
        watched = event.row.get("watch_loss")
        if watched is not None:
            best = f" (best {event.best[1]:.4g} at step {event.best[0]})" if event.best else ""
            words.append(f"watched {watched:.4g}{best}")
        self.say(", ".join(words))

    def _now_and_then(self, line: str, last: bool = False) -> None:
        now = self._clock()
        if now - self._drawn < (LIVE_SECONDS if self._live else PLAIN_SECONDS) and not last:
            return
        self._drawn = now
        if not self._live:
            self.say(line)
            return
        width = shutil.get_terminal_size().columns - 1
        line = printable(line)
        self._stream.write(f"\r{line if len(line) <= width else line[: max(0, width - 1)] + '…'}\x1b[K")
        self._stream.flush()

    def close(self) -> None:
        """Clear the live line."""
        if self._live:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
