# SPDX-License-Identifier: Apache-2.0
"""The severity losses have the right signs."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from bidsqa.training.severity_losses import compact_loss, hays_loss, ordered_loss, ranking_loss  # noqa: E402


def test_clean_at_zero_and_degraded_at_its_severity_costs_nothing() -> None:
    margin = torch.tensor([0.1, 0.5, 1.0])
    zero = torch.zeros(3)
    assert float(hays_loss(zero, zero, margin, margin)) == 0


def test_gradient_lowers_the_clean_and_raises_the_degraded_score() -> None:
    anchor, positive, negative = (torch.tensor([value], requires_grad=True) for value in (0.3, 0.2, 0.4))
    hays_loss(anchor, positive, negative, torch.tensor([0.5])).backward()
    assert float(anchor.grad) > 0 and float(positive.grad) > 0
    assert float(negative.grad) < 0


def test_ordered_pairs() -> None:
    low, high, step = torch.tensor([0.2]), torch.tensor([0.5]), torch.tensor([0.3])
    assert float(ordered_loss(low, high, step)) == pytest.approx(0, abs=1e-6)
    assert float(ordered_loss(high, low, step)) == pytest.approx(0.6)


def test_ranking_is_free_for_the_right_order_with_the_right_gap() -> None:
    true = torch.tensor([0.0, 0.2, 0.6])
    assert float(ranking_loss(true, true)) == 0
    assert float(ranking_loss(-true, true)) > 0.3
    assert float(ranking_loss(torch.ones(3), torch.ones(3))) == 0


def test_compact_loss_is_smallest_for_the_truth() -> None:
    damage = torch.tensor([[0.0, 0.0], [0.3, 0.2]])
    strength = torch.tensor([[0.0] * 5, [0.0, 0.8, 0.0, 0.0, 0.0]])
    truth = torch.cat([damage, strength, torch.where(strength > 0, 8.0, -8.0)], dim=1)
    right = sum(float(value) for value in compact_loss(truth, damage, strength, 1).values())
    wrong = sum(float(value) for value in compact_loss(-truth, damage, strength, 1).values())
    assert right < 0.01 < 1 < wrong
