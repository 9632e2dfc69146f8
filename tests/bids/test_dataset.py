# SPDX-License-Identifier: Apache-2.0
"""The output is a BIDS derivative that the validator and PyBIDS accept."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

import bidsqa
from bidsqa.bids import Scan, atomic_path, names, write_atomic
from bidsqa.bids.dataset import (
    check_output_is_ours,
    describe,
    read_description,
    write_dataset_files,
    write_mask_sidecars,
)
from bidsqa.errors import UsageError


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    root = tmp_path / "raw"
    root.mkdir()
    content = {"Name": "Study", "BIDSVersion": "1.9.0", "DatasetDOI": "doi:10.1/x"}
    (root / "dataset_description.json").write_text(json.dumps(content))
    return root


def filled(out: Path, raw: Path) -> Path:
    """An output folder with one file of each kind."""
    write_dataset_files(out, raw, sources=("Somebody. Something.",))
    for suffix in ("T1w", "T2w", "FLAIR", "PDw"):
        entities = {"sub": "01", "ses": "1", "acq": "a", "run": "01"}
        name = "_".join(f"{key}-{label}" for key, label in entities.items())
        scan = Scan(raw / f"sub-01/ses-1/anat/{name}_{suffix}.nii.gz", raw, entities, suffix)
        write_atomic(names.record_path(out, scan), json.dumps({"bids_name": scan.bids_name}))
        write_atomic(names.page_path(out, scan), "<!doctype html>")
        write_atomic(names.figure_path(out, scan, "mosaic.webp"), b"x")
        for kind in ("brain", "dseg"):
            with atomic_path(names.mask_path(out, scan, kind)) as path:
                image = nibabel.Nifti1Image(np.ones((5, 5, 5), np.uint8), np.eye(4))
                image.header.set_xyzt_units("mm")
                nibabel.save(image, path)
        write_mask_sidecars(out, scan)
        for table in (f"group_{suffix}.tsv", f"group_{suffix}.json"):
            write_atomic(out / table, "{}" if table.endswith("json") else "bids_name\n")
    for other in ("group_exclusions.tsv", "group_sites.tsv", "group.html", "logs/bidsqa-1.log", "logs/bidsqa-1.toml"):
        write_atomic(out / other, "x\n")
    for picture in ("severity.png", "severity.svg"):
        write_atomic(names.study_figure_path(out, picture), b"x")
    return out


def test_description_names_maker_source_and_container(tmp_path: Path, raw: Path) -> None:
    environment = {"BIDSQA_CONTAINER_TYPE": "docker", "BIDSQA_CONTAINER_TAG": "bidsqa:1"}
    content = describe(raw / "derivatives" / "bidsqa", raw, environment)
    (made,) = content["GeneratedBy"]
    assert (made["Name"], made["Version"]) == ("bidsqa", bidsqa.__version__)
    assert made["Container"] == {"Type": "docker", "Tag": "bidsqa:1"}
    assert content["DatasetType"] == "derivative"
    assert content["SourceDatasets"] == [{"URL": "../..", "DOI": "doi:10.1/x"}]
    assert str(tmp_path) not in json.dumps(content)
    assert "Container" not in describe(tmp_path, raw, {})["GeneratedBy"][0]
    apptainer = describe(tmp_path, raw, {"APPTAINER_CONTAINER": "/images/x.sif"})["GeneratedBy"][0]["Container"]
    assert apptainer == {"Type": "apptainer"}


def test_a_hostile_source_description_is_harmless(tmp_path: Path) -> None:
    root = tmp_path / "raw"
    root.mkdir()
    for text in ("{", "[]", '{"Name": {"a": 1}, "DatasetDOI": 3}', '{"Name": "' + "x" * 10_000 + '"}'):
        (root / "dataset_description.json").write_text(text)
        content = describe(tmp_path / "out", root, {})
        assert len(content["Name"]) < 300
        assert content["SourceDatasets"] == [{"URL": "../raw"}]


def test_files_are_written_once(tmp_path: Path, raw: Path) -> None:
    write_dataset_files(tmp_path / "out", raw)
    before = {path.name: path.stat().st_ino for path in (tmp_path / "out").iterdir()}
    assert set(before) == {"dataset_description.json", ".bidsignore", "CITATION.md"}
    write_dataset_files(tmp_path / "out", raw)
    assert before == {path.name: path.stat().st_ino for path in (tmp_path / "out").iterdir()}


def test_foreign_output_folders_are_refused(tmp_path: Path, raw: Path) -> None:
    check_output_is_ours(tmp_path / "new")
    write_dataset_files(tmp_path / "out", raw)
    check_output_is_ours(tmp_path / "out")
    with pytest.raises(UsageError, match="another dataset"):
        check_output_is_ours(raw)
    (raw / "dataset_description.json").write_text('{"GeneratedBy": [{"Name": "fMRIPrep"}]}')
    with pytest.raises(UsageError, match="results of fMRIPrep"):
        check_output_is_ours(raw)


@pytest.mark.parametrize(
    ("methods", "there", "absent"),
    [
        ((), "turned the metrics into", "network"),
        (("*ssim* predicts it",), "One network scored slices of each scan: *ssim* predicts it. Brain", "severity"),
        (("*a* does", "*b* does"), "Two networks scored slices of each scan: *a* does; *b* does.", "{"),
    ],
)
def test_citation_tells_what_was_run(
    tmp_path: Path, raw: Path, methods: tuple[str, ...], there: str, absent: str
) -> None:
    write_dataset_files(tmp_path / "out", raw, methods=methods)
    text = (tmp_path / "out" / "CITATION.md").read_text()
    assert max(map(len, text.splitlines())) <= 120
    assert there in " ".join(text.split())
    assert absent not in text


def test_pybids_finds_the_records(tmp_path: Path, raw: Path) -> None:
    from bids import BIDSLayout

    out = filled(tmp_path / "out", raw)
    layout = BIDSLayout(out, validate=False, is_derivative=True)
    found = layout.get(suffix="T1w", desc="qa", extension=".json", return_type="filename")
    assert [Path(path).name for path in found] == ["sub-01_ses-1_acq-a_run-01_desc-qa_T1w.json"]


@pytest.mark.parametrize("place", ["out", "raw/derivatives/bidsqa"])
def test_validator_finds_no_error(tmp_path: Path, raw: Path, place: str) -> None:
    program = shutil.which("bids-validator-deno") or shutil.which(
        "bids-validator-deno", path=Path(sys.executable).parent
    )
    if program is None:
        pytest.skip("bids-validator-deno is not installed")
    out = filled(tmp_path / place, raw)
    answer = subprocess.run([program, str(out), "--json"], capture_output=True, text=True, check=False)
    issues = json.loads(answer.stdout)["issues"]["issues"]
    assert [(issue["code"], issue.get("location")) for issue in issues if issue["severity"] == "error"] == []


def test_a_description_that_is_a_pipe_or_endless_is_none(tmp_path: Path) -> None:
    for name, make in (("pipe", os.mkfifo), ("endless", lambda path: path.symlink_to("/dev/zero"))):
        (tmp_path / name).mkdir()
        make(tmp_path / name / "dataset_description.json")
        assert read_description(tmp_path / name) == {}
        with pytest.raises(UsageError, match="another dataset"):
            check_output_is_ours(tmp_path / name)
