# SPDX-License-Identifier: Apache-2.0
"""The loss of the ranking networks: Davidson's chances, and scores that go on learning however far apart they are."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor, nn

from bidsqa.models.networks_ranking import FIRST_BETTER, SECOND_BETTER
from bidsqa.models.preference import preference
from bidsqa.training.ranker import Ranker
from bidsqa.training.ranking import TIE, RankingTask, cross_entropy, davidson_logits
from bidsqa.training.ranking_pairs import Inputs, RankedPairs


class Brightness(nn.Module):
    """Scores an image by its mean, times a gain that can be learned."""

    input_names = ("slices",)

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, images: Tensor) -> Tensor:
        return self.gain * images.mean(dim=(2, 3))


class Nothing:
    """No pairs to draw."""

    def draw(self, seed: int, count: int) -> RankedPairs:
        raise AssertionError("not asked for")


@pytest.fixture
def task() -> RankingTask:
    empty = torch.zeros(1, 1, 8, 8, dtype=torch.complex64)
    pairs = RankedPairs(empty, empty, empty, torch.ones(1, 3), ("a",), torch.zeros(1), torch.zeros(1, 2))
    return RankingTask("efficientnet_b0_free", Nothing(), pairs, 1, 1)


@pytest.fixture
def ranker() -> Ranker:
    torch.manual_seed(5)  # of the classifier's weights
    ranker = Ranker("efficientnet_b0_free")
    ranker.scorer = Brightness()
    return ranker


def pair(first: float, second: float, said: int) -> Inputs:
    votes = torch.zeros(1, 3)
    votes[0, said] = 3
    return Inputs(torch.full((1, 1, 8, 8), first), torch.full((1, 1, 8, 8), second), votes)


def slope(ranker: Ranker) -> float:
    """Of the loss against the gain."""
    gradient = next(ranker.scorer.parameters()).grad
    assert gradient is not None
    return float(gradient)


@pytest.mark.parametrize(("first", "second"), [(0.0, 0.0), (1.5, -0.5), (-4.0, 3.0)])
def test_chances_are_those_of_davidson_s_model(first: float, second: float) -> None:
    logits = davidson_logits(torch.tensor([[first]]), torch.tensor([[second]]))
    # a score is a cost, a utility its negative
    expected = preference(-first, -second, TIE)
    found = torch.softmax(logits, dim=1)[0].tolist()
    assert found == pytest.approx([expected.worse, expected.similar, expected.better], abs=1e-6)


@pytest.mark.parametrize("apart", [1.0, 30.0, 300.0])
def test_a_wrong_answer_teaches_however_sure_it_is(task: RankingTask, ranker: Ranker, apart: float) -> None:
    # the first image has the lower score, thus is called better; the readers say the second is
    loss, _ = task.loss(ranker, pair(0.0, apart, SECOND_BETTER))
    loss.backward()
    # to lower the gain must help, and by about half a unit of loss a unit of difference
    assert slope(ranker) > 0.4 * apart


def test_the_classifier_alone_would_stop_teaching(ranker: Ranker) -> None:
    batch = pair(0.0, 300.0, SECOND_BETTER)
    cross_entropy(ranker(batch), batch.votes).backward()
    # with Davidson's model it is above 0.4 * 300
    assert abs(slope(ranker)) < 1.0


def test_right_answers_cost_less(task: RankingTask, ranker: Ranker) -> None:
    right, wrong = (
        float(task.loss(ranker, pair(0.0, 2.0, said))[0].detach()) for said in (FIRST_BETTER, SECOND_BETTER)
    )
    assert right < wrong
