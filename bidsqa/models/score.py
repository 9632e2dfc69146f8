# SPDX-License-Identifier: Apache-2.0
"""What every learned model returns for one scan."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class SliceScores:
    """The score of each judged slice of one plane.

    Parameters
    ----------
    plane : str
        ``"sagittal"``, ``"coronal"`` or ``"axial"``: the plane that the slices lie in.
    index : tuple of int
        Slice indices in the conformed (RAS+) grid.
    value : tuple of float
        One score a slice, in the model's unit.
    """

    plane: str
    index: tuple[int, ...]
    value: tuple[float, ...]


@dataclass(frozen=True)
class Score:
    """A learned score of one scan.

    Parameters
    ----------
    value : float
        The scan's score, in the model's unit.
    uncertainty : float
        Standard error of the value in the same unit, from the spread over slices (and planes).
    unit : str
        Empty for a pure number.
    slices : tuple of SliceScores
        Per-slice scores, the acquisition plane first.
    extra : dict
        Further readings by name (plain numbers, strings, lists), e.g. ``{"p10": 0.71, "clinical_class": "good"}``.
    """

    value: float
    uncertainty: float
    unit: str
    slices: tuple[SliceScores, ...]
    extra: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the record: ``{value, uncertainty, unit, slices: [{plane, index, value}], ...extra}``."""
        plain = asdict(self)
        extra = plain.pop("extra")
        return {**plain, **extra}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Score:
        """Inverse of :meth:`to_dict`."""
        rest = dict(values)
        slices = tuple(
            SliceScores(plane=part["plane"], index=tuple(part["index"]), value=tuple(part["value"]))
            for part in rest.pop("slices")
        )
        value, uncertainty, unit = rest.pop("value"), rest.pop("uncertainty"), rest.pop("unit")
        return cls(value=value, uncertainty=uncertainty, unit=unit, slices=slices, extra=rest)
