# SPDX-License-Identifier: Apache-2.0
"""Every fault of the table in docs/reliability is caused once; kills at random moments some times."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bidsqa.validation.fault_stage import Outcome, Stage, torn_files
from bidsqa.validation.faults import FAULTS
from bidsqa.validation.kills import kill_at_random, ready_for_kills

TRIALS = 3  # of each kind; benchmarks/faults.py makes 50 of each


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage.build(tmp_path_factory.mktemp("faults") / "stage")


@pytest.mark.slow
@pytest.mark.parametrize("cause", FAULTS, ids=lambda cause: cause.__name__)
def test_a_fault_ends_as_it_should(stage: Stage, cause: Callable[[Stage], Outcome | None]) -> None:
    outcome = cause(stage)
    if outcome is None:
        pytest.skip("needs a user who may mount and make control groups")
    assert outcome.held, outcome.told
    assert outcome.fault
    assert outcome.told


@pytest.mark.slow
@pytest.mark.parametrize("whom", ["parent", "worker"])
def test_kills_at_random_moments_tear_nothing(stage: Stage, whom: str) -> None:
    anatomy, seconds = ready_for_kills(stage)
    trials = kill_at_random(stage, whom, TRIALS, seed=1, anatomy=anatomy, seconds=seconds)
    assert trials.held, trials.faults()


def test_torn_files_are_found(tmp_path: Path) -> None:
    whole = {
        "a.json": b"{}",
        "b.html": b"<html></html>\n",
        "c.tsv": b"x\ty\n1\t2\n",
        "d.svg": b"<svg></svg>",
        "e.log": b"",
    }
    torn = {
        "a_.json": b"{",
        "b_.html": b"<html>",
        "c_.tsv": b"x\ty\n1",
        "d_.svg": b"<svg>",
        "f.png": b"\x89PNG",
        "g.md": b"",
    }
    for name, content in {**whole, **torn, ".tmp-x.json": b"{"}.items():
        (tmp_path / name).write_bytes(content)
    assert torn_files(tmp_path) == sorted(torn)
