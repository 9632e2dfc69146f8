# SPDX-License-Identifier: Apache-2.0
"""The chance that a scan is called better than the study's median scan of its suffix."""

from __future__ import annotations

import pytest

from bidsqa.group.preferred import CHANCE, SCORE, TIE, add_preference
from bidsqa.group.rows import Row
from bidsqa.models.preference import preference


def row(name: str, value: float | None, suffix: str = "T1w") -> Row:
    values = {} if value is None else {SCORE: value, TIE: 0.4}
    return Row(f"sub-{name}_{suffix}", suffix, {"sub": name}, "ok", "pass", [], values, "natural", (), {})


def test_each_scan_stands_beside_the_median_of_its_suffix() -> None:
    rows = [row("1", -2.0), row("2", 0.0), row("3", 1.0), row("4", 50.0, "T2w"), row("5", None)]
    add_preference(rows)
    assert rows[1].values[CHANCE] == pytest.approx(preference(0, 0, 0.4).better, abs=1e-4)
    assert rows[0].values[CHANCE] == pytest.approx(preference(-2, 0, 0.4).better, abs=1e-4)
    assert rows[0].values[CHANCE] < rows[1].values[CHANCE] < rows[2].values[CHANCE]
    assert rows[3].values[CHANCE] == pytest.approx(rows[1].values[CHANCE]), "alone it is the median"
    assert CHANCE not in rows[4].values
