# SPDX-License-Identifier: Apache-2.0
"""Being stopped by a signal, also where a library swallows what the signal's handler raised.

A handler's exception goes up from wherever the program happens to be. Nipype catches everything that is raised in a
node and goes on with the next one; finalizers and some compiled code do likewise. So what was raised is kept, and those
who go from one piece of work to the next, or blame a scan for an error, ask `raise_interruption` first.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any, NoReturn

SIGNALS = (signal.SIGTERM, signal.SIGINT)
# a process and its group may both be told (timeout(1) does): the second must not cut short the tidying after the first
REPEAT_SECONDS = 2.0


class Stopped(BaseException):
    """A signal asked the run to end.

    Parameters
    ----------
    number : int
        Of the signal; the exit code is 128 more.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@dataclass
class _Memory:
    keeping: bool = False
    raised: BaseException | None = None
    when: float = 0.0


_memory = _Memory()


def raise_interruption() -> None:
    """Raise again what a signal's handler raised since `stopping_cleanly` or `keeping_interruptions` began, if any."""
    if _memory.raised is not None:
        raise _memory.raised


@contextlib.contextmanager
def stopping_cleanly() -> Iterator[None]:
    """Turn SIGTERM and Ctrl-C into `Stopped`, so that what must be tidied up is; not outside the main thread."""
    owner = os.getpid()

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        if os.getpid() != owner:  # a forked worker: its parent does the talking
            os._exit(128 + number)
        raise Stopped(number)

    with _handling(dict.fromkeys(SIGNALS, stop)):
        yield


@contextlib.contextmanager
def keeping_interruptions() -> Iterator[None]:
    """Keep what the present handlers raise (``KeyboardInterrupt``, mostly); within `stopping_cleanly` nothing more."""
    with _handling({number: signal.getsignal(number) for number in SIGNALS}):
        yield


@contextlib.contextmanager
def _handling(handlers: dict[signal.Signals, Any]) -> Iterator[None]:
    if _memory.keeping or threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {}
    _memory.keeping = True
    try:
        for number, handler in handlers.items():
            if callable(handler):
                previous[number] = signal.signal(number, _kept(handler))
        yield
        raise_interruption()
    except Exception:
        raise_interruption()  # the stop is what matters, whatever it was turned into
        raise
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        _memory.keeping, _memory.raised = False, None


def _kept(handler: Callable[[int, FrameType | None], Any]) -> Callable[[int, FrameType | None], None]:
    def keep(number: int, frame: FrameType | None) -> None:
        if _memory.raised is not None and time.monotonic() - _memory.when < REPEAT_SECONDS:
            return
        try:
            handler(number, frame)
        except BaseException as raised:
            _memory.raised, _memory.when = raised, time.monotonic()
            raise

    return keep
