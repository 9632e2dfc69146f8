# SPDX-License-Identifier: Apache-2.0
"""What contrast changes and artifacts outside the other tables do to both scores: the arithmetic of the tables."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from bidsqa.validation.tables import write_rows
from bidsqa.validation.unjudged import NUISANCES, OTHERS, STRENGTHS, Scored, read_rows, tables


def rows() -> list[Scored]:
    made = []
    for scan, base in (("a", 0.2), ("b", 0.8)):
        made.append(Scored(scan, "none", 0.0, 0.0, base, "none", 0.95))
        made += [Scored(scan, name, s, 0.1 * s, base + 0.5 * s, "bias", 0.95) for name in NUISANCES for s in STRENGTHS]
        made += [Scored(scan, name, s, 0.4 * s, base, "none", 0.95 - 0.2 * s) for name in OTHERS for s in STRENGTHS]
    return made


def test_changes_are_against_the_same_scan_as_it_is() -> None:
    table = tables(rows(), {"severity": "ab" * 32, "ssim": "cd" * 32})["scores_nuisances"]
    assert [row[:2] for row in table.rows] == [[name, f"{level:g}"] for name in NUISANCES for level in STRENGTHS]
    half, whole = table.rows[:2]
    assert half[3] == "+0.25 (+0.25 to +0.25)" and whole[3] == "+0.50 (+0.50 to +0.50)"
    assert half[4:7] == ["1.05", "1 of 2", "bias 2"] and whole[4:6] == ["1.30", "1 of 2"]
    assert half[7:] == ["+0.000 (+0.000 to +0.000)", "0 of 2"]
    assert "severity abababababab, ssim cdcdcdcdcdcd" in table.note


def test_what_passes_both_scores_can_be_seen() -> None:
    lines = {tuple(row[:2]): row for row in tables(rows(), {})["scores_unjudged"].rows}
    assert set(lines) == {("clean", "0"), *((name, f"{level:g}") for name in OTHERS for level in STRENGTHS)}
    missed, seen = lines["slice_motion", "0.5"], lines["slice_motion", "1"]
    assert missed[5] == "0 of 2" and missed[8] == "0 of 2" and missed[3] == "0.20"
    assert seen[5] == "0 of 2" and seen[8] == "2 of 2" and seen[7] == "0.750 (0.750 to 0.750)"


def test_an_earlier_start_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    assert read_rows(path) == []
    write_rows(path, rows())
    assert read_rows(path) == rows()
