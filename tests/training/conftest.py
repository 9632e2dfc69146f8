# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the training tests: clean slices from a formula."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from bidsqa.training.severity_data import Slices


@pytest.fixture
def pool() -> Callable[..., Slices]:
    """Makes clean slices for the severity network: a striped disc in blank air, each of a scan of its own."""
    pytest.importorskip("torch")
    from bidsqa.training.severity_data import WINDOW, Slices

    def make(count: int = 5, radius: float = 1.0) -> Slices:
        axes = np.meshgrid(*[np.linspace(-1.4, 1.4, WINDOW)] * 2, indexing="ij")
        head = np.hypot(axes[0], 1.2 * axes[1]) < radius
        stripes = [1 + 0.3 * np.sin((11 + number) * axes[0]) * np.cos(9 * axes[1]) for number in range(count)]
        return Slices(
            image=np.stack([np.where(head, one, 0) for one in stripes]).astype(np.float16),
            head=np.repeat(head[None], count, axis=0),
            edges=np.ones((count, 3), dtype=np.float32),
            scan=np.arange(count),
            weight=np.ones(count, dtype=np.float32),
            names=tuple(f"scan{number}" for number in range(count)),
            sites=("site-A",) * count,
        )

    return make
