# SPDX-License-Identifier: Apache-2.0
"""Atomic writing: a file is there whole or not at all, also on file systems of a network."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

_LEFTOVER = re.compile(r"\.tmp-(?P<host>[a-zA-Z0-9]{1,32})-(?P<process>\d+)-[0-9a-f]{8}-.+")
_OLD = 24 * 3600.0  # seconds after which another machine's unfinished file is given up
# what a server that is busy, restarts or lost sight of a file says (NFS, Lustre): the same may succeed a moment later
_PASSING = (errno.ESTALE, errno.ENOENT, errno.EBUSY, errno.EAGAIN, errno.ETIMEDOUT, errno.EINTR)
_PAUSES = (0.1, 0.5, 2.0)  # seconds before each new try
_NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)  # some file systems of user space have none


def _host() -> str:
    """This machine, and within it this container's processes: numbers of another container's mean others here."""
    name = re.sub(r"[^a-zA-Z0-9]", "", socket.gethostname())[:20] or "host"
    try:
        return f"{name}{os.stat('/proc/self/ns/pid').st_ino % 10**12}"
    except OSError:
        return name


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` (same extension) that takes its place when the block ends without error.

    Parameters
    ----------
    path : Path
        The file to be written; missing folders are made.

    Yields
    ------
    Path
        Write here. On an error it is removed and `path` stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # name lengths are limited, and the end carries the extension
    temporary = path.with_name(f".tmp-{_host()}-{os.getpid()}-{os.urandom(4).hex()}-{path.name[-120:]}")
    try:
        yield temporary
        _sync(temporary)
        _replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _sync(path: Path) -> None:
    """To the disk: a full one says so here at the latest."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(descriptor)


def _replace(temporary: Path, path: Path) -> None:
    """Rename; an answer that got lost and was asked for again says that there is no such file, since it is done."""
    written = os.stat(temporary).st_ino
    for pause in (*_PAUSES, None):
        try:
            os.replace(temporary, path)
            return
        except OSError as error:
            if error.errno == errno.EXDEV:
                raise OSError(
                    error.errno, "this file system can't rename a file within its folder; use another", str(path)
                ) from error
            with contextlib.suppress(OSError):
                if os.stat(path).st_ino == written:
                    return
            if pause is None or error.errno not in _PASSING or not os.path.lexists(temporary):
                raise
            time.sleep(pause)


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write a file so that no reader and no crash ever sees half of it.

    What a network's file system refuses in passing is tried again for a few seconds.

    Parameters
    ----------
    path : Path
        Missing folders are made; an existing file is replaced.
    data : bytes or str
        Text is written as UTF-8.

    Raises
    ------
    OSError
        The disk is full or the folder can't be written; `path` is then as it was.
    """
    content = data.encode("utf-8") if isinstance(data, str) else data
    for pause in (*_PAUSES, None):
        try:
            with atomic_path(path) as temporary:
                temporary.write_bytes(content)
            return
        except OSError as error:
            if pause is None or error.errno not in _PASSING:
                raise
            time.sleep(pause)


def write_changed(path: Path, data: bytes | str) -> bool:
    """As `write_atomic`, but leave the file alone where it holds the same already; True if it was written."""
    content = data.encode("utf-8") if isinstance(data, str) else data
    with contextlib.suppress(OSError):
        if path.read_bytes() == content:
            return False
    write_atomic(path, content)
    return True


def sweep(folder: Path) -> int:
    """Remove what a killed process left half written in one folder.

    Files of living processes of this machine and young files of other machines stay: several jobs may share a folder.

    Parameters
    ----------
    folder : Path
        Not searched in depth.

    Returns
    -------
    int
        How many were removed.
    """
    removed = 0
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return 0
    for entry in entries:
        match = _LEFTOVER.fullmatch(entry.name)
        if not match:
            continue
        with contextlib.suppress(OSError):
            old = time.time() - entry.stat(follow_symlinks=False).st_mtime > _OLD
            if old or (match["host"] == _host() and not _alive(int(match["process"]))):
                os.unlink(entry.path)
                removed += 1
    return removed


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    try:
        # one that has ended but that nobody has waited for yet writes no more
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError, UnicodeDecodeError):
        return True
