# SPDX-License-Identifier: Apache-2.0
"""Seconds and memory of each step of the masks on a 1 mm phantom of 256 x 256 x 176 voxels; writes a table for docs."""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np

from bidsqa.anatomy import delineate
from bidsqa.anatomy.delineation import Clock
from bidsqa.image import Volume
from bidsqa.simulation.phantom import make_phantom
from bidsqa.validation.tables import Table

SHAPE = (176, 256, 256)


def padded(volume: Volume) -> Volume:
    """The volume in the middle of a grid of ``SHAPE``, surrounded by noise like its own corner."""
    corner = volume.data[:8, :8, -8:]
    noise = np.random.default_rng(0).permutation(np.resize(corner.ravel(), int(np.prod(SHAPE)))).reshape(SHAPE)
    result = noise.astype(np.float32)
    spans = [min(size, room) for size, room in zip(volume.shape, SHAPE, strict=True)]
    inner = tuple(slice((room - span) // 2, (room - span) // 2 + span) for span, room in zip(spans, SHAPE, strict=True))
    outer = tuple(
        slice((size - span) // 2, (size - span) // 2 + span) for span, size in zip(spans, volume.shape, strict=True)
    )
    result[inner] = volume.data[outer]
    return Volume.from_array(result, volume.spacing)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contrast", default="T1w")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--table", type=Path, default=Path("docs/benchmark_tables/anatomy.json"))
    options = parser.parse_args()
    volume = padded(make_phantom(seed=0).image(options.contrast, seed=1))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    walls, steps = [], []
    for _ in range(options.repeats):
        clock, start = Clock(time.process_time), time.perf_counter()
        delineate(volume, threads=options.threads, clock=clock)
        walls.append(time.perf_counter() - start)
        steps.append(clock.seconds)
    costs = {name: min(run[name] for run in steps) for name in steps[0]}
    rows = [[name, round(seconds, 2)] for name, seconds in costs.items()]
    rows.append(["together", round(sum(costs.values()), 2)])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    note = (
        f"Phantom, {options.contrast}, {'x'.join(map(str, SHAPE))} voxels, {options.threads} thread(s); least of "
        f"{options.repeats} runs; least wall-clock time {min(walls):.1f} s; peak memory {peak:.0f} MiB, of which "
        f"{before:.0f} MiB before."
    )
    table = Table("Masks, by step", ["step", "CPU seconds"], rows, note, "python benchmarks/anatomy.py")
    table.write(options.table)
    print(table.text())


if __name__ == "__main__":
    main()
