# SPDX-License-Identifier: Apache-2.0
"""A coarse map of where in a slice a learned score comes from, and the file that hands maps on to the figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bidsqa.image import PLANES
from bidsqa.models.table import MODELS

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class LocalMap:
    """A coarse map over one slice.

    The slice is laid out as a picture by :func:`bidsqa.image.take_slice`; its pixel i reaches from i to i + 1.

    Parameters
    ----------
    model : str
        Name of the model.
    axis : int
        Normal of the slice.
    index : int
        The slice.
    value : float
        Its score.
    grid : ndarray of float16, shape (rows, columns)
        Local scores, NaN where the map has none.
    start : tuple of float
        Row and column, in pixels of the picture, where the first cell begins.
    step : tuple of float
        Height and width of a cell in pixels of the picture.
    part : str
        Which of several readings of the model the map is of (``motion`` of noise_motion); empty for the score itself.
    """

    model: str
    axis: int
    index: int
    value: float
    grid: Array
    start: tuple[float, float]
    step: tuple[float, float]
    part: str = ""

    @property
    def plane(self) -> str:
        """``sagittal``, ``coronal`` or ``axial``."""
        return PLANES[self.axis]

    def worst(self) -> tuple[int, int]:
        """Row and column of the worst cell."""
        # a probability of motion is worse where it is higher, whatever the model's own score means
        sign = 1.0 if self.part == "motion" or MODELS[self.model].direction.startswith("lower") else -1.0
        row, column = np.unravel_index(int(np.nanargmax(sign * self.grid)), self.grid.shape)
        return int(row), int(column)

    def middles(self) -> tuple[Array, Array]:
        """Where the middles of the rows and of the columns of cells lie, in pixels of the picture."""
        rows, columns = (
            begin + (np.arange(size) + 0.5) * edge
            for begin, size, edge in zip(self.start, self.grid.shape, self.step, strict=True)
        )
        return rows, columns


def save_maps(path: Path, maps: Sequence[LocalMap]) -> None:
    """Write maps as npz: what they are as JSON, and one grid each."""
    about = [
        {name: getattr(one, name) for name in ("model", "axis", "index", "value", "start", "step", "part")}
        for one in maps
    ]
    grids = {f"grid{number}": one.grid for number, one in enumerate(maps)}
    with path.open("wb") as stream:
        np.savez(stream, about=np.array(json.dumps(about)), **grids)  # type: ignore[arg-type]


def load_maps(path: Path) -> tuple[LocalMap, ...]:
    """Inverse of :func:`save_maps`."""
    with np.load(path, allow_pickle=False) as content:
        maps = []
        for number, one in enumerate(json.loads(str(content["about"]))):
            one.update({name: tuple(one[name]) for name in ("start", "step")}, grid=content[f"grid{number}"])
            maps.append(LocalMap(**one))
    return tuple(maps)
