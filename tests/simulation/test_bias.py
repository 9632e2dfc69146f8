# SPDX-License-Identifier: Apache-2.0
"""The field's range, mean and smoothness."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from bidsqa.simulation import ARTIFACTS  # noqa: E402


def log_fields(strength: float, count: int = 6) -> tuple[object, object]:
    """Log fields (count, H, W) and the head mask, from a flat image."""
    image = torch.ones(count, 1, 64, 64)
    head = torch.zeros_like(image, dtype=torch.bool)
    head[..., 12:52, 16:48] = True
    artifact = ARTIFACTS["bias"]
    parameters = artifact.sample(torch.Generator().manual_seed(8), [strength] * count)
    return artifact.apply(image, parameters, head)[:, 0].log(), head[0, 0]


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_range_and_mean_in_the_head(strength: float) -> None:
    fields, head = log_fields(strength)
    for field in fields:
        inside = field[head]
        spread = torch.quantile(inside, 0.95) - torch.quantile(inside, 0.05)
        assert float(spread) == pytest.approx(strength * math.log(4), rel=0.02)
        assert abs(float(inside.mean())) < 0.15


def test_field_is_positive_smooth_and_differs_between_draws() -> None:
    fields, _ = log_fields(1.0)
    assert torch.isfinite(fields).all()
    assert float(fields.diff(dim=-1).abs().max()) < 0.4
    assert len({round(float(field[3, 3]), 4) for field in fields}) > 3
