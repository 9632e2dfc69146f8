# SPDX-License-Identifier: Apache-2.0
"""What a reader is shown next: practice, repeats at a distance with sides swapped, catch trials, informative pairs.

All is decided from the trials on disk and a seed, so a reader who comes back goes on where they stopped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np

from bidsqa.rating.sampling import (
    FIRST_BETTER,
    SECOND_BETTER,
    SIMILAR,
    Comparison,
    batch_of_pairs,
    information_gain,
    posterior,
)
from bidsqa.rating.store import Item, Proposal, Store, Trial
from bidsqa.rating.tasks import SKIP

Array = np.ndarray[Any, Any]
REPEAT_SHARE = 0.125
REPEAT_LAG = 20
CATCH_EVERY = 33
UNIFORM_SHARE = 0.25
CLEAN = -1
OUTCOMES = {"left": FIRST_BETTER, "similar": SIMILAR, "right": SECOND_BETTER}
COUNTED = ("main", "repeat")


@dataclass(frozen=True)
class Pool:
    """The items of one task.

    Parameters
    ----------
    main, practice, catch : tuple of Item
        To be rated; to be warmed up with; so bad that everybody sees it.
    goal : int
        Main trials after which a reader is done.
    """

    main: tuple[Item, ...]
    practice: tuple[Item, ...]
    catch: tuple[Item, ...]
    goal: int


class Planner:
    """Decides what comes next for each reader of one task.

    Parameters
    ----------
    store : Store
    task : str
    pool : Pool
    seed : int
        Of all chance.
    unusable : set of int
        Rows of items whose pictures can't be made; they are passed over.
    """

    def __init__(self, store: Store, task: str, pool: Pool, seed: int, unusable: set[int]) -> None:
        self.store, self.task, self.pool, self.seed, self.unusable = store, task, pool, seed, unusable

    def propose(self, reader: int, history: Sequence[Trial], ahead: bool = False) -> Proposal | None:
        """The next trial of a reader with this history, or None when all is done.

        With ``ahead`` nothing is written, and None also where the choice waits for the answer that is being given.
        """
        chance = np.random.default_rng((self.seed, reader, len(history)))
        practice = [item for item in self.pool.practice if item.id not in self.unusable]
        practised = {trial.item for trial in history if trial.kind == "practice"}
        warming_up = [item for item in practice if item.id not in practised]
        if warming_up and all(trial.kind == "practice" for trial in history):
            return self._new(warming_up[0], "practice", "fixed", chance)
        counted = [trial for trial in history if trial.kind != "practice"]
        main = [trial for trial in counted if trial.kind == "main"]
        if sum(trial.value != SKIP for trial in main) >= self.pool.goal:
            return None
        catch = [item for item in self.pool.catch if item.id not in self.unusable]
        if catch and counted and len(counted) % CATCH_EVERY == CATCH_EVERY // 2:
            seen = sum(trial.kind == "catch" for trial in counted)
            return self._new(catch[seen % len(catch)], "catch", "fixed", chance)
        repeat = self._repeat(counted, chance)
        if repeat is not None:
            return repeat
        return (
            self._pair(reader, main, chance, ahead) if self.task == "pairwise" else self._single(reader, main, chance)
        )

    def done_and_goal(self, history: Sequence[Trial]) -> tuple[int, int]:
        """Main trials answered and not skipped, and how many there will be."""
        done = sum(trial.kind == "main" and trial.value not in (None, SKIP) for trial in history)
        return done, self.pool.goal

    def _new(self, item: Item, kind: str, strategy: str, chance: np.random.Generator) -> Proposal:
        """A practice or catch trial: the clean image against the worst, or the worst alone."""
        seed = int(chance.integers(2**31))
        if self.task != "pairwise":
            expected = str(item.content["expected"]) if kind == "catch" else None
            return Proposal(item, kind, strategy, seed, left_item=0, expected=expected)
        worst = len(item.content["versions"]) - 1
        left_is_clean = bool(chance.random() < 0.5)
        sides = (CLEAN, worst) if left_is_clean else (worst, CLEAN)
        expected = ("left" if left_is_clean else "right") if kind == "catch" else None
        return Proposal(item, kind, strategy, seed, *sides, expected=expected)

    def _repeat(self, counted: Sequence[Trial], chance: np.random.Generator) -> Proposal | None:
        """One of the trials at least `REPEAT_LAG` back that has not come again, with its sides swapped."""
        repeated = {trial.repeat_of for trial in counted if trial.kind == "repeat"}
        main = [trial for trial in counted if trial.kind == "main"]
        if len(repeated) + 1 > REPEAT_SHARE * max(len(main), 1):
            return None
        far = [
            trial
            for trial in counted[: max(len(counted) - REPEAT_LAG + 1, 0)]
            if trial.kind == "main" and trial.value != SKIP
            if trial.id not in repeated and trial.item not in self.unusable
        ]
        if not far:
            return None
        again = far[int(chance.integers(len(far)))]
        pair = self.task == "pairwise"
        sides = (again.right_item, again.left_item) if pair else (again.left_item, again.right_item)
        item = self.store.item(again.item)
        # the plan stays that of the first showing: a repeat uses up no pair of a batch
        return Proposal(item, "repeat", again.strategy, int(chance.integers(2**31)), *sides, repeat_of=again.id)

    def _single(self, reader: int, main: Sequence[Trial], chance: np.random.Generator) -> Proposal | None:
        """The next item in this reader's own order; at the end what was skipped comes once more."""
        order = np.random.default_rng((self.seed, reader)).permutation(len(self.pool.main))
        items = [self.pool.main[at] for at in order if self.pool.main[at].id not in self.unusable]
        seen = Counter(trial.item for trial in main)
        answered = {trial.item for trial in main if trial.value != SKIP}
        left = [item for item in items if not seen[item.id]]
        left = left or [item for item in items if item.id not in answered and seen[item.id] == 1]
        return Proposal(left[0], "main", "fixed", int(chance.integers(2**31)), left_item=0) if left else None

    def _pair(self, reader: int, main: Sequence[Trial], chance: np.random.Generator, ahead: bool) -> Proposal | None:
        items = [item for item in self.pool.main if item.id not in self.unusable]
        asked = {(trial.item, *sorted((trial.left_item or 0, trial.right_item or 0))) for trial in main}
        left = [
            (item, first, second)
            for item in items
            for first, second in combinations(range(len(item.content["versions"])), 2)
            if (item.id, first, second) not in asked
        ]
        if not left:
            return None
        if chance.random() < UNIFORM_SHARE:
            item, first, second = left[int(chance.integers(len(left)))]
            strategy, plan = "uniform", None
        else:
            chosen = self._informative(reader, left, ahead)
            if chosen is None:
                return None
            plan, (item, first, second) = chosen
            strategy = "active"
        if chance.random() < 0.5:
            first, second = second, first
        return Proposal(item, "main", strategy, int(chance.integers(2**31)), first, second, plan=plan)

    def _informative(
        self, reader: int, left: Sequence[tuple[Item, int, int]], ahead: bool
    ) -> tuple[int, tuple[Item, int, int]] | None:
        """The next pair of the reader's batch; a new batch where it is used up."""
        free = {(item.id, first, second): item for item, first, second in left}
        batch = self.store.last_plan(reader, self.task)
        if batch is not None:
            for item, first, second in batch[1]:
                if (item, first, second) in free:
                    return batch[0], (free[item, first, second], first, second)
        if ahead:
            return None
        pairs = self._batch(free)
        plan = self.store.add_plan(reader, self.task, pairs)
        item, first, second = pairs[0]
        return plan, (free[item, first, second], first, second)

    def _batch(self, free: Mapping[tuple[int, int, int], Item]) -> list[tuple[int, int, int]]:
        """The spanning tree of the source whose best free pair tells most; pairs asked already are left out."""
        answers = comparisons_of(self.store.trials(self.task))
        best: tuple[float, list[tuple[int, int, int]]] | None = None
        for item in {item.id: item for item in free.values()}.values():
            count = len(item.content["versions"])
            gains = _gains(count, tuple(answers.get(item.id, ())))
            open_pairs = [(first, second) for number, first, second in free if number == item.id]
            most = max(gains[pair] for pair in open_pairs)
            if best is None or most > best[0]:
                tree = [pair for pair in batch_of_pairs(gains) if pair in open_pairs]
                chosen = tree or sorted(open_pairs, key=lambda pair: -gains[pair])[:1]
                best = (most, [(item.id, first, second) for first, second in chosen])
        assert best is not None, "there was a free pair"
        return best[1]


@lru_cache(maxsize=4096)
def _gains(count: int, comparisons: tuple[Comparison, ...]) -> Array:
    """Information of each pair of a source; kept, since one answer changes one source alone."""
    return information_gain(*posterior(count, comparisons))


def comparisons_of(trials: Sequence[Trial]) -> dict[int, list[Comparison]]:
    """All readers' comparisons by item; catch and practice trials and skipped ones say nothing about a source."""
    found: dict[int, list[Comparison]] = {}
    for trial in trials:
        if trial.kind in COUNTED and trial.value in OUTCOMES:
            sides = (int(trial.left_item or 0), int(trial.right_item or 0))
            found.setdefault(trial.item, []).append((*sides, OUTCOMES[trial.value]))
    return found
