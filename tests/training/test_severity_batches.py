# SPDX-License-Identifier: Apache-2.0
"""Severity batches: targets fit the images, blanked air stays blank, seeds decide."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bidsqa.models.networks_severity import SCALARS  # noqa: E402
from bidsqa.models.severity_inputs import WINDOW  # noqa: E402
from bidsqa.training.severity_batches import make_batch  # noqa: E402
from bidsqa.training.severity_data import Slices  # noqa: E402


def test_a_batch_has_clean_and_two_degraded_copies(pool: Callable[..., Slices]) -> None:
    batch = make_batch(pool(), 6, torch.Generator().manual_seed(0))
    assert batch.image.shape == (18, 1, WINDOW, WINDOW) == batch.head.shape
    assert batch.scalars.shape == (18, SCALARS)
    assert float(batch.damage[:6].abs().max()) == 0 and float(batch.strength[:6].max()) == 0
    assert float(batch.damage[6:, 1].min()) > 0
    assert torch.isfinite(batch.image).all() and torch.isfinite(batch.scalars).all()
    assert torch.equal(batch.head[:6], batch.head[6:12])


def test_blanked_air_is_blank_in_every_copy(pool: Callable[..., Slices]) -> None:
    batch = make_batch(pool(), 8, torch.Generator().manual_seed(1))
    clean, first, second = batch.image.split(8)
    for copy in (first, second):
        assert float(copy[(clean == 0) & (batch.head[:8] == 0)].abs().max()) == 0


def test_the_same_seed_gives_the_same_batch(pool: Callable[..., Slices]) -> None:
    first, again, other = (make_batch(pool(), 3, torch.Generator().manual_seed(seed)) for seed in (4, 4, 5))
    assert torch.equal(first.image, again.image) and torch.equal(first.damage, again.damage)
    assert not torch.equal(first.image, other.image)


def test_slices_survive_a_file(tmp_path: object, pool: Callable[..., Slices]) -> None:
    slices = pool()
    slices.save(tmp_path / "pool.npz")  # type: ignore[operator]
    back = Slices.load(tmp_path / "pool.npz")  # type: ignore[operator]
    assert back.names == slices.names and np.array_equal(back.image, slices.image)
