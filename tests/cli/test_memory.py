# SPDX-License-Identifier: Apache-2.0
"""Sizes of memory, and the limits of containers and jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from bidsqa.cli.memory import SHARE, available_memory_gb, available_processors, parse_memory
from bidsqa.errors import UsageError


@pytest.mark.parametrize(
    ("text", "gigabytes"),
    [
        ("1.5", 1.5),
        ("8", 8),
        (".5", 0.5),
        ("1.5G", 1.5),
        ("1500M", 1.5),
        ("1500mb", 1.5),
        ("2GB", 2),
        ("2 GiB", 2.147483648),
        ("512MiB", 0.536870912),
        ("1T", 1000),
        ("700000K", 0.7),
    ],
)
def test_sizes(text: str, gigabytes: float) -> None:
    assert parse_memory(text) == pytest.approx(gigabytes)


@pytest.mark.parametrize("text", ["", "G", "-1", "0", "1.5X", "1e9", "nan", "1,5", "1 5"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError):
        parse_memory(text)


def system(root: Path, files: dict[str, str]) -> Path:
    for name, content in {"proc/meminfo": "MemTotal: 10000000 kB\n", **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content + "\n")
    return root


@pytest.fixture(autouse=True)
def _no_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_MEM_PER_NODE", "SLURM_CPUS_PER_TASK"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({}, 10.24),
        ({"proc/self/cgroup": "0::/job/1", "sys/fs/cgroup/job/1/memory.max": "2000000000"}, 2),
        ({"proc/self/cgroup": "0::/job/1", "sys/fs/cgroup/job/memory.max": "3000000000"}, 3),
        ({"proc/self/cgroup": "0::/../..", "sys/fs/cgroup/memory.max": "3000000000"}, 3),
        ({"proc/self/cgroup": "0::/job", "sys/fs/cgroup/job/memory.max": "max"}, 10.24),
        (
            {
                "proc/self/cgroup": "5:memory:/docker/x\n3:cpu,cpuacct:/docker/x",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "4000000000",
            },
            4,
        ),
        (
            {"proc/self/cgroup": "5:memory:/", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712"},
            10.24,
        ),
    ],
)
def test_the_least_limit_counts(tmp_path: Path, files: dict[str, str], limit: float) -> None:
    assert available_memory_gb(system(tmp_path, files)) == pytest.approx(SHARE * limit)


def test_slurm_job_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "1000")
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    assert available_memory_gb(system(tmp_path, {})) == pytest.approx(SHARE * 1.048576)
    assert available_processors(tmp_path) == 1


def test_processor_quota(tmp_path: Path) -> None:
    files = {"proc/self/cgroup": "0::/a", "sys/fs/cgroup/a/cpu.max": "50000 100000"}
    assert available_processors(system(tmp_path, files)) == 1
    files = {"proc/self/cgroup": "3:cpu:/", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1"}
    assert available_processors(system(tmp_path, files)) >= 1


def test_this_machine_gives_sensible_answers() -> None:
    assert 0.1 < available_memory_gb() < 100_000
    assert available_processors() >= 1
