# SPDX-License-Identifier: Apache-2.0
"""Rows and records of made-up studies."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bidsqa.bids import names
from bidsqa.group import Row, row_of
from bidsqa.group.sites import name_sites
from bidsqa.record import Record
from bidsqa.validation.example_records import example_record
from bidsqa.verdict import load_rules

SITE_SEED = 3  # seeds that are multiples of it have the same scanner
USUAL_PROTOCOL = {"RepetitionTime": 2.3, "EchoTime": 0.0029, "FlipAngle": 9}


@pytest.fixture
def write() -> Callable[..., None]:
    """Writes records to where a run would."""

    def act(out: Path, *records: Record) -> None:
        for record in records:
            path = names.record_path(out, record.bids_name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(record.dumps(), encoding="utf-8")

    return act


@pytest.fixture
def table() -> Callable[[Path], list[dict[str, str]]]:
    """Reads a TSV."""

    def read(path: Path) -> list[dict[str, str]]:
        with open(path, encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))

    return read


@pytest.fixture
def cohort_records() -> Callable[..., list[Record]]:
    """Clean scans of one scanner and protocol, judged; `change` may alter each before that."""

    def make(count: int, change: Callable[[int, Record], None] | None = None, form: str = "sub-{:02d}_T1w") -> Any:
        found = []
        for at in range(count):
            record = example_record(form.format(at), seed=SITE_SEED * at)
            record.acquisition.update(USUAL_PROTOCOL)
            if change:
                change(at, record)
            judged = example_record(record.bids_name, seed=SITE_SEED * at, rules=load_rules())
            record.verdict = judged.verdict
            found.append(record)
        return found

    return make


@pytest.fixture
def cohort_rows(cohort_records: Callable[..., list[Record]]) -> Callable[..., list[Row]]:
    """As `cohort_records`, as rows with named sites."""

    def make(*arguments: Any, **options: Any) -> list[Row]:
        rows = [row_of(record) for record in cohort_records(*arguments, **options)]
        name_sites(rows)
        return rows

    return make
