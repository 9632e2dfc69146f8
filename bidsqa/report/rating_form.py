# SPDX-License-Identifier: Apache-2.0
"""The form in which a person rates a scan on its page: its choices, their keys, and the file that it saves."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import resources
from typing import Any

RATING_KIND = "bidsqa rating"
RATING_VERSION = 1
# name in the file, what the rater reads, key
DECISIONS = (("pass", "Pass", "1"), ("review", "Review", "2"), ("fail", "Fail", "3"))
ARTIFACTS = (
    ("motion", "Head motion", "m"),
    ("noise", "Noise", "n"),
    ("ghosting", "Ghosting", "g"),
    ("bias_field", "Bias field or shading", "b"),
    ("blur", "Blur, low resolution", "u"),
    ("ringing", "Ringing", "r"),
    ("wrap_around", "Wrap-around", "w"),
    ("signal_loss", "Signal loss, susceptibility", "l"),
    ("spikes", "Spikes, zipper, interference", "z"),
    ("flow", "Flow, eye movement", "y"),
    ("preparation", "Defacing or skull-strip fault", "d"),
    ("field_of_view", "Field of view, brain cut off", "f"),
    ("incidental", "Incidental finding", "i"),
    ("other", "Other (say it below)", "o"),
)
CONFIDENCE = ("guess", "unsure", "fairly sure", "sure", "certain")
LONGEST_COMMENT, LONGEST_NAME = 4000, 100


def rating_form() -> dict[str, Any]:
    """Choices for the template and, as ``data``, what the page's script needs of them."""
    return {
        "decisions": DECISIONS,
        "artifacts": ARTIFACTS,
        "confidence": CONFIDENCE,
        "longest_comment": LONGEST_COMMENT,
        "longest_name": LONGEST_NAME,
        "data": {"kind": RATING_KIND, "version": RATING_VERSION},
    }


@lru_cache(maxsize=1)
def rating_schema() -> dict[str, Any]:
    """The JSON Schema of a saved rating."""
    text = resources.files("bidsqa.report").joinpath("rating.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
