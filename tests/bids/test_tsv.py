# SPDX-License-Identifier: Apache-2.0
"""Tables of a dataset: whatever is wrong with one costs a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from bidsqa.bids import tsv
from bidsqa.bids.tsv import read_tsv


def read(folder: Path, content: str | bytes) -> tsv.Tsv:
    path = folder / "participants.tsv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return read_tsv(path)


def test_cells_are_clean_text(tmp_path: Path) -> None:
    found = read(tmp_path, "﻿a\tb\r\n 1 \tx\x00\x1b[31m\ty\t\t\r\n\r\nn/a\t" + "z" * 1000 + "\n")
    assert found.columns == ("a", "b")
    assert found.problems == ("1 row has more cells than the header and was left out",)
    assert found.rows == [{"b": "z" * 299 + "…"}]


def test_ragged_rows(tmp_path: Path) -> None:
    found = read(tmp_path, "a\tb\tc\n1\n1\t2\t3\t\t\n1\t2\t3\t4\n")
    assert found.rows == [{"a": "1"}, {"a": "1", "b": "2", "c": "3"}]
    assert len(found.problems) == 2


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "empty"),
        ("participant_id,age\nsub-01,3\n", "not separated by tabs"),
        (b"a\tb\n\xe9\tx\n", "Latin-1"),
        ("a\ta\t\n1\t2\t3\n", "left out"),
        ("\t".join(map(str, range(2000))), "2000 columns"),
    ],
)
def test_odd_tables_are_told(tmp_path: Path, content: str | bytes, told: str) -> None:
    assert any(told in problem for problem in read(tmp_path, content).problems)


def test_what_is_no_file_or_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no regular file" in read_tsv(tmp_path).problems[0]
    (tmp_path / "link").symlink_to("nowhere")
    assert "absent" in read_tsv(tmp_path / "link").problems[0]
    monkeypatch.setattr(tsv, "LARGEST_TABLE", 10)
    assert "more than such a table needs" in read(tmp_path, "a\tb\n" + "1\t2\n" * 10).problems[0]
