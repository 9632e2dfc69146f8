# SPDX-License-Identifier: Apache-2.0
"""How much memory and how many processors this process may use."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from bidsqa.errors import UsageError

_SIZE = re.compile(r"(?P<number>\d+(\.\d*)?|\.\d+)\s*(?P<unit>[KMGT]?)(?P<kind>i?B)?", re.IGNORECASE)
_POWERS = {"K": 1, "M": 2, "G": 3, "T": 4}
SHARE = 0.9  # of what there is; the rest is for the system
UNLIMITED = 1 << 60  # cgroup version 1 says "no limit" by a huge number


def parse_memory(text: str) -> float:
    """A size of memory in GB (10⁹ bytes).

    Parameters
    ----------
    text : str
        ``1.5`` (GB), ``1.5G``, ``1500M``, ``1500MB``, ``2GiB``.

    Raises
    ------
    UsageError
        It is no size, or not more than nothing.
    """
    match = _SIZE.fullmatch(text.strip())
    if match:
        base = 1024 if (match["kind"] or "").lower() == "ib" else 1000
        size = float(match["number"]) * base ** _POWERS[(match["unit"] or "G").upper()] / 1e9
        if size > 0:
            return size
    raise UsageError(f"The memory size {text!r} can't be understood.", "Write for example 8, 1.5G or 1500M.")


def available_memory_gb(system: Path = Path("/")) -> float:
    """Memory that this process may use in GB: the least of machine, container (cgroup) and Slurm job, less a tenth.

    Parameters
    ----------
    system : Path
        Root of the file system, for tests.
    """
    limits = list(_cgroup_limits(system))
    limits.extend(_machine_bytes(system))
    slurm = os.environ.get("SLURM_MEM_PER_NODE", "")
    if slurm.isdigit() and int(slurm) > 0:
        limits.append(int(slurm) * 1024 * 1024)
    return SHARE * min(limits, default=4_000_000_000) / 1e9


def available_processors(system: Path = Path("/")) -> int:
    """Processors that this process may use: by affinity, container quota (cgroup) and Slurm job; at least 1."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:
        count = os.cpu_count() or 1
    limits = [count]
    for folder in _cgroup_folders(system, "cpu"):
        limits.extend(_quota(folder))
    slurm = os.environ.get("SLURM_CPUS_PER_TASK", "")
    if slurm.isdigit():
        limits.append(int(slurm))
    return max(1, min(limits))


def _machine_bytes(system: Path) -> Iterator[int]:
    try:
        for line in (system / "proc/meminfo").read_text().splitlines():
            if line.startswith("MemTotal:"):
                yield int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        return


def _cgroup_limits(system: Path) -> Iterator[int]:
    for folder in _cgroup_folders(system, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = _read(folder / name)
            if text.isdigit() and 0 < int(text) < UNLIMITED:
                yield int(text)


def _quota(folder: Path) -> Iterator[int]:
    quota, _, period = _read(folder / "cpu.max").partition(" ")
    if not quota:
        quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
    if quota.isdigit() and period.isdigit() and int(period) > 0:
        yield max(1, int(quota) // int(period))


def _cgroup_folders(system: Path, controller: str) -> Iterator[Path]:
    """This process's control group and those above it, for both versions of the interface."""
    for line in _read(system / "proc/self/cgroup").splitlines():
        parts = line.split(":", 2)
        if len(parts) != 3 or (parts[1] and controller not in parts[1].split(",")):
            continue
        base = system / "sys/fs/cgroup" / (controller if parts[1] else "")
        inside = [part for part in parts[2].split("/") if part not in ("", "..")]
        # in a container the path may be the host's while only the top is mounted; every level that exists counts
        for depth in range(len(inside), -1, -1):
            yield base.joinpath(*inside[:depth])


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, ValueError):
        return ""
