# SPDX-License-Identifier: Apache-2.0
"""What happens between a reader and the store: the next trial with its pictures, an answer, taking one back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from bidsqa.errors import InputError
from bidsqa.rating.items import Settings
from bidsqa.rating.pictures import CLEAN, SERIES, Gallery
from bidsqa.rating.planning import Planner, Pool
from bidsqa.rating.store import AlreadyAnswered, Item, Proposal, Store, Trial
from bidsqa.rating.tasks import Given, Task

LEFT, RIGHT, REFERENCE, IMAGE = "left", "right", "reference", "image"


class Session:
    """A rating that is going on.

    Parameters
    ----------
    store : Store
    gallery : Gallery
    pools : mapping of str to Pool
        By task.
    settings : Settings
    tell : callable
        Gets a sentence about a scan that can't be shown.
    """

    def __init__(
        self, store: Store, gallery: Gallery, pools: Mapping[str, Pool], settings: Settings, tell: Callable[[str], None]
    ) -> None:
        self.store, self.gallery, self.settings, self.tell = store, gallery, settings, tell
        self._unusable: set[int] = set()
        self._planners = {
            task: Planner(store, task, pool, settings.seed, self._unusable) for task, pool in pools.items()
        }
        self._planning = threading.RLock()
        self._ahead = ThreadPoolExecutor(max_workers=1, thread_name_prefix="next-picture")
        self._prepared: Future[None] | None = None

    def close(self) -> None:
        """Stop preparing pictures."""
        self._ahead.shutdown(wait=True, cancel_futures=True)

    @property
    def tasks(self) -> dict[str, Task]:
        """The tasks of this rating, in order."""
        return {name: self.settings.task(name) for name in self._planners}

    def progress(self, reader: int, task: str) -> tuple[int, int]:
        """Answered items and how many there shall be, without practice and repeats."""
        return self._planners[task].done_and_goal(self.store.trials(task, reader))

    def open_trial(self, reader: int, task: str) -> Trial | None:
        """The trial that waits for this reader: an open one, else a new one; None when all is done."""
        with self._planning:
            while True:
                history = self.store.trials(task, reader)
                waiting = [trial for trial in history if trial.value is None and trial.item not in self._unusable]
                if waiting:
                    # its scan may be gone since it was issued
                    if self._look(self.store.item(waiting[0].item), _versions(waiting[0])) is not None:
                        return waiting[0]
                    continue
                shown_before = [trial for trial in history if trial.value is not None]
                proposal = self._planners[task].propose(reader, shown_before)
                if proposal is None:
                    return None
                shown = self._look(proposal.item, _versions(proposal))
                if shown is not None:
                    self.store.issue(reader, task, len(history), proposal, shown)

    def _look(self, item: Item, versions: Sequence[int]) -> dict[str, Any] | None:
        """What the pictures will show; None, and the item is passed over from now on, where they can't be made."""
        try:
            return self.gallery.look(item.content, versions)
        except InputError as error:
            self._unusable.add(item.id)
            self.tell(f"{item.content.get('path', item.code)} is left out: {error}")
            return None

    def payload(self, reader: int, task: str) -> dict[str, Any]:
        """What the browser needs to show the waiting trial; nothing in it tells whose the image is."""
        trial = self.open_trial(reader, task)
        done, goal = self.progress(reader, task)
        told: dict[str, Any] = {"done": done, "goal": goal, "trial": None}
        answered = [one for one in self.store.trials(task, reader) if one.value is not None]
        told["can_undo"] = bool(answered)
        if trial is not None:
            told["trial"] = self._describe(trial)
            self._prepare_next(reader, task, trial)
        return told

    def _describe(self, trial: Trial) -> dict[str, Any]:
        about = trial.shown.get("image") or trial.shown[SERIES]
        content = self.store.item(trial.item).content
        slots = [_slot(name, about) for name in self._single_slots(trial)]
        told = {
            "code": trial.code,
            "practice": trial.kind == "practice",
            "supersedes": trial.answer,
            # where the marker of a series stands at first: always the same place would draw answers there
            "start": trial.order_seed,
            "slots": slots,
            "slices": len(about["slices"]),
            "marks": self.gallery.marks(about["plane"]),
            "series": [],
        }
        if SERIES in content:
            series = trial.shown[SERIES]
            told["series"] = [_slot(f"v{number}", series) for number in range(len(series["versions"]))]
        return told

    def _single_slots(self, trial: Trial) -> list[str]:
        if trial.task == "pairwise":
            return [LEFT, *([REFERENCE] if self.settings.reference else []), RIGHT]
        return [IMAGE] if IMAGE in self.settings.task(trial.task).slots else []

    def picture(self, reader: int, code: str, slot: str, index: int) -> bytes | None:
        """One picture of a trial of this reader as PNG; None where there is no such thing."""
        trial = self.store.trial(code)
        if trial is None or trial.reader != reader:
            return None
        content = self.store.item(trial.item).content
        try:
            if slot in (LEFT, RIGHT, REFERENCE, IMAGE):
                known = {LEFT: trial.left_item, RIGHT: trial.right_item, REFERENCE: CLEAN, IMAGE: trial.left_item}
                version = known[slot]
                if slot not in self._single_slots(trial) or version is None:
                    return None
                return self.gallery.png(content, trial.shown, "image", version, index)
            if not (SERIES in content and slot.startswith("v") and slot[1:].isdecimal()):
                return None
            return self.gallery.png(content, trial.shown, SERIES, int(slot[1:]), index)
        except (IndexError, ValueError, InputError):
            return None

    def answer(self, reader: int, task: str, code: str, given: Given) -> None:
        """Store an answer; when this returns it is on the disk.

        Raises
        ------
        LookupError
            The reader has no such trial.
        AlreadyAnswered
            Another window of the same reader was faster.
        """
        trial = self.store.trial(code)
        if trial is None or trial.reader != reader or trial.task != task:
            raise LookupError(code)
        self.store.answer(trial, given)

    def undo(self, reader: int, task: str) -> bool:
        """Take back the last answer of this reader; False where there is none."""
        answered = [trial for trial in self.store.trials(task, reader) if trial.value is not None]
        if not answered:
            return False
        last = max(answered, key=lambda trial: trial.position)
        try:
            self.store.withdraw(last)
        except AlreadyAnswered:  # another window took it back in the same moment
            return True
        return True

    def _prepare_next(self, reader: int, task: str, trial: Trial) -> None:
        """Make the pictures that will probably come next while the reader looks at these."""
        if self._prepared is None or self._prepared.done():
            self._prepared = self._ahead.submit(self._prepare, reader, task, trial)

    def _prepare(self, reader: int, task: str, trial: Trial) -> None:
        # as if the waiting one were answered, whatever the answer
        history = [replace(one, value=one.value or "?") for one in self.store.trials(task, reader)]
        proposal = self._planners[task].propose(reader, history, ahead=True)
        if proposal is None:
            return
        try:
            self.gallery.look(proposal.item.content, _versions(proposal))
        except InputError:
            return  # told when its turn comes


def _versions(shown: Proposal | Trial) -> list[int]:
    return [version for version in (shown.left_item, shown.right_item) if version is not None]


def _slot(name: str, about: Mapping[str, Any]) -> dict[str, Any]:
    rows, columns = about["size"]
    return {"name": name, "rows": rows, "columns": columns, "height_mm": rows * about["edges"][0],
            "width_mm": columns * about["edges"][1]}  # fmt: skip
