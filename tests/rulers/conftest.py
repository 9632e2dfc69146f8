# SPDX-License-Identifier: Apache-2.0
"""Small rulers, and a stand-in for the network that measures noise itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from bidsqa.rulers import Kind, Ruler, Threshold
from bidsqa.rulers.building import equal_steps


@dataclass
class GrainScorer:
    """Noise as minus the logarithm of how much neighbouring pixels differ: higher is better, and no weights."""

    sha256: str = ""
    asked: int = 0
    motion: float = 0.0

    def score_images(self, slices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.asked += 1
        rough = np.abs(slices[:, 0, 1:, 1:] - slices[:, 0, :-1, :-1])
        grain = np.array([np.median(one[one > 0]) for one in rough])  # windows are padded with zeros
        return -20 * np.log10(grain), np.full(len(slices), self.motion)

    def provenance(self) -> dict[str, str]:
        return {"name": "noise_motion", "version": "test", "sha256": self.sha256}


@pytest.fixture
def grain_scorer() -> GrainScorer:
    return GrainScorer()


def small_ruler(name: str = "our-T1w", suffix: str = "T1w", **about: object) -> Ruler:
    """Eight versions of a 40 x 48 disc with less and less noise."""
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[:40, :48]
    disc = 100.0 * (np.hypot(rows - 20, columns - 24) < 16)
    noise = rng.standard_normal((2, 40, 48))
    images = [np.hypot(disc + sigma * noise[0], sigma * noise[1]) for sigma in (40, 30, 20, 15, 10, 6, 3, 1)]
    kind = Kind(suffix=suffix, **{"dimension": "3D", "field_strength": 3.0, "pixel": 1.0, **about})
    return Ruler(
        name=name,
        versions=np.stack(images).astype(np.uint16),
        kind=kind,
        threshold=Threshold(3.0),
        snr_db=equal_steps(),
        provenance={"source": "a disc", "seed": 3},
    )


@pytest.fixture
def ruler() -> Ruler:
    return small_ruler()
