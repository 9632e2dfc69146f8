# SPDX-License-Identifier: Apache-2.0
"""What the diagnostic networks learn by: soft labels of several readers, weights of rare classes, evaluation mode."""

from __future__ import annotations

import copy

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from bidsqa.models.diagnostic import TEMPERATURE_KEY
from bidsqa.models.diagnostic_maps import FIRST_KEY
from bidsqa.training.export import half_rounded
from bidsqa.training.rated_diagnostic import Batch, DiagnosticTask, Graded, RatedDiagnostic, class_weights


class Answer(nn.Module):
    """Stands for a network: logits of its own for each slice, by the slice's first pixel."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, slices: Tensor) -> Tensor:
        return self.logits[slices[:, 0, 0, 0].long()]


def examples(votes: list[list[float]], size: int = 16) -> Graded:
    image = torch.zeros(len(votes), 1, size, size)
    image[:, 0, 0, 0] = torch.arange(len(votes)).float()
    return Graded(image.half(), torch.tensor(votes), tuple(f"s{number}" for number in range(len(votes))))


def task_of(graded: Graded) -> DiagnosticTask:
    return DiagnosticTask(f"resnet10_{graded.votes.shape[1]}", graded, graded, batch=4, seed=1)


def test_the_loss_is_least_at_the_share_of_the_readers() -> None:
    """Three readers of one slice who disagree want a chance of 2/3, not certainty."""
    graded = examples([[2.0, 1.0], [0.0, 3.0], [3.0, 0.0]])
    task = task_of(graded)
    weights = class_weights(graded.votes)
    shares = graded.votes / graded.votes.sum(dim=1, keepdim=True)
    network = Answer(torch.zeros(3, 2))
    optimiser = torch.optim.LBFGS(network.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss, _ = task.loss(network, task.watched[0])
        loss.backward()
        return loss

    optimiser.step(closure)  # type: ignore[arg-type]
    found = torch.softmax(network.logits[0], dim=0)
    wanted = weights * shares[0] / (weights * shares[0]).sum()
    assert torch.allclose(found, wanted, atol=0.01)


def test_a_rare_class_counts_as_much_as_a_common_one() -> None:
    """Nine slices of one class and one of the other: a network without an opinion is pulled to neither."""
    graded = examples([[0.0, 3.0]] * 9 + [[3.0, 0.0]])
    task, network = task_of(graded), Answer(torch.zeros(10, 2))
    batch = Batch(graded.image.float(), graded.votes / 3)
    loss, told = task.loss(network, batch)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(np.log(2))
    assert network.logits.grad is not None
    assert network.logits.grad.sum(dim=0).abs().max() < 1e-6
    assert network.logits.grad[9, 0] == pytest.approx(9 * float(network.logits.grad[0, 1]), rel=1e-4)
    assert float(told["accuracy"]) == pytest.approx(0.1)


def test_a_class_that_nobody_gave_weighs_nothing() -> None:
    weights = class_weights(torch.tensor([[1.0, 0.0, 1.0], [2.0, 0.0, 0.0]]))
    assert weights[1] == 0
    assert torch.isfinite(weights).all()


def test_watching_and_predicting_change_nothing_and_look_at_slices_one_by_one() -> None:
    """In training mode batch norms would mix the slices of a batch, and remember them."""
    torch.manual_seed(1)
    graded = Graded(torch.rand(5, 1, 64, 64).half(), torch.ones(5, 3), tuple("abcde"))
    task = task_of(graded)
    network = task.network().train()
    before = copy.deepcopy(network.state_dict())
    task.watch(network, task.watched)
    network.train()
    together = RatedDiagnostic().predict(network, graded)
    alone = np.concatenate([RatedDiagnostic().predict(network, graded.some([row])) for row in range(5)])
    assert np.allclose(together, alone, atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_the_file_says_what_the_network_says_in_evaluation_mode() -> None:
    torch.manual_seed(2)
    model = RatedDiagnostic()
    graded = Graded(torch.rand(4, 1, 512, 512).half(), torch.tensor([[1.0, 0], [0, 1], [1, 1], [0, 2]]), tuple("abcd"))
    network = model.task("convnet", graded, graded, 2, 1, None).network().train()
    network(graded.image.float())
    predicted = model.predict(half_rounded(network), graded)
    result = model.finish("convnet", network.train(), graded, predicted, {"version": "own"})
    session = onnxruntime.InferenceSession(result.content, providers=["CPUExecutionProvider"])
    logits, parts = session.run(None, {"slices": graded.image.float().numpy()})
    assert np.allclose(logits, predicted, atol=1e-3)
    assert parts.shape == (4, 2, 32, 32)
    assert np.allclose(np.ptp(logits - parts.sum(axis=(2, 3)), axis=0), 0, atol=1e-3)
    settings = session.get_modelmeta().custom_metadata_map
    assert {TEMPERATURE_KEY, FIRST_KEY} <= set(settings)
    assert float(settings[TEMPERATURE_KEY]) > 0
