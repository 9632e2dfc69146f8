# SPDX-License-Identifier: Apache-2.0
"""Learned scores: the model table, the networks, their weights and how a scan is scored."""

from bidsqa.models.loading import Network, Scorer, load, load_network, read_weights
from bidsqa.models.score import Score, SliceScores
from bidsqa.models.table import MODELS, SCORES, Model, Reading

__all__ = [
    "MODELS",
    "SCORES",
    "Model",
    "Network",
    "Reading",
    "Score",
    "Scorer",
    "SliceScores",
    "load",
    "load_network",
    "read_weights",
]
