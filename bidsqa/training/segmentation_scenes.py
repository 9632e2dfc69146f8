# SPDX-License-Identifier: Apache-2.0
"""Scenes for the segmentation network: scans drawn from label maps, the average head laid over them, and the truth.

Everything up to the network runs as at inference (:func:`bidsqa.anatomy.segmenting.place`), so that it learns to mend
the faults that the average head really makes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from bidsqa.anatomy.atlas import refine_by_intensity
from bidsqa.anatomy.grids import coarsen, covering, refine
from bidsqa.anatomy.head import foreground
from bidsqa.anatomy.segmenting import CLASSES, STEP_MM, place
from bidsqa.image import Volume
from bidsqa.simulation.label_scan import draw_spacing, mild_field, sampling_matrix
from bidsqa.simulation.whole_scan import degrade_volume
from bidsqa.training.segmentation_data import draw_intensities

Array = np.ndarray[Any, Any]
Edges = tuple[float, float, float]
ONE: Edges = (1.0, 1.0, 1.0)
CONTROL_MM = 24.0
STRIPPED, DEFACED, CROPPED, ZEROED = 0.25, 0.15, 0.3, 0.5
# artifacts of bidsqa.simulation on top of field, blur and noise
ARTIFACT_SHARES = {"": 0.8, "motion": 0.1, "ghosting": 0.05, "blur": 0.05}


@dataclass(frozen=True)
class Scene:
    """One drawn scan on the 2 mm grid around its brain.

    Parameters
    ----------
    image : ndarray of float32, shape (X, Y, Z)
    prior, first, truth : ndarray of float32, shape (5, X, Y, Z)
        Class shares by the average head, after the intensities' say, and as they are.
    """

    image: Array
    prior: Array
    first: Array
    truth: Array


def draw_scene(labels: Array, classes: Array, rng: np.random.Generator) -> Scene | None:
    """A scene from one head.

    Parameters
    ----------
    labels : ndarray of uint8, shape (X, Y, Z)
        RAS+ at 1 mm.
    classes : ndarray of uint8, shape (256,)
        Class of each label value.
    rng : numpy.random.Generator

    Returns
    -------
    Scene or None
        None where the average head found no place.
    """
    labels = deformed(labels, rng)
    labels = cropped(labels, classes, rng)
    volume, shares = draw_volume(labels, classes, rng)
    grid = covering(volume.shape, volume.spacing, STEP_MM)
    coarse = coarsen(volume.data, volume.spacing, grid)
    placed = place(coarse, foreground(coarse), grid)
    if not placed.information:
        return None
    truth = np.stack([coarsen(share, volume.spacing, grid)[placed.box] for share in shares])
    truth[0] += np.clip(1 - truth.sum(axis=0), 0, 1)  # beyond the field of view
    first = refine_by_intensity(placed.prior, placed.image, placed.grid.step)
    return Scene(placed.image, placed.prior, first, truth / truth.sum(axis=0))


def deformed(labels: Array, rng: np.random.Generator) -> Array:
    """The head turned by about 7 degrees, scaled by about 6 %, and bent by 2 mm; half of them mirrored."""
    if rng.random() < 0.5:
        labels = labels[::-1]
    x, y, z = labels.shape
    turn = np.eye(3)
    for axis, angle in enumerate(rng.normal(0, (0.16, 0.08, 0.08))):
        first, second = [other for other in range(3) if other != axis]
        part = np.eye(3)
        part[first, first] = part[second, second] = np.cos(angle)
        part[first, second], part[second, first] = -np.sin(angle), np.sin(angle)
        turn = turn @ part
    linear = (turn @ np.diag(np.exp(rng.normal(0, 0.05, 3) + rng.normal(0, 0.04)))).astype(np.float32)
    half = np.array([x - 1, y - 1, z - 1], dtype=np.float32) / 2
    axes = [np.arange(size, dtype=np.float32) - middle for size, middle in zip(labels.shape, half, strict=True)]
    control = covering((x, y, z), ONE, CONTROL_MM)
    whole = (slice(0, x), slice(0, y), slice(0, z))
    level = float(rng.uniform(0, 3.0))
    places = []
    for row in range(3):
        bend = refine(rng.normal(0, level, control.shape).astype(np.float32), control, ONE, whole)
        line = [linear[row, axis] * axes[axis] for axis in range(3)]
        spot = line[0][:, None, None] + line[1][None, :, None] + line[2][None, None] + half[row] + bend
        places.append(np.clip(np.rint(spot), 0, labels.shape[row] - 1).astype(np.int32))
    return np.asarray(labels[places[0], places[1], places[2]])


def cropped(labels: Array, classes: Array, rng: np.random.Generator) -> Array:
    """A field of view that ends at the neck, in the cerebellum, at the vertex or beside the head."""
    if rng.random() > CROPPED:
        return labels
    brain = np.flatnonzero((classes[labels] >= 2).any(axis=(0, 1)))
    low, high = int(brain[0]), int(brain[-1])
    start, stop = 0, labels.shape[2]
    if rng.random() < 0.7:
        start = max(0, low + int(rng.integers(-30, 35)))
    if rng.random() < 0.4:
        stop = min(stop, high - int(rng.integers(-10, 20)))
    part = labels[:, :, start:stop]
    if rng.random() < 0.3:
        side = int(rng.integers(10, 40))
        part = part[:, side:] if rng.random() < 0.5 else part[:, :-side]
    return part


def draw_volume(labels: Array, classes: Array, rng: np.random.Generator) -> tuple[Volume, Array]:
    """A scan of any contrast, resolution and background; with the class shares of its voxels, (5, X, Y, Z)."""
    image = draw_intensities(rng, classes)[labels]
    found = classes[labels]
    keep = _kept(found, rng)
    if keep is not None:
        image, found = np.where(keep, image, 0), np.where(keep, found, 0)
    texture = ndimage.gaussian_filter(rng.standard_normal(labels.shape, dtype=np.float32), rng.uniform(0.6, 1.6))
    image = image * (1 + rng.uniform(0.0, 0.06) / max(float(texture.std()), 1e-6) * texture)
    spacing = draw_spacing(rng)
    maps = [image.astype(np.float32), *((found == index).astype(np.float32) for index in range(1, len(CLASSES)))]
    for axis, edge in enumerate(spacing):
        thick = edge > 1.8
        width = edge * (1.0 if thick else float(rng.uniform(0.85, 1.3)))
        matrix = sampling_matrix(labels.shape[axis], edge, width, thick).astype(np.float32)
        maps = [np.moveaxis(np.tensordot(matrix, part, (1, axis)), 0, axis) for part in maps]
    image, shares = maps[0], np.stack(maps[1:])
    air = np.clip(1 - shares.sum(axis=0), 0, 1)
    image = image * np.exp(mild_field(image.shape, rng, float(rng.uniform(0, 1.2) ** 2)))
    image = _noisy(image, air < 0.5, rng)
    if keep is not None:
        image = np.where(air < 0.7, image, 0)
    elif rng.random() < ZEROED:
        image = np.where(ndimage.binary_dilation(air < 0.5, iterations=int(rng.integers(1, 4))), image, 0)
    volume = Volume.from_array(np.ascontiguousarray(image, dtype=np.float32), spacing)
    name = str(rng.choice(list(ARTIFACT_SHARES), p=list(ARTIFACT_SHARES.values())))
    if name:
        volume = degrade_volume(volume, name, float(rng.uniform(0.1, 0.8)), int(rng.integers(2**31)))[0]
    return volume, np.concatenate([air[None], shares])


def _kept(found: Array, rng: np.random.Generator) -> Array | None:
    """What stripping or defacing leaves of the head; None where all stays."""
    chance = rng.random()
    if chance < STRIPPED:
        brain = ndimage.binary_closing(found >= 2, iterations=2)
        return np.asarray(
            ndimage.binary_dilation(brain, iterations=int(rng.integers(0, 4))) if chance < 0.15 else brain
        )
    if chance > STRIPPED + DEFACED:
        return None
    inside = np.argwhere(found[::2, ::2, ::2] >= 2) * 2
    low, high = inside.min(axis=0), inside.max(axis=0)
    # a plane from the brow to the chin
    edge = float(high[1]) + rng.uniform(-5, 10)
    level = float(low[2] + 0.45 * (high[2] - low[2]))
    slope = rng.uniform(0.2, 0.9)
    y = np.arange(found.shape[1])[:, None]
    z = np.arange(found.shape[2])[None]
    face = (z < level) & (y > edge - slope * (level - z))
    return np.broadcast_to(~face[None], found.shape) & True


def _noisy(image: Array, head: Array, rng: np.random.Generator) -> Array:
    """Magnitude noise of 0.5 to 15 % of the head's mean."""
    level = float(image[head].mean()) if head.any() else 1.0
    sigma = np.float32(level * float(np.exp(rng.uniform(np.log(0.005), np.log(0.15)))))
    real, imaginary = (rng.standard_normal(image.shape, dtype=np.float32) * sigma for _ in range(2))
    return np.asarray(np.hypot(image + real, imaginary))
