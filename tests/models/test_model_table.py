# SPDX-License-Identifier: Apache-2.0
"""Every row of the model table is complete, and shipped weights match their checksum and have a card."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import pytest

from bidsqa.models import MODELS
from bidsqa.models.table import WEIGHTS_FOLDER, read_checksums


@pytest.mark.parametrize("name", MODELS)
def test_rows_say_what_docs_and_pages_need(name: str) -> None:
    row = MODELS[name]
    assert row.name == name
    assert row.title
    assert row.says.endswith(".")
    assert row.source.startswith("https://")
    assert row.citation
    assert row.kind in ("score", "internal")
    assert (row.kind == "score") == bool(row.scorer)
    if row.kind == "score":
        assert row.direction in ("higher is better", "lower is better")
        assert row.limits


@pytest.mark.parametrize("name", [name for name, row in MODELS.items() if row.readings])
def test_readings_cover_the_bounds_without_gap_or_overlap(name: str) -> None:
    row = MODELS[name]
    ordered = sorted(row.readings, key=lambda reading: reading.low)
    assert ordered[0].low == row.bounds[0]
    assert ordered[-1].high == row.bounds[1]
    for below, above in itertools.pairwise(ordered):
        assert below.high == above.low
    # best first
    assert list(row.readings) == (ordered if row.direction == "lower is better" else ordered[::-1])


def test_a_reading_begins_at_its_lower_bound() -> None:
    row = MODELS["ssim"]
    named = {value: reading.name for value in (0.0, 0.5999, 0.60, 0.8499, 0.85, 1.0) if (reading := row.reading(value))}
    assert named == {0.0: "rescan", 0.5999: "rescan", 0.60: "usable", 0.8499: "usable", 0.85: "good", 1.0: "good"}


def test_checksum_files_read_both_forms(tmp_path: Path) -> None:
    (tmp_path / "SHA256SUMS").write_text("AB12  one.onnx\ncd34 *two.onnx\n\n")
    assert dict(read_checksums(tmp_path)) == {"one.onnx": "ab12", "two.onnx": "cd34"}


def test_a_folder_without_checksums_has_none(tmp_path: Path) -> None:
    assert not read_checksums(tmp_path)


def test_shipped_weights_match_their_checksums_and_have_cards() -> None:
    for name, digest in read_checksums(WEIGHTS_FOLDER).items():
        content = (WEIGHTS_FOLDER / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest, name
        assert (WEIGHTS_FOLDER / name).with_suffix(".md").read_text().strip(), name
        assert len(content) < 20e6, name
