# SPDX-License-Identifier: Apache-2.0
"""Limits of memory and time cost the scan that breaks them, and tell what it needs. A full disk ends the run."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bidsqa import steps
from bidsqa.bids import Scan, Selection, collect_scans
from bidsqa.bids.names import record_path
from bidsqa.errors import InputError
from bidsqa.record import Record
from bidsqa.settings import Settings
from bidsqa.workflows import Event, run_scans
from bidsqa.workflows.job import Job
from bidsqa.workflows.run import PARENT_GB
from bidsqa.workflows.scan import STEP_MEMORY, Need

Maker = Callable[..., Path]
MEASURED = Path(__file__).resolve().parents[2] / "docs" / "benchmark_tables" / "memory.json"
NAMES = ("sub-01_T1w", "sub-02_T1w", "sub-03_T1w")


@pytest.fixture
def scans(bids_dataset: Maker) -> tuple[Scan, ...]:
    return collect_scans(bids_dataset(*NAMES), Selection()).scans


def _record(out: Path, name: str) -> Record:
    return Record.loads(record_path(out, name).read_text())


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scans end with a failed record at their second step, which is all that these tests need."""

    def stop(*_: object, **__: object) -> None:
        raise InputError("planted", "none")

    monkeypatch.setattr(steps, "delineate", stop)


@pytest.mark.usefixtures("quick")
def test_a_scan_too_large_is_refused_with_the_number(
    tmp_path: Path, scans: tuple[Scan, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    large = Need(100_000_000)
    monkeypatch.setattr(
        "bidsqa.workflows.scan.need_of", lambda path: large if "sub-02" in str(path) else Need(1_000_000)
    )
    events: list[Event] = []
    result = run_scans(
        scans, tmp_path / "out", tmp_path / "work", Settings(models=()), mem_gb=2.0, on_event=events.append
    )
    assert sorted(result.failed) == list(NAMES)
    failure = _record(tmp_path / "out", NAMES[1]).failure
    assert failure is not None
    total = large.peak + PARENT_GB
    assert failure["step"] == "memory"
    assert f"{total:.1f} GB" in failure["cause"]
    assert "2 GB may be used" in failure["cause"]
    assert float(failure["hint"].split()[-1]) >= total, "what the hint asks for is enough"
    assert any(event.kind == "scan_failed" and "GB" in event.message for event in events)
    assert (_record(tmp_path / "out", NAMES[0]).failure or {})["cause"] == "planted", "the others go on"
    enough = float(failure["hint"].split()[-1])
    run_scans(scans[1:2], tmp_path / "out", tmp_path / "work", Settings(models=()), mem_gb=enough)
    assert (_record(tmp_path / "out", NAMES[1]).failure or {})["cause"] == "planted"


@pytest.mark.parametrize("nprocs", [1, 2])
def test_a_scan_that_takes_too_long_costs_itself(
    tmp_path: Path, scans: tuple[Scan, ...], monkeypatch: pytest.MonkeyPatch, nprocs: int
) -> None:
    def slow(volume: object, settings: object) -> None:
        if not (tmp_path / "hangs").exists():
            (tmp_path / "hangs").touch()
            time.sleep(600)
        raise InputError("planted", "none")

    monkeypatch.setattr(steps, "delineate", slow)
    result = run_scans(
        scans, tmp_path / "out", tmp_path / "work", Settings(models=()), nprocs=nprocs, minutes_a_scan=0.1
    )
    assert sorted(result.failed) == list(NAMES)
    causes = [(_record(tmp_path / "out", name).failure or {}) for name in NAMES]
    late = [failure for failure in causes if failure["cause"] != "planted"]
    assert len(late) == 1
    assert "longer than the 0.1 min" in late[0]["cause"]
    assert "--scan-minutes" in late[0]["hint"]
    assert late[0]["step"] == "anatomy"


def test_a_killed_worker_costs_one_scan(
    tmp_path: Path, scans: tuple[Scan, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(volume: object, settings: object) -> None:
        if not (tmp_path / "killed").exists():
            (tmp_path / "killed").touch()
            time.sleep(1)  # the neighbour has a node in hand by then
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(2)
        raise InputError("planted", "none")

    monkeypatch.setattr(steps, "delineate", killed)
    run_scans(scans, tmp_path / "out", tmp_path / "work", Settings(models=()), nprocs=2)
    failures = [(_record(tmp_path / "out", name).failure or {}) for name in NAMES]
    lost = [failure for failure in failures if "SIGKILL" in failure["cause"]]
    assert len(lost) == 1
    assert "want of memory" in lost[0]["hint"]
    assert [failure["cause"] for failure in failures if failure not in lost] == ["planted"] * 2


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("apart", [False, True])
def test_a_run_ends_when_no_record_can_be_written(
    tmp_path: Path, scans: tuple[Scan, ...], monkeypatch: pytest.MonkeyPatch, apart: bool
) -> None:
    def full(path: Path, data: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("bidsqa.workflows.interfaces.write_atomic", full)
    result = run_scans(scans, tmp_path / "out", tmp_path / "work", Settings(models=()), apart=apart)
    assert result.ended is not None
    assert "No space left" in result.ended.cause
    assert result.failed == [NAMES[0]], "the others are not begun"


@pytest.mark.usefixtures("quick")
def test_a_record_that_can_t_be_replaced_costs_its_scan(tmp_path: Path, scans: tuple[Scan, ...]) -> None:
    in_place = Path(Job.of(scans[0], tmp_path / "out", Settings()).record)
    (in_place / "full").mkdir(parents=True)
    events: list[Event] = []
    result = run_scans(scans, tmp_path / "out", tmp_path / "work", Settings(models=()), on_event=events.append)
    assert sorted(result.failed) == list(NAMES)
    assert result.ended is None
    (told,) = [event.message for event in events if event.kind == "scan_failed" and event.bids_name == NAMES[0]]
    assert "can't be written" in told


@pytest.mark.usefixtures("quick")
def test_the_first_failure_ends_the_run_where_asked(tmp_path: Path, scans: tuple[Scan, ...]) -> None:
    result = run_scans(
        scans, tmp_path / "out", tmp_path / "work", Settings(models=()), apart=True, stop_on_first_crash=True
    )
    assert result.failed == [NAMES[0]]
    assert not record_path(tmp_path / "out", NAMES[2]).exists(), "what was not begun has no record of a failure"


@pytest.mark.parametrize("step", sorted(STEP_MEMORY))
def test_nodes_declare_at_least_what_was_measured(step: str) -> None:
    table = json.loads(MEASURED.read_text(encoding="utf-8"))
    names = [name for name in table["columns"] if {"severity": "score", "ssim": "score"}.get(name, name) == step]
    assert names
    for row in table["rows"]:
        cells = dict(zip(table["columns"], row, strict=True))
        need = Need(math.prod(int(edge) for edge in cells["grid"].split("x")))
        for name in names:
            assert int(cells[name].split()[0]) <= 1000 * need.gigabytes(step), (name, cells["grid"])
