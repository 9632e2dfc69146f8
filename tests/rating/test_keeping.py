# SPDX-License-Identifier: Apache-2.0
"""What is kept, what goes, and that nobody waits for what is there."""

from __future__ import annotations

import threading

from bidsqa.rating.keeping import Kept


def test_what_was_not_used_longest_goes() -> None:
    made: list[str] = []
    kept: Kept[str] = Kept(10, len, threading.RLock())

    def get(name: str) -> None:
        assert kept.get(name, lambda: made.append(name) or name) == name  # type: ignore[func-returns-value]

    for name in ("aaaa", "bbbb", "aaaa", "cccc", "aaaa", "bbbb"):
        get(name)
    assert made == ["aaaa", "bbbb", "cccc", "bbbb"]
    get("a thing larger than the room")
    get("a thing larger than the room")
    assert made[-1] != made[-2]


def test_what_is_there_is_had_while_another_is_made() -> None:
    kept: Kept[int] = Kept(10, lambda _: 1, threading.RLock())
    kept.get("ready", lambda: 1)
    begun, finish = threading.Event(), threading.Event()

    def slow() -> int:
        begun.set()
        assert finish.wait(30)
        return 2

    maker = threading.Thread(target=lambda: kept.get("slow", slow))
    maker.start()
    assert begun.wait(30)
    assert kept.get("ready", lambda: 3) == 1
    waiting: list[int] = []
    second = threading.Thread(target=lambda: waiting.append(kept.get("slow", lambda: 4)))
    second.start()
    finish.set()
    maker.join()
    second.join()
    assert waiting == [2], "made once"
