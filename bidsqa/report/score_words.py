# SPDX-License-Identifier: Apache-2.0
"""What a score's page says of its parts in words: which kind of artifact leads it, and where that was read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bidsqa.models.score_parts import NOUNS
from bidsqa.models.severity_scale import FAMILIES, READINGS_OF
from bidsqa.verdict.reading import number
from bidsqa.verdict.reasons import plain

# a score this much above its middle slice asks for an explanation beside the slices' plots
UNLIKE_SLICES = 1.5


def leading_kind(score: Mapping[str, Any]) -> str:
    """Which kind of artifact leads a score with parts by kind, as a sentence; empty for a score without.

    Where that kind is also read from the whole head, and the slices lie well below the score, the sentence says so.
    """
    families = score.get("families")
    parts = {name: number(families.get(name)) for name in FAMILIES} if isinstance(families, dict) else {}
    known = {name: part for name, part in parts.items() if part is not None and part > 0}
    if not known:
        return ""
    lead = max(known, key=lambda name: known[name])
    told = f"Led by {NOUNS[lead]} ({plain(known[lead])})"
    value, middle = number(score.get("value")), number(score.get("median"))
    whole = set(READINGS_OF[lead]) - set(FAMILIES)
    if whole and value is not None and middle is not None and value > UNLIKE_SLICES * middle:
        told += ", which is also read from the whole head: most slices show less of it and lie lower"
    likeliest = score.get("family")
    if isinstance(likeliest, str) and likeliest in NOUNS and likeliest != lead:
        told += f"; all readings together look most like {NOUNS[likeliest]}"
    return f"{told}."
