# SPDX-License-Identifier: Apache-2.0
"""The graphs: the same record as ``assess``, failures that cost only themselves, runs that go on where they stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from bidsqa import assess
from bidsqa.bids import Selection, collect_scans
from bidsqa.errors import UsageError
from bidsqa.group import row_of
from bidsqa.models import SCORES
from bidsqa.outputs import pending
from bidsqa.settings import Settings
from bidsqa.workflows import Event, run_scans
from bidsqa.workflows.job import Job
from bidsqa.workflows.scan import Need, init_scan_wf, scan_wf_name

Maker = Callable[..., Path]


def _read(out: Path, name: str) -> dict[str, Any]:
    stem, suffix = name.rsplit("_", 1)
    (path,) = out.glob(f"sub-*/**/{stem}_desc-qa_{suffix}.json")
    return json.loads(path.read_text())


def _numbers(record: dict[str, Any]) -> dict[str, Any]:
    """The record without what differs between two runs by its nature."""
    kept = json.loads(json.dumps(record))
    for key in ("seconds", "peak_mb"):
        kept["provenance"].pop(key)
    kept["provenance"]["input"].pop("path")
    return kept


def _run(root: Path, tmp_path: Path, **options: Any) -> tuple[Path, Any, list[Event]]:
    events: list[Event] = []
    out = tmp_path / "out"
    scans = collect_scans(root, Selection()).scans
    settings = options.pop("settings", Settings())
    result = run_scans(scans, out, tmp_path / "work", settings, on_event=events.append, **options)
    return out, result, events


def test_graph_has_one_node_a_step(tmp_path: Path, bids_dataset: Maker) -> None:
    (scan,) = collect_scans(bids_dataset("sub-01_T1w"), Selection()).scans
    job = Job.of(scan, tmp_path / "out", Settings(models=("severity", "ssim")))
    graph = init_scan_wf(job=job, need=Need(10**6), name="scan")
    steps = {"conform", "severity", "ssim", "scores", "anatomy", "metrics", "figures", "record"}
    assert set(graph.list_node_names()) == steps
    without = Job.of(scan, tmp_path / "out", Settings(models=()))
    assert set(init_scan_wf(job=without, need=Need(0), name="scan").list_node_names()) == steps - {
        "severity",
        "ssim",
        "scores",
    }
    assert Job.loads(job.dumps()).dumps() == job.dumps()


def test_fault_25_every_node_declares_its_memory(tmp_path: Path, bids_dataset: Maker) -> None:
    (scan,) = collect_scans(bids_dataset("sub-01_T1w"), Selection()).scans
    job = Job.of(scan, tmp_path / "out", Settings())
    graph = init_scan_wf(job=job, need=Need(256**3), name="scan")
    for name in set(graph.list_node_names()) - {"scores"}:  # which joins two small files
        assert 0.3 < graph.get_node(name).mem_gb < 1.5, name


@pytest.mark.parametrize("suffix", ["bold", "t1w", "", "../T1w"])
def test_assess_refuses_what_is_not_judged(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(UsageError, match="can't be judged") as caught:
        assess(tmp_path / "sub-01_T1w.nii.gz", suffix=suffix)
    assert "T1w" in caught.value.hint


def test_names_of_graphs_never_collide() -> None:
    names = ["sub-a_b", "sub_a-b", "sub-a+b", "sub-a2bb", "sub-a_T1w", "sub_a_T1w", "sub__a_T1w"]
    assert len({scan_wf_name(name) for name in names}) == len(names)


def test_record_equals_assess_and_is_resumed(tmp_path: Path, bids_dataset: Maker) -> None:
    sidecar = {"MagneticFieldStrength": 3, "RepetitionTime": 2.3}
    root = bids_dataset("sub-01_T1w", sidecar=sidecar)
    out, result, events = _run(root, tmp_path)
    assert result.done == ["sub-01_T1w"], events
    record = _read(out, "sub-01_T1w")
    direct = assess(root / "sub-01" / "anat" / "sub-01_T1w.nii.gz", suffix="T1w")
    assert _numbers(record) == _numbers(direct.to_dict())
    assert record["acquisition"] == sidecar
    for name, model in SCORES.items():
        columns = row_of(direct).values
        parts = {column.removeprefix(f"{name}_") for column in columns if column.startswith(f"{name}_")}
        assert parts <= set(model.parts), "each part of a score is described in the model's row"
    assert (out / "sub-01_T1w.html").stat().st_size > 10_000
    assert [event.kind for event in events if event.kind != "step"] == ["scan_started", "scan_done"]
    assert not list((tmp_path / "work" / "bidsqa").glob("scan_*")), "the scan's work is cleared"
    (scan,) = collect_scans(root, Selection()).scans
    assert pending(scan, out, Settings()) == "done"
    assert pending(scan, out, Settings(slice_fraction=0.5)) == "changed: settings"
    os.utime(scan.path, (1, 1))
    assert pending(scan, out, Settings()) == "changed: input"


@pytest.mark.slow
def test_processes_and_plugins_do_not_change_numbers(tmp_path: Path, bids_dataset: Maker) -> None:
    root = bids_dataset("sub-01_T1w", "sub-02_T2w", "sub-03_FLAIR")
    records = []
    for place, options in (("a", {"nprocs": 1}), ("b", {"nprocs": 2, "mem_gb": 4.0})):
        out, result, events = _run(root, tmp_path / place, **options)
        assert len(result.done) == 3, events
        records.append([_numbers(_read(out, name)) for name in sorted(result.done)])
    assert records[0] == records[1]


def test_fault_24_failed_scan_costs_only_itself(tmp_path: Path, bids_dataset: Maker) -> None:
    root = bids_dataset("sub-01_T1w", "sub-02_T1w")
    bad = root / "sub-01" / "anat" / "sub-01_T1w.nii.gz"
    bad.write_bytes(bad.read_bytes()[:3000])
    out, result, events = _run(root, tmp_path)
    assert (result.failed, result.done) == (["sub-01_T1w"], ["sub-02_T1w"])
    record = _read(out, "sub-01_T1w")
    assert record["status"] == "failed"
    assert record["failure"]["step"] == "conform"
    assert record["failure"]["hint"]
    assert record["verdict"]["decision"] == "fail"
    assert record["failure"]["cause"] in (out / "sub-01_T1w.html").read_text()
    assert any(event.kind == "scan_failed" and "damaged" in event.message for event in events)


@pytest.mark.slow
def test_a_node_that_fails_beside_others_does_not_hang_the_run(tmp_path: Path, bids_dataset: Maker) -> None:
    wrong = tmp_path / "weights.onnx"
    wrong.write_bytes(b"no network")
    settings = Settings(models=("severity",), weights=(("severity", str(wrong)),))
    out, result, _ = _run(bids_dataset("sub-01_T1w", "sub-02_T1w"), tmp_path, settings=settings, nprocs=2)
    assert sorted(result.failed) == ["sub-01_T1w", "sub-02_T1w"]
    assert "weights.onnx" in _read(out, "sub-01_T1w")["failure"]["cause"]
    assert not list((tmp_path / "work" / "bidsqa").glob("scan_*"))


def test_unexpected_error_leaves_a_crash_file(
    tmp_path: Path, bids_dataset: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr("bidsqa.steps.measure", broken)
    out, result, _ = _run(bids_dataset("sub-01_T1w"), tmp_path)
    record = _read(out, "sub-01_T1w")
    assert result.failed == ["sub-01_T1w"]
    assert record["failure"]["step"] == "metrics"
    assert "planted" in record["failure"]["cause"]
    assert "planted" in (out / "logs" / record["failure"]["crashfile"]).read_text()


def test_masks_of_a_scan_with_an_unusable_orientation(tmp_path: Path, bids_dataset: Maker) -> None:
    root = bids_dataset("sub-01_T1w")
    path = root / "sub-01" / "anat" / "sub-01_T1w.nii.gz"
    image = nibabel.load(path)
    image = nibabel.Nifti1Image(np.asarray(image.dataobj), image.affine)
    image.header["sform_code"], image.header["qform_code"] = 1, 0
    for row in ("srow_x", "srow_y", "srow_z"):
        image.header[row] = 0
    image.affine[:3] = 0
    image.to_filename(path)
    out, result, events = _run(root, tmp_path, settings=Settings(output_masks=True))
    assert result.done, events
    assert len(list(out.glob("sub-01/anat/*.nii.gz"))) == 2


def test_masks_lie_on_the_grid_of_the_scan(tmp_path: Path, bids_dataset: Maker) -> None:
    root = bids_dataset("sub-01_T1w")
    path = root / "sub-01" / "anat" / "sub-01_T1w.nii.gz"
    image = nibabel.load(path)
    turned = nibabel.Nifti1Image(np.asarray(image.dataobj)[::-1].transpose(2, 0, 1), None)
    flip = np.array([[0, -1, 0, image.shape[0] - 1], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
    nibabel.Nifti1Image(np.asarray(turned.dataobj), image.affine @ flip).to_filename(path)
    out, result, events = _run(root, tmp_path, settings=Settings(output_masks=True))
    assert result.done, events
    scan = nibabel.load(path)
    masks = sorted(out.glob("sub-01/anat/*.nii.gz"))
    assert [mask.name.split("_")[-1] for mask in masks] == ["mask.nii.gz", "dseg.nii.gz"]
    for mask in masks:
        written = nibabel.load(mask)
        assert written.shape == scan.shape
        np.testing.assert_allclose(written.affine, scan.affine, atol=1e-4)
    brain = np.asarray(nibabel.load(masks[0]).dataobj) > 0
    values = np.asarray(scan.dataobj)
    assert values[brain].mean() > 1.3 * values[~brain].mean()


@pytest.mark.slow
def test_killed_run_goes_on(tmp_path: Path, bids_dataset: Maker) -> None:
    root = bids_dataset(*(f"sub-{number:02d}_T1w" for number in range(1, 5)))
    out = tmp_path / "out"
    command = [sys.executable, "-P", "-m", "bidsqa.cli.main", str(root), str(out), "participant"]
    command += ["-w", str(tmp_path / "work"), "--nprocs", "1"]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(out.glob("sub-*/anat/sub-*_desc-qa_*.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    run.send_signal(signal.SIGKILL)
    run.wait()
    first = {path: path.stat().st_mtime_ns for path in out.glob("sub-*/anat/sub-*_desc-qa_*.json")}
    assert 1 <= len(first) < 4
    for path in first:
        json.loads(path.read_text())
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert {path: path.stat().st_mtime_ns for path in first} == first, "finished scans are not redone"
    assert len(list(out.glob("sub-*/anat/sub-*_desc-qa_*.json"))) == 4
    leftovers = [path for path in out.rglob("*") if path.is_file() and path.name.startswith((".", "tmp"))]
    assert [path.name for path in leftovers] in ([], [".bidsignore"])
