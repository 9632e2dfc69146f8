# SPDX-License-Identifier: Apache-2.0
"""Seconds a slice of each network in torch and in ONNX Runtime: ``python benchmarks/inference.py``."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bidsqa.models import networks_severity, networks_ssim, severity_inputs, ssim_inputs
from bidsqa.models.aggregation import SLICES_PER_PLANE
from bidsqa.models.loading import open_session
from bidsqa.training.export import half_rounded, to_onnx
from bidsqa.validation.tables import Table

SCIARRA_SIDE = 256
SSIM_SLICES, SEVERITY_SLICES = 3 * SLICES_PER_PLANE, 3 * severity_inputs.SLICES_PER_PLANE
# side of the slices and how many of them a scan of near cubic voxels has
NETWORKS = {
    "compact": (severity_inputs.WINDOW, SEVERITY_SLICES),
    "hays": (severity_inputs.HAYS_WINDOW, SEVERITY_SLICES),
    "ssim_map": (ssim_inputs.WINDOW, SSIM_SLICES),
    "resnet18_narrow": (SCIARRA_SIDE, SSIM_SLICES),
    "resnet18": (SCIARRA_SIDE, SSIM_SLICES),
    "resnet101": (SCIARRA_SIDE, SSIM_SLICES),
}
ARCHITECTURES: dict[str, Callable[[], Any]] = {**networks_severity.ARCHITECTURES, **networks_ssim.ARCHITECTURES}


def best_seconds(act: Callable[[], object], repeats: int) -> float:
    """Median of some runs after one to warm up."""
    act()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        act()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def inputs(network: Any, side: int, batch: int) -> dict[str, np.ndarray[Any, Any]]:
    """Random slices and what else the network reads."""
    image = np.random.default_rng(0).random((batch, 1, side, side)).astype(np.float32)
    blocks = side // ssim_inputs.BLOCK if isinstance(network, networks_ssim.SsimMap) else side
    known = {
        "image": image,
        "slices": image,
        "head": np.ones((batch, 1, blocks, blocks), dtype=np.float32),
        "scalars": np.zeros((batch, networks_severity.SCALARS), dtype=np.float32),
    }
    return {name: known[name] for name in network.input_names}


def measure(name: str, threads: int, batch: int, repeats: int) -> list[object]:
    """One line of the table."""
    import torch

    torch.set_num_threads(threads)
    side, slices = NETWORKS[name]
    network = half_rounded(ARCHITECTURES[name]())
    arrays = inputs(network, side, batch)
    outputs = getattr(network, "output_names", ("score",))
    content = to_onnx(network, {key: value[:2] for key, value in arrays.items()}, outputs, {})
    tensors = [torch.from_numpy(value) for value in arrays.values()]

    def in_torch() -> object:
        with torch.inference_mode():
            return network(*tensors)

    began = time.perf_counter()
    session = open_session(content, name, threads=threads)
    opening = time.perf_counter() - began
    slow = best_seconds(in_torch, repeats) / batch
    fast = best_seconds(lambda: session.run(None, arrays), repeats) / batch
    parameters = networks_ssim.count_parameters(ARCHITECTURES[name]())
    size = f"{len(content) / 1e6:.1f}"
    return [name, parameters, f"{side}²", size, slow, fast, slow / fast, opening, f"{slices}: {slices * fast:.2f}"]


def main() -> None:
    """Print the table and write it for the documentation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--names", nargs="+", choices=sorted(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--out", type=Path, default=Path("docs/benchmark_tables/inference.json"))
    chosen = parser.parse_args()
    rows = [measure(name, chosen.threads, chosen.batch, chosen.repeats) for name in chosen.names]
    table = Table(
        title="Speed of the networks",
        columns=(
            "network", "parameters", "slice", "file, MB", "torch, s/slice", "ONNX, s/slice", "ratio", "ONNX opening, s",
            "slices of a scan: ONNX, s",
        ),
        rows=rows,
        note=f"{chosen.threads} thread(s), batches of {chosen.batch}, median of {chosen.repeats} runs, float32.",
        command=f"python benchmarks/inference.py --threads {chosen.threads}",
    )  # fmt: skip
    print(table.text())
    table.write(chosen.out)


if __name__ == "__main__":
    main()
