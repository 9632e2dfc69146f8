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
from bidsqa.cli.import_mriqc import main as import_main
from bidsqa.cli.main import main as run_main
from bidsqa.record import Record


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
        from bidsqa.provenance import provenance_of
        from bidsqa.record import Record
        from bidsqa.workflows import Event, RunResult
        from bidsqa.workflows.job import source_of

        self.calls.append({"scans": [scan.bids_name for scan in scans], "work": work, "settings": settings, **options})
        (work / "something").touch()
        result = RunResult()
        for scan in scans:
            name = scan.bids_name
            failed = name in self.failing
            provenance = provenance_of(
                source_of(scan), settings, None, {}, Ledger({"conform": 2.0}, {"conform": 500.0})
            )
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
def run(empty_scans: Path, tmp_path: Path, fake_run: FakeRun) -> Callable[..., dict[str, Any]]:
    """Runs the command on the empty scans; what the graphs were asked for."""

    def call(*options: object, code: int = 0, levels: tuple[str, ...] = ("participant",)) -> dict[str, Any]:
        assert run_main([str(empty_scans), str(tmp_path / "out"), *levels, *map(str, options)]) == code
        return fake_run.calls[-1] if fake_run.calls else {}

    return call


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


MRIQC_PARTS = ("bg", "csf", "gm", "wm")
MRIQC_SUMMARIES = ("mean", "median", "mad", "stdv", "k", "p05", "p95", "n")


def mriqc_metrics(at: int = 0) -> dict[str, Any]:
    """All 68 structural keys with plausible numbers that vary a little from scan to scan."""
    wobble = 1 + 0.01 * (at % 7)
    found: dict[str, Any] = {
        "cjv": 0.38,
        "cnr": 3.3,
        "efc": 0.68,
        "fber": 300.0,
        "wm2max": 0.5,
        "qi_1": 0.0,
        "qi_2": 0.004,
    }
    found |= {f"{name}_{tissue}": value for name, value in (("snr", 9.0), ("snrd", 18.0)) for tissue in MRIQC_PARTS[1:]}
    found |= {"snr_total": 9.0, "snrd_total": 18.0, "inu_med": 0.7, "inu_range": 0.2}
    found |= {f"fwhm_{axis}": 3.5 for axis in ("x", "y", "z", "avg")}
    found |= {f"icvs_{tissue}": 0.33 for tissue in MRIQC_PARTS[1:]} | {
        f"rpve_{tissue}": 8.0 for tissue in MRIQC_PARTS[1:]
    }
    found |= {f"tpm_overlap_{tissue}": 0.5 for tissue in MRIQC_PARTS[1:]}
    found |= {f"summary_{part}_{key}": 500.0 for part in MRIQC_PARTS for key in MRIQC_SUMMARIES}
    found = {key: value * wobble for key, value in found.items()}
    found |= {"size_x": 176, "size_y": 240, "size_z": 256, "spacing_x": 1.0, "spacing_y": 1.0, "spacing_z": 1.0}
    return found


def mriqc_content(at: int = 0, version: str = "0.16.1", **changes: Any) -> dict[str, Any]:
    """What MRIQC writes about one scan."""
    meta = {
        "subject": f"{at:02d}",
        "modality": "T1w",
        "EchoTime": 0.0029,
        "RepetitionTime": 2.3,
        "Manufacturer": "Siemens",
    }
    provenance = {
        "md5sum": "d41d8cd98f00b204e9800998ecf8427e",
        "version": version,
        "software": "mriqc",
        "settings": {"testing": False},
        "warnings": {"small_air_mask": False, "large_rot_frame": True},
    }
    return {**mriqc_metrics(at), "bids_meta": meta, "provenance": provenance, **changes}


@pytest.fixture
def iqms() -> Callable[..., dict[str, Any]]:
    """All 68 structural keys of MRIQC with plausible numbers, by the number of a scan."""
    return mriqc_metrics


@pytest.fixture
def content() -> Callable[..., dict[str, Any]]:
    """A JSON file of MRIQC: ``content(number, version, **changes)``."""
    return mriqc_content


@pytest.fixture
def place(tmp_path: Path) -> Callable[..., Path]:
    """Writes one file into MRIQC's folder; objects as JSON."""

    def write(name: str, told: Any, folder: str = "anat") -> Path:
        labels = [part for part in name.split("_") if part.startswith(("sub-", "ses-"))]
        path = tmp_path / "mriqc" / "/".join([*labels[:2], folder]) / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(told if isinstance(told, str) else json.dumps(told), encoding="utf-8")
        return path

    return write


@pytest.fixture
def mriqc_table(tmp_path: Path) -> Callable[..., None]:
    """Writes a group table of MRIQC: so many scans, then `rows` as they are."""

    def act(count: int = 3, name: str = "group_T1w.tsv", rows: str = "") -> None:
        header = list(mriqc_metrics())
        lines = ["\t".join(["bids_name", *header])]
        lines += [
            "\t".join([f"sub-{at:02d}_T1w", *(str(mriqc_metrics(at)[key]) for key in header)]) for at in range(count)
        ]
        (tmp_path / "mriqc").mkdir(exist_ok=True)
        (tmp_path / "mriqc" / name).write_text("\n".join(lines) + "\n" + rows)

    return act


@pytest.fixture
def import_mriqc(tmp_path: Path) -> Callable[..., int]:
    """Imports that folder into ``out`` beside it; gives the exit code."""

    def act(*options: str) -> int:
        return import_main([str(tmp_path / "mriqc"), str(tmp_path / "out"), *options])

    return act


@pytest.fixture
def imported(tmp_path: Path) -> Callable[..., Record]:
    """The record that an import wrote, by the scan's name."""

    def act(name: str = "sub-00_T1w") -> Record:
        return Record.loads(names.record_path(tmp_path / "out", name).read_text(encoding="utf-8"))

    return act
