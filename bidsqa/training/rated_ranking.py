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
from bidsqa.models.ranking import LABELS_KEY, TIE_KEY, UNIT_KEY, ZERO_KEY
from bidsqa.training.export import half_rounded, to_safetensors
from bidsqa.training.ranking import LEARNING, RATES, Ranker, RankingTask
from bidsqa.training.ranking_export import exported, raw_scores
from bidsqa.training.ranking_pairs import RankedPairs, RatedPairs, inputs_of, majority
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
    batch = BATCH
    learning: Mapping[str, Any] = LEARNING
    advised = 400

    def read(
        self, ratings: Path, root: Path, skipped: Callable[[str, str], None], reading: Callable[[int, int, str], None]
    ) -> RankedPairs:
        """Rated pairs with their votes."""
        return rated_pairs(ratings, root, skipped, reading)

    def task(self, architecture: str, train: RankedPairs, watch: RankedPairs, batch: int, seed: int) -> RankingTask:
        """Pairs turned anew each time they are drawn."""
        return RankingTask(architecture, RatedPairs(train), watch, batch, seed)

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
        scorer = half_rounded(network.scorer) if architecture == self.architectures[0] else network.scorer
        first, second = raw_scores(scorer, examples)
        unit, tie = fit_preference(second - first, softmax(self.predict(network, examples), temperature))
        clean = RankedPairs(
            *(examples.reference,) * 3, examples.votes, examples.subject, examples.difference, examples.ssim
        )
        zero = float(np.median(raw_scores(scorer, clean)[0]))
        meaning = {ZERO_KEY: f"{zero:.6g}", UNIT_KEY: f"{unit:.6g}", TIE_KEY: f"{tie:.6g}", LABELS_KEY: "readers"}
        tables = [accuracy_table(examples, predicted)]
        if architecture == self.architectures[0]:
            content = exported(network.scorer, architecture, about["version"], {**about, **meaning})
            use = "bidsqa BIDS_DIR OUT_DIR participant --models severity ssim ranking --weights ranking=FILE"
            return Result(content, ".onnx", tables, use)
        settings = {"bidsqa_model": self.name, "architecture": architecture, "per_pixel": "yes", **about, **meaning}
        loss = "bidsqa.models.quality_loss.QualityLoss(FILE)" if architecture == "iq_net" else "from Python"
        return Result(to_safetensors(network.scorer, settings), ".safetensors", tables, loss)


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
