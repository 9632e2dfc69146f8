# SPDX-License-Identifier: Apache-2.0
"""The SSIM networks: exactly the paper's sizes, shapes by hand, scores where they belong."""

from __future__ import annotations

import pytest
import torch

from bidsqa.models.networks_ssim import ARCHITECTURES, SsimMap, count_parameters


@pytest.mark.parametrize(
    ("name", "count"),
    [("resnet18", 11_170_753), ("resnet101", 42_495_937), ("resnet18_narrow", 700_657), ("ssim_map", 615_201)],
)
def test_parameter_counts(name: str, count: int) -> None:
    assert count_parameters(ARCHITECTURES[name]()) == count


def test_resnet18_has_the_papers_stages() -> None:
    network = ARCHITECTURES["resnet18"]().eval()
    shapes = []
    for stage in network.stages:
        stage.register_forward_hook(lambda module, inputs, output: shapes.append(tuple(output.shape[1:])))
    with torch.inference_mode():
        score = network(torch.rand(1, 1, 256, 256))
    assert shapes[1::2] == [(64, 64, 64), (128, 32, 32), (256, 16, 16), (512, 8, 8)]
    assert score.shape == (1, 1)
    assert 0 <= float(score) <= 1


def test_the_map_is_averaged_over_the_head_alone() -> None:
    torch.manual_seed(0)
    network = SsimMap((4, 4, 8, 8)).eval()
    head = torch.zeros(2, 1, 8, 8)
    head[:, :, 2:5, 3:6] = torch.rand(2, 1, 3, 3)
    with torch.inference_mode():
        score, local = network(torch.rand(2, 1, 64, 64), head)
    assert local.shape == (2, 1, 8, 8)
    expected = (local * head).sum(dim=(1, 2, 3)) / head.sum(dim=(1, 2, 3))
    torch.testing.assert_close(score[:, 0], expected, rtol=1e-5, atol=1e-6)


def test_an_empty_head_gives_a_finite_score() -> None:
    network = SsimMap((4, 4, 8, 8)).eval()
    with torch.inference_mode():
        score, _ = network(torch.zeros(1, 1, 64, 64), torch.zeros(1, 1, 8, 8))
    assert torch.isfinite(score).all()


def test_slices_of_a_batch_do_not_touch_each_other() -> None:
    torch.manual_seed(1)
    network = SsimMap((4, 4, 8, 8)).eval()
    slices, head = torch.rand(3, 1, 64, 64), torch.ones(3, 1, 8, 8)
    with torch.inference_mode():
        together = network(slices, head)[0]
        alone = torch.cat([network(slices[row : row + 1], head[row : row + 1])[0] for row in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)
