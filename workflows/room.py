# SPDX-License-Identifier: Apache-2.0
"""Room for intermediate files: how much the scans in hand need, and another place where the first one is too small.

Containers have small temporary folders: Apptainer gives 64 MB, less than one scan needs.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .scan import Need

# the volume (4 bytes) and the masks, maps and fields of the anatomy (16), and some for the rest
BYTES_PER_VOXEL = 24
BYTES_PER_SCAN = 5_000_000
SPARE_PREFIX = ".bidsqa-work-"


def bytes_needed(needs: Sequence[Need], workers: int) -> int:
    """What the work directory holds at most, in bytes: the largest scans that can be in hand at the same time."""
    largest = sorted((need.voxels for need in needs), reverse=True)[:workers]
    return sum(voxels * BYTES_PER_VOXEL + BYTES_PER_SCAN for voxels in largest)


@contextlib.contextmanager
def folder_with_room(
    work: Path, spare: Path | None, needed: int, *, keep: bool, tell: Callable[[str], None]
) -> Iterator[Path]:
    """The work directory, or a hidden folder elsewhere where it has too little room.

    Parameters
    ----------
    work : Path
        The work directory; it exists.
    spare : Path or None
        Where the hidden folder is made; it is removed at the end. None: the work directory was the user's choice.
    needed : int
        Bytes.
    keep : bool
        The hidden folder stays.
    tell : callable
        Takes a sentence for the user.

    Yields
    ------
    Path
    """
    free = shutil.disk_usage(work).free
    if free >= needed:
        yield work
        return
    short = f"The folder for intermediate files, {work}, has {free / 1e6:.0f} MB, the scans need {needed / 1e6:.0f} MB"
    made = _make_spare(spare, free) if spare is not None else None
    if made is None:
        tell(f"{short}; give one with more room: --work-dir DIR")
        yield work
        return
    tell(f"{short}; {made} is used instead. Faster: --work-dir DIR on a local disk.")
    try:
        yield made
    finally:
        if not keep:
            shutil.rmtree(made, ignore_errors=True)


def _make_spare(folder: Path, free: int) -> Path | None:
    try:
        if shutil.disk_usage(folder).free <= free:
            return None
        return Path(tempfile.mkdtemp(prefix=SPARE_PREFIX, dir=folder))
    except OSError:
        return None
