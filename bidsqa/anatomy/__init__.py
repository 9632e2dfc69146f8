# SPDX-License-Identifier: Apache-2.0
"""Masks of head, brain, tissue and background, the bias field, and how far to trust them."""

from bidsqa.anatomy.delineation import delineate
from bidsqa.anatomy.masks import BACKGROUNDS, TISSUES, Anatomy

__all__ = ["BACKGROUNDS", "TISSUES", "Anatomy", "delineate"]
