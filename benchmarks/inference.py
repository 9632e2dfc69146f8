# SPDX-License-Identifier: Apache-2.0
"""Seconds a slice of each SSIM network in torch and in ONNX Runtime: ``python benchmarks/inference.py``."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bidsqa.models.loading import open_session
from bidsqa.models.networks_ssim import ARCHITECTURES, SsimMap, count_parameters
from bidsqa.training.export import half_rounded, to_onnx
from bidsqa.validation.tables import Table

SIDES = {"ssim_map": 224, "resnet18": 256, "resnet18_narrow": 256, "resnet101": 256}


def best_seconds(act: Callable[[], object], repeats: int) -> float:
    """Median of some runs after one to warm up."""
    act()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        act()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def measure(name: str, threads: int, batch: int, repeats: int) -> list[object]:
    """One line of the table."""
    import torch

    torch.set_num_threads(threads)
    network = half_rounded(ARCHITECTURES[name]())
    side = SIDES[name]
    arrays = {
        "slices": np.random.default_rng(0).random((batch, 1, side, side)).astype(np.float32),
        "head": np.ones((batch, 1, side // 8, side // 8), dtype=np.float32),
    }
    arrays = {key: value for key, value in arrays.items() if key == "slices" or isinstance(network, SsimMap)}
    content = to_onnx(network, {key: value[:2] for key, value in arrays.items()}, type(network).output_names, {})
    tensors = [torch.from_numpy(value) for value in arrays.values()]

    def in_torch() -> object:
        with torch.inference_mode():
            return network(*tensors)

    began = time.perf_counter()
    session = open_session(content, name, threads=threads)
    opening = time.perf_counter() - began
    slow = best_seconds(in_torch, repeats) / batch
    fast = best_seconds(lambda: session.run(None, arrays), repeats) / batch
    parameters = count_parameters(ARCHITECTURES[name]())
    return [name, parameters, f"{side}²", f"{len(content) / 1e6:.1f}", slow, fast, slow / fast, opening, 72 * fast]


def main() -> None:
    """Print the table and write it for the documentation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--names", nargs="+", choices=sorted(SIDES), default=list(SIDES))
    parser.add_argument("--out", type=Path, default=Path("docs/benchmark_tables/inference.json"))
    chosen = parser.parse_args()
    rows = [measure(name, chosen.threads, chosen.batch, chosen.repeats) for name in chosen.names]
    table = Table(
        title="Speed of the SSIM networks",
        columns=(
            "network", "parameters", "slice", "file, MB", "torch, s/slice", "ONNX, s/slice", "ratio", "ONNX opening, s",
            "scan of 72 slices, ONNX, s",
        ),
        rows=rows,
        note=f"{chosen.threads} thread(s), batches of {chosen.batch}, median of {chosen.repeats} runs, float32.",
        command=f"python benchmarks/inference.py --threads {chosen.threads}",
    )  # fmt: skip
    print(table.text())
    table.write(chosen.out)


if __name__ == "__main__":
    main()
