# SPDX-License-Identifier: Apache-2.0
"""Going on from exported weights: the network computes what the exported one does, and can learn on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bidsqa import models
from bidsqa.models import MODELS
from bidsqa.models.networks_severity import CompactNetwork, HaysNetwork
from bidsqa.models.networks_ssim import SsimMap
from bidsqa.training.warm_start import folded_pairs, warm_start


def pictures(side: int, count: int = 6) -> np.ndarray[Any, Any]:
    """Smooth blobs: batch statistics of pure noise would hardly vary."""
    rng = np.random.default_rng(1)
    coarse = rng.random((count, 1, side // 16, side // 16)).astype(np.float32)
    return np.kron(coarse, np.ones((1, 1, 16, 16), np.float32)) + 0.05 * rng.random((count, 1, side, side), np.float32)


def severity_inputs() -> dict[str, np.ndarray[Any, Any]]:
    image = pictures(160)
    return {"image": image, "head": (image > 0.3).astype(np.float32), "scalars": np.zeros((6, 7), np.float32)}


def ssim_inputs() -> dict[str, np.ndarray[Any, Any]]:
    return {"slices": pictures(224), "head": np.ones((6, 1, 28, 28), np.float32)}


CASES = {"severity": (CompactNetwork, severity_inputs), "ssim": (SsimMap, ssim_inputs)}


def warmed(name: str) -> tuple[nn.Module, list[torch.Tensor], list[np.ndarray[Any, Any]]]:
    build, inputs = CASES[name]
    arrays = inputs()
    tensors = [torch.from_numpy(value) for value in arrays.values()]
    torch.manual_seed(0)
    network = build()
    warm_start(network, MODELS[name].path, lambda started: started(*tensors))
    return network, tensors, models.load_network(name).run(arrays)


def outputs(network: nn.Module, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    with torch.no_grad():
        found = network(*tensors)
    return list(found) if isinstance(found, tuple) else [found]


@pytest.mark.parametrize("name", CASES)
def test_the_warmed_network_computes_what_the_exported_one_does(name: str) -> None:
    network, tensors, wanted = warmed(name)
    assert all(part.training for part in network.modules())
    # variances by n and by n - 1 are what little is between them
    for found, expected in zip(outputs(network.eval(), tensors), wanted, strict=True):
        np.testing.assert_allclose(found.numpy(), expected, atol=5e-3)


@pytest.mark.parametrize("name", CASES)
def test_every_weight_learns_on(name: str) -> None:
    network, tensors, _ = warmed(name)
    assert list(folded_pairs(network))
    network.train()
    found = network(*tensors)
    sum(part.square().sum() for part in (found if isinstance(found, tuple) else (found,))).backward()
    # a convolution before a batch norm may be scaled freely, so that its gradient can be tiny, but it is there
    assert all(parameter.grad is not None for parameter in network.parameters())
    for _, _, norm in folded_pairs(network):
        assert float(norm.weight.grad.abs().max()) > 0
        assert float(norm.weight.detach().abs().min()) > 0


def test_another_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="another network"):
        warm_start(HaysNetwork(), MODELS["severity"].path, lambda network: None)
    with pytest.raises(ValueError, match="another network"):
        warm_start(SsimMap(), MODELS["severity"].path, lambda network: None)
