# SPDX-License-Identifier: Apache-2.0
"""Sidecars: inheritance as PyBIDS has it, and damage that costs a warning."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidsqa.bids import Selection, acquisition, collect_scans
from bidsqa.bids.sidecar import ACQUISITION_KEYS, LONGEST_TEXT, load_sidecar, sidecars_of


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


@pytest.fixture
def inherited(tmp_path: Path) -> Path:
    write(tmp_path / "dataset_description.json", {"Name": "x", "BIDSVersion": "1.9.0"})
    write(tmp_path / "T1w.json", {"EchoTime": 1, "Manufacturer": "top", "FlipAngle": 8})
    write(tmp_path / "acq-fast_T1w.json", {"FlipAngle": 9})
    write(tmp_path / "T2w.json", {"EchoTime": 99})
    write(tmp_path / "sub-01/sub-01_T1w.json", {"EchoTime": 2})
    write(tmp_path / "sub-01/ses-a/sub-01_ses-a_T1w.json", {"RepetitionTime": 3})
    write(tmp_path / "sub-01/ses-a/anat/sub-01_ses-a_acq-fast_T1w.json", {"RepetitionTime": 4})
    for name in ("sub-01_ses-a_acq-fast_T1w", "sub-01_ses-a_T1w", "sub-01_ses-a_run-1_T2w"):
        (tmp_path / f"sub-01/ses-a/anat/{name}.nii.gz").touch()
    return tmp_path


def test_inheritance_is_that_of_pybids(inherited: Path) -> None:
    from bids import BIDSLayout

    layout = BIDSLayout(inherited, validate=False)
    scans = collect_scans(inherited, Selection()).scans
    assert len(scans) == 3
    for scan in scans:
        assert scan.sidecar == layout.get_metadata(str(scan.path))
        assert scan.warnings == ()
    fast = next(scan for scan in scans if "acq" in scan.entities)
    assert fast.sidecar == {"EchoTime": 2, "Manufacturer": "top", "FlipAngle": 9, "RepetitionTime": 4}


def test_a_single_file_has_the_same_metadata(inherited: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(inherited / "sub-01")
    for scan in collect_scans(inherited, Selection()).scans:
        assert sidecars_of(scan.path) == (scan.sidecar, scan.warnings)
        assert sidecars_of(Path(os.path.relpath(scan.path))) == (scan.sidecar, scan.warnings)


def test_a_file_outside_of_datasets_has_the_one_beside_it(tmp_path: Path) -> None:
    write(tmp_path / "T1w.json", {"EchoTime": 1})
    write(tmp_path / "sub-01/sub-01_T1w.json", {"FlipAngle": 9})
    assert sidecars_of(tmp_path / "sub-01/sub-01_T1w.nii.gz") == ({"FlipAngle": 9}, ())
    assert sidecars_of(tmp_path / "sub-01/sub-01_T2w.nii") == ({}, ())
    (tmp_path / "t1.json").write_text("{")
    values, (warning,) = sidecars_of(tmp_path / "t1.nii.gz")
    assert values == {}
    assert warning.startswith("Sidecar t1.json was not used")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[1, 2]",
        b'"text"',
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"EchoTime": ' + b"9" * 6000 + b"}",
        b"null",
    ],
)
def test_a_broken_sidecar_is_a_warning(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "sub-01_T1w.json"
    path.write_bytes(content)
    values, problem = load_sidecar(path)
    assert values == {}
    assert problem


def test_pipes_links_and_huge_files_are_warnings(tmp_path: Path) -> None:
    pipe, link, huge = tmp_path / "a.json", tmp_path / "b.json", tmp_path / "c.json"
    os.mkfifo(pipe)
    link.symlink_to(tmp_path / "nowhere")
    with huge.open("wb") as file:
        file.truncate(10_000_000)
    for path in (pipe, link, huge, tmp_path):
        assert load_sidecar(path)[1]


def test_a_broken_sidecar_costs_only_its_scans(inherited: Path) -> None:
    (inherited / "sub-01/ses-a/anat/sub-01_ses-a_acq-fast_T1w.json").write_text("{broken")
    scans = {scan.bids_name: scan for scan in collect_scans(inherited, Selection()).scans}
    assert len(scans) == 3
    warned = scans["sub-01_ses-a_acq-fast_T1w"]
    assert warned.sidecar["RepetitionTime"] == 3
    assert len(warned.warnings) == 1
    assert "sub-01_ses-a_acq-fast_T1w.json" in warned.warnings[0]
    assert scans["sub-01_ses-a_T1w"].warnings == ()


def test_acquisition_keeps_the_scanner_and_not_the_person() -> None:
    kept = acquisition(
        {
            "PatientName": "Doe",
            "PatientID": 1,
            "Manufacturer": "<script>alert(1)</script>",
            "ProtocolName": "{{7*7}} %s " + "x" * 1000,
            "RepetitionTime": math.nan,
            "EchoTime": 0.003,
            "ImageType": ["ORIGINAL", {"a": 1}, None, "NORM"],
            "FlipAngle": {"nested": 1},
            "MagneticFieldStrength": 10**40,
            "StationName": "bad \ud800 surrogate",
        }
    )
    assert set(kept) == {"Manufacturer", "ProtocolName", "EchoTime", "ImageType", "StationName"}
    assert kept["Manufacturer"] == "<script>alert(1)</script>"
    assert len(kept["ProtocolName"]) == LONGEST_TEXT
    assert kept["ImageType"] == ["ORIGINAL", "NORM"]
    assert json.dumps(kept, ensure_ascii=False).encode()


def test_a_converters_name_of_a_key_is_understood() -> None:
    assert acquisition({"BodyPartExamined": "CSPINE"}) == {"BodyPart": "CSPINE"}
    assert acquisition({"BodyPartExamined": "CSPINE", "BodyPart": "HEAD"}) == {"BodyPart": "HEAD"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.dictionaries(st.sampled_from(ACQUISITION_KEYS), JSON, max_size=5))
def test_acquisition_is_strict_json_whatever_comes(sidecar: dict[str, object]) -> None:
    kept = acquisition(sidecar)
    assert json.loads(json.dumps(kept, allow_nan=False)) == kept
    assert list(kept) == [key for key in ACQUISITION_KEYS if key in kept]
