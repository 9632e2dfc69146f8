# SPDX-License-Identifier: Apache-2.0
"""Hostile outputs: records that a run never wrote, links that lead away, MRIQC's results, weights of unknown origin."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from bidsqa.bids import names
from bidsqa.bids.sidecar import ACQUISITION_KEYS
from bidsqa.errors import NotComputable
from bidsqa.record import Record, clean
from bidsqa.validation import hostile_texts as texts
from bidsqa.validation.example_records import example_record
from bidsqa.validation.fuzz_datasets import GOOD, OTHER, require, require_finite, require_harmless
from bidsqa.validation.fuzzing import ACCEPTED, REFUSED, Target

PARTS = ("verdict", "scores", "metrics", "reasons_missing", "image", "acquisition", "warnings", "failure", "provenance")
THIRD = "sub-03_T1w"


@lru_cache(maxsize=8)
def _example(name: str) -> dict[str, Any]:
    from bidsqa.verdict import load_rules

    return example_record(name, seed=len(name), rules=load_rules()).to_dict()


def _write_record(out: Path, name: str, content: bytes | None = None) -> Path:
    path = names.record_path(out, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(json.dumps(_example(name)).encode() if content is None else content)
    return path


def check_record(case: bytes, folder: Path) -> str:
    """A record that isn't ours costs only itself: rows, tables, states, the plan and the redrawn page."""
    from bidsqa.bids import Scan
    from bidsqa.cli.plan import Plan, describe_plan
    from bidsqa.group import dictionaries, read_rows, tables
    from bidsqa.outputs import pending, redraw
    from bidsqa.settings import Settings

    out = folder / "out"
    _write_record(out, GOOD)
    path = _write_record(out, OTHER, case)
    rows, problems = read_rows(out)
    require(rows[0].name == GOOD, "the good record is lost")
    for header, body in (tables.group_table(rows), tables.exclusion_table(rows), tables.site_table(rows)):
        text = tables.tsv(header, body)
        lines = text.encode().decode().split("\n")
        require(len(lines) == len(body) + 2, "a row of more than one line")
        require(len({line.count("\t") for line in lines[:-1]}) == 1, "rows of different length")
        require_finite(dictionaries.dictionary(header), "the dictionary of a table")
    scan = Scan(folder / f"{OTHER}.nii.gz", folder, {"sub": "02"}, "T1w")
    state = pending(scan, out, Settings())
    list(describe_plan(Plan(((scan, state),), ()), out, 2, 4.0))
    try:
        page = redraw(out, path)
    except ValueError:
        return REFUSED
    require(page == names.page_path(out, OTHER), f"another page was drawn: {page}")
    require_harmless(page.read_text(encoding="utf-8"))
    return ACCEPTED if not problems else "page drawn, left out of the tables"


def record_cases() -> st.SearchStrategy[bytes]:
    """A good record with some of its parts, or entries deep in it, replaced."""
    return texts.json_files(
        st.one_of(
            _spoilt_records(), _spoilt_records(), _spoilt_records(), texts.objects(("bids_name", "status", *PARTS))
        )
    )


@st.composite
def _spoilt_records(draw: Callable[[Any], Any]) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(json.dumps(_example(OTHER)))
    for _ in range(draw(st.integers(1, 4))):
        place: Any = record[draw(st.sampled_from([part for part in PARTS if record[part]]))]
        if draw(st.integers(0, 9)) == 0:
            place = record
        while isinstance(place, (dict, list)) and place and draw(st.integers(0, 4)) > 0:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = draw(st.sampled_from(keys))
            if not isinstance(place[key], (dict, list)) or not place[key] or draw(st.integers(0, 4)) == 0:
                place[key] = draw(texts.values())
                break
            place = place[key]
        else:
            if isinstance(place, dict):
                place[draw(texts.texts())] = draw(texts.values())
    if draw(st.integers(0, 3)) == 0:
        record["bids_name"] = draw(
            st.sampled_from(["../../escape_T1w", GOOD, "sub-02_T2w", "sub-02", "sub-../x_T1w", texts.MARK])
        )
    if draw(st.integers(0, 9)) == 0:
        record["metrics"] = {f"own{at}": at for at in range(draw(st.sampled_from([10, 5000])))}
    return record


def check_study(case: tuple[list[bytes], list[tuple[str, str]]], folder: Path) -> str:
    """The group level over records and folders that aren't ours: its files are whole, nothing outside is touched."""
    from bidsqa.cli.checks import check_links
    from bidsqa.study import run_group

    records, links = case
    out, away = folder / "out", folder / "away"
    _write_record(out, GOOD)
    for at, content in enumerate(records):
        _write_record(out, f"sub-1{at}_T1w", content)
    away.mkdir()
    (away / "anat").mkdir()
    (away / "kept.txt").write_text("as it was")
    for place, target in links:
        path = out / place
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(path):
            path.symlink_to(away / target if target else away)
    before = _digest_of(away)
    outcome = ACCEPTED
    try:
        check_links(out)
        result = run_group(out, harmonise=True)
        outcome = "accepted, some left out" if result.problems else ACCEPTED
        page = (out / "group.html").read_text(encoding="utf-8")
        require_harmless(page)
        require(GOOD in page, "the good scan is lost")
        for path in result.paths:
            if path.suffix == ".json":
                require_finite(json.loads(path.read_text(encoding="utf-8")), path.name)
    finally:
        require(_digest_of(away) == before, "something outside the output folder was changed")
    return outcome


def _digest_of(folder: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        found.update(str(path).encode() + (path.read_bytes() if path.is_file() else b""))
    return found.hexdigest()


def study_cases() -> st.SearchStrategy[Any]:
    """Records, and links in place of folders and files of the output."""
    places = [
        "figures",
        "group.html",
        "group_T1w.tsv",
        "group_participants.tsv",
        "sub-02",
        "sub-02/anat",
        f"{GOOD}.html",
    ]
    links = st.tuples(st.sampled_from(places), st.sampled_from(["", "anat", "kept.txt", "gone"]))
    return st.tuples(st.lists(record_cases(), max_size=3), st.just([]) | st.lists(links, max_size=2))


def check_mriqc(case: Mapping[str, Any], folder: Path) -> str:
    """Files that MRIQC may or may not have written become records and pages, or sentences."""
    from bidsqa.group.mriqc_import import Survey, read_mriqc, record_of
    from bidsqa.report import render_scan
    from bidsqa.verdict import load_rules

    source, out = folder / "mriqc", folder / "out"
    anat = source / "sub-02" / "anat"
    anat.mkdir(parents=True)
    (source / "dataset_description.json").write_bytes(case["description"])
    (anat / f"{OTHER}.json").write_bytes(case["scan"])
    (source / "group_T1w.tsv").write_bytes(case["table"])
    survey, imported = Survey(), 0
    rules = load_rules()
    for scan in read_mriqc(source, survey):
        record = record_of(scan, rules)
        require_finite(record.to_dict(), "record")
        require(names.record_path(out, record.bids_name).resolve().is_relative_to(out.resolve()), "a way out")
        require_harmless(render_scan(Record.loads(record.dumps()), {}))
        imported += 1
    require(bool(imported or survey.problems or survey.others), "neither imported nor told why")
    return ACCEPTED if imported else REFUSED


def mriqc_cases() -> st.SearchStrategy[dict[str, Any]]:
    """MRIQC's file of a scan, its group table and description."""
    metrics = ("cjv", "cnr", "snr_total", "efc", "fber", "qi_1", "inu_med", "size_x", "size_y", "size_z", "spacing_x")
    usual = dict.fromkeys(metrics, 1.5)
    further = texts.objects((*metrics, "provenance", "bids_meta"), _mriqc_parts())
    scans = further.map(lambda changed: usual | changed)
    cells = st.sampled_from([OTHER, THIRD, "1.5", "nan", "inf", "1e999", "0x1p3", "1_000", "٣"])
    return st.fixed_dictionaries(
        {
            "description": texts.json_files(
                texts.objects(("Name", "GeneratedBy"), st.just([{"Name": "MRIQC", "Version": "23.1.0"}]))
            ),
            "scan": texts.json_files(scans | texts.values()),
            "table": texts.tables(("bids_name", "cjv", "cnr", "efc", "fber"), cells),
        }
    )


def _mriqc_parts() -> st.SearchStrategy[Any]:
    told = texts.objects(
        ("software", "version", "md5sum", "settings", "warnings"), st.sampled_from(["mriqc", "0.16.1", "fMRIPrep"])
    )
    return told | texts.objects(ACQUISITION_KEYS)


def check_weights(case: tuple[str, bytes], folder: Path) -> str:
    """A file of weights is refused with a reason, or runs; it is never unpickled."""
    from bidsqa.models import load

    name, content = case
    path = folder / name
    path.write_bytes(content)
    try:
        score = load("severity", weights=path).score(_head(), 0.2)
    except NotComputable as reason:
        require(bool(reason.reason), "no reason for a missing score")
        return "runs, gives no score"
    require_finite([clean(score.to_dict()), score.value, score.uncertainty], "score")
    return ACCEPTED


@lru_cache(maxsize=1)
def _head() -> Any:
    from bidsqa.simulation.phantom import make_phantom

    return make_phantom(seed=0, spacing=(4.0, 4.0, 4.0)).image("T1w", seed=1)


@lru_cache(maxsize=1)
def _shipped() -> bytes:
    from bidsqa.models import MODELS

    return MODELS["severity"].path.read_bytes()


def weights_cases() -> st.SearchStrategy[tuple[str, bytes]]:
    """Changed ONNX graphs, safetensors with any header, pickles under many names."""
    import torch  # noqa: F401  # before the first case: importing it takes more than a case may

    _head()
    return st.one_of(_onnx(), _safetensors(), _pickles())


@st.composite
def _onnx(draw: Callable[[Any], Any]) -> tuple[str, bytes]:
    content = bytearray(_shipped())
    for _ in range(draw(st.integers(0, 3))):
        # the structure stands at the beginning and the end; between them are only numbers
        at = draw(
            st.integers(0, 3000) | st.integers(len(content) - 3000, len(content) - 1) | st.integers(0, len(content) - 1)
        )
        content[at] = draw(st.integers(0, 255))
    cut = draw(st.sampled_from([None, None, None, 0, 1, 100, len(content) // 2]))
    return "own.onnx", bytes(content if cut is None else content[:cut])


def _safetensors() -> st.SearchStrategy[tuple[str, bytes]]:
    meta = texts.objects(("bidsqa_model", "architecture", "version"), st.sampled_from(["severity", "compact", "ssim"]))
    tensor = st.fixed_dictionaries(
        {
            "dtype": st.sampled_from(["F32", "F64", "I8", "X"]) | texts.values(),
            "shape": st.lists(texts.numbers(), max_size=3) | texts.values(),
            "data_offsets": st.lists(texts.numbers(), min_size=2, max_size=2) | texts.values(),
        }
    )
    entries = st.dictionaries(texts.texts(), tensor, max_size=2)
    named = st.tuples(meta | st.just({"bidsqa_model": "severity"}), entries).map(
        lambda pair: {**pair[1], "__metadata__": pair[0]}
    )
    header = texts.json_files(named | texts.values())
    lengths = st.none() | st.none() | st.sampled_from([0, 1, 2**31, 2**63, 2**64 - 1])
    return st.tuples(header, lengths, st.binary(max_size=16)).map(
        lambda given: (
            "own.safetensors",
            (len(given[0]) if given[1] is None else given[1]).to_bytes(8, "little") + given[0] + given[2],
        )
    )


def _pickles() -> st.SearchStrategy[tuple[str, bytes]]:
    # protocol 0: os.system("touch escape")
    content = b"cos\nsystem\n(S'touch escape'\ntR."
    kinds = [".pt", ".PTH", ".ckpt", ".pkl", ".bin", ".npy", ".npz", ".onnx", ".safetensors", ".h5", "", ".joblib"]
    return st.sampled_from(kinds).map(lambda kind: (f"own{kind}", content))


OUTPUT_TARGETS: tuple[Target, ...] = (
    Target("records", "records in the output folder", record_cases, check_record),
    Target(
        "studies",
        "the group level over such records and links",
        study_cases,
        check_study,
        seconds=20.0,
        megabytes=600.0,
    ),
    Target("mriqc", "results to import from MRIQC", mriqc_cases, check_mriqc),
    Target(
        "weights", "weights: ONNX, safetensors, pickles", weights_cases, check_weights, seconds=10.0, megabytes=1000.0
    ),
)
