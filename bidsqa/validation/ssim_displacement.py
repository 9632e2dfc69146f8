# SPDX-License-Identifier: Apache-2.0
"""How much of the SSIM after motion is displacement, which no image shows: ``python -m`` prints the table.

Motion is referenced to the pose at the centre of k-space. Where the head lies elsewhere during most of the scan, the
image is displaced as a whole, which lowers its SSIM to the clean one, and nothing in the image tells. The part of the
SSIM that comes back when the clean image is moved along bounds what a network that sees one image can reach.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import optimize
from torch import Tensor

from bidsqa.simulation.rotation import rotate, rotation_matrix
from bidsqa.training.ssim_pairs import degrade, draw_clean, draw_strength, labelled
from bidsqa.training.ssim_pool import real_slices
from bidsqa.validation.tables import Table

Array = np.ndarray[Any, Any]
BANDS = ((0.0, 0.2), (0.2, 0.5), (0.5, 1.0))
# pixels of 1 mm, and units of 0.02 rad
STARTS = ((0.0, 0.0, 0.0), (2.5, 0.0, 0.0), (-2.5, 0.0, 0.0), (0.0, 2.5, 0.0), (0.0, -2.5, 0.0))
TURN = 0.02
TRIES = 60
SEED = 5


def moved(image: Tensor, pose: Sequence[float]) -> Tensor:
    """A slice (1, 1, H, W) turned and shifted; ``pose`` is rows, columns (pixels) and turn (units of 0.02 rad)."""
    turned = rotate(image, rotation_matrix(torch.tensor([[pose[2] * TURN]], dtype=torch.float32))[0], torch.ones(2))
    rows, columns = (torch.fft.fftfreq(size) for size in image.shape[2:])
    angle = -2 * np.pi * (rows[:, None] * pose[0] + columns[None] * pose[1])
    spectrum = torch.fft.fft2(turned) * torch.polar(torch.ones_like(angle), angle)
    return torch.fft.ifft2(spectrum).real


def aligned_ssim(clean: Tensor, degraded: Tensor, head: Tensor) -> tuple[float, float]:
    """SSIM of a degraded slice to the clean one as it lies, and to the clean one where it fits best.

    Parameters
    ----------
    clean, degraded : Tensor, shape (1, 1, H, W)
    head : Tensor of bool, same shape

    Returns
    -------
    tuple of float
        The second is never below the first.
    """

    def loss(pose: Sequence[float]) -> float:
        return -float(labelled(moved(clean, pose), degraded, head)[0])

    found = [
        optimize.minimize(
            loss, start, method="Nelder-Mead",
            options={"maxfev": TRIES, "initial_simplex": np.array(start) + np.vstack([np.zeros(3), np.eye(3) * 1.2])},
        ).fun
        for start in STARTS
    ]  # fmt: skip
    plain = float(labelled(clean, degraded, head)[0])
    return plain, max(plain, -min(found))


def measure(data: Path, count: int) -> Array:
    """Strength, SSIM and aligned SSIM of slices of subjects and sites not trained on, shape (count, 3)."""
    parts = real_slices(data, ("watch", "test"), 8)
    chances = np.full(len(parts), 1 / len(parts))
    clean, head, _ = draw_clean(parts, chances, np.zeros(256), count, SEED, augment=False)
    generator = torch.Generator().manual_seed(SEED)
    strength = draw_strength(generator, count, 0.0)
    degraded = degrade(clean, ["motion"] * count, strength, generator)
    rows = [
        (float(strength[one]), *aligned_ssim(*(part[one : one + 1] for part in (clean, degraded, head))))
        for one in range(count)
    ]
    return np.array(rows)


def table_of(measured: Array) -> Table:
    """By strength."""
    rows = []
    for low, high in (*BANDS, (0.0, 1.0)):
        part = measured[(measured[:, 0] >= low) & (measured[:, 0] <= high)]
        gain = part[:, 2] - part[:, 1]
        rows.append([f"{low:g} to {high:g}", len(part), np.median(part[:, 1]), f"{gain.mean():.3f} ± {gain.std():.3f}"])
    return Table(
        title="How much of the SSIM after motion is displacement of the whole slice",
        columns=("strength", "slices", "SSIM, median", "regained where the clean slice is moved along, mean ± SD"),
        rows=rows,
        note="Slices of subjects and sites not trained on, motion in the plane. Nothing in a slice tells how far it "
        "was displaced: the SD in the last row is about the error on this label that stays without a reference, "
        "however long a network is trained.",
        command="python -m bidsqa.validation.ssim_displacement",
    )


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description="How much of the SSIM after motion is displacement.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--table", type=Path, default=Path("docs/validation_tables/ssim_displacement.json"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    table = table_of(measure(given.data, given.count))
    table.write(given.table)
    print(table.text())


if __name__ == "__main__":
    main()
