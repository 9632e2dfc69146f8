# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the command-line tests: a clean environment, trees of empty scans, a run without images."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bidsqa.bids import Scan, names, write_atomic


@pytest.fixture(autouse=True)
def _environment_is_restored() -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def empty_scans(tmp_path: Path) -> Path:
    """A dataset of empty files: three participants, two of them with two sessions."""
    root = tmp_path / "data"
    scans = [
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-02/ses-a/anat/sub-02_ses-a_run-01_T1w.nii.gz",
        "sub-02/ses-b/anat/sub-02_ses-b_task-rest_T2w.nii.gz",
        "sub-03/ses-a/anat/sub-03_ses-a_FLAIR.nii",
    ]
    for scan in scans:
        (root / scan).parent.mkdir(parents=True, exist_ok=True)
        (root / scan).touch()
    (root / "dataset_description.json").write_text(json.dumps({"Name": "Empty", "BIDSVersion": "1.9.0"}))
    return root


class FakeRun:
    """Stands in for the graphs: notes what it was asked, writes records at once."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.failing: set[str] = set()
        self.interrupt: Callable[[], None] | None = None

    def __call__(self, scans: Sequence[Scan], out: Path, work: Path, settings: Any, **options: Any) -> Any:
        from bidsqa.accounting import Ledger
        from bidsqa.record import Record
        from bidsqa.steps import _provenance
        from bidsqa.workflows import Event, RunResult
        from bidsqa.workflows.job import source_of

        self.calls.append({"scans": [scan.bids_name for scan in scans], "work": work, "settings": settings, **options})
        (work / "something").touch()
        result = RunResult()
        for scan in scans:
            name = scan.bids_name
            failed = name in self.failing
            provenance = _provenance(source_of(scan), settings, None, {}, Ledger({"conform": 2.0}, {"conform": 500.0}))
            record = Record(bids_name=name, status="failed" if failed else "ok", provenance=provenance)
            write_atomic(names.page_path(out, scan), "<!doctype html>")
            for kind in ("brain", "dseg") if settings.output_masks else ():
                write_atomic(names.mask_path(out, scan, kind), b"")
            write_atomic(names.record_path(out, scan), record.dumps())
            (result.failed if failed else result.done).append(name)
            if not failed:
                result.decisions[name] = "pass"
            kind = "scan_failed" if failed else "scan_done"
            options["on_event"](Event(kind, name, "record", 2.0, "broken (copy it again)" if failed else "pass"))
            if self.interrupt:
                self.interrupt()
        return result


@pytest.fixture
def fake_run(monkeypatch: pytest.MonkeyPatch) -> FakeRun:
    """`bidsqa.workflows.run_scans` without images; weights count as shipped."""
    fake = FakeRun()
    monkeypatch.setattr("bidsqa.workflows.run_scans", fake)
    monkeypatch.setattr("bidsqa.cli.checks.check_shipped_weights", lambda *_: None)
    return fake


SUBJECTS = ("01", "02", "03", "04", "05")


@pytest.fixture
def study(bids_dataset: Callable[..., Path]) -> Path:
    """A dataset of five subjects, one T1w scan each."""
    return bids_dataset(*[f"sub-{subject}_T1w" for subject in SUBJECTS])


@pytest.fixture
def with_sites(study: Path) -> Callable[..., None]:
    """Writes the sites of some subjects of `study` into its participants.tsv."""

    def write(sites: dict[str, str], column: str = "site") -> None:
        rows = [f"sub-{subject}\t{sites.get(subject, 'n/a')}" for subject in SUBJECTS]
        (study / "participants.tsv").write_text("\n".join([f"participant_id\t{column}", *rows, ""]))

    return write
