# SPDX-License-Identifier: Apache-2.0
"""Label maps of whole heads for simulation: their tissue classes, coarse shares and random contrasts.

Drawing an intensity for each label is SynthSeg's idea (Billot et al. 2023, doi 10.1016/j.media.2023.102789).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bidsqa.anatomy.grids import coarsen, covering
from bidsqa.anatomy.segmenting import CLASSES

Array = np.ndarray[Any, Any]
GRID_MM = 4.0
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
    fractions : ndarray of float32, shape (5, X / 4, Y / 4, Z / 4)
        Share of each class of ``CLASSES`` in a 4 mm voxel.
    """

    name: str
    labels: Array
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
        found = classes[labels]
        fractions = np.stack([average((found == index).astype(np.float32)) for index in range(len(CLASSES))])
        fractions[0] += 1 - fractions.sum(axis=0)
        maps.append(HeadMap(name, labels, fractions))
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
