# SPDX-License-Identifier: Apache-2.0
"""What the tasks of an array need, by the headers of their images and by what scans were measured to cost."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bidsqa.cli.memory import SHARE

if TYPE_CHECKING:
    from bidsqa.bids import Scan

# CPU seconds on one core, upper bounds of what benchmarks/scan_costs.py and speed.py measured: of a job before its
# first scan, of a scan of any size, and of a million voxels; of the group level, and of a record there (group.py)
JOB_SECONDS, SCAN_SECONDS, MILLION_SECONDS = 6.0, 5.0, 1.0
GROUP_SECONDS, RECORD_SECONDS = 5.0, 0.0015
GROUP_GB, RECORD_GB = 0.2, 50e-6
SLACK = 4.0  # for slow cores, file systems and neighbours; a limit that is too tight costs the work done so far
LEAST_MINUTES, STEP_MINUTES = 10, 5
MOST_HEADERS = 20_000
RECORDS_ASKED, HIGH_SHARE = 200, 0.9


@dataclass(frozen=True)
class Request:
    """What a job asks for.

    Parameters
    ----------
    cpus : int
    memory_gb : float
        What bidsqa may use, GB (10⁹ bytes); the job's limit is higher, see `memory_mb`.
    minutes : int
    """

    cpus: int
    memory_gb: float
    minutes: int

    @property
    def memory_mb(self) -> int:
        """The job's limit in MiB, as batch systems count it, with what bidsqa leaves to the system."""
        return math.ceil(self.memory_gb * 1e9 / SHARE / 2**20)

    @property
    def time(self) -> str:
        """``HH:MM:SS``, as all batch systems read it."""
        return f"{self.minutes // 60:02d}:{self.minutes % 60:02d}:00"


@dataclass(frozen=True)
class Sizes:
    """Voxels of the images to judge.

    Parameters
    ----------
    voxels : dict of str to int
        By the image's path.
    unreadable : int
        Images whose header tells nothing.
    looked_at : int
        How many headers were read; where there are very many images, only those of the largest files.
    """

    voxels: dict[str, int]
    unreadable: int
    looked_at: int

    @property
    def largest(self) -> int:
        """Voxels of the largest image."""
        return max(self.voxels.values(), default=0)

    def of(self, scan: Scan) -> int:
        """Voxels of an image; the largest number where its own isn't known."""
        return self.voxels.get(str(scan.path)) or self.largest


def read_sizes(scans: Sequence[Scan]) -> Sizes:
    """Read the headers of the images, or of those with the largest files where there are more than 20,000."""
    from bidsqa.workflows.scan import need_of

    paths = [Path(scan.path) for scan in scans]
    if len(paths) > MOST_HEADERS:
        paths = sorted(paths, key=_file_size, reverse=True)[:MOST_HEADERS]
    voxels = {str(path): need_of(path).voxels for path in paths}
    known = {path: count for path, count in voxels.items() if count}
    return Sizes(known, len(voxels) - len(known), len(paths))


def scan_seconds(voxels: int) -> float:
    """CPU seconds of a scan on one core, an upper bound."""
    return SCAN_SECONDS + MILLION_SECONDS * voxels / 1e6


def task_request(tasks: Iterable[Sequence[int]], processes: int, threads: int, slowness: float = 1.0) -> Request:
    """What every task of an array asks for: enough for the largest.

    Parameters
    ----------
    tasks : iterable of sequence of int
        Voxels of each image of each task.
    processes : int
        Scans at the same time.
    threads : int
        Of each process.
    slowness : float
        How much longer scans take here than where the costs were measured.
    """
    from bidsqa.workflows.run import PARENT_GB
    from bidsqa.workflows.scan import Need

    largest, longest = 0, 0.0
    for voxels in tasks:
        seconds = [scan_seconds(count) for count in voxels]
        longest = max(longest, max(sum(seconds) / processes, max(seconds, default=0.0)))
        largest = max(largest, *voxels, 0)
    memory = PARENT_GB + processes * Need(largest).peak
    return Request(processes * threads, _rounded_up(memory), _limit((JOB_SECONDS + longest) * slowness))


def group_request(records: int) -> Request:
    """What the group level asks for."""
    seconds = GROUP_SECONDS + records * RECORD_SECONDS
    return Request(1, _rounded_up(GROUP_GB + records * RECORD_GB), _limit(seconds))


def slowness(records: Iterable[Path]) -> float:
    """How much longer the scans of these records took than `scan_seconds` says, at least 1; nine of ten took less."""
    ratios = []
    for path in list(records)[:RECORDS_ASKED]:
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            voxels = math.prod(int(edge) for edge in record["image"]["shape"])
            ratios.append(sum(record["provenance"]["seconds"].values()) / scan_seconds(voxels))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    if not ratios:
        return 1.0
    return max(1.0, sorted(ratios)[int(HIGH_SHARE * (len(ratios) - 1))])


def _limit(seconds: float) -> int:
    minutes = max(LEAST_MINUTES, SLACK * seconds / 60)
    return math.ceil(minutes / STEP_MINUTES) * STEP_MINUTES


def _rounded_up(gigabytes: float) -> float:
    return math.ceil(gigabytes * 10) / 10


def _file_size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
