# SPDX-License-Identifier: Apache-2.0
"""What the user sees during a run."""

from __future__ import annotations

import io

import pytest

from bidsqa.cli.progress import Progress, printable, say_duration
from bidsqa.cli.train_progress import TrainingProgress
from bidsqa.workflows import Event


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def follow(live: bool) -> str:
    stream, clock = io.StringIO(), Clock()
    progress = Progress(4, stream, live=live, clock=clock)
    progress(Event("scan_started", "sub-01_T1w", "conform"))
    clock.now = 5
    progress(Event("step", "sub-01_T1w", "anatomy", 5))
    clock.now = 10
    progress(Event("scan_done", "sub-01_T1w", "record", 10, "pass"))
    progress(Event("scan_failed", "sub-02\x1b[2J", "conform", 1, "empty\x07 (copy it)"))
    progress.close()
    return stream.getvalue()


def test_plain_lines_where_there_is_no_terminal() -> None:
    told = follow(live=False)
    assert "\r" not in told
    assert "\x1b" not in told
    first, second = told.splitlines()
    assert first == "pass    sub-01_T1w in 10 s; 1 of 4, about 30 s left"
    assert second.startswith("failed  sub-02")
    assert "empty" in second


def test_one_live_line_on_a_terminal() -> None:
    told = follow(live=True)
    assert told.count("\n") == 1, "only a failure stays"
    assert "1 of 4, about 30 s left" in told
    assert "now sub-01_T1w (anatomy)" in told
    assert told.endswith("\r\x1b[K")
    assert "\x1b[2J" not in told


def test_durations_in_words() -> None:
    assert [say_duration(value) for value in (0.4, 59, 125, 3599, 12_000, -3)] == [
        "0 s",
        "59 s",
        "2 min 5 s",
        "59 min",
        "3 h 20 min",
        "0 s",
    ]


def test_control_characters_are_replaced() -> None:
    assert printable("größe 1") == "größe 1"
    assert "\n" not in printable("a\nb")


def test_training_on_a_terminal_is_one_line() -> None:
    pytest.importorskip("torch")
    from bidsqa.training.loop import Event as Step

    stream, clock = io.StringIO(), Clock()
    progress = TrainingProgress(stream, live=True, steps=10, clock=clock)
    for number in (1, 2, 3):
        progress.reading(number, 3, "sub-01_T1w")
        clock.now += 2
    progress.step(Step(1, 5.0, 45.0, 0.5))
    progress.step(Step(2, 10.0, 40.0, 0.5, {"watch_loss": 0.4}, (2, 0.4)))
    progress.close()
    text = stream.getvalue()
    assert "reading scan 3 of 3, about 2 s left: sub-01_T1w" in text
    assert "step 1 of 10, 5 s spent, about 45 s left, loss 0.5" in text
    assert text.count("\n") == 1
    assert "watched 0.4 (best 0.4 at step 2)\n" in text
