# SPDX-License-Identifier: Apache-2.0
"""Sheets of all scored slices for the page's viewer: which slices, one picture a plane, and where each lies."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bidsqa.image import PLANES
from bidsqa.verdict.reading import entries, number

SHEET = "slices-"
"""How the names of these pictures begin."""
MOST_SLICES = 48
COLUMNS = 8


def scored_planes(scores: Mapping[str, Any]) -> list[str]:
    """The planes in which slices were scored, the acquisition plane first."""
    parts = [part for score in scores.values() for part in _parts(score)]
    return list(dict.fromkeys(str(part["plane"]) for part in parts if part.get("plane") in PLANES))


def slices_of(scores: Mapping[str, Any], plane: str) -> dict[str, dict[int, float]]:
    """The value of each scored slice of a plane by model.

    Parameters
    ----------
    scores : dict
        A record's: ``{model: {slices: [{plane, index, value}]}}``. What has another shape is left out.
    plane : str
    """
    found: dict[str, dict[int, float]] = {}
    for name, score in scores.items():
        values: dict[int, float] = {}
        for part in _parts(score):
            if part.get("plane") == plane:
                both = zip(
                    map(number, entries(part.get("index"))), map(number, entries(part.get("value"))), strict=False
                )
                values |= {int(at): value for at, value in both if at is not None and value is not None and at >= 0}
        if values:
            found[name] = dict(sorted(values.items()))
    return found


def shown_slices(scores: Mapping[str, Any], plane: str) -> tuple[int, ...]:
    """The slices on a plane's sheet: all that any model scored, or evenly spaced ones of them where these are many.

    Returns
    -------
    tuple of int
        Ascending; at most ``MOST_SLICES``. The n-th lies in row ``n // COLUMNS``, column ``n % COLUMNS``.
    """
    every = sorted({at for values in slices_of(scores, plane).values() for at in values})
    places = sorted({round(at) for at in np.linspace(0, len(every) - 1, min(MOST_SLICES, len(every)))})
    return tuple(every[at] for at in places)


def describe_sheet(index: Sequence[int], size: tuple[int, int]) -> str:
    """What a sheet says of itself: its slices and a slice's width and height."""
    return json.dumps({"index": list(index), "size": list(size)})


def read_sheet(picture: Mapping[str, Any]) -> tuple[list[int], tuple[int, int]] | None:
    """The slices on a sheet, and a slice's width and height; None where the picture is none or doesn't say.

    Parameters
    ----------
    picture : dict
        ``width``, ``height`` and ``description``, as :func:`bidsqa.report.page.picture` gives them.
    """
    try:
        told = json.loads(picture["description"])
        index, (width, height) = [int(at) for at in told["index"]], map(int, told["size"])
    except (ValueError, TypeError, KeyError):
        return None
    whole = (min(COLUMNS, len(index)) * width, -(-len(index) // COLUMNS) * height)
    fits = len(index) > 0 and min(width, height) > 0 and whole == (picture["width"], picture["height"])
    return (index, (width, height)) if fits else None


def _parts(score: Any) -> Sequence[dict[str, Any]]:
    return [part for part in entries(score.get("slices")) if isinstance(part, dict)] if isinstance(score, dict) else []
