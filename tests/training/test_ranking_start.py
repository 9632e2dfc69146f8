# SPDX-License-Identifier: Apache-2.0
"""Going on from ranking weights: the started network says what the weights say."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from bidsqa.errors import WeightsError
from bidsqa.models.networks_ranking import FIRST_BETTER, SECOND_BETTER
from bidsqa.models.ssim_inputs import WINDOW
from bidsqa.training.export import half_rounded
from bidsqa.training.ranker import Ranker
from bidsqa.training.ranking_export import exported, oriented
from bidsqa.training.ranking_pairs import Inputs
from bidsqa.training.ranking_start import start_tensors

MEANING = {"version": "t", "zero": "0", "unit": "1", "tie": "0.5", "label_source": "synthetic"}


def batch(channels: int, size: int = 64) -> Inputs:
    draw = torch.Generator().manual_seed(3)
    first, second = torch.rand(2, 6, channels, size, size, generator=draw)
    return Inputs(first, second, torch.ones(6, 3))


def learned(architecture: str, inputs: Inputs) -> Ranker:
    """A ranker whose batch norms have seen something."""
    torch.manual_seed(1)
    ranker = Ranker(architecture)
    for part in ranker.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = 0.5
    for _ in range(4):
        ranker.train()(inputs)
    return ranker.eval()


@pytest.mark.parametrize(
    ("architecture", "suffix", "channels"),
    [("iq_net", "safetensors", 2), ("efficientnet_b0_free", "onnx", 1)],
)
def test_a_start_computes_what_its_weights_do(architecture: str, suffix: str, channels: int, tmp_path: Path) -> None:
    inputs = batch(channels)
    ranker = learned(architecture, inputs)
    path = tmp_path / f"ranking.{suffix}"
    path.write_bytes(exported(ranker, architecture, MEANING))
    started = Ranker(architecture)
    started.load_state_dict(start_tensors(architecture, path, inputs))
    with torch.no_grad():
        before, after = ranker(inputs), started.eval()(inputs)
    # weights are kept in float16
    assert torch.allclose(after, before, atol=2e-2 * float(before.abs().max()))
    assert torch.equal(after.argmax(dim=1), before.argmax(dim=1))
    # it can go on: the gradient reaches every tensor
    loss = started.train()(inputs).square().sum()
    loss.backward()
    assert all(value.grad is not None for value in started.parameters())


@pytest.mark.parametrize(("architecture", "channels"), [("efficientnet_b0", 2), ("efficientnet_b0_free", 1)])
def test_lower_scores_are_made_the_better_ones_without_changing_an_answer(architecture: str, channels: int) -> None:
    inputs = batch(channels)
    for seed in range(6):
        torch.manual_seed(seed)
        ranker = Ranker(architecture).eval()
        right = oriented(copy.deepcopy(ranker))
        with torch.no_grad():
            assert torch.allclose(right(inputs), ranker(inputs), atol=1e-5)
            scores = [
                float((one.scorer(inputs.first) - one.scorer(inputs.second)).abs().sum()) for one in (ranker, right)
            ]
            apart = torch.logspace(-2, 1, 31)[:, None]
            logits = right.classifier(apart, torch.zeros_like(apart)).softmax(dim=1)
        assert scores[0] == pytest.approx(scores[1], rel=1e-5)
        # the first one's score is higher, so the second is better
        assert float((logits[:, SECOND_BETTER] - logits[:, FIRST_BETTER]).mean()) >= 0
        again = oriented(copy.deepcopy(right)).state_dict()
        assert all(torch.equal(again[name], value) for name, value in right.state_dict().items())


def test_an_exported_graph_computes_what_the_network_does_for_any_batch() -> None:
    """No value of the example is baked in: exporting asks nothing of it, which torch would warn of."""
    ort = pytest.importorskip("onnxruntime")
    ranker = learned("efficientnet_b0_free", batch(1))
    with warnings.catch_warnings():
        warnings.simplefilter("error", torch.jit.TracerWarning)
        content = exported(ranker, "efficientnet_b0_free", MEANING)
    session = ort.InferenceSession(content)
    (told,) = session.get_inputs()
    assert told.shape[1:] == [1, WINDOW, WINDOW], "windows of another size are refused"
    exact = half_rounded(ranker.scorer)
    for count in (1, 2, 5):
        slices = np.random.default_rng(count).random((count, 1, WINDOW, WINDOW), dtype=np.float32)
        with torch.no_grad():
            expected = exact(torch.from_numpy(slices)).numpy()
        (found,) = session.run(None, {"slices": slices})
        assert np.allclose(found, expected, atol=1e-3 * np.abs(expected).max())


def test_other_weights_are_refused(tmp_path: Path) -> None:
    inputs = batch(2)
    ranker = learned("iq_net", inputs)
    path = tmp_path / "ranking.safetensors"
    path.write_bytes(exported(ranker, "iq_net", MEANING))
    with pytest.raises(WeightsError, match="holds the architecture iq_net"):
        start_tensors("efficientnet_b0", path, inputs)
    broken = copy.deepcopy(MEANING) | {"classifier": "{}"}
    path.write_bytes(exported(ranker, "iq_net", broken))
    with pytest.raises(WeightsError, match="classifier"):
        start_tensors("iq_net", path, inputs)
