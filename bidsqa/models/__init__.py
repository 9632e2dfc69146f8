# SPDX-License-Identifier: Apache-2.0
"""Learned scores: the model table, the networks, their weights and how a scan is scored."""

from bidsqa.models.score import Score, SliceScores

__all__ = ["Score", "SliceScores"]
