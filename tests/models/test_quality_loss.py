# SPDX-License-Identifier: Apache-2.0
"""The learned loss: gradients, scale, shapes, and weights that are no IQ-Net."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bidsqa.errors import UsageError, WeightsError
from bidsqa.models.networks_ranking import IQNet
from bidsqa.models.quality_loss import QualityLoss
from bidsqa.training.export import to_safetensors


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Those of an untrained network: the laws hold for any."""
    torch.manual_seed(0)
    path = tmp_path / "iq.safetensors"
    settings = {"bidsqa_model": "ranking", "architecture": "iq_net", "version": "t", "per_pixel": "yes"}
    path.write_bytes(to_safetensors(IQNet(), settings))
    return path


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    clean = torch.rand(2, 1, 48, 40, generator=generator)
    return clean + 0.1 * torch.randn(clean.shape, generator=generator), clean


def test_the_reference_itself_costs_nothing(weights: Path, pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    assert QualityLoss(weights)(pair[1], pair[1]).item() == pytest.approx(0, abs=1e-5)


def test_gradients_are_those_of_finite_differences(weights: Path) -> None:
    loss = QualityLoss(weights).double()
    clean = torch.rand(1, 1, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    image = clean + 0.1

    def at(value: torch.Tensor) -> torch.Tensor:
        chosen_image = image.clone()
        chosen_image[0, 0, 10:12, 10:12] = value
        return loss(chosen_image, clean)

    assert torch.autograd.gradcheck(at, (torch.full((2, 2), 0.7, dtype=torch.float64, requires_grad=True),), eps=1e-5)


def test_weights_are_frozen_and_the_image_is_not(weights: Path, pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    loss, (image, clean) = QualityLoss(weights), pair
    image.requires_grad_(True)
    loss(image, clean).backward()
    assert image.grad is not None
    assert image.grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in loss.parameters())


def test_unit_of_the_images_does_not_matter(weights: Path, pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    loss, (image, clean) = QualityLoss(weights), pair
    assert torch.allclose(loss(image, clean), loss(1000 * image, 1000 * clean), rtol=1e-3)


def test_complex_images_and_magnitudes_agree_where_there_is_no_phase(
    weights: Path, pair: tuple[torch.Tensor, torch.Tensor]
) -> None:
    loss, (image, clean) = QualityLoss(weights), pair
    assert torch.allclose(loss(image + 0j, clean + 0j), loss(image, clean), rtol=1e-5)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_reductions(weights: Path, pair: tuple[torch.Tensor, torch.Tensor], reduction: str) -> None:
    each = QualityLoss(weights, "none")(*pair)
    assert each.shape == (2,)
    expected = {"mean": each.mean(), "sum": each.sum(), "none": each}[reduction]
    assert torch.allclose(QualityLoss(weights, reduction)(*pair), expected)


def test_it_is_the_same_while_a_model_around_it_is_trained(
    weights: Path, pair: tuple[torch.Tensor, torch.Tensor]
) -> None:
    loss = QualityLoss(weights)
    expected = loss(*pair)
    around = torch.nn.ModuleDict({"network": torch.nn.Conv2d(1, 1, 3), "loss": loss}).train()
    assert around["network"].training
    assert all(torch.equal(loss(*pair), expected) for _ in range(3))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.uint8])
def test_images_of_any_type_are_taken(
    weights: Path, pair: tuple[torch.Tensor, torch.Tensor], dtype: torch.dtype
) -> None:
    loss = QualityLoss(weights)
    image, clean = ((100 * part).clamp(0, 255).to(dtype) for part in pair)
    expected = loss(image.float(), clean.float())
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(image, clean)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


@pytest.mark.parametrize("shape", [(1, 2, 40, 40), (1, 40, 40), (1, 1, 16, 40)])
def test_shapes_that_do_not_fit_are_refused(weights: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="don't fit"):
        QualityLoss(weights)(torch.zeros(shape), torch.zeros(shape))


def test_unknown_reduction_is_refused(weights: Path) -> None:
    with pytest.raises(UsageError, match="reduction"):
        QualityLoss(weights, "median")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"bidsqa_model": "ssim", "architecture": "iq_net"}, "ssim"),
        ({"bidsqa_model": "ranking", "architecture": "efficientnet_b0"}, "iq_net"),
    ],
)
def test_other_weights_are_refused(tmp_path: Path, settings: dict[str, str], told: str) -> None:
    path = tmp_path / "other.safetensors"
    path.write_bytes(to_safetensors(IQNet(), {"version": "t", **settings}))
    with pytest.raises(WeightsError, match=told):
        QualityLoss(path)
