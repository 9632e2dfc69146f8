# SPDX-License-Identifier: Apache-2.0
"""The ranking networks on a site's own rankings (see :class:`bidsqa.training.rated_model.RatedModel`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bidsqa.models.diagnostic import softmax
from bidsqa.models.preference import fit_preference
from bidsqa.training.export import half_rounded
from bidsqa.training.ranker import Ranker
from bidsqa.training.ranking import LEARNING, RATES, RankingTask
from bidsqa.training.ranking_export import exported, meaning_of, oriented
from bidsqa.training.ranking_pairs import RankedPairs, RatedPairs, inputs_of, majority
from bidsqa.training.ranking_start import SHIPPED, check_start, start_tensors
from bidsqa.training.rated_model import Result
from bidsqa.training.rated_pairs import rated_pairs
from bidsqa.validation.ranking import answers, classical
from bidsqa.validation.statistics import bootstrap
from bidsqa.validation.tables import Table
from bidsqa.validation.temperature import fit_temperature

Array = np.ndarray[Any, Any]
BATCH = 16


class RatedRanking:
    """Learns from the task ``pairwise``."""

    name = "ranking"
    task_name = "pairwise"
    architectures: tuple[str, ...] = ("efficientnet_b0_free", "iq_net", "efficientnet_b0")
    rates: Mapping[str, float] = RATES
    starts = SHIPPED
    batch = BATCH
    learning: Mapping[str, Any] = LEARNING
    advised = 400

    def read(
        self, ratings: Path, root: Path, skipped: Callable[[str, str], None], reading: Callable[[int, int, str], None]
    ) -> RankedPairs:
        """Rated pairs with their votes."""
        return rated_pairs(ratings, root, skipped, reading)

    def check_start(self, architecture: str, start: Path) -> None:
        """The weights can be gone on from; WeightsError where not."""
        check_start(architecture, start)

    def task(
        self, architecture: str, train: RankedPairs, watch: RankedPairs, batch: int, seed: int, start: Path | None
    ) -> RankingTask:
        """Pairs turned anew each time they are drawn."""
        source, tensors = RatedPairs(train), None
        if start is not None:
            inputs = inputs_of(source.draw(seed, batch), architecture != self.architectures[0])
            tensors = start_tensors(architecture, start, inputs)
        return RankingTask(architecture, source, watch, batch, seed, tensors)

    @torch.no_grad()
    def predict(self, network: Ranker, examples: RankedPairs) -> Array:
        """Logits (N, 3): second better, similar, first better."""
        found = []
        for start in range(0, len(examples), BATCH):
            part = examples.some(range(start, min(start + BATCH, len(examples))))
            found.append(network(inputs_of(part, network.reference)).numpy())
        return np.concatenate(found).astype(np.float64)

    def finish(
        self, architecture: str, network: Ranker, examples: RankedPairs, predicted: Array, about: Mapping[str, str]
    ) -> Result:
        """Zero: the median of the clean slices. Unit and ties: the network's own chances, as sure as folds allow."""
        votes = examples.votes.numpy().astype(np.float64)
        temperature = fit_temperature(predicted, votes)
        network = oriented(network)
        scorer = network.scorer if network.reference else half_rounded(network.scorer)
        chances = softmax(self.predict(network, examples), temperature)
        content = exported(network, architecture, {**about, **meaning_of(scorer, examples, chances, "readers")})
        uses = {
            "efficientnet_b0_free": "bidsqa BIDS_DIR OUT_DIR participant --models severity ssim ranking "
            "--weights ranking=FILE",
            "iq_net": "bidsqa.models.quality_loss.QualityLoss(FILE)",
            "efficientnet_b0": "from Python",
        }
        suffix = ".safetensors" if network.reference else ".onnx"
        return Result(content, suffix, [accuracy_table(examples, predicted)], uses[architecture])


def accuracy_table(examples: RankedPairs, logits: Array) -> Table:
    """Agreement with a reader and with the majority: network, MSE, SSIM, the commonest answer."""
    votes = examples.votes.numpy().astype(np.float64)
    most = majority(votes)
    shares = votes / votes.sum(axis=1, keepdims=True)
    guesses = {"network": logits.argmax(axis=1)}
    for name, values in classical(examples).items():
        # the same pairs serve to set the limits: two numbers, in the measures' favour
        guesses[name.upper()] = answers(values, *fit_preference(values, votes))
    guesses["the commonest answer"] = np.full(len(votes), int(votes.sum(axis=0).argmax()))
    rows = []
    for name, guess in guesses.items():
        one = shares[np.arange(len(guess)), guess]
        right = np.where(most < 0, np.nan, guess == most)
        rows.append([name, _cell(one, examples), _cell(right, examples)])
    note = (
        f"{len(votes)} pairs of {len(set(examples.subject))} subjects, {votes.sum():.0f} answers, "
        f"{int((most < 0).sum())} pairs without a majority. Each pair is judged by a network that was not trained on "
        "its subject; intervals by bootstrap over subjects."
    )
    columns = ["ranker", "agrees with one reader", "agrees with the majority"]
    return Table("Agreement with your readers", columns, rows, note)


def _cell(values: Array, examples: RankedPairs) -> str:
    if not np.isfinite(values).any():
        return "n/a"
    low, high = bootstrap(examples.subject, lambda rows: float(np.nanmean(values[rows])))
    return f"{100 * np.nanmean(values):.0f} % [{100 * low:.0f}, {100 * high:.0f}]"
