# SPDX-License-Identifier: Apache-2.0
"""What a step costs: its seconds and the peak memory of its process."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


@dataclass
class Ledger:
    """Seconds and peak megabytes by step.

    Parameters
    ----------
    seconds : dict of str to float
        Wall-clock time of each step, s.
    peak_mb : dict of str to float
        Largest resident memory of the process during each step, MB (10⁶ bytes); absent where the system doesn't tell.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    peak_mb: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Account for what runs inside under this step's name."""
        _reset_peak()
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(time.perf_counter() - start, 3)
            peak = peak_mb()
            if peak is not None:
                self.peak_mb[name] = round(peak, 1)


def _reset_peak() -> None:
    """Ask Linux to forget the process's peak so far (proc(5), clear_refs); elsewhere the peak is the process's own."""
    with contextlib.suppress(OSError):
        _RESET.write_text("5")


def peak_mb() -> float | None:
    """Largest resident memory of this process since its present step began, MB; None where the system doesn't tell."""
    try:
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    return None
