# SPDX-License-Identifier: Apache-2.0
"""When a scan was acquired: forms of dates, where they come from, and what wrong ones cost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bidsqa.bids import acquisition
from bidsqa.bids.dates import as_date, settle_date
from bidsqa.bids.sidecar import Sidecars, sidecars_of
from bidsqa.settings import sidecar_digest


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2009-06-15T13:45:30.123Z", "2009-06-15T13:45:30"),
        ("2009-06-15T13:45:30+02:00", "2009-06-15T13:45:30"),
        ("2009-06-15 13:45", "2009-06-15T13:45:00"),
        ("20090615", "2009-06-15"),
        ("20090615134530.5", "2009-06-15T13:45:30"),
        ("1877-06-15T13:45:30", "1877-06-15T13:45:30"),
        ("0000-00-00", ""),
        ("0001-01-01", ""),
        ("2009-13-01", ""),
        ("2009-06-15T25:00:00", ""),
        ("13:45:30", ""),
        ("<script>", ""),
        ("{0.__class__}", ""),
    ],
)
def test_forms(text: str, expected: str) -> None:
    assert as_date(text) == expected


def test_date_and_time_may_stand_apart() -> None:
    assert settle_date({"AcquisitionDate": "20200102", "AcquisitionTime": "10:20:30.5"}) == ("2020-01-02T10:20:30", "")
    assert settle_date({"AcquisitionDate": "2020-01-02", "AcquisitionTime": "odd"}) == ("2020-01-02", "")
    assert settle_date({"AcquisitionDate": 20200102}) == ("2020-01-02", "")
    assert settle_date({"AcquisitionTime": "10:20:30"}) == ("", "")
    assert settle_date({"AcquisitionDateTime": "n/a"}) == ("", "")
    date, problem = settle_date({"AcquisitionDateTime": "yesterday"})
    assert date == ""
    assert "'yesterday' is no date" in problem


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "sub-01" / "ses-a" / "anat").mkdir(parents=True)
    (tmp_path / "dataset_description.json").write_text("{}")
    return tmp_path


def read(root: Path, run: str = "1") -> tuple[dict[str, object], tuple[str, ...]]:
    folder = root / "sub-01" / "ses-a" / "anat"
    metadata, warnings = Sidecars(root).read(folder, {"sub": "01", "ses": "a", "run": run}, "T1w")
    return acquisition(metadata), warnings


def test_scans_tsv_has_the_last_word(root: Path) -> None:
    sidecar = {"AcquisitionDateTime": "2020-01-02T10:20:30", "AcquisitionTime": "10:20:30"}
    (root / "sub-01" / "ses-a" / "anat" / "sub-01_ses-a_run-1_T1w.json").write_text(json.dumps(sidecar))
    assert read(root) == ({"AcquisitionDateTime": "2020-01-02T10:20:30"}, ())
    scans = root / "sub-01" / "ses-a" / "sub-01_ses-a_scans.tsv"
    scans.write_text(
        "filename\tacq_time\nanat/sub-01_ses-a_run-1_T1w.nii.gz\t1877-06-15T13:45:30\n"
        "anat/sub-01_ses-a_run-2_T1w.nii.gz\tn/a\nfunc/sub-01_ses-a_task-x_bold.nii.gz\t1877-06-16\n"
    )
    assert read(root)[0] == {"AcquisitionDateTime": "1877-06-15T13:45:30"}
    assert read(root, "2")[0] == {}
    image = root / "sub-01" / "ses-a" / "anat" / "sub-01_ses-a_run-1_T1w.nii.gz"
    assert acquisition(sidecars_of(image)[0]) == {"AcquisitionDateTime": "1877-06-15T13:45:30"}


def test_each_table_is_read_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bidsqa.bids import sidecar

    calls = []
    monkeypatch.setattr(sidecar, "read_tsv", lambda path: calls.append(path) or sidecar.Tsv())
    (root / "sub-01" / "ses-a" / "sub-01_ses-a_scans.tsv").write_text("")
    reader = Sidecars(root)
    for run in "123":
        reader.read(root / "sub-01" / "ses-a" / "anat", {"sub": "01", "ses": "a", "run": run}, "T1w")
    assert len(calls) == 1


def test_a_wrong_date_costs_a_warning(root: Path) -> None:
    scans = root / "sub-01" / "ses-a" / "sub-01_ses-a_scans.tsv"
    scans.write_text("filename\tacq_time\nanat/sub-01_ses-a_run-1_T1w.nii.gz\tsoon\n")
    kept, (warning,) = read(root)
    assert kept == {}
    assert "'soon' is no date" in warning


def test_a_broken_table_costs_a_warning(root: Path) -> None:
    (root / "sub-01" / "ses-a" / "sub-01_ses-a_scans.tsv").mkdir()
    kept, (warning,) = read(root)
    assert kept == {}
    assert warning == "sub-01_ses-a_scans.tsv: it is no regular file."


def test_only_a_real_change_makes_a_record_out_of_date(root: Path) -> None:
    def digest() -> str:
        return sidecar_digest(*read(root))

    before = digest()
    assert before == sidecar_digest({}, ()), "nothing is added where no date is known"
    scans = root / "sub-01" / "ses-a" / "sub-01_ses-a_scans.tsv"
    scans.write_text("filename\tacq_time\tnote\nanat/sub-01_ses-a_run-2_T1w.nii.gz\t2020-01-01\tx\n")
    assert digest() == before, "another scan's date"
    scans.write_text("filename\tacq_time\nanat/sub-01_ses-a_run-1_T1w.nii.gz\t2020-01-01T10:00:00\n")
    dated = digest()
    assert dated != before
    scans.write_text("filename\tacq_time\nanat/sub-01_ses-a_run-1_T1w.nii.gz\t2020-01-01T10:00:00.5Z\n")
    assert digest() == dated
