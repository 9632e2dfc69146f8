# SPDX-License-Identifier: Apache-2.0
"""The ranking networks out of their checkpoints, their raw scores, and the file that the main job takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bidsqa.models.ssim_inputs import WINDOW
from bidsqa.training.checkpoints import averaged_weights
from bidsqa.training.export import half_rounded, to_onnx
from bidsqa.training.ranking import Ranker
from bidsqa.training.ranking_pairs import RankedPairs, inputs_of

Array = np.ndarray[Any, Any]


def ranker_of(checkpoint: Path, architecture: str) -> Ranker:
    """The averaged network of a checkpoint, in evaluation mode."""
    network = Ranker(architecture)
    network.load_state_dict(averaged_weights(checkpoint)[0])
    return network.eval()


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


def exported(network: Any, architecture: str, version: str, more: Mapping[str, str]) -> bytes:
    """A reference-free scoring network as ONNX."""
    settings = {"bidsqa_model": "ranking", "architecture": architecture, "version": version, **more}
    example = {"slices": np.zeros((2, 1, WINDOW, WINDOW), dtype=np.float32)}
    return to_onnx(half_rounded(network), example, network.output_names, settings)
