# SPDX-License-Identifier: Apache-2.0
"""Atomic writing: whole files or none, and nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bidsqa.bids.writing import _host, atomic_path, sweep, write_atomic, write_changed


def test_writes_text_and_bytes_and_makes_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file.json"
    write_atomic(path, "größe\n")
    assert path.read_bytes() == "größe\n".encode()
    write_atomic(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert os.listdir(path.parent) == ["file.json"]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    previous = os.umask(0o027)
    try:
        write_atomic(tmp_path / "x", "")
    finally:
        os.umask(previous)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640


def test_an_error_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_atomic(path, "old")

    def fail_half_way() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.json"]


def test_readers_never_see_half_of_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = {b"a" * 300_000, b"b" * 300_000}
    write_atomic(path, b"a" * 300_000)
    code = (
        "import sys; from pathlib import Path; from bidsqa.bids import write_atomic\n"
        "while True:\n for letter in (b'a', b'b'): write_atomic(Path(sys.argv[1]), letter * 300_000)"
    )
    writer = subprocess.Popen([sys.executable, "-c", code, str(path)])
    try:
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            assert path.read_bytes() in contents
    finally:
        writer.kill()
        writer.wait()
    assert path.read_bytes() in contents


def test_long_names_fit(tmp_path: Path) -> None:
    name = "x" * 245 + ".json"
    write_atomic(tmp_path / name, "1")
    assert os.listdir(tmp_path) == [name]


def test_same_content_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "x"
    assert write_changed(path, "1")
    before = path.stat().st_ino
    assert not write_changed(path, "1")
    assert path.stat().st_ino == before
    assert write_changed(path, "2")


def test_sweep_takes_what_the_dead_left_and_nothing_else(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    mine, theirs = f".tmp-{_host()}-{os.getpid()}-00000000-a", f".tmp-{_host()}-{dead.pid}-00000000-a"
    far, far_old = ".tmp-elsewhere-1-00000000-a", ".tmp-elsewhere-1-00000000-b"
    for name in (mine, theirs, far, far_old, "keep.json", ".bidsignore"):
        (tmp_path / name).touch()
    os.utime(tmp_path / far_old, (0, 0))
    assert sweep(tmp_path) == 2
    assert set(os.listdir(tmp_path)) == {mine, far, "keep.json", ".bidsignore"}
    assert sweep(tmp_path / "nowhere") == 0
