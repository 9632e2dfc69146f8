# SPDX-License-Identifier: Apache-2.0
"""One scale for all readings of the severity score: against clean scans, joined to one number, named by kind."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
FAMILIES = ("noise", "motion", "ghosting", "bias", "blur")
KINDS = ("none", *FAMILIES)
PRESENCE = "_presence"
READINGS_OF = {
    "noise": ("noise", "grain"),
    "motion": ("motion",),
    "ghosting": ("ghosting", "echo"),
    "bias": ("bias", "field"),
    "blur": ("blur",),
}
SOFTNESS = 0.15
POWER = 6.0


def slice_readings(output: Array) -> dict[str, Array]:
    """Named readings of slices from the network's output (N, 12).

    ``overall`` (damage + NRMSE), the strength of each family, and ``<family>_presence`` (probability, 0-1).
    """
    readings = {"overall": output[:, 0] + output[:, 1]}
    for place, name in enumerate(FAMILIES):
        readings[name] = output[:, 2 + place]
    for place, name in enumerate(FAMILIES):
        readings[f"{name}{PRESENCE}"] = 1 / (1 + np.exp(-output[:, 2 + len(FAMILIES) + place]))
    return readings


def softened(place: Array | float) -> Array:
    """s·log(1 + e^{z/s}) with s = 0.15: 0 far below the clean median, z above it, rising everywhere.

    A hard cut at 0 would hide that a reading got worse in a scan that began below the median.
    """
    values: Array = SOFTNESS * np.logaddexp(0.0, np.asarray(place, dtype=np.float64) / SOFTNESS)
    return values


def steepness(place: Array | float) -> Array:
    """Derivative of :func:`softened`, 0-1."""
    values: Array = 1 / (1 + np.exp(-np.asarray(place, dtype=np.float64) / SOFTNESS))
    return values


def joined(parts: Sequence[Array | float]) -> Array:
    """(Σ f^6)^{1/6}: near the largest part, but every part that gets worse counts, so that copies stay in order."""
    stack = np.stack([np.asarray(part, dtype=np.float64) for part in parts])
    largest = np.maximum(stack.max(axis=0), 1e-12)
    total: Array = largest * ((stack / largest) ** POWER).sum(axis=0) ** (1 / POWER)
    return total


def compressed(value: Array | float) -> Array:
    """The value up to the threshold 1, 1 + ln(value) above: equal steps there are equal ratios.

    Far above the threshold readings grow by how far apart clean scans lie, not by what can be seen.
    """
    array = np.asarray(value, dtype=np.float64)
    result: Array = np.where(array > 1, 1 + np.log(np.maximum(array, 1)), array)
    return result


def evidence(place: Array | float) -> Array:
    """What the model of the kinds sees of a place: arsinh(2 max(z, -1)), linear near clean scans, then logarithmic."""
    seen: Array = np.arcsinh(2 * np.maximum(np.asarray(place, dtype=np.float64), -1.0))
    return seen


@dataclass(frozen=True)
class Kinds:
    """A multinomial logistic model of the kind of artifact.

    Parameters
    ----------
    features : tuple of str
        Names of readings; each enters as the :func:`evidence` of its place on the scale.
    weights : tuple of tuple of float, shape (6, features)
        One row a kind of ``KINDS``.
    offsets : tuple of float, shape (6,)
    """

    features: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...]
    offsets: tuple[float, ...]

    def probabilities(self, places: Mapping[str, float]) -> dict[str, float]:
        """Probability of each kind, sum 1; a missing reading counts as the clean median."""
        inputs = evidence(np.array([places.get(name, 0.0) for name in self.features]))
        logits = np.asarray(self.weights) @ inputs + np.asarray(self.offsets)
        shares = np.exp(logits - logits.max())
        return {name: float(share) for name, share in zip(KINDS, shares / shares.sum(), strict=True)}


@dataclass(frozen=True)
class Scale:
    """Where clean scans lie in each reading.

    Parameters
    ----------
    clean : Mapping of float
        Median of clean scans, which goes to 0; 0 where a reading has none.
    limit : Mapping of float
        95th percentile of clean scans, which goes to 1; 1 where a reading has none.
    use : tuple of str
        Readings that count; empty: all.
    scale : float
        What the joined readings are divided by, so that 1 is the 95th percentile of clean scans for the whole score.
    kinds : Kinds, optional
        Names the kind; without it the family with the largest severity.
    """

    clean: Mapping[str, float] = field(default_factory=dict)
    limit: Mapping[str, float] = field(default_factory=dict)
    use: tuple[str, ...] = ()
    scale: float = 1.0
    kinds: Kinds | None = None

    @classmethod
    def from_json(cls, text: str) -> Scale:
        """Read what :meth:`to_json` wrote; an empty text is the plain scale."""
        values = json.loads(text or "{}")
        kinds = values.pop("kinds", None)
        if kinds is not None:
            kinds = Kinds(
                tuple(kinds["features"]),
                tuple(tuple(row) for row in kinds["weights"]),
                tuple(kinds["offsets"]),
            )
        return cls(**{**values, "use": tuple(values.get("use", ())), "kinds": kinds})

    def to_json(self) -> str:
        """Compact JSON with sorted keys, numbers to six digits."""
        values = {key: value for key, value in asdict(self).items() if value is not None}
        return json.dumps(rounded(values), sort_keys=True)

    def used(self, readings: Mapping[str, Any]) -> list[str]:
        """Names of the readings that count and are there."""
        return [name for name in (self.use or tuple(readings)) if name in readings]

    def width(self, name: str) -> float:
        """Distance of the clean scans' median and limit in the unit of the reading."""
        return max(self.limit.get(name, 1.0) - self.clean.get(name, 0.0), 1e-6)

    def place(self, name: str, value: Any) -> Array:
        """A reading on the scale: 0 at the clean median, 1 at the limit, negative below the median."""
        placed: Array = (np.asarray(value, dtype=np.float64) - self.clean.get(name, 0.0)) / self.width(name)
        return placed

    def severity(self, name: str, value: Any) -> Array:
        """What one reading alone would make the severity, 0 and more."""
        return compressed(self._plain(name, value))

    def _plain(self, name: str, value: Any) -> Array:
        return softened(self.place(name, value)) / self.scale

    def uncompressed(self, readings: Mapping[str, Any], names: Sequence[str] | None = None) -> Array:
        """Readings joined (numbers or arrays of one shape): those that count, or those named; 1 is the threshold."""
        chosen = self.used(readings) if names is None else [name for name in names if name in readings]
        if not chosen:
            return np.zeros(np.shape(next(iter(readings.values()))) if readings else ())
        return joined([self._plain(name, readings[name]) for name in chosen])

    def joined(self, readings: Mapping[str, Any], names: Sequence[str] | None = None) -> Array:
        """Severity from several readings: :meth:`uncompressed`, :func:`compressed`."""
        return compressed(self.uncompressed(readings, names))

    def families(self, readings: Mapping[str, float]) -> dict[str, float]:
        """Severity by family, 0 and more, from the readings that count; families that none stands for are left out."""
        used = self.used(readings)
        own = {name: [reading for reading in READINGS_OF[name] if reading in used] for name in FAMILIES}
        return {name: float(self.joined(readings, names)) for name, names in own.items() if names}

    def error(self, readings: Mapping[str, float], errors: Mapping[str, float]) -> float:
        """Standard error of the severity from those of the readings, to first order, taken as independent."""
        total = max(float(self.uncompressed(readings)), 1e-12)
        variance = 0.0
        for name in self.used(readings):
            share = (float(self._plain(name, readings[name])) / total) ** (POWER - 1)
            slope = share * float(steepness(self.place(name, readings[name]))) / self.width(name) / self.scale
            variance += (slope * errors.get(name, 0.0)) ** 2
        return float(np.sqrt(variance)) / max(total, 1.0)

    def probabilities(self, readings: Mapping[str, float]) -> dict[str, float]:
        """Probability of each kind of artifact, ``"none"`` first; empty without a model of the kinds."""
        if self.kinds is None:
            return {}
        return self.kinds.probabilities({name: float(self.place(name, value)) for name, value in readings.items()})


def rounded(value: Any) -> Any:
    """Numbers to six digits, all the way down."""
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(part) for part in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
