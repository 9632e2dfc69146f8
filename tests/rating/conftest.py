# SPDX-License-Identifier: Apache-2.0
"""A small dataset to be rated, and readers who answer without a browser."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bidsqa.bids import Scan, collect_scans
from bidsqa.rating.items import Settings, make_pool
from bidsqa.rating.pictures import CLEAN, Gallery
from bidsqa.rating.session import Session
from bidsqa.rating.store import Store, Trial
from bidsqa.rating.synthetic_reader import SyntheticReader, utility
from bidsqa.rating.tasks import Given

SessionMaker = Callable[..., Session]


@pytest.fixture
def scans(bids_dataset: Callable[..., Path]) -> list[Scan]:
    """Four scans of three participants."""
    root = bids_dataset("sub-01_T1w", "sub-01_T2w", "sub-02_T1w", "sub-03_T1w")
    return list(collect_scans(root).scans)


class NoPictures(Gallery):
    """For tests of what comes next, not of what it looks like."""

    def look(self, content: Mapping[str, Any], versions: Sequence[int] = ()) -> dict[str, Any]:
        return {"image": {"slices": [0], "plane": "axial", "size": [1, 1], "edges": [1, 1], "sha256": "0"}}


@pytest.fixture
def make_session(tmp_path: Path, scans: list[Scan]) -> Iterator[SessionMaker]:
    """Makes sessions on one store; keywords are those of `Settings`, and ``pictures=False`` for planning alone."""
    made: list[Session] = []

    def make(folder: str = "ratings", pictures: bool = True, **settings: object) -> Session:
        wanted = Settings(**{"practice": 1, **settings})  # type: ignore[arg-type]
        store = Store(tmp_path / folder / "ratings.sqlite", create=True)
        pools = {task: make_pool(store, task, scans, wanted) for task in wanted.tasks}
        gallery = Gallery(scans[0].root) if pictures else NoPictures(scans[0].root)
        session = Session(store, gallery, pools, wanted, lambda line: None)
        made.append(session)
        return session

    yield make
    for session in made:
        session.close()
        session.store.close()


def answer_one(session: Session, reader: int, task: str, value: str, **more: object) -> Trial | None:
    """Answer the waiting trial; what was answered, or None when all is done."""
    trial = session.open_trial(reader, task)
    if trial is not None:
        given = Given(value=value, nonce=secrets.token_hex(16), rt_ms=1500.0, supersedes=trial.answer, **more)  # type: ignore[arg-type]
        session.answer(reader, task, trial.code, given)
    return trial


def read_pairs(session: Session, name: str, person: SyntheticReader, most: int = 10_000) -> list[Trial]:
    """Let a synthetic reader answer pairs until they are done."""
    reader = session.store.reader(name).id
    trials: list[Trial] = []
    while len(trials) < most:
        trial = session.open_trial(reader, "pairwise")
        if trial is None:
            break
        versions = session.store.item(trial.item).content["versions"]
        sides = [
            0.0 if side in (None, CLEAN) else utility(versions[side]) for side in (trial.left_item, trial.right_item)
        ]
        first, second = sorted((trial.left_item or 0, trial.right_item or 0))
        opinion = person.opinion(1000 * trial.item + 31 * first + second + 1)
        taste = opinion if trial.left_item == first else -opinion
        value = {1: "left", 0: "similar", -1: "right"}[int(person.compare(*sides, np.array([taste]))[0])]
        answer_one(session, reader, "pairwise", value)
        trials.append(trial)
    return trials


@pytest.fixture
def drive() -> SimpleNamespace:
    """Readers who answer: `answer_one` and `read_pairs`."""
    return SimpleNamespace(answer_one=answer_one, read_pairs=read_pairs)
