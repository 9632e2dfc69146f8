# SPDX-License-Identifier: Apache-2.0
"""Learned scores: the model table, the networks, their weights and how a scan is scored."""

from bidsqa.models.loading import Network, Scorer, load, load_network, read_weights
from bidsqa.models.score import Score, SliceScores
from bidsqa.models.table import MODELS, SCORE_VALUES, SCORES, Model, Reading, ScoreValue

__all__ = [
    "MODELS",
    "SCORES",
    "SCORE_VALUES",
    "Model",
    "Network",
    "Reading",
    "Score",
    "ScoreValue",
    "Scorer",
    "SliceScores",
    "load",
    "load_network",
    "read_weights",
]
