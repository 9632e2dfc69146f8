# SPDX-License-Identifier: Apache-2.0
"""Sheets of all scored slices for the page's viewer: which slices, drawn as one picture a plane, and where each lies."""

from __future__ import annotations

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
                both = zip(map(number, entries(part.get("index"))), map(number, entries(part.get("value"))), strict=False)
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


def tile_size(count: int, width: int, height: int) -> tuple[int, int] | None:
    """Width and height of one slice on a sheet of ``count``; None where the sheet can't hold just these."""
    if count < 1:
        return None
    columns, rows = min(COLUMNS, count), -(-count // COLUMNS)
    return None if width % columns or height % rows else (width // columns, height // rows)


def _parts(score: Any) -> Sequence[dict[str, Any]]:
    return [part for part in entries(score.get("slices")) if isinstance(part, dict)] if isinstance(score, dict) else []
