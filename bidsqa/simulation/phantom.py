# SPDX-License-Identifier: Apache-2.0
"""A procedural adult head with known tissue in every voxel: the known answer of the tests and the demo's scans."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from bidsqa.image import Volume
from bidsqa.simulation.contrast import (
    TISSUE_INDEX,
    TISSUES,
    Protocol,
    add_rician_noise,
    mix,
    shading_field,
    signal_levels,
    texture_field,
)
from bidsqa.simulation.phantom_brain import draw_brain
from bidsqa.simulation.phantom_fields import CANVAS_MM, Canvas, Field, smooth_noise
from bidsqa.simulation.phantom_head import draw_head
from bidsqa.simulation.phantom_layers import tissue_shares

FIELD_OF_VIEW_MM = (184.0, 236.0, 224.0)
CENTRE_MM = (0.0, -6.0, -16.0)
FINE_MM = 1.25
COARSE_MM = 2.0
SPACING_RANGE_MM = (0.4, 8.0)
BRAIN_TISSUES: dict[str, tuple[str, ...]] = {
    "csf": ("csf",),
    "gm": ("cortex", "deep_grey", "pallidum"),
    "wm": ("white",),
}
Mask = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True)
class Truth:
    """What a perfect segmentation of the phantom would say.

    Parameters
    ----------
    head : ndarray of uint8, shape (X, Y, Z)
        Skin and everything in it, cavities included.
    brain : ndarray of uint8, shape (X, Y, Z)
        Brain with the CSF around it, above the foramen magnum.
    dseg : ndarray of uint8, shape (X, Y, Z)
        0 none, 1 grey matter, 2 white matter, 3 CSF.
    posteriors : ndarray of float16, shape (3, X, Y, Z)
        Share of csf, gm and wm in each voxel (0-1).
    """

    head: Mask
    brain: Mask
    dseg: Mask
    posteriors: np.ndarray[Any, np.dtype[np.float16]]


@dataclass(frozen=True)
class Phantom:
    """One head on one grid, axes in RAS+ order.

    Parameters
    ----------
    seed : int
        Which head.
    spacing : tuple of float
        Voxel edges in mm.
    affine : ndarray of float64, shape (4, 4)
        Voxel indices to world coordinates, mm.
    shares : ndarray of uint8, shape (tissues, X, Y, Z)
        Share of every tissue of ``bidsqa.simulation.contrast.TISSUES`` in 1/255; they sum to 255.
    """

    seed: int
    spacing: tuple[float, float, float]
    affine: np.ndarray[Any, np.dtype[np.float64]]
    shares: np.ndarray[Any, np.dtype[np.uint8]]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Grid in voxels."""
        return (self.shares.shape[1], self.shares.shape[2], self.shares.shape[3])

    @cached_property
    def labels(self) -> Mask:
        """Tissue that fills most of each voxel, as index into ``TISSUES``; shape (X, Y, Z)."""
        return np.asarray(self.shares.argmax(axis=0), dtype=np.uint8)

    def share(self, *tissues: str) -> Field:
        """Summed share of the named tissues (0-1, float32, shape (X, Y, Z)); ``gm``, ``wm``, ``csf`` are names too."""
        names = [name for tissue in tissues for name in BRAIN_TISSUES.get(tissue, (tissue,))]
        total = np.zeros(self.shape, dtype=np.float32)
        for name in names:
            total += self.shares[TISSUE_INDEX[name]]
        return total * np.float32(1.0 / 255.0)

    @cached_property
    def truth(self) -> Truth:
        """The masks and tissue maps a perfect tool would find."""
        posteriors = np.stack([self.share(name) for name in ("csf", "gm", "wm")])
        brain = posteriors.sum(axis=0) > 0.5
        order = np.array([3, 1, 2], dtype=np.uint8)
        dseg = np.where(brain, order[posteriors.argmax(axis=0)], 0).astype(np.uint8)
        head = (self.shares[0] < 128).astype(np.uint8)
        return Truth(head=head, brain=brain.astype(np.uint8), dseg=dseg, posteriors=posteriors.astype(np.float16))

    @property
    def volumes_ml(self) -> dict[str, float]:
        """Volume of csf, gm and wm in ml."""
        voxel = float(np.prod(self.spacing)) / 1000.0
        return {
            name: voxel / 255.0 * sum(float(self.shares[TISSUE_INDEX[part]].sum(dtype=np.int64)) for part in parts)
            for name, parts in BRAIN_TISSUES.items()
        }

    def image(
        self,
        contrast: str = "T1w",
        seed: int = 0,
        noise: float = 0.03,
        bias: float = 0.08,
        texture: float = 1.0,
        background: str = "natural",
        crop: tuple[tuple[float, float], ...] | None = None,
        protocol: Protocol | None = None,
    ) -> Volume:
        """A scan of this head.

        Parameters
        ----------
        contrast : str
            ``T1w``, ``T2w``, ``FLAIR`` or ``PDw``.
        seed : int
            Of texture, shading and noise; the head stays the same.
        noise : float
            Standard deviation of the noise in each channel, relative to white matter.
        bias : float
            Largest relative deviation of the coil shading (0.08: 8 %).
        texture : float
            Factor on the grain of the tissues (0: none).
        background : str
            ``natural`` (Rician noise everywhere), ``zeroed`` (0 outside the head), ``defaced`` (0 where the face was
            removed) or ``stripped`` (0 outside the brain).
        crop : tuple of three (low, high), optional
            Parts of the field of view to keep along each axis, as fractions.
        protocol : Protocol, optional
            Timing instead of the contrast's usual one.

        Returns
        -------
        Volume
            float32, not negative, white matter at about 400.

        Raises
        ------
        ValueError
            For an unknown contrast or background.
        """
        if background not in ("natural", "zeroed", "defaced", "stripped"):
            raise ValueError(f"no background {background!r}; there are natural, zeroed, defaced, stripped")
        levels = signal_levels(contrast, protocol)
        generator = np.random.default_rng([seed, self.seed, sum(contrast.encode())])
        data = mix(self.shares, levels)
        if texture > 0:
            grain = texture_field(generator, self.shape, self.spacing)
            spread = np.array([texture * tissue.texture for tissue in TISSUES], dtype=np.float32)
            grain *= mix(self.shares, levels * spread)
            data += grain
        if bias > 0:
            data *= shading_field(generator, self.shape, self.spacing, bias)
        np.maximum(data, 0, out=data)
        data = add_rician_noise(data, noise * float(levels[TISSUE_INDEX["white"]]), generator)
        if background != "natural":
            data *= self._kept(background)
        return self._volume(data, crop)

    def to_nifti(self, volume: Volume, dtype: str = "int16") -> Any:
        """The volume as nibabel image with this head's affine, rounded to ``dtype``."""
        import nibabel

        stored = volume.data
        if np.issubdtype(np.dtype(dtype), np.integer):
            bounds = np.iinfo(dtype)
            stored = np.clip(np.rint(stored), bounds.min, bounds.max)
        image = nibabel.Nifti1Image(stored.astype(dtype), volume.affine)
        image.header.set_xyzt_units("mm", "sec")
        image.set_qform(volume.affine, code=1)
        image.set_sform(volume.affine, code=1)
        return image

    def _kept(self, background: str) -> Field:
        """1 where a mask keeps the image, 0 where it removes it."""
        from scipy import ndimage

        if background == "stripped":
            return self.truth.brain.astype(np.float32)
        if background == "zeroed":
            reach = [max(1, round(4.0 / edge)) for edge in self.spacing]
            size = tuple(2 * count + 1 for count in reach)
            return np.asarray(ndimage.maximum_filter(self.truth.head, size=size), dtype=np.float32)
        planes = [
            np.arange(size) * self.affine[axis, axis] + self.affine[axis, 3] for axis, size in enumerate(self.shape)
        ]
        slope = (planes[1][:, None] - 26.0) * 0.9 - (planes[2][None, :] + 14.0)
        face = (slope > 24.0) & (planes[1][:, None] > 8.0)
        return np.asarray(~face | (self.truth.brain > 0), dtype=np.float32)

    def _volume(self, data: Field, crop: tuple[tuple[float, float], ...] | None) -> Volume:
        affine = self.affine.copy()
        if crop is not None:
            starts = [round(low * size) for (low, _), size in zip(crop, self.shape, strict=True)]
            stops = [round(high * size) for (_, high), size in zip(crop, self.shape, strict=True)]
            data = data[tuple(slice(start, stop) for start, stop in zip(starts, stops, strict=True))]
            affine[:3, 3] += affine[:3, :3] @ np.array(starts, dtype=np.float64)
        volume = Volume.from_array(data, self.spacing)
        return Volume(data=volume.data, affine=affine, facts=volume.facts)


def make_phantom(
    seed: int = 0,
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    size: float = 1.0,
    pose: float = 2.5,
    variety: float = 1.0,
) -> Phantom:
    """A head.

    Parameters
    ----------
    seed : int
        Which head: its folds, proportions and pose. The same seed is the same head at every spacing.
    spacing : tuple of float
        Voxel edges in mm, 0.4 to 8 each.
    size : float
        Factor on all lengths, on top of the seed's own.
    pose : float
        Standard deviation of the three rotations of the head, degrees.
    variety : float
        Factor on how much heads differ in proportions (0: all alike but for the folds).

    Returns
    -------
    Phantom
        The field of view is about 184 x 236 x 224 mm.

    Raises
    ------
    ValueError
        For voxel edges out of range.
    """
    edges = (float(spacing[0]), float(spacing[1]), float(spacing[2]))
    if not all(SPACING_RANGE_MM[0] <= edge <= SPACING_RANGE_MM[1] for edge in edges):
        raise ValueError(f"voxel edges must be {SPACING_RANGE_MM[0]} to {SPACING_RANGE_MM[1]} mm, not {edges}")
    counts = [round(extent / edge) for extent, edge in zip(FIELD_OF_VIEW_MM, edges, strict=True)]
    generator = np.random.default_rng([seed, 7919])
    canvas = _head_canvas(generator, size, pose, variety)
    fields = draw_brain(canvas, generator)
    fields.update(draw_head(canvas, fields["hull"], generator))
    fields.update(x=canvas.x, y=canvas.y, z=canvas.z, midline=np.abs(fields["middle"]))
    # thick slices and the like are computed in pieces; small voxels and evenly coarse ones as they are
    limit = min(max(FINE_MM, min(edges)), COARSE_MM)
    pieces = tuple(max(1, int(np.ceil(edge / limit - 1e-6))) for edge in edges)
    starts = [middle - 0.5 * (count - 1) * edge for middle, count, edge in zip(CENTRE_MM, counts, edges, strict=True)]
    grid = [
        start + edge * ((np.arange(count * piece) + 0.5) / piece - 0.5)
        for start, count, edge, piece in zip(starts, counts, edges, pieces, strict=True)
    ]
    width = float(np.prod([edge / piece for edge, piece in zip(edges, pieces, strict=True)]) ** (1 / 3))
    shares = tissue_shares(canvas, fields, grid, (pieces[0], pieces[1], pieces[2]), width)
    affine = np.diag([*edges, 1.0])
    affine[:3, 3] = starts
    return Phantom(seed=seed, spacing=edges, affine=affine, shares=shares)


def _head_canvas(generator: np.random.Generator, size: float, pose: float, variety: float) -> Canvas:
    """The canvas with the coordinates of a head of its own proportions, turned a little."""
    origin = np.array([middle - 0.5 * extent - 4.0 for middle, extent in zip(CENTRE_MM, FIELD_OF_VIEW_MM, strict=True)])
    counts = [int(np.ceil((extent + 8.0) / CANVAS_MM)) + 1 for extent in FIELD_OF_VIEW_MM]
    world = [
        (start + CANVAS_MM * np.arange(count)).astype(np.float32) for start, count in zip(origin, counts, strict=True)
    ]
    angles = np.radians(pose) * np.clip(generator.standard_normal(3), -2, 2)
    scales = 0.976 * size * (1.0 + variety * 0.014 * np.clip(generator.standard_normal(3), -2, 2))
    turn = _rotation(angles) / scales[:, None]
    parts = []
    for axis in range(3):
        row = turn[axis].astype(np.float32)
        plane = row[0] * world[0][:, None, None] + row[1] * world[1][None, :, None] + row[2] * world[2][None, None, :]
        bend = smooth_noise(generator, (counts[0], counts[1], counts[2]), 55.0)
        parts.append(np.asarray(plane + np.float32(1.1 * variety) * bend, dtype=np.float32))
    return Canvas(origin=origin, x=parts[0], y=parts[1], z=parts[2])


def _rotation(angles: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Rotation matrix of pitch (about x), roll (about y) and yaw (about z), radians."""
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_euler("xyz", angles).as_matrix())
