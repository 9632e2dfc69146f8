# SPDX-License-Identifier: Apache-2.0
"""Hostile datasets and settings: images, sidecars, tables, folders full of odd things, the user's own files."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from bidsqa.bids.sidecar import ACQUISITION_KEYS
from bidsqa.errors import BidsqaError
from bidsqa.record import Record
from bidsqa.validation import hostile_texts as texts
from bidsqa.validation.example_records import example_record
from bidsqa.validation.fuzzing import ACCEPTED, REFUSED, Target, Violation, refusal
from bidsqa.validation.hostile_images import HostileFile, hostile_images

WARNED = "accepted with a warning"
GOOD, OTHER = "sub-01_T1w", "sub-02_T1w"
LONGEST_NAME = 255  # bytes that a file system takes


def require(holds: bool, what: str) -> None:
    """Raise `Violation` where something doesn't hold."""
    if not holds:
        raise Violation(what)


def require_finite(value: Any, what: str) -> None:
    """Nothing but strict JSON: no NaN, no infinity, no text that can't be UTF-8."""
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, TypeError) as error:
        raise Violation(f"{what}: {error}") from error


def require_harmless(page: str) -> None:
    """No hostile text stands in a page as markup."""
    require(texts.MARK not in page, "markup from outside in a page")
    require("<img src=x" not in page, "markup from outside in a page")
    page.encode()


def check_image(case: HostileFile, folder: Path) -> str:
    """A file is refused, or read as finite numbers."""
    from bidsqa.image import load_volume

    path = folder / case.name
    path.write_bytes(case.content)
    volume = load_volume(path)
    require(bool(np.isfinite(volume.data).all() and np.isfinite(volume.affine).all()), "values that are not finite")
    require(all(0 < edge < math.inf for edge in volume.spacing), f"voxel edges {volume.spacing}")
    require_finite(volume.facts.to_dict(), "facts of the image")
    return ACCEPTED


def check_scan(case: HostileFile, folder: Path) -> str:
    """A file goes the whole way to a record and a page."""
    from bidsqa import report, steps
    from bidsqa.settings import Settings

    path = folder / case.name
    path.write_bytes(case.content)
    done = steps.examine(path, "T1w", Settings(saliency=False))
    require_finite(done.record.to_dict(), "record")
    Record.loads(done.record.dumps())
    require_harmless(report.render_scan(done.record, done.figures))
    if done.record.status == "failed":
        failure = done.record.failure or {}
        return refusal(BidsqaError(str(failure.get("cause")), str(failure.get("hint"))))
    for name, score in done.record.scores.items():
        require(math.isfinite(score["value"]) and math.isfinite(score["uncertainty"]), f"score {name}")
    return ACCEPTED


def check_sidecars(case: Mapping[str, bytes], folder: Path) -> str:
    """Sidecars and scans.tsv of an image end in its record and page, or in a sentence."""
    from bidsqa.bids import acquisition
    from bidsqa.bids.sidecar import Sidecars, sidecars_of
    from bidsqa.settings import sidecar_digest

    anat = folder / "sub-01" / "anat"
    anat.mkdir(parents=True)
    (folder / "dataset_description.json").write_bytes(case["description"])
    (folder / "T1w.json").write_bytes(case["above"])
    (anat / f"{GOOD}.json").write_bytes(case["beside"])
    (folder / "sub-01" / "sub-01_scans.tsv").write_bytes(case["scans"])
    metadata, warnings = Sidecars(folder).read(anat, {"sub": "01"}, "T1w")
    require((metadata, warnings) == sidecars_of(anat / f"{GOOD}.nii.gz"), "two ways to read sidecars differ")
    kept = acquisition(metadata)
    require_finite([kept, warnings], "acquisition")
    sidecar_digest(kept, warnings)
    _judge_and_draw(kept, warnings)
    return WARNED if warnings else ACCEPTED


def _judge_and_draw(acquired: dict[str, Any], warnings: tuple[str, ...] = (), rules: Any = None) -> None:
    from bidsqa.report import render_scan
    from bidsqa.verdict import decide, load_rules

    record = example_record(GOOD, seed=1, damage=0.5)
    record.acquisition, record.warnings = acquired, list(warnings)
    record.verdict = decide(record, load_rules() if rules is None else rules)
    require_finite(record.verdict, "verdict")
    require_harmless(render_scan(Record.loads(record.dumps()), {}))


def sidecar_cases() -> st.SearchStrategy[dict[str, bytes]]:
    """The files of one image, and what stands in them."""
    keys = (*ACQUISITION_KEYS, "AcquisitionDate", "AcquisitionTime")
    dates = st.sampled_from(["2021-03-04T10:20:30", "20210304102030.5", "0001-01-01", "2021-13-45", "٢٠٢١-٠٣-٠٤"])
    files = texts.json_files(texts.objects(keys, dates))
    return st.fixed_dictionaries(
        {
            "description": texts.json_files(texts.objects(("Name", "BIDSVersion", "GeneratedBy"))),
            "above": files,
            "beside": files,
            "scans": texts.tables(
                ("filename", "acq_time"), st.sampled_from([f"anat/{GOOD}.nii.gz", "2021-03-04T10:20:30"]) | dates
            ),
        }
    )


def check_tables(case: Mapping[str, bytes], folder: Path) -> str:
    """participants.tsv, its dictionary and dataset_description.json of a dataset, up to the output folder's copies."""
    from bidsqa.bids.dataset import write_dataset_files
    from bidsqa.bids.participants import COPY, keep_copy, read_participants
    from bidsqa.cli.checks import check_folders, check_input

    root, out = folder / "data", folder / "out"
    (root / "sub-01").mkdir(parents=True)
    (root / "dataset_description.json").write_bytes(case["description"])
    (root / "participants.tsv").write_bytes(case["participants"])
    (root / "participants.json").write_bytes(case["dictionary"])
    warnings = check_input(root)
    check_folders(root, out, None)
    write_dataset_files(out, root)
    require_finite(json.loads((out / "dataset_description.json").read_text()), "the output's description")
    warnings += keep_copy(root, out)
    people = read_participants(out, COPY)
    require(not people.problems, f"the copy is not clean: {people.problems}")
    for value in (value for row in people.rows.values() for value in row.values()):
        require(value.isprintable(), "control characters in the copy")
    return WARNED if warnings else ACCEPTED


def table_cases() -> st.SearchStrategy[dict[str, bytes]]:
    """The files about a whole dataset."""
    columns = ("participant_id", "site", "age", "sub", "session", "bids_name")
    good = {
        "description": b'{"Name": "Study", "BIDSVersion": "1.9.0"}',
        "participants": b"participant_id\tsite\nsub-01\ta\n",
        "dictionary": b'{"site": {"Description": "where"}}',
    }
    told = texts.objects(("Name", "BIDSVersion", "DatasetDOI", "DatasetVersion", "GeneratedBy"))
    hostile = {
        "description": texts.json_files(told.map(lambda entries: {"Name": "Study", "BIDSVersion": "1.9.0"} | entries)),
        "participants": texts.tables(columns, st.sampled_from(["sub-01", "01", "sub-02"])),
        "dictionary": texts.json_files(texts.objects((*columns, "Levels", "Description"))),
    }
    return st.fixed_dictionaries({name: st.just(good[name]) | hostile[name] for name in good})


def check_folder(case: list[tuple[str, str, str]], folder: Path) -> str:
    """A dataset's folders with odd entries: the good scan is found, and no result leads out of the output folder."""
    from bidsqa.bids import Selection, collect_scans, names
    from bidsqa.cli.checks import check_folders, check_input
    from bidsqa.cli.plan import describe_plan, make_plan
    from bidsqa.settings import Settings
    from bidsqa.workflows.scan import need_of, scan_wf_name

    root, out = folder / "data", folder / "out"
    places = {"root": root, "sub": root / "sub-01", "anat": root / "sub-01" / "anat"}
    places["anat"].mkdir(parents=True)
    (places["anat"] / f"{GOOD}.nii.gz").touch()
    made = sum(_make_entry(places[place] / name, kind, folder) for place, name, kind in case)
    check_input(root)
    check_folders(root, out, None)
    collection = collect_scans(root, Selection(strict_names=False))
    found = [scan.bids_name for scan in collection.scans]
    require(GOOD in found, "the good scan is lost")
    require(len(found) == len(set(found)), "two scans of one name")
    plan = make_plan(collection, out, Settings(), False)
    for line in describe_plan(plan, out, 2, 4.0):
        require(line.isprintable(), "control characters for the terminal")
    for scan in collection.scans:
        paths = [names.record_path(out, scan), names.page_path(out, scan)]
        paths += [
            names.figure_path(out, scan, "outline-white-matter-sagittal.webp"),
            names.mask_path(out, scan, "brain"),
        ]
        for path in paths:
            require(path.resolve().is_relative_to(out.resolve()), f"{path} lies outside the output folder")
            require(len(os.fsencode(path.name)) <= LONGEST_NAME - 30, f"too long for a file: {path.name}")
        require(len(scan_wf_name(scan.bids_name)) <= LONGEST_NAME - 30, f"too long for a folder: {scan.bids_name}")
        need_of(scan.path)
    return f"{ACCEPTED}, some left out" if made >= len(found) else ACCEPTED


def _make_entry(path: Path, kind: str, folder: Path) -> bool:
    try:
        ENTRIES[kind](path, folder)
    except (OSError, ValueError):  # there already, or no name for a file
        return False
    return True


def _loop(path: Path, folder: Path) -> None:
    path.symlink_to(path.name)


def _upward(path: Path, folder: Path) -> None:
    path.symlink_to("..")


def _outside(path: Path, folder: Path) -> None:
    (folder / "elsewhere" / "anat").mkdir(parents=True, exist_ok=True)
    (folder / "elsewhere" / "anat" / f"{OTHER}.nii.gz").touch()
    path.symlink_to(folder / "elsewhere")


ENTRIES: dict[str, Callable[[Path, Path], None]] = {
    "file": lambda path, folder: path.touch(exist_ok=False),
    "folder": lambda path, folder: path.mkdir(),
    "pipe": lambda path, folder: os.mkfifo(path),
    "link to /dev/zero": lambda path, folder: path.symlink_to("/dev/zero"),
    "link to nowhere": lambda path, folder: path.symlink_to("gone"),
    "link to itself": _loop,
    "link upward": _upward,
    "link outside": _outside,
    "link to /etc/passwd": lambda path, folder: path.symlink_to("/etc/passwd"),
}


def folder_cases() -> st.SearchStrategy[list[tuple[str, str, str]]]:
    """Place, name and kind of some entries."""
    fixed = [
        "sub-02",
        "sub-03",
        "ses-1",
        "anat",
        "dataset_description.json",
        "participants.tsv",
        "T1w.json",
        ".bidsignore",
    ]
    fixed += [
        f"{GOOD}.json",
        f"{GOOD}.nii",
        f"{OTHER}.nii.gz",
        "sub-01_scans.tsv",
        "sub-é",
        "sub-\udcff",
        "sub-" + "0" * 120,
    ]
    names = st.sampled_from(fixed) | texts.file_names()
    return st.lists(
        st.tuples(st.sampled_from(["root", "sub", "anat"]), names, st.sampled_from(list(ENTRIES))), max_size=5
    )


def check_settings(case: tuple[str, bytes], folder: Path) -> str:
    """A file that the user gives: understood, or refused in a sentence."""
    kind, content = case
    path = folder / f"given{SETTINGS_FILES[kind][0]}"
    path.write_bytes(content)
    SETTINGS_FILES[kind][1](path)
    return ACCEPTED


def _read_rules(path: Path) -> None:
    from bidsqa.settings import Settings
    from bidsqa.verdict import load_rules

    rules = load_rules(path)
    Settings(thresholds=str(path)).changing_numbers()
    _judge_and_draw({}, (), rules)
    for suffix in ("T1w", "FLAIR"):
        rules.outlier_rule(suffix)
        rules.protocol_rule(suffix)


def _read_config(path: Path) -> None:
    from bidsqa.cli.config import dump_config
    from bidsqa.cli.parser import parse
    from bidsqa.cli.settings import RunSettings

    given = ["data", "out", "participant", "--config-file", str(path)]
    try:
        settings = RunSettings.from_namespace(parse(given))
    except SystemExit as stop:  # --version and --help may stand in the file
        require(stop.code == 0, "the parser ended the process")
        return
    path.write_text(dump_config(settings.option_values()), encoding="utf-8")
    again = RunSettings.from_namespace(parse(given))
    require(again.option_values() == settings.option_values(), "the config file of a run doesn't repeat it")


def _read_filters(path: Path) -> None:
    from bidsqa.bids.selection import load_filters

    load_filters(path)


def _read_plugin(path: Path) -> None:
    from bidsqa.cli.plugin import read_plugin

    read_plugin(path)


SETTINGS_FILES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "thresholds": (".toml", _read_rules),
    "config": (".toml", _read_config),
    "filter": (".json", _read_filters),
    "plugin": (".yml", _read_plugin),
}


@lru_cache(maxsize=1)
def settings_cases() -> st.SearchStrategy[tuple[str, bytes]]:
    """The kind of a file and its content."""
    from bidsqa.cli.options import OPTION_KEYS
    from bidsqa.verdict.cohort import CHECKS
    from bidsqa.verdict.rules import LIMITS

    keys = (*LIMITS, "reads", "quantity", "missing", "unit", "suffixes", "off", "advice", "version", *CHECKS)
    sections = (
        "rules",
        "rules.ssim",
        "rules.ssim.T1w",
        "rules.severity",
        "rules.own",
        "families.noise",
        "cohort",
        "cohort.outlier",
    )
    thresholds = texts.toml_files(keys, (*sections, "cohort.protocol", "cohort.protocol.FLAIR"))
    config = texts.toml_files([option.name for option in OPTION_KEYS.values()], ("x",))
    filters = texts.json_files(
        texts.objects(("t1w", "T2w", "bold"), texts.objects(("session", "ses", "run", "acquisition", "suffix")))
    )
    plugin = texts.json_files(texts.objects(("plugin", "plugin_args"), st.sampled_from(["Linear", "MultiProc"])))
    yaml = st.sampled_from(YAML)
    kinds = {"thresholds": thresholds, "config": config, "filter": filters, "plugin": plugin | yaml}
    return st.one_of(*(st.tuples(st.just(kind), content) for kind, content in kinds.items()))


YAML = (
    b"plugin: Linear",
    b"!!python/object/apply:os.system ['touch escape']",
    b"plugin: !!python/name:os.system",
    b"a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nplugin: [*b,*b,*b,*b,*b,*b,*b,*b,*b]",
    b"plugin: {a: " * 500,
    b"\t\t: :",
    b"[" * 3000,
)

DATASET_TARGETS: tuple[Target, ...] = (
    Target("images", "NIfTI files: header fields, extensions, gzip streams", hostile_images, check_image),
    Target(
        "scans", "such files all the way to record and page", hostile_images, check_scan, seconds=60.0, megabytes=1500.0
    ),
    Target("sidecars", "sidecars, scans.tsv, dataset_description.json", sidecar_cases, check_sidecars),
    Target("tables", "participants.tsv and its dictionary, dataset_description.json", table_cases, check_tables),
    Target("folders", "names, links, pipes and devices in a dataset", folder_cases, check_folder),
    Target("settings", "thresholds, config, filter and plugin files", settings_cases, check_settings),
)
__all__ = ["DATASET_TARGETS", "REFUSED"]
