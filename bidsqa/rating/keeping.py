# SPDX-License-Identifier: Apache-2.0
"""Things that are costly to make, kept while there is room; who asks for one that is there never waits for another."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, TypeVar

Thing = TypeVar("Thing")


class Kept(Generic[Thing]):
    """What was made last; what was not used longest goes first.

    Parameters
    ----------
    room : float
        Sum of sizes that may be kept; the newest stays in any case.
    size : callable
        Of a thing, in the unit of ``room``.
    making : threading.RLock
        Held while a thing is made, so that one is made at a time.
    """

    def __init__(self, room: float, size: Callable[[Thing], float], making: Any) -> None:
        self._room, self._size, self._making = room, size, making
        self._things: OrderedDict[str, Thing] = OrderedDict()
        self._looking = threading.Lock()

    def get(self, key: str, make: Callable[[], Thing]) -> Thing:
        """The thing of that name, made where it isn't there."""
        with self._looking:
            if key in self._things:
                self._things.move_to_end(key)
                return self._things[key]
        with self._making:
            with self._looking:
                if key in self._things:  # made while this call waited
                    return self._things[key]
            made = make()
            with self._looking:
                self._things[key] = made
                while len(self._things) > 1 and sum(map(self._size, self._things.values())) > self._room:
                    self._things.popitem(last=False)
            return made
