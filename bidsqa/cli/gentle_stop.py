# SPDX-License-Identifier: Apache-2.0
"""Being stopped while a network learns: the step that runs is finished, so that its checkpoint is whole."""

from __future__ import annotations

import signal
import sys
import threading
import time
from types import FrameType
from typing import Any

from bidsqa.stopping import REPEAT_SECONDS


class GentleStop:
    """Signals while a network learns: the first is heeded after the step, a later one at once.

    Calling it tells whether there was one.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._when = 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> GentleStop:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *problem: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __call__(self) -> bool:
        return self.number is not None

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.number is None:
            self.number, self._when = number, time.monotonic()
            print("\nStopping after this step; once more stops at once.", file=sys.stderr, flush=True)
        elif time.monotonic() - self._when > REPEAT_SECONDS:
            handler = self._before.get(number)
            if callable(handler):
                handler(number, frame)
