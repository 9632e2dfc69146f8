# SPDX-License-Identifier: Apache-2.0
"""The tables of sites not trained on, from the results of the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")

from bidsqa.models.table import MODELS
from bidsqa.validation.own_results import Result, as_csv
from bidsqa.validation.unseen import SHOWN, complete, main, unseen_tables

WEIGHTS = {name: MODELS[name].sha256 for name in ("severity", "ssim")}


def results() -> list[Result]:
    rows = []
    for place, site in enumerate(("A", "B", "C")):
        copies = [("none", 0.0), *(("noise", level) for level in (0.3, 0.6, 1.0)), ("motion", 0.3), ("motion", 1.0)]
        for artifact, level in copies:
            rows.append(
                Result(
                    f"sub-{place}_T1w",
                    str(place),
                    f"site-{site}",
                    "T1w",
                    artifact,
                    level,
                    level / 2,
                    {"severity": 0.1 * place + level, "ssim": 1 - level / 2},
                    {"severity": 0.1, "ssim": 0.1},
                    {"severity": artifact},
                    {"efc": level},
                    truth=float("nan") if artifact == "noise" else 1 - level / 2,
                    image="c0ffee",
                )
            )
    return rows


def test_titles_and_notes_say_which_scans_they_are_about(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text(as_csv(results(), WEIGHTS))
    main([str(tmp_path), "--out", str(tmp_path / "tables")])
    assert {path.stem for path in (tmp_path / "tables").iterdir()} == {f"unseen_{name}" for name in SHOWN}
    for path in (tmp_path / "tables").iterdir():
        table = json.loads(path.read_text())
        assert table["title"].startswith("Sites not trained on. ")
        assert WEIGHTS["severity"][:12] in table["note"] and "left out of it" in table["note"]
        assert table["command"] == "bidsqa-train evaluate BIDS_DIR OUT_DIR"


def test_strengths_of_the_papers_protocol_alone_are_not_graded() -> None:
    levels = {row[2] for row in unseen_tables(results(), WEIGHTS)["unseen_severity_strengths"].rows}
    assert levels == {"0.3", "1"}


def test_scans_that_were_not_judged_to_the_end_are_left_out() -> None:
    rows = results()
    assert complete(rows) == rows
    cut = rows[:-2]
    assert complete(cut) == [row for row in rows if row.subject != "2"]
    assert complete([replace(row, scan="one") for row in rows[:3]]) == [replace(row, scan="one") for row in rows[:3]]
