# SPDX-License-Identifier: Apache-2.0
"""Clean scans drawn from label maps: any contrast, voxel size and background, for contrasts that real scans lack.

The idea is SynthSeg's (Billot et al. 2023, doi 10.1016/j.media.2023.102789); here the images must look *clean*, so
that textures, noise and field stay as mild as in a good scan.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from bidsqa.image import Volume

Array = np.ndarray[Any, Any]
CONTRASTS = ("T1w", "T2w", "FLAIR", "PDw", "random")
SHARES = (0.22, 0.17, 0.15, 0.11, 0.35)
# relative signal of white matter, cortex, deep grey and CSF in a typical scan of each contrast
SIGNALS = {
    "T1w": (1.0, 0.66, 0.78, 0.22),
    "T2w": (0.38, 0.56, 0.46, 1.0),
    "FLAIR": (0.62, 0.78, 0.70, 0.15),
    "PDw": (0.70, 0.86, 0.80, 0.95),
}
WHITE = frozenset({2, 7, 16, 28, 41, 46, 60, 85})
CORTEX = frozenset({3, 8, 42, 47, 17, 18, 53, 54})
FLUID = frozenset({4, 5, 14, 15, 24, 30, 43, 44, 62, 72, 136, 137, 163, 164})


def read_table(folder: Path) -> tuple[Array, Array]:
    """Intensity class and kind (0 background, 1 outside the brain, 2 brain) of each stored label; 256 entries."""
    classes, kinds = np.zeros(256, dtype=np.int64), np.zeros(256, dtype=np.int64)
    for row in json.loads((folder / "labels.json").read_text())["labels"]:
        classes[row["stored"]] = row["intensity_class"]
        kinds[row["stored"]] = {"background": 0, "extra-cerebral": 1, "brain": 2}[row["kind"]]
    return classes, kinds


def tissue_signals(contrast: str, classes: Array, kinds: Array, rng: np.random.Generator) -> Array:
    """Mean signal of each stored label value, about 0-1.2; labels of one intensity class share it."""
    by_class: dict[int, float] = {}
    if contrast != "random":
        white, cortex, deep, fluid = (value * rng.uniform(0.9, 1.1) for value in SIGNALS[contrast])
    signals = np.zeros(256)
    for label in np.flatnonzero(kinds):
        number = int(classes[label])
        if number not in by_class:
            if kinds[label] == 1:
                by_class[number] = rng.uniform(0.05, 1.1)
            elif contrast == "random":
                by_class[number] = rng.uniform(0.1, 1.1)
            elif label in FLUID:
                by_class[number] = fluid
            elif label in WHITE:
                by_class[number] = white
            else:
                by_class[number] = (cortex if label in CORTEX else deep) * rng.uniform(0.97, 1.03)
        signals[label] = by_class[number]
    if contrast == "random":
        _mirror(signals)
    return signals


def _mirror(signals: Array) -> None:
    """Both sides of the brain look alike."""
    pairs = {
        2: 41,
        3: 42,
        4: 43,
        5: 44,
        7: 46,
        8: 47,
        10: 49,
        11: 50,
        12: 51,
        13: 52,
        17: 53,
        18: 54,
        26: 58,
        28: 60,
        136: 163,
        137: 164,
    }
    for left, right in pairs.items():
        signals[right] = signals[left]
    signals[136] = signals[137] = signals[163] = signals[164] = signals[5] = signals[44] = signals[43] = signals[4]


def sampling_matrix(count: int, edge: float, width: float, box: bool) -> Array:
    """Matrix (samples, count) from a 1 mm line to samples every ``edge`` mm with a profile ``width`` mm wide."""
    samples = max(8, int(count / edge))
    centre = (np.arange(samples) - (samples - 1) / 2) * edge + (count - 1) / 2
    offset = np.arange(count)[None] - centre[:, None]
    if box:
        weight = np.clip(np.minimum(offset + 0.5, width / 2) - np.maximum(offset - 0.5, -width / 2), 0, None)
    else:
        weight = np.exp(-0.5 * (offset / (width / 2.3548)) ** 2)
    return weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-9)


def draw_spacing(rng: np.random.Generator) -> tuple[float, float, float]:
    """Near-isotropic 0.8-1.6 mm (65 %) or 2-6 mm slices of 0.7-1.1 mm pixels in one of the planes."""
    if rng.random() < 0.65:
        edge = float(rng.uniform(0.8, 1.6))
        return (edge, edge, edge) if rng.random() < 0.6 else (float(rng.uniform(0.9, 1.25)) * edge, edge, edge)
    pixel, slab = float(rng.uniform(0.7, 1.1)), float(rng.uniform(2.0, 6.0))
    edges = [pixel, pixel, pixel]
    edges[int(rng.choice(3, p=(0.2, 0.2, 0.6)))] = slab
    return (edges[0], edges[1], edges[2])


def draw_scan(
    labels: Array, classes: Array, kinds: Array, rng: np.random.Generator, contrast: str | None = None
) -> tuple[Volume, str]:
    """One clean scan.

    Parameters
    ----------
    labels : ndarray of uint8, shape (X, Y, Z)
        RAS+ at 1 mm.
    classes, kinds : ndarray of int, shape (256,)
        Of each label value: which labels share an intensity, and 0 background, 1 outside the brain, 2 brain; from
        :func:`read_table`. Labels of the brain are numbered as in FreeSurfer.
    rng : numpy.random.Generator
    contrast : str, optional
        One of ``CONTRASTS``; drawn if not given.

    Returns
    -------
    volume : Volume
    contrast : str
        One of ``CONTRASTS``.

    Raises
    ------
    ValueError
        For a contrast that isn't in ``CONTRASTS``.
    """
    if contrast is not None and contrast not in CONTRASTS:
        raise ValueError(f"no contrast {contrast!r}; there are {', '.join(CONTRASTS)}")
    drawn = str(rng.choice(CONTRASTS, p=SHARES))
    contrast = drawn if contrast is None else contrast
    if rng.random() < 0.5:
        labels = labels[::-1]
    kind = kinds[labels]
    image = tissue_signals(contrast, classes, kinds, rng)[labels].astype(np.float32)
    stripped = rng.random() < 0.35
    texture = ndimage.gaussian_filter(np.asarray(rng.standard_normal(labels.shape), np.float32), rng.uniform(0.6, 1.5))
    image *= 1 + rng.uniform(0.01, 0.04) / max(float(texture.std()), 1e-6) * texture
    keep = ndimage.binary_closing(kind == 2, iterations=2) if stripped else kind > 0
    image = np.where(keep, image, 0).astype(np.float32)
    spacing = draw_spacing(rng)
    share = keep.astype(np.float32)
    for axis, edge in enumerate(spacing):
        thick = edge > 1.8
        matrix = sampling_matrix(labels.shape[axis], edge, edge * (1.0 if thick else rng.uniform(0.85, 1.15)), thick)
        matrix = matrix.astype(np.float32)
        image = np.moveaxis(np.tensordot(matrix, image, (1, axis)), 0, axis)
        share = np.moveaxis(np.tensordot(matrix, share, (1, axis)), 0, axis)
    image *= np.exp(mild_field(image.shape, rng, float(rng.uniform(0, 0.35))))
    head = share > 0.5
    level = float(image[head].mean()) if head.any() else 1.0
    sigma = level * float(np.exp(rng.uniform(np.log(0.004), np.log(0.035))))
    real, imaginary = (rng.standard_normal(image.shape, dtype=np.float32) * sigma for _ in range(2))
    image = np.hypot(image + real, imaginary)
    if stripped or rng.random() < 0.5:
        image = np.where(
            ndimage.binary_dilation(share > 0.1, iterations=0 if stripped else int(rng.integers(1, 4)))
            if not stripped
            else share > 0.5,
            image,
            0,
        )
    pad = [(int(rng.integers(0, 24)),) * 2 if edge < 1.8 else (1, 1) for edge in spacing]
    if image.min() == 0:
        image = np.pad(image, pad)
    top = 255 if rng.random() < 0.3 else 4095
    image = np.rint(image / np.percentile(image, 99.9) * 0.9 * top).clip(0, top)
    volume = Volume.from_array(image, spacing)
    return replace(volume, facts=replace(volume.facts, dtype="uint8" if top == 255 else "int16")), contrast


def mild_field(shape: tuple[int, ...], rng: np.random.Generator, spread: float) -> Array:
    """Second-order polynomial log field whose range over the grid is ``spread``."""
    axes = [
        np.linspace(-1, 1, size, dtype=np.float32).reshape([-1 if place == axis else 1 for place in range(3)])
        for axis, size in enumerate(shape)
    ]
    total = np.zeros(shape, dtype=np.float32)
    for first in range(3):
        total = total + np.float32(rng.normal()) * axes[first]
        for second in range(first, 3):
            total = total + np.float32(0.6 * rng.normal()) * axes[first] * axes[second]
    return (total - total.mean()) * np.float32(spread / max(float(np.ptp(total)), 1e-6))
