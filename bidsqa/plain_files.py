# SPDX-License-Identifier: Apache-2.0
"""Reading small files from outside whole: never a pipe that nobody writes to, a device without end, or gigabytes."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

LARGEST_TEXT = 5_000_000  # bytes; settings files and sidecars have a few thousand
NO_FILE = "it is no regular file"


def read_bytes(path: Path, largest: int = LARGEST_TEXT, needs: str = "such a file has a few kB") -> bytes:
    """The content of a regular file.

    Parameters
    ----------
    path : Path
        Links are followed.
    largest : int
        Bytes.
    needs : str
        What such files have, for the message about a larger one.

    Raises
    ------
    OSError
        As for any file; also for what is no regular file and for a larger one, with the reason as ``strerror``.
    """
    # without waiting: a pipe would be opened only once somebody writes to it
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, NO_FILE, str(path))
        if facts.st_size > largest:
            raise OSError(errno.EFBIG, f"it has {facts.st_size / 1e6:.0f} MB, {needs}", str(path))
        with open(descriptor, "rb", closefd=False) as stream:
            return stream.read(largest)  # a file that grows meanwhile is cut
    finally:
        os.close(descriptor)


def read_text(path: Path, largest: int = LARGEST_TEXT) -> str:
    """As `read_bytes`, as UTF-8.

    Raises
    ------
    OSError
    UnicodeDecodeError
    """
    return read_bytes(path, largest).decode("utf-8")


def why_unread(error: OSError) -> str:
    """Why a file wasn't read, as the end of a sentence."""
    reason = error.strerror or "input/output error"
    return reason if reason.startswith("it ") else f"it can't be read ({reason})"
