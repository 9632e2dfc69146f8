# SPDX-License-Identifier: Apache-2.0
"""The block in which a page is told its scan's place: overwritten whole or not at all, nothing else touched."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from bidsqa.report import render_scan
from bidsqa.report.cohort_place import BLOCK_BYTES, CLOSING, HEAD_BYTES, OPENING, fill, fill_pages
from bidsqa.validation.example_records import example_record

CONTENT = {
    "suffix": "T1w",
    "decision": "review",
    "reasons": ["far off"],
    "values": {"severity": [1, 0, 9], "cjv": [3, 0, 9]},
}


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "sub-01_T1w.html"
    path.write_text(render_scan(example_record("sub-01_T1w"), {}), encoding="utf-8")
    return path


def block(path: Path) -> Any:
    before, found, after = path.read_bytes().partition(OPENING)
    assert found
    assert len(before) < HEAD_BYTES - BLOCK_BYTES - 1000
    assert after[BLOCK_BYTES:].startswith(CLOSING)
    return json.loads(after[:BLOCK_BYTES])


def test_a_new_page_knows_no_place(page: Path) -> None:
    assert block(page) is None


def test_filling_changes_the_block_and_nothing_else(page: Path) -> None:
    before = page.read_bytes()
    assert fill(page, CONTENT)
    after = page.read_bytes()
    assert block(page) == CONTENT
    start = before.index(OPENING) + len(OPENING)
    assert len(after) == len(before)
    assert (after[:start], after[start + BLOCK_BYTES :]) == (before[:start], before[start + BLOCK_BYTES :])
    assert fill(page, None)
    assert page.read_bytes() == before


def test_one_write_of_the_whole_block_and_none_for_the_same(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    real = os.pwrite

    def counting(descriptor: int, data: bytes, offset: int) -> int:
        written.append(len(data))
        return real(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", counting)
    inode = page.stat().st_ino
    assert fill(page, CONTENT)
    assert fill(page, CONTENT)
    assert written == [BLOCK_BYTES]
    assert page.stat().st_ino == inode


def test_a_full_disk_is_told(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    assert not fill(page, CONTENT)


def test_hostile_texts_cannot_leave_the_block(page: Path) -> None:
    nasty = "</script><script>alert(1)</script><!--" + OPENING.decode()
    size = page.stat().st_size
    assert fill(page, {**CONTENT, "reasons": [nasty], "site": nasty})
    assert page.stat().st_size == size
    assert block(page)["reasons"] == [nasty]
    assert page.read_bytes().count(OPENING) == 1
    assert fill(page, CONTENT), "and it is still found"


def test_too_much_loses_the_least_first(page: Path) -> None:
    values = {f"metric_{at}": [1, 0, 9] for at in range(100)}
    reasons = ["é" * 400 for _ in range(40)]
    assert fill(page, {**CONTENT, "reasons": reasons, "values": values})
    assert block(page) == {**CONTENT, "reasons": reasons[:1], "values": values}, "further reasons go first"
    many = {f"metric_{at}": [1, 0, 9] for at in range(5000)}
    assert fill(page, {**CONTENT, "reasons": reasons, "values": many})
    told = block(page)
    assert told["reasons"] == reasons[:1]
    assert list(told["values"]) == list(many)[: len(told["values"])], "then values from the end"
    assert len(told["values"]) > 300
    assert fill(page, {**CONTENT, "reasons": ["x" * 20_000]})
    assert block(page) == {**CONTENT, "reasons": [], "values": {}}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html></html>",
        OPENING + b"null",
        OPENING + b"null".ljust(BLOCK_BYTES - 1) + CLOSING,
        OPENING + b"null".ljust(BLOCK_BYTES + 1) + CLOSING,
        OPENING + (b"null" + CLOSING).ljust(BLOCK_BYTES) + CLOSING,
        b" " * HEAD_BYTES + OPENING + b"null".ljust(BLOCK_BYTES) + CLOSING,
    ],
    ids=["empty", "another page", "cut off", "shorter", "longer", "closed early", "too far down"],
)
def test_other_files_are_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "page.html"
    path.write_bytes(content)
    assert not fill(path, CONTENT)
    assert path.read_bytes() == content


def test_links_read_only_and_missing_files_are_left_alone(page: Path, tmp_path: Path) -> None:
    before = page.read_bytes()
    link = tmp_path / "link.html"
    link.symlink_to(page)
    assert not fill(link, CONTENT)
    page.chmod(0o444)
    assert not fill(page, CONTENT)
    assert page.read_bytes() == before
    assert not fill(tmp_path / "none.html", CONTENT)
    assert not fill(tmp_path, CONTENT)


@pytest.mark.parametrize("content", [{"values": {"cjv": float("nan")}}, {"reasons": [object()]}])
def test_what_is_no_json_is_an_error(page: Path, content: dict[str, Any]) -> None:
    before = page.read_bytes()
    with pytest.raises(ValueError, match=r"JSON|[Nn]a[Nn]|float"):
        fill(page, content)
    assert page.read_bytes() == before


def test_many_pages(page: Path, tmp_path: Path) -> None:
    assert fill_pages([(page, CONTENT), (tmp_path / "none.html", CONTENT)]) == 1


def test_the_group_level_tells_every_page(tmp_path: Path) -> None:
    from bidsqa.bids import names
    from bidsqa.study import run_group
    from bidsqa.verdict import load_rules

    records = [example_record(f"sub-{at:02d}_T1w", seed=at, rules=load_rules()) for at in range(9)]
    for record in records:
        names.record_path(tmp_path, record.bids_name).parent.mkdir(parents=True)
        names.record_path(tmp_path, record.bids_name).write_text(record.dumps(), encoding="utf-8")
        names.page_path(tmp_path, record.bids_name).write_text(render_scan(record, {}), encoding="utf-8")
    names.page_path(tmp_path, "sub-08_T1w").unlink()
    run_group(tmp_path)
    ordered = sorted(records, key=lambda record: record.scores["severity"]["value"])
    for place, record in enumerate(ordered):
        if record.bids_name != "sub-08_T1w":
            told = block(names.page_path(tmp_path, record.bids_name))
            assert told["values"]["severity"] == [place, 0, 9]
            assert told["decision"] == record.verdict["decision"]
    assert not names.page_path(tmp_path, "sub-08_T1w").exists()
