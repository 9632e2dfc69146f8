# SPDX-License-Identifier: Apache-2.0
"""The form in which a person rates a scan on its page: its choices, their keys, and the file that it saves."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import resources
from typing import Any

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


def rating_form() -> dict[str, Any]:
    """Choices for the template and, as ``data``, the schema by which the page's script judges a file."""
    schema = rating_schema()
    fields = schema["properties"]
    return {
        "decisions": DECISIONS,
        "artifacts": ARTIFACTS,
        "confidence": CONFIDENCE,
        "longest_comment": fields["comment"]["maxLength"],
        "longest_name": fields["rater"]["maxLength"],
        "data": schema,
    }


@lru_cache(maxsize=1)
def rating_schema() -> dict[str, Any]:
    """The JSON Schema of a saved rating."""
    text = resources.files("bidsqa.report").joinpath("rating.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
