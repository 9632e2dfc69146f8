# SPDX-License-Identifier: Apache-2.0
"""Thin Nipype interfaces around the steps of ``bidsqa.steps``.

Every step reads what the steps before it left in the work directory and writes one file of its own. A step that fails
writes the scan's failed record itself, so that nothing is lost even if the parent process dies.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from nipype.interfaces.base import (
    BaseInterface,
    BaseInterfaceInputSpec,
    File,
    InputMultiObject,
    Str,
    TraitedSpec,
    isdefined,
)

from bidsqa import outputs, steps
from bidsqa.accounting import Ledger, peak_mb
from bidsqa.anatomy import Anatomy
from bidsqa.bids.writing import write_atomic
from bidsqa.image import ImageFacts, Volume
from bidsqa.models import Score
from bidsqa.models.local_map import load_maps, save_maps
from bidsqa.record import Record, clean
from bidsqa.settings import FileState
from bidsqa.stopping import raise_interruption

from .job import Job

MAPS = "maps.npz"


class _StepInput(BaseInterfaceInputSpec):  # type: ignore[misc]
    job = Str(mandatory=True, desc="the scan's job as JSON")


class _StepOutput(TraitedSpec):  # type: ignore[misc]
    out_file = File(exists=True, desc="what the step made")


class _VolumeInput(_StepInput):
    volume = File(exists=True, mandatory=True, desc="the conformed volume (npz)")


class StepInterface(BaseInterface):  # type: ignore[misc]
    """A step: runs, accounts for its costs, and turns a failure into the scan's record."""

    output_spec = _StepOutput
    step = ""
    out_name = "out.json"

    def _run_interface(self, runtime: Any) -> Any:
        job = Job.loads(self.inputs.job)
        ledger = Ledger()
        out_file = Path(runtime.cwd) / self.out_name
        try:
            with ledger.step(self._step_name()):
                self._work(job, out_file, ledger)
        except Exception as error:
            raise_interruption()  # a stop that a library turned into an error is no fault of the scan's
            write_failure(job, self._step_name(), error)
            raise
        out_file.with_name("costs.json").write_text(json.dumps({"seconds": ledger.seconds, "peak_mb": ledger.peak_mb}))
        return runtime

    def _step_name(self) -> str:
        return self.step

    def _work(self, job: Job, out_file: Path, ledger: Ledger) -> None:
        raise NotImplementedError

    def _list_outputs(self) -> dict[str, str]:
        return {"out_file": str(Path.cwd() / self.out_name)}


class Conform(StepInterface):
    """Read, check and turn to RAS+."""

    input_spec = _StepInput
    step = "conform"
    out_name = "volume.npy"

    def _work(self, job: Job, out_file: Path, ledger: Ledger) -> None:
        volume, read = steps.conform_file(job.path)
        np.save(out_file, volume.data)
        facts = {"affine": volume.affine.tolist(), "facts": volume.facts.to_dict(), "file": read and asdict(read)}
        out_file.with_suffix(".json").write_text(json.dumps(facts))


class _ScoreInput(_VolumeInput):
    model = Str(mandatory=True, desc="name of the model")


class ScoreScan(StepInterface):
    """One learned score, and beside it the maps of its worst slices."""

    input_spec = _ScoreInput
    out_name = "score.json"

    def _step_name(self) -> str:
        return str(self.inputs.model)

    def _work(self, job: Job, out_file: Path, ledger: Ledger) -> None:
        scores = steps.score(self.inputs.model, read_volume(Path(self.inputs.volume)), job.parsed_settings)
        save_maps(out_file.with_name(MAPS), scores.maps)
        plain = {
            "scores": {name: score.to_dict() for name, score in scores.scores.items()},
            "models": scores.models,
            "missing": scores.missing,
        }
        out_file.write_text(json.dumps(plain, default=clean))


class Delineate(StepInterface):
    """Masks, tissues and the bias field."""

    input_spec = _VolumeInput
    step = "anatomy"
    out_name = "anatomy.npz"

    def _work(self, job: Job, out_file: Path, ledger: Ledger) -> None:
        steps.delineate(read_volume(Path(self.inputs.volume)), job.parsed_settings).save(out_file)


class _AnatomyInput(_VolumeInput):
    anatomy = File(exists=True, mandatory=True, desc="masks, tissues and the bias field (npz)")


class Measure(StepInterface):
    """Every metric that applies."""

    input_spec = _AnatomyInput
    step = "metrics"
    out_name = "metrics.json"

    def _work(self, job: Job, out_file: Path, ledger: Ledger) -> None:
        volume = read_volume(Path(self.inputs.volume))
        metrics, missing = steps.measure(volume, Anatomy.load(Path(self.inputs.anatomy)), job.source["suffix"])
        out_file.write_text(json.dumps({"metrics": metrics, "missing": missing}, default=clean))


class _FiguresInput(_AnatomyInput):
    scores = InputMultiObject(File(exists=True), desc="one file a model")


class DrawFigures(StepInterface):
    """The pictures of the page, named in a list: `WriteRecord` puts them beside the outputs."""

    input_spec = _FiguresInput
    step = "figures"
    out_name = "figures.json"

    def _work(self, job: Job, out_file: Path, ledger: Ledger) -> None:
        volume = read_volume(Path(self.inputs.volume))
        scores = read_scores(_paths(self.inputs.scores), maps=True)
        figures = steps.draw(volume, Anatomy.load(Path(self.inputs.anatomy)), scores)
        for name, content in figures.items():
            out_file.with_name(name).write_bytes(content)
        out_file.write_text(json.dumps(sorted(figures)))


class _RecordInput(_FiguresInput):
    metrics = File(exists=True, mandatory=True)
    figures = File(exists=True, mandatory=True)


class WriteRecord(StepInterface):
    """Gather, judge, write the page and, last, the record: its presence means done."""

    input_spec = _RecordInput
    step = "record"
    out_name = "record.json"

    def _work(self, job: Job, out_file: Path, ledger: Ledger) -> None:
        start = time.perf_counter()
        volume = read_volume(Path(self.inputs.volume))
        anatomy = Anatomy.load(Path(self.inputs.anatomy))
        measured = json.loads(Path(self.inputs.metrics).read_text())
        score_files = _paths(self.inputs.scores)
        for path in (self.inputs.volume, *score_files, self.inputs.anatomy, self.inputs.metrics, self.inputs.figures):
            costs = json.loads(Path(path).with_name("costs.json").read_text())
            ledger.seconds.update(costs["seconds"])
            ledger.peak_mb.update(costs["peak_mb"])
        read = read_state(Path(self.inputs.volume))
        record = steps.compile_record(
            job.parsed_source.seen(read),
            volume,
            anatomy,
            read_scores(score_files),
            measured["metrics"],
            measured["missing"],
            job.parsed_settings,
            ledger,
        )
        if job.masks:
            write_masks(job, volume, anatomy)
        drawn = Path(self.inputs.figures)
        figures = {name: drawn.with_name(name).read_bytes() for name in json.loads(drawn.read_text())}
        write_figures(job, figures)
        write_page(job, record, figures)
        steps.note_changed_input(record, job.path, read)
        record.provenance["seconds"]["record"] = round(time.perf_counter() - start, 3)
        if (peak := peak_mb()) is not None:
            record.provenance["peak_mb"]["record"] = round(peak, 1)
        write_atomic(Path(job.record), record.dumps())
        write_atomic(out_file, record.dumps())


def read_volume(path: Path) -> Volume:
    """The conformed volume, memory-mapped (in the memory order in which it was computed, for equal sums)."""
    plain = json.loads(path.with_suffix(".json").read_text())
    data = np.load(path, mmap_mode="r", allow_pickle=False)
    return Volume(data=data, affine=np.array(plain["affine"]), facts=ImageFacts.from_dict(plain["facts"]))


def read_scores(paths: list[Path], *, maps: bool = False) -> steps.Scores:
    """The scores of all models, with ``maps`` those of their worst slices as well."""
    merged = steps.Scores({}, {}, {})
    for path in paths:
        plain = json.loads(path.read_text())
        scores = {name: Score.from_dict(values) for name, values in plain["scores"].items()}
        drawn = load_maps(path.with_name(MAPS)) if maps else ()
        merged = merged.merged(steps.Scores(scores, plain["models"], plain["missing"], drawn))
    return merged


def read_state(path: Path) -> FileState | None:
    """The state of the scan's file when the conformed volume was made of it."""
    plain = json.loads(path.with_suffix(".json").read_text())["file"]
    return FileState(**plain) if plain else None


def write_figures(job: Job, figures: dict[str, bytes]) -> None:
    """The pictures beside the outputs.

    An earlier run's maps go: they are named by slice, and the worst slices may be others now.
    """
    from bidsqa import report

    paths = {job.figure_path(name): content for name, content in figures.items()}
    for path, content in paths.items():
        write_atomic(path, content)
    start = job.figure_path(report.LOCAL_MAP)
    for path in start.parent.iterdir() if start.parent.is_dir() else ():
        if path.name.startswith(start.name) and path not in paths:
            path.unlink(missing_ok=True)


def write_page(job: Job, record: Record, figures: dict[str, bytes]) -> None:
    """The scan's page."""
    from bidsqa import report

    write_atomic(Path(job.page), report.render_scan(record, figures))


def write_masks(job: Job, volume: Volume, anatomy: Anatomy) -> None:
    """The brain mask and the segmentation on the scan's own grid, as BIDS derivatives."""
    outputs.write_masks(job.path, volume, anatomy, {kind: Path(path) for kind, path in job.masks.items()})


def write_failure(job: Job, step: str, error: BaseException) -> None:
    """The failed record and its page, and a crash file unless the cause is a known one."""
    from bidsqa.errors import BidsqaError, is_fault_of_disk

    name = job.source["bids_name"]
    crashfile = None
    if not isinstance(error, BidsqaError) and not is_fault_of_disk(error):
        crashfile = f"crash-{time.strftime('%Y%m%d-%H%M%S')}-{name}-{step}.txt"
        with contextlib.suppress(OSError):
            text = "".join(traceback.format_exception(error))
            write_atomic(Path(job.logs) / crashfile, f"bidsqa step {step}, Python {sys.version}\n{text}")
    record = steps.failure_record(job.parsed_source, step, error, job.parsed_settings, crashfile)
    with contextlib.suppress(OSError):  # the record tells what the page would
        write_page(job, record, {})
    write_atomic(Path(job.record), record.dumps())


def _paths(value: Any) -> list[Path]:
    """InputMultiObject gives a list, one path, or nothing."""
    if not isdefined(value) or not value:
        return []
    return [Path(entry) for entry in ([value] if isinstance(value, str) else value)]
