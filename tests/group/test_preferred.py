# SPDX-License-Identifier: Apache-2.0
"""The chance that a scan is called better than the study's median scan of its suffix."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bidsqa.group.preferred import CHANCE, SCORE, TIE, TITLE, add_preference
from bidsqa.group.rows import Row
from bidsqa.models.preference import preference
from bidsqa.study import run_group
from bidsqa.validation.example_records import example_record


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


@pytest.mark.parametrize("scored", [True, False])
def test_the_study_page_tells_it(tmp_path: Path, write: Callable[..., None], scored: bool) -> None:
    worth = {"01": -1.0, "02": 0.5, "03": 2.0}
    for label, value in worth.items():
        record = example_record(f"sub-{label}_T1w", seed=1)
        if scored:
            record.scores[SCORE] = {"value": value, "uncertainty": 0.3, "slices": [], "tie": 0.4}
        write(tmp_path, record)
    run_group(tmp_path)
    page = (tmp_path / "group.html").read_text(encoding="utf-8")
    block = page.split('<script type="application/json" id="data">')[1].split("</script>")[0]
    values = {value["key"]: value for value in json.loads(block)["values"]}
    assert (CHANCE in values) == scored
    assert (CHANCE in page) == scored
    if scored:
        told = values[CHANCE]
        assert sorted(told["numbers"]) == [
            pytest.approx(preference(at, 0.5, 0.4).better, abs=1e-3) for at in (-1, 0.5, 2)
        ]
        assert (told["title"], told["chief"], told["bad"]) == (TITLE, False, -1)
        assert "median scan" in told["says"]
        assert CHANCE in values[SCORE]["says"]
