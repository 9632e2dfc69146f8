# SPDX-License-Identifier: Apache-2.0
"""What the ranking networks are trained as: a scoring network and the classifier of two scores."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bidsqa.models.networks_ranking import ARCHITECTURES, ThreeWay
from bidsqa.training.ranking_pairs import Inputs


class Ranker(nn.Module):
    """A scoring network and the classifier of two scores.

    Parameters
    ----------
    architecture : str
    """

    def __init__(self, architecture: str) -> None:
        super().__init__()
        self.scorer = ARCHITECTURES[architecture]()
        self.classifier = ThreeWay()
        self.reference = self.scorer.input_names == ("difference",)

    def scores(self, batch: Inputs) -> tuple[Tensor, Tensor]:
        """Scores (N, 1) of the first and the second image of each pair; lower is better."""
        first, second = self.scorer(torch.cat([batch.first, batch.second])).chunk(2)
        return first, second

    def forward(self, batch: Inputs) -> Tensor:
        """Logits (N, 3)."""
        logits: Tensor = self.classifier(*self.scores(batch))
        return logits
