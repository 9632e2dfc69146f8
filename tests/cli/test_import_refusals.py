# SPDX-License-Identifier: Apache-2.0
"""``bidsqa-import-mriqc`` on what it can't use: broken files, odd rows, other kinds, wrong folders, hostile text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bidsqa.bids import names
from bidsqa.cli.import_mriqc import main
from bidsqa.record import Record

Place = Callable[..., Path]
Make = Callable[..., dict[str, Any]]
Import = Callable[..., int]
Imported = Callable[..., Record]


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ("{", "no valid JSON"),
        ("[]", "no JSON object"),
        ("[" * 100_000, "no valid JSON"),
        ({"a": 1}, "holds no metrics"),
        ({"cjv": 0.4, "cnr": 3.0, "efc": 0.6, "provenance": {"software": "other"}}, "made by other"),
    ],
)
def test_a_broken_file_costs_itself(
    place: Place,
    capsys: pytest.CaptureFixture[str],
    told: Any,
    words: str,
    import_mriqc: Import,
    imported: Imported,
    content: Make,
) -> None:
    place("sub-00_T1w", content(0))
    place("sub-01_T1w", told)
    assert import_mriqc() == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "sub-01/anat/sub-01_T1w.json" in err
    assert words in err
    assert imported().status == "ok"


def test_odd_rows_of_a_table(
    tmp_path: Path, mriqc_table: Callable[..., None], capsys: pytest.CaptureFixture[str], import_mriqc: Import
) -> None:
    mriqc_table(1, rows="../../etc/x_T1w\t1\nsub-03_bold\t1\n")
    assert import_mriqc() == 1
    err = capsys.readouterr().err
    assert "'../../etc/x_T1w' is no name of a T1w scan" in err
    assert [path.name for path in names.record_paths(tmp_path / "out")] == ["sub-00_desc-qa_T1w.json"]


def test_other_kinds_are_counted(
    place: Place, capsys: pytest.CaptureFixture[str], import_mriqc: Import, content: Make
) -> None:
    place("sub-00_task-rest_bold", {"dvars_std": 1.0}, "func")
    place("sub-00_task-rest_timeseries", {}, "func")
    place("sub-00_dwi", {}, "dwi")
    assert import_mriqc() == 2
    assert "holds results for bold and dwi only" in capsys.readouterr().err
    place("sub-00_T1w", content(0))
    assert import_mriqc() == 0
    assert "1 bold, 1 dwi" in capsys.readouterr().out


def test_wrong_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: Make) -> None:
    def told(*arguments: Path, code: int = 2) -> str:
        assert main(list(map(str, arguments))) == code
        err = capsys.readouterr().err
        assert err.count("\n") == 2
        return err

    source, out = tmp_path / "mriqc", tmp_path / "out"
    assert "doesn't exist" in told(source, out)
    source.mkdir()
    assert "holds no results of MRIQC" in told(source, out)
    assert "lie in each other" in told(source, source)
    assert "lie in each other" in told(source, source / "derivatives")
    assert "lie in each other" in told(source, tmp_path)
    (source / "sub-01" / "anat").mkdir(parents=True)
    (source / "sub-01" / "anat" / "sub-01_T1w.nii.gz").touch()
    assert "holds images" in told(source, out)
    (source / "sub-01" / "anat" / "sub-01_T1w.json").write_text(json.dumps(content(1)))
    out.mkdir()
    (out / "thesis.txt").touch()
    assert "holds other things" in told(source, out)
    (out / "dataset_description.json").write_text(json.dumps({"GeneratedBy": [{"Name": "MRIQC"}]}))
    assert "holds results of MRIQC" in told(source, out)


def test_hostile_text_is_data(place: Place, tmp_path: Path, import_mriqc: Import, content: Make) -> None:
    told = content(0)
    bad = "<script>alert(1)</script>{0.__class__}%n"
    told["bids_meta"] |= {"Manufacturer": bad, "InstitutionName": bad}
    told["provenance"] |= {"version": bad, "md5sum": bad, "settings": {bad: 1}}
    told[bad] = 3.0
    place("sub-00_T1w", told)
    assert import_mriqc() == 0
    for page in (tmp_path / "out").glob("*.html"):
        assert "<script>alert(1)" not in page.read_text(encoding="utf-8")
