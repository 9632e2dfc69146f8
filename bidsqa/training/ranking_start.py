# SPDX-License-Identifier: Apache-2.0
"""Go on from ranking weights: shipped ones, which learned from synthetic readers, or those of an earlier training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor, nn

from bidsqa.errors import WeightsError
from bidsqa.models import MODELS
from bidsqa.models.loading import load_network
from bidsqa.models.quality_loss import SHIPPED as SHIPPED_IQ_NET
from bidsqa.training.ranker import Ranker
from bidsqa.training.ranking_export import CLASSIFIER_KEY
from bidsqa.training.ranking_pairs import Inputs
from bidsqa.training.warm_start import warm_start

SHIPPED: Mapping[str, Path] = MappingProxyType(
    {"efficientnet_b0_free": MODELS["ranking"].path, "iq_net": SHIPPED_IQ_NET}
)
"""Shipped weights by architecture."""
OTHERS = "give other weights to start from"


def check_start(architecture: str, path: Path) -> dict[str, Tensor]:
    """The classifier's tensors of weights that can be gone on from.

    Parameters
    ----------
    architecture : str
    path : Path
        ``.onnx`` or ``.safetensors`` that bidsqa wrote.

    Raises
    ------
    WeightsError
        No weights of this model, of another architecture, or without their classifier.
    """
    settings = load_network("ranking", weights=path).settings
    found = settings.get("architecture", "of no name")
    if found != architecture:
        raise WeightsError(f"{path.name} holds the architecture {found}, not {architecture}", OTHERS)
    try:
        values = json.loads(settings[CLASSIFIER_KEY])
        tensors = {name: torch.tensor(value) for name, value in values.items()}
        Ranker(architecture).classifier.load_state_dict(tensors)
    except (KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise WeightsError(f"{path.name} lacks the classifier of two scores", OTHERS) from error
    return tensors


def start_tensors(architecture: str, path: Path, inputs: Inputs) -> dict[str, Tensor]:
    """Tensors of a :class:`bidsqa.training.ranking.Ranker` that says what the weights say, and can be trained.

    Parameters
    ----------
    architecture : str
    path : Path
        ``.onnx`` or ``.safetensors`` that bidsqa wrote.
    inputs : Inputs
        A batch as the training draws them, for the batch norms.

    Raises
    ------
    WeightsError
        As `check_start`, or tensors that aren't those of the architecture.
    """
    classifier = check_start(architecture, path)
    ranker = Ranker(architecture)
    ranker.classifier.load_state_dict(classifier)
    if path.suffix == ".onnx":

        def run(scorer: nn.Module) -> None:
            scorer(torch.cat([inputs.first, inputs.second]))

        try:
            warm_start(ranker.scorer, path, run)
        except ValueError as error:
            raise WeightsError(str(error), OTHERS) from error
    else:
        from safetensors.torch import load_file

        ranker.scorer.load_state_dict(load_file(path))
    return {name: value.detach().clone() for name, value in ranker.state_dict().items()}
