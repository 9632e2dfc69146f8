# SPDX-License-Identifier: Apache-2.0
"""A scan in memory: one 3D magnitude image in RAS+ orientation, and what was noted while reading it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

FloatArray = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class ImageFacts:
    """What the file said before its axes were permuted and its values became float32.

    Parameters
    ----------
    shape : tuple of int
        Grid after conforming (RAS order), voxels.
    spacing : tuple of float
        Voxel edges in mm, RAS order.
    orientation : str
        Axis codes as stored, e.g. ``"LPS"``.
    dtype : str
        Stored data type, e.g. ``"int16"``.
    slope, intercept : float
        Stored scaling (1 and 0 where the header has none).
    oblique_degrees : float
        Largest angle between a voxel axis and its nearest world axis.
    minimum, maximum : float
        Range of the finite values.
    nonfinite_voxels, negative_voxels : int
        Counts; non-finite voxels were set to 0.
    zero_fraction : float
        Share of voxels that are exactly the background constant (0-1).
    clipped_fraction : float
        Share of head voxels at the very maximum (0-1).
    sha256 : str
        Of the stored voxel values, in file order.
    warnings : tuple of str
        Sentences for the record.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    orientation: str
    dtype: str
    slope: float = 1.0
    intercept: float = 0.0
    oblique_degrees: float = 0.0
    minimum: float = 0.0
    maximum: float = 0.0
    nonfinite_voxels: int = 0
    negative_voxels: int = 0
    zero_fraction: float = 0.0
    clipped_fraction: float = 0.0
    sha256: str = ""
    warnings: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ImageFacts:
        """Inverse of :meth:`to_dict`."""
        kept: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        return cls(**kept)


@dataclass(frozen=True)
class Volume:
    """One conformed scan.

    Parameters
    ----------
    data : ndarray of float32, shape (X, Y, Z)
        Stored values times slope plus intercept, finite, axes in RAS+ order; never resampled, clipped or rescaled.
    affine : ndarray of float64, shape (4, 4)
        Voxel indices to world coordinates in mm.
    facts : ImageFacts
        What was noted while reading.
    """

    data: FloatArray
    affine: np.ndarray[Any, np.dtype[np.float64]]
    facts: ImageFacts

    @property
    def shape(self) -> tuple[int, int, int]:
        """Grid in voxels (X, Y, Z)."""
        return (self.data.shape[0], self.data.shape[1], self.data.shape[2])

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel edges in mm (X, Y, Z)."""
        return self.facts.spacing

    @property
    def voxel_volume(self) -> float:
        """Volume of a voxel in mm³."""
        return float(np.prod(self.facts.spacing))

    @property
    def anisotropy(self) -> float:
        """Largest over smallest voxel edge (1 or more)."""
        return max(self.facts.spacing) / min(self.facts.spacing)

    def part(self, box: tuple[slice, slice, slice]) -> Volume:
        """A block of the scan, in its place in the world; the facts stay those of the whole but for the shape."""
        data = np.ascontiguousarray(self.data[box])
        affine = self.affine.copy()
        corner = np.array([window.indices(size)[0] for window, size in zip(box, self.shape, strict=True)])
        affine[:3, 3] += affine[:3, :3] @ corner
        shape = (data.shape[0], data.shape[1], data.shape[2])
        return Volume(data, affine, replace(self.facts, shape=shape))

    @classmethod
    def from_array(cls, data: np.ndarray[Any, Any], spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Volume:
        """A volume from an array in RAS+ order, for simulations and tests (no checks, no file)."""
        kept = np.ascontiguousarray(data, dtype=np.float32)
        edges = (float(spacing[0]), float(spacing[1]), float(spacing[2]))
        affine = np.diag([*edges, 1.0])
        affine[:3, 3] = -0.5 * (np.array(kept.shape) - 1) * np.array(edges)
        facts = ImageFacts(
            shape=(kept.shape[0], kept.shape[1], kept.shape[2]),
            spacing=edges,
            orientation="RAS",
            dtype="float32",
            minimum=float(kept.min()),
            maximum=float(kept.max()),
            zero_fraction=float(np.mean(kept == 0)),
        )
        return cls(data=kept, affine=affine, facts=facts)
