# SPDX-License-Identifier: Apache-2.0
"""The steps of one scan as plain functions, in order.

:func:`assess` runs them in one process; ``bidsqa.workflows`` wraps each as a Nipype node. Both give the same record.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsqa.accounting import Ledger
from bidsqa.errors import (
    BidsqaError,
    InputError,
    NotComputable,
    UsageError,
    WeightsError,
    is_fault_of_disk,
    lacks_room,
)
from bidsqa.image import Volume, load_volume, rough_head
from bidsqa.provenance import provenance_of
from bidsqa.record import Record
from bidsqa.settings import RULER_MODEL, FileState, Settings, Source, rulers_checksum

if TYPE_CHECKING:
    import nibabel

    from bidsqa.anatomy import Anatomy
    from bidsqa.models import Score
    from bidsqa.models.local_map import LocalMap


@dataclass(frozen=True)
class Scores:
    """Learned scores of one scan and where they come from.

    Parameters
    ----------
    scores : dict of str to Score
    models : dict of str to dict
        Name, version and sha256 of the weights used.
    missing : dict of str to str
        A model that gave no score, with the reason.
    maps : tuple of LocalMap
        Where in their worst slices the scores come from, for the page.
    """

    scores: dict[str, Score]
    models: dict[str, dict[str, Any]]
    missing: dict[str, str]
    maps: tuple[LocalMap, ...] = field(default=())

    def merged(self, other: Scores) -> Scores:
        """Both together."""
        return Scores(
            {**self.scores, **other.scores},
            {**self.models, **other.models},
            {**self.missing, **other.missing},
            (*self.maps, *other.maps),
        )


@dataclass(frozen=True)
class Examination:
    """Everything :func:`examine` has in memory: the record and what its page is drawn from."""

    record: Record
    figures: dict[str, bytes]
    volume: Volume | None = None
    anatomy: Anatomy | None = None


def conform(source: str | os.PathLike[str] | nibabel.spatialimages.SpatialImage) -> Volume:
    """Step 1: read, check and turn to RAS+ (see :func:`bidsqa.image.load_volume`)."""
    return load_volume(source)


def conform_file(path: str | os.PathLike[str]) -> tuple[Volume, FileState | None]:
    """Step 1 on a file, and the state of the file that was read.

    Raises
    ------
    InputError
        Also where the file changed meanwhile: what was read may be part of the old and part of the new one.
    """
    before = FileState.of(path)
    problem: InputError | None = None
    try:
        volume = conform(path)
    except InputError as error:
        problem = error
    if FileState.of(path) != before:
        raise InputError(
            "the file changed while it was read", "wait until it is there as a whole and run again"
        ) from problem
    if problem is not None:
        raise problem
    return volume, before


def note_changed_input(record: Record, path: str | os.PathLike[str], read: FileState | None) -> None:
    """Warn where the file is no longer what was judged; the record tells size and time of what was, so it is redone."""
    if read is not None and FileState.of(path) != read:
        record.warnings.append("the file changed after it was read; this record is about what it was before: run again")


@lru_cache(maxsize=8)
def _scorer(name: str, device: str, weights: str | None, threads: int) -> Any:
    """A model, loaded once a process: a warm worker scores many scans."""
    from bidsqa import models

    return models.load(name, device=device, weights=Path(weights) if weights else None, threads=threads)


def score(name: str, volume: Volume, settings: Settings, source: Source | None = None, *, maps: bool = True) -> Scores:
    """Step 2: one learned score; a scan that the model can't judge gets none, with the reason.

    With ``maps``, unless the settings say no, also where in its worst slices it comes from. The scan's suffix and
    metadata, in ``source``, choose the ruler that noise is read against.

    Raises
    ------
    WeightsError
        When the weights are missing or damaged: that concerns the whole run.
    """
    scorer = _scorer(name, settings.device, dict(settings.weights).get(name), settings.threads)
    head = rough_head(volume)
    try:
        found = result = scorer.score(volume, slice_fraction=settings.slice_fraction, head=head)
        if name == RULER_MODEL:
            result = _on_ruler(found, scorer, volume, settings, source or Source("image", "T1w"))
    except NotComputable as error:
        return Scores({}, {name: scorer.provenance()}, {name: error.reason})
    drawn = scorer.local_maps(volume, head, found) if maps and settings.saliency else ()
    return Scores({name: result}, {name: scorer.provenance()}, {}, drawn)


def _on_ruler(found: Score, scorer: Any, volume: Volume, settings: Settings, source: Source) -> Score:
    """The place on the scan's ruler of what the network found."""
    from bidsqa import rulers

    kind = rulers.kind_of_scan(source.suffix, source.acquisition or {}, volume.spacing)
    return rulers.place_scan(found, scorer, kind, _rulers(settings.rulers))


def _rulers(shelf: str | None) -> Any:
    """The rulers at hand; read again where one of the site's own has changed."""
    return _read_rulers(shelf, rulers_checksum(Path(shelf)) if shelf else "")


@lru_cache(maxsize=2)
def _read_rulers(shelf: str | None, digest: str) -> Any:
    from bidsqa import rulers

    return rulers.rulers_at_hand(Path(shelf) if shelf else None)


def delineate(volume: Volume, settings: Settings) -> Anatomy:
    """Step 3: masks, tissues and the bias field."""
    from bidsqa import anatomy

    return anatomy.delineate(volume, threads=settings.threads)


def measure(volume: Volume, anatomy: Anatomy, suffix: str) -> tuple[dict[str, float | None], dict[str, str]]:
    """Step 4: the metrics that apply to the suffix, and why those that are None are missing."""
    from bidsqa import metrics

    return metrics.measure(volume, anatomy, suffix=suffix)


def draw(volume: Volume, anatomy: Anatomy, scores: Scores, settings: Settings) -> dict[str, bytes]:
    """Step 5: the pictures of the page, by file name."""
    from bidsqa import report

    beside: dict[str, bytes] = {}
    if RULER_MODEL in scores.scores:
        beside = report.draw_ruler_strip(volume, scores.scores[RULER_MODEL], _rulers(settings.rulers))
    reserved = sum(map(len, beside.values()))
    return beside | report.draw_figures(volume, anatomy, scores.scores, scores.maps, reserved=reserved)


def compile_record(
    source: Source,
    volume: Volume,
    anatomy: Anatomy,
    scores: Scores,
    metrics: Mapping[str, float | None],
    missing: Mapping[str, str],
    settings: Settings,
    ledger: Ledger,
) -> Record:
    """Step 6: gather what is known into the record and judge it."""
    image = volume.facts.to_dict()
    warnings = [*source.warnings, *image.pop("warnings")]
    digest = image.pop("sha256")
    image["background"] = anatomy.background
    image["anatomy"] = {"facts": dict(anatomy.facts), "problems": dict(anatomy.problems)}
    record = Record(
        bids_name=source.bids_name,
        scores={name: result.to_dict() for name, result in scores.scores.items()},
        metrics=dict(metrics),
        reasons_missing={**missing, **scores.missing},
        image=image,
        acquisition=dict(source.acquisition or {}),
        warnings=warnings,
        provenance=provenance_of(source, settings, digest, scores.models, ledger),
    )
    return judged(record, settings.thresholds)


def failure_record(
    source: Source, step: str, error: BaseException, settings: Settings, crashfile: str | None
) -> Record:
    """The record of a scan that could not be assessed."""
    if isinstance(error, BidsqaError):
        cause, hint = error.cause, error.hint
    elif isinstance(error, MemoryError):
        cause, hint = "not enough memory for this scan", "give the job more memory or fewer processes"
    elif lacks_room(error):
        cause = "no room left on the disk for intermediate files or outputs"
        hint = "make room there, or give a folder with more: --work-dir DIR"
    elif isinstance(error, OSError) and is_fault_of_disk(error):
        cause = f"the file system gave an error: {error.strerror}" + (f" ({error.filename})" if error.filename else "")
        hint = "look after the disk or the network folder, then run again"
    else:
        cause = f"unexpected {type(error).__name__}: {str(error)[:300]}"
        hint = "this is a fault of bidsqa; please report it together with the crash file"
    record = Record(
        bids_name=source.bids_name,
        status="failed",
        acquisition=dict(source.acquisition or {}),
        warnings=list(source.warnings),
        failure={"step": step, "cause": cause, "hint": hint, "crashfile": crashfile},
        provenance=provenance_of(source, settings, None, {}, Ledger()),
    )
    return judged(record, settings.thresholds)


def judged(record: Record, thresholds: str | None = None) -> Record:
    """The record with its verdict by the package's rules, overridden by the user's."""
    from bidsqa import verdict

    record.verdict = verdict.decide(record, _rules(thresholds))
    return record


@lru_cache(maxsize=4)
def _rules(thresholds: str | None) -> Any:
    from bidsqa import verdict

    return verdict.load_rules(Path(thresholds) if thresholds else None)


def examine(
    source: str | os.PathLike[str] | nibabel.spatialimages.SpatialImage,
    suffix: str = "T1w",
    settings: Settings | None = None,
    *,
    sidecar: Mapping[str, Any] | None = None,
    bids_name: str | None = None,
    pictures: bool = True,
) -> Examination:
    """Run all steps on one scan in this process.

    Parameters are those of :func:`assess`; ``pictures`` also draws the page's figures.
    """
    chosen = settings or Settings()
    _check_suffix(suffix)
    origin = _origin(source, suffix, sidecar, bids_name)
    ledger = Ledger()
    step = "conform"
    try:
        read: FileState | None = None
        with ledger.step(step):
            if isinstance(source, (str, os.PathLike)):
                volume, read = conform_file(source)
            else:
                volume = conform(source)
        scores = Scores({}, {}, {})
        for step in chosen.models:
            with ledger.step(step):
                scores = scores.merged(score(step, volume, chosen, origin, maps=pictures))
        step = "anatomy"
        with ledger.step(step):
            anatomy = delineate(volume, chosen)
        step = "metrics"
        with ledger.step(step):
            metrics, missing = measure(volume, anatomy, suffix)
        step = "figures"
        figures: dict[str, bytes] = {}
        if pictures:
            with ledger.step(step):
                figures = draw(volume, anatomy, scores, chosen)
        step = "record"
        record = compile_record(origin.seen(read), volume, anatomy, scores, metrics, missing, chosen, ledger)
        if isinstance(source, (str, os.PathLike)):
            note_changed_input(record, source, read)
    except WeightsError:
        raise
    except (InputError, MemoryError) as error:
        return Examination(failure_record(origin, step, error, chosen, None), {})
    return Examination(record, figures, volume, anatomy)


def assess(
    source: str | os.PathLike[str] | nibabel.spatialimages.SpatialImage,
    suffix: str = "T1w",
    settings: Settings | None = None,
    *,
    sidecar: Mapping[str, Any] | None = None,
    bids_name: str | None = None,
) -> Record:
    """Assess one scan without BIDS and Nipype.

    Parameters
    ----------
    source : path or nibabel image
        A NIfTI file or an image in memory with one volume.
    suffix : str
        ``T1w``, ``T2w``, ``FLAIR`` or ``PDw``: chooses the metrics and rules that apply.
    settings : Settings, optional
        Models, weights, slice fraction, thresholds.
    sidecar : mapping, optional
        The scan's metadata. By default those of a file are read: from the JSON file beside it, inside a BIDS dataset
        from all sidecars that apply; an image in memory has none.
    bids_name : str, optional
        Name in the record; the file's name without extension by default.

    Returns
    -------
    Record
        The record that the BIDS app writes for the same scan (``status: failed`` with cause and hint for a file that
        can't be assessed).

    Raises
    ------
    UsageError
        When the suffix is none of these.
    WeightsError
        When a model's weights are missing or damaged.
    """
    return examine(source, suffix, settings, sidecar=sidecar, bids_name=bids_name, pictures=False).record


def _check_suffix(suffix: str) -> None:
    from bidsqa.bids import JUDGED_SUFFIXES
    from bidsqa.bids.selection import suggestion

    if suffix not in JUDGED_SUFFIXES:
        raise UsageError(f"Images of the kind {suffix!r} can't be judged.", suggestion(str(suffix), JUDGED_SUFFIXES))


def _origin(source: Any, suffix: str, sidecar: Mapping[str, Any] | None, bids_name: str | None) -> Source:
    """Name, size, time and metadata of the scan's file, as far as there is one."""
    from bidsqa.bids import acquisition
    from bidsqa.bids.sidecar import sidecars_of

    if not isinstance(source, (str, os.PathLike)):
        return Source(bids_name or "image", suffix, acquisition=acquisition(dict(sidecar or {})))
    path = Path(source)
    name = bids_name or path.name.removesuffix(".gz").removesuffix(".nii")
    given, warnings = sidecars_of(path) if sidecar is None else (dict(sidecar), ())
    try:
        status = path.stat()
        size, mtime = status.st_size, int(status.st_mtime)
    except OSError:
        size, mtime = 0, 0
    return Source(name, suffix, path.name, size, mtime, acquisition(given), warnings)
