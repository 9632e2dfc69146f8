# SPDX-License-Identifier: Apache-2.0
"""Training pairs for the segmentation network, drawn from label maps: random contrast, field, resolution and cuts.

The idea is SynthSeg's (Billot et al. 2023, doi 10.1016/j.media.2023.102789): a network that has seen every contrast
needs none in particular. The code is our own and small enough for one CPU core: label shares at 4 mm
are mixed by drawn intensities (true partial volume), and image and class shares are deformed together there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bidsqa.anatomy.grids import coarsen, covering
from bidsqa.models.networks_segmentation import CLASSES, GRID_MM, normalise

Array = np.ndarray[Any, Any]
PATCH = (40, 48, 48)
HELD_OUT = ("training_seg_04", "training_seg_11", "training_seg_15")
CSF = frozenset({4, 5, 14, 15, 24, 30, 62, 72, 136, 137, 163, 164, 43, 44})
WHITE = frozenset({2, 7, 16, 25, 28, 41, 46, 57, 60, 85})


@dataclass(frozen=True)
class HeadMap:
    """One label map in RAS+ order.

    Parameters
    ----------
    name : str
    labels : ndarray of uint8, shape (X, Y, Z)
        At 1 mm.
    values : ndarray of uint8, shape (L,)
        The label values present.
    shares : ndarray of float32, shape (L, X / 4, Y / 4, Z / 4)
        Share of each label in a 4 mm voxel.
    fractions : ndarray of float32, shape (5, X / 4, Y / 4, Z / 4)
        Share of each class of ``CLASSES`` in a 4 mm voxel.
    """

    name: str
    labels: Array
    values: Array
    shares: Array
    fractions: Array


def class_of_label(table: Path) -> Array:
    """Class (index in ``CLASSES``) of each stored label value, from ``labels.json``; 256 entries."""
    classes = np.zeros(256, dtype=np.uint8)
    for row in json.loads(table.read_text())["labels"]:
        value = row["stored"]
        if row["kind"] == "background":
            classes[value] = CLASSES.index("air")
        elif row["kind"] == "extra-cerebral":
            classes[value] = CLASSES.index("head")
        elif value in CSF:
            classes[value] = CLASSES.index("csf")
        else:
            classes[value] = CLASSES.index("wm" if value in WHITE else "gm")
    return classes


def load_maps(folder: Path, held_out: bool = False) -> list[HeadMap]:
    """The label maps for training, or the three held out for validation."""
    import nibabel

    classes = class_of_label(folder / "labels.json")
    maps = []
    for path in sorted(folder.glob("training_seg_*.nii.gz")):
        name = path.name.split(".")[0]
        if (name in HELD_OUT) != held_out:
            continue
        image = nibabel.as_closest_canonical(nibabel.load(path))
        labels = np.asarray(image.dataobj, dtype=np.uint8)
        values = np.unique(labels)
        shares = np.stack([average((labels == value).astype(np.float32)) for value in values])
        shares[0] += 1 - shares.sum(axis=0)
        kinds = classes[values]
        fractions = np.stack([shares[kinds == index].sum(axis=0) for index in range(len(CLASSES))])
        maps.append(HeadMap(name, labels, values, shares, fractions))
    return maps


def average(data: Array) -> Array:
    """Mean of a 1 mm image over 4 mm voxels."""
    x, y, z = data.shape
    return coarsen(data, (1.0, 1.0, 1.0), covering((x, y, z), (1.0, 1.0, 1.0), GRID_MM))


def draw_intensities(generator: np.random.Generator, classes: Array) -> Array:
    """A random intensity for each label value; 256 entries, brain roughly in [0.05, 1].

    Nearly all draws keep the order of a real contrast (T1w, T2w, FLAIR, PDw), the others are free with at least
    a small step between the tissues. Labels within a class scatter around it.
    """
    orders = {"T1w": (0.15, 0.5, 0.85), "T2w": (0.95, 0.55, 0.38), "FLAIR": (0.1, 0.7, 0.52), "PDw": (0.85, 0.75, 0.58)}
    if generator.random() < 0.95:
        middle = np.array(orders[str(generator.choice(list(orders)))])
        middle = middle * generator.uniform(0.75, 1.2) + generator.normal(0, 0.07, 3)
    else:
        for _ in range(20):
            middle = generator.uniform(0.05, 1.0, 3)
            if abs(middle[1] - middle[2]) > 0.08 and abs(middle[0] - middle[1]) > 0.05:
                break
    spread = generator.uniform(0.0, 0.25)
    values = generator.uniform(0.0, 1.3, 256)
    values[generator.random(256) < 0.25] *= 0.15  # bone and air cavities are dark in every contrast
    for index, name in enumerate(CLASSES[2:]):
        chosen = np.flatnonzero(classes == CLASSES.index(name))
        scatter = generator.normal(0, 0.03, chosen.size)
        values[chosen] = middle[index] + scatter
    # deep grey lies between cortex and white matter; the cerebellum scatters as one
    for label in (10, 11, 12, 13, 26, 49, 50, 51, 52, 58):
        values[label] += (middle[2] - middle[1]) * generator.uniform(
            0.0, 2.2 * spread if label not in (13, 52) else 0.9
        )
    for label in (16, 28, 60):
        values[label] += (middle[1] - middle[2]) * generator.uniform(0.0, 0.6)
    for label in (25, 57):
        values[label] = generator.uniform(0.05, 1.1)
    values[0] = 0.0
    return np.clip(values, 0.0, None).astype(np.float32)


def smooth_field(generator: np.random.Generator, shape: tuple[int, ...], knots: int) -> Array:
    """Smooth random field with standard deviation near 1: normal values at ``knots`` points an axis, interpolated."""
    import torch

    seeds = torch.from_numpy(generator.standard_normal((1, 1, knots, knots, knots)).astype(np.float32))
    grown = torch.nn.functional.interpolate(seeds, size=shape, mode="trilinear", align_corners=True)
    return np.asarray(grown[0, 0].numpy())


def deform(generator: np.random.Generator, channels: Array, centre: Array) -> Array:
    """Random rotation, scale, shear, shift and elastic bend of all channels together, onto the patch grid."""
    import torch

    angles = np.deg2rad(generator.normal(0, 9, 3))
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        turn = np.eye(3)
        first, second = [other for other in range(3) if other != axis]
        turn[first, first] = turn[second, second] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ turn
    matrix = matrix @ np.diag(generator.uniform(0.85, 1.18, 3)) + generator.normal(0, 0.02, (3, 3))
    if generator.random() < 0.5:
        matrix[:, 0] *= -1
    shape = np.array(channels.shape[1:])
    shift = generator.normal(0, 1, 3) * np.array([2.0, 3.0, 4.0])
    axes = [np.arange(size, dtype=np.float32) - (size - 1) / 2 for size in PATCH]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    bend = np.stack([smooth_field(generator, PATCH, 6) for _ in range(3)], axis=-1) * generator.uniform(0, 1.3)
    points = grid @ matrix.T.astype(np.float32) + (centre + shift).astype(np.float32) + bend
    scaled = (2 * points / (shape - 1) - 1).astype(np.float32)[..., ::-1].copy()
    moved = torch.nn.functional.grid_sample(
        torch.from_numpy(channels)[None],
        torch.from_numpy(scaled)[None],
        mode="bilinear",
        padding_mode="zeros",
        align_corners=True,
    )
    return np.asarray(moved[0].numpy())


def slice_profile(size: int, thickness: float, phase: float) -> Array:
    """Matrix that averages a line of voxels to slices of ``thickness`` mm and spreads them back, shape (n, n)."""
    step = thickness / GRID_MM
    positions = np.arange(phase * step, size - 1 + step, step)
    index = np.arange(size)
    down = np.exp(-0.5 * ((positions[:, None] - index[None]) / (0.4 * step)) ** 2)
    down /= down.sum(axis=1, keepdims=True)
    up = np.clip(1 - np.abs(index[:, None] - positions[None]) / step, 0, None)
    up /= np.maximum(up.sum(axis=1, keepdims=True), 1e-6)
    return np.asarray((up @ down).astype(np.float32))


def lower_resolution(generator: np.random.Generator, image: Array) -> Array:
    """Thick slices on one axis or a mild blur on all, in a fifth of the draws each."""
    from scipy import ndimage

    choice = generator.random()
    if choice < 0.2:
        axis = int(generator.choice(3, p=[0.2, 0.2, 0.6]))
        profile = slice_profile(image.shape[axis], float(generator.uniform(4.5, 7.0)), float(generator.random()))
        moved = np.moveaxis(image, axis, 0)
        image = np.moveaxis((profile @ moved.reshape(moved.shape[0], -1)).reshape(moved.shape), 0, axis)
    elif choice < 0.4:
        image = ndimage.gaussian_filter(image, generator.uniform(0.2, 0.5))
    return np.ascontiguousarray(image)


def cut(generator: np.random.Generator, image: Array, fractions: Array) -> tuple[Array, Array]:
    """Strip, deface, empty the background or crop the field of view; removed voxels become class air.

    Returns
    -------
    image, fractions : ndarray
        Copies with the changes.
    """
    from scipy import ndimage

    brain = fractions[2:].sum(axis=0)
    gone = np.zeros(image.shape, dtype=bool)
    kind = generator.random()
    if kind < 0.3:
        core = fractions[3:].sum(axis=0) > 0.4
        choice = generator.integers(3)
        if choice == 0:
            kept = brain > generator.uniform(0.3, 0.8)
        elif choice == 1:
            kept = ndimage.binary_erosion(brain > 0.5) | core
        else:
            kept = ndimage.binary_dilation(ndimage.binary_closing(core, iterations=2), iterations=1)
        gone |= ~kept
    elif kind < 0.5:
        inside = np.argwhere(brain > 0.5)
        if inside.size:
            centre = inside.mean(axis=0)
            normal = np.array([0.0, 1.0, -generator.uniform(0.5, 1.5)])
            axes = np.meshgrid(*[np.arange(size) for size in image.shape], indexing="ij")
            depth = sum(n * (axis - middle) for n, axis, middle in zip(normal, axes, centre, strict=True))
            gone |= (np.asarray(depth) > generator.uniform(15, 27)) & (brain < 0.05)
    if generator.random() < 0.5:
        gone |= fractions[0] > generator.uniform(0.5, 0.95)
    for axis in range(3):
        if generator.random() < 0.12:
            width = int(generator.integers(2, image.shape[axis] // 5))
            window = [slice(None)] * 3
            window[axis] = slice(0, width) if generator.random() < 0.5 else slice(image.shape[axis] - width, None)
            gone[tuple(window)] = True
    image, fractions = image.copy(), fractions.copy()
    image[gone] = 0
    fractions[:, gone] = 0
    fractions[0, gone] = 1
    return image, fractions


def draw_sample(generator: np.random.Generator, head: HeadMap, classes: Array) -> tuple[Array, Array]:
    """One training pair.

    Returns
    -------
    image : ndarray of float32, shape PATCH
        Normalised as at inference.
    fractions : ndarray of float32, shape (5, *PATCH)
        Sum 1 in each voxel.
    """
    painted = np.tensordot(draw_intensities(generator, classes)[head.values], head.shares, axes=1)
    channels = np.concatenate([painted[None], head.fractions[1:]])
    centre = np.argwhere(head.fractions[3:].sum(axis=0) > 0.5).mean(axis=0)
    moved = deform(generator, channels, centre - np.array([0.0, 0.0, 4.0]))
    tissue = np.clip(moved[1:], 0, 1)
    fractions = np.concatenate([np.clip(1 - tissue.sum(axis=0, keepdims=True), 0, 1), tissue])
    image = moved[0]
    outside = fractions[1]
    texture = 0.5 * smooth_field(generator, PATCH, int(generator.integers(6, 20)))
    image = image * (1 + outside * np.clip(texture, -0.9, 1.5))
    image = image * np.exp(generator.uniform(0, 0.35) * smooth_field(generator, PATCH, int(generator.integers(3, 5))))
    if generator.random() < 0.15:  # ghost of the head, shifted along one axis
        image = image + generator.uniform(0, 0.12) * np.roll(image, PATCH[1] // 2, axis=1)
    image = lower_resolution(generator, np.asarray(image, dtype=np.float32))
    level = float(generator.uniform(0, 0.06)) if generator.random() < 0.8 else 0.0
    noise = level * generator.standard_normal((2, *PATCH), dtype=np.float32)
    image = np.hypot(image + noise[0], noise[1])
    image, fractions = cut(generator, image, fractions)
    top = max(float(image.max()), 1e-6)
    image = top * np.power(image / top, float(np.exp(generator.normal(0, 0.25))))
    return normalise(image), np.asarray(fractions, dtype=np.float32)
