# SPDX-License-Identifier: Apache-2.0
"""The ranking networks out of their checkpoints, what their raw scores mean, and the files they are kept in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bidsqa.models.networks_ranking import FIRST_BETTER, SECOND_BETTER, IQNet, ThreeWay
from bidsqa.models.preference import fit_preference
from bidsqa.models.ranking import LABELS_KEY, TIE_KEY, UNIT_KEY, ZERO_KEY
from bidsqa.models.ssim_inputs import WINDOW
from bidsqa.training.checkpoints import averaged_weights
from bidsqa.training.export import half_rounded, to_onnx, to_safetensors
from bidsqa.training.ranker import Ranker
from bidsqa.training.ranking_pairs import RankedPairs, inputs_of

Array = np.ndarray[Any, Any]
CLASSIFIER_KEY = "classifier"
OUTPUTS = ("score",)


def ranker_of(checkpoint: Path, architecture: str) -> Ranker:
    """The averaged network of a checkpoint, in evaluation mode."""
    network = Ranker(architecture)
    network.load_state_dict(averaged_weights(checkpoint)[0])
    return oriented(network.eval())


@torch.no_grad()
def oriented(ranker: Ranker) -> Ranker:
    """The same ranker with scores of which the lower is the better.

    The cross-entropy doesn't say which way scores point: a classifier that reads them the other way round does as well.
    Where it does, last layer and classifier change their sign together, which leaves every answer as it was. IQ-Net's
    score is a sum of norms, which has no sign to change.
    """
    if isinstance(ranker.scorer, IQNet):
        return ranker
    apart = torch.logspace(-2, 1, 31)[:, None]
    chances = torch.softmax(ranker.classifier(apart, torch.zeros_like(apart)), dim=1)
    if float((chances[:, SECOND_BETTER] - chances[:, FIRST_BETTER]).mean()) < 0:
        last = ranker.scorer.output
        assert isinstance(last, torch.nn.Linear)
        for value in last.parameters():
            value.neg_()
        for branch in (ranker.classifier.better, ranker.classifier.similar):
            next(branch.parameters()).neg_()
    return ranker


@torch.no_grad()
def raw_scores(network: torch.nn.Module, pairs: RankedPairs, batch: int = 16) -> tuple[Array, Array]:
    """Raw scores of both images of each pair, shape (N,) each; lower is better."""
    reference = network.input_names == ("difference",)
    found = []
    for start in range(0, len(pairs), batch):
        part = inputs_of(pairs.some(range(start, min(start + batch, len(pairs)))), reference)
        found.append(torch.stack([network(image)[:, 0] for image in (part.first, part.second)]))
    first, second = torch.cat(found, dim=1).double().numpy()
    return first, second


def meaning_of(scorer: torch.nn.Module, pairs: RankedPairs, chances: Array, source: str) -> dict[str, str]:
    """What the raw scores mean, for the weights' metadata.

    Parameters
    ----------
    scorer : torch.nn.Module
    pairs : RankedPairs
        Their references are clean slices, whose median score is the utility 0.
    chances : ndarray, shape (N, 3)
        Of the three answers, or votes for them; unit and readiness to call a pair similar make these most likely.
    source : str
        Whose opinion was learned.
    """
    first, second = raw_scores(scorer, pairs)
    unit, tie = fit_preference(second - first, chances)
    clean = RankedPairs(*(pairs.reference,) * 3, pairs.votes, pairs.subject, pairs.difference, pairs.ssim)
    zero = float(np.median(raw_scores(scorer, clean)[0]))
    return {ZERO_KEY: f"{zero:.6g}", UNIT_KEY: f"{unit:.6g}", TIE_KEY: f"{tie:.6g}", LABELS_KEY: source}


def classifier_text(classifier: ThreeWay) -> str:
    """The classifier's 98 values for the metadata, so that a training can go on from the file."""
    return json.dumps({name: value.tolist() for name, value in classifier.state_dict().items()})


def exported(ranker: Ranker, architecture: str, about: Mapping[str, str]) -> bytes:
    """A ranking network as ONNX (without a reference) or safetensors (with one).

    Parameters
    ----------
    ranker : Ranker
    architecture : str
    about : Mapping of str
        Further metadata: ``version`` and :func:`meaning_of`.
    """
    settings = {
        "bidsqa_model": "ranking",
        "architecture": architecture,
        CLASSIFIER_KEY: classifier_text(ranker.classifier),
        **about,
    }
    if ranker.reference:
        return to_safetensors(ranker.scorer, {"per_pixel": "yes", **settings})
    example = {"slices": np.zeros((2, 1, WINDOW, WINDOW), dtype=np.float32)}
    return to_onnx(half_rounded(ranker.scorer), example, OUTPUTS, settings)
