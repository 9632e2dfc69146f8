# SPDX-License-Identifier: Apache-2.0
"""Atomic writing: whole files or none, and nothing left behind."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

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


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc")
def test_sweep_takes_what_an_ended_process_left_that_nobody_has_waited_for(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    (tmp_path / f".tmp-{_host()}-{ended.pid}-00000000-a").touch()
    assert sweep(tmp_path) == 1
    ended.wait()


@pytest.fixture
def replacing(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What the next renames do: an error to raise instead, ``"lost"`` for one that is done but answered by an error."""
    plan: list[object] = []
    real = os.replace

    def replace(source: Path, target: Path) -> None:
        what = plan.pop(0) if plan else None
        if isinstance(what, OSError):
            raise what
        real(source, target)
        if what == "lost":
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr("bidsqa.bids.writing._PAUSES", (0.0, 0.0))
    return plan


def test_a_rename_refused_in_passing_is_tried_again(tmp_path: Path, replacing: list[object]) -> None:
    replacing += [OSError(errno.ESTALE, "Stale file handle"), OSError(errno.EBUSY, "Device or resource busy")]
    write_atomic(tmp_path / "x", "1")
    assert os.listdir(tmp_path) == ["x"]


def test_a_rename_done_while_its_answer_was_lost_is_done(tmp_path: Path, replacing: list[object]) -> None:
    (tmp_path / "x").write_text("old")
    replacing += ["lost"]
    write_atomic(tmp_path / "x", "1")
    assert (tmp_path / "x").read_text() == "1"
    assert os.listdir(tmp_path) == ["x"]


def test_a_rename_that_stays_impossible_says_why(tmp_path: Path, replacing: list[object]) -> None:
    (tmp_path / "x").write_text("old")
    replacing += [OSError(errno.EXDEV, "Invalid cross-device link")]
    with pytest.raises(OSError, match="can't rename a file within its folder"):
        write_atomic(tmp_path / "x", "1")
    replacing += [OSError(errno.ESTALE, "Stale file handle")] * 9
    with pytest.raises(OSError, match="Stale"):
        write_atomic(tmp_path / "x", "1")
    assert (tmp_path / "x").read_text() == "old"
    assert os.listdir(tmp_path) == ["x"]


def test_a_temporary_file_that_another_took_away_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bidsqa.bids.writing._PAUSES", (0.0,))
    write_bytes, taken = Path.write_bytes, []

    def taken_once(path: Path, content: bytes) -> None:
        write_bytes(path, content)
        if not taken:
            taken.append(path)
            path.unlink()

    monkeypatch.setattr(Path, "write_bytes", taken_once)
    write_atomic(tmp_path / "x", "1")
    assert len(taken) == 1
    assert (tmp_path / "x").read_text() == "1"


def test_a_file_system_without_sync_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def sync(descriptor: int) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "fsync", sync)
    error = errno.EINVAL
    write_atomic(tmp_path / "x", "1")
    assert (tmp_path / "x").read_text() == "1"
    error = errno.ENOSPC
    with pytest.raises(OSError, match="No space"):
        write_atomic(tmp_path / "x", "2")
    assert (tmp_path / "x").read_text() == "1"


def test_another_container_s_process_numbers_mean_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / f".tmp-{_host()}-{os.getpid()}-00000000-a"
    mine.touch()
    stat = os.stat
    other = SimpleNamespace(st_ino=stat("/proc/self/ns/pid").st_ino + 1)
    monkeypatch.setattr(os, "stat", lambda path, **more: other if "ns/pid" in str(path) else stat(path, **more))
    monkeypatch.setattr("bidsqa.bids.writing._alive", lambda process: False)
    assert sweep(tmp_path) == 0
    assert mine.exists(), "there the process may be alive"
