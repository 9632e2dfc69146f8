# SPDX-License-Identifier: Apache-2.0
"""Seconds and extra memory of the metrics on a 1 mm head, by row of the table, on one core.

Run ``python benchmarks/metrics.py``; it prints a reStructuredText table.
"""

from __future__ import annotations

import argparse
import os
import time
import tracemalloc

# one core, and before NumPy is loaded
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scipy import ndimage

from bidsqa.anatomy import Anatomy
from bidsqa.image import Volume
from bidsqa.metrics import METRICS, Samples, measure, measure_row

SHAPE = (176, 256, 256)


def draw_head() -> tuple[Volume, Anatomy]:
    """Nested ellipsoids of a head's size (brain 1.5 l) in noise; only counts of voxels matter for the cost."""
    generator = np.random.default_rng(0)
    axes = [
        np.linspace(-1, 1, size, dtype=np.float32).reshape(shape) for size, shape in zip(SHAPE, _SIDES, strict=True)
    ]
    radius = np.sqrt((axes[0] / 0.85) ** 2 + (axes[1] / 0.85) ** 2 + (axes[2] / 0.85) ** 2)
    bounds = {"wm": (0.0, 0.55), "gm": (0.55, 0.72), "csf": (0.72, 0.80)}
    brain, head = radius < 0.80, radius < 1.0
    clean = np.select([radius < 0.55, radius < 0.72, radius < 0.80, head], [1000, 700, 300, 600], 0).astype(np.float32)
    noise = [20 * generator.standard_normal(SHAPE, dtype=np.float32) for _ in range(2)]
    shares = [(radius >= bounds[name][0]) & (radius < bounds[name][1]) for name in ("csf", "gm", "wm")]
    smooth = [ndimage.gaussian_filter(share.astype(np.float32), 1.0) * brain for share in shares]
    hat = ~head & (axes[2] > -0.3)
    empty = np.zeros(SHAPE, dtype=np.uint8)
    anatomy = Anatomy(
        head=head.astype(np.uint8),
        brain=brain.astype(np.uint8),
        hat=hat.astype(np.uint8),
        air=(hat & (radius > 1.05)).astype(np.uint8),
        frame=empty,
        dseg=empty,
        posteriors=np.stack(smooth).astype(np.float16),
        bias_field=np.broadcast_to(1.0 + 0.1 * axes[0], SHAPE).astype(np.float32),
    )
    return Volume.from_array(np.hypot(clean + noise[0], noise[1])), anatomy


_SIDES = ((-1, 1, 1), (1, -1, 1), (1, 1, -1))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="the smallest of so many runs is shown")
    rounds = parser.parse_args().rounds
    volume, anatomy = draw_head()
    measure(volume, anatomy)
    times: dict[str, list[float]] = {row.name: [] for row in METRICS}
    totals = []
    for _ in range(rounds):
        samples = Samples(volume, anatomy)
        begin = time.process_time()
        for row in METRICS:
            start = time.process_time()
            measure_row(row, samples)
            times[row.name].append(time.process_time() - start)
        totals.append(time.process_time() - begin)
    tracemalloc.start()
    measure(volume, anatomy)
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    print(".. list-table:: Metrics of a 176 x 256 x 256 head, one core; a row pays for what later rows share")
    print("   :header-rows: 1\n\n   * - row\n     - CPU seconds")
    for name, seconds in times.items():
        if min(seconds) >= 0.001:
            print(f"   * - {name}\n     - {min(seconds):.3f}")
    print(f"   * - all rows\n     - {min(totals):.2f}")
    print(f"\nPeak memory above image and anatomy: {peak:.0f} MB.")


if __name__ == "__main__":
    main()
