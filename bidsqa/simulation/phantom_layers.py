# SPDX-License-Identifier: Apache-2.0
"""From level sets to shares of tissue: what lies over what in the phantom, and how much of each voxel it fills.

Layers are laid from the top: each takes its share of what the layers before left of a voxel. The share is that of a
voxel cut by a plane at the level set's distance; thick slices are computed in thinner pieces and averaged.
Sulci thinner than a piece come out a little too wide (at 2 mm about 4 % more CSF than at 1 mm).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bidsqa.simulation.contrast import TISSUE_INDEX, TISSUES
from bidsqa.simulation.phantom_fields import Box, Canvas, Field, Upsampler, soft_union

SLAB_ROWS = 16
SKIN_MM = 1.8
GREY_MM = 3.1
FOLIA = 15.0
FOLIUM_GREY_MM = 1.9
Paint = Callable[..., Iterable[tuple[str, Field]]]


@dataclass(frozen=True)
class Layer:
    """One step of the painting.

    Parameters
    ----------
    guard : str
        Field that is above ``reach`` wherever the layer paints nothing.
    reach : float
        In mm.
    fields : tuple of str
        What ``paint`` is called with, at the points of a box.
    paint : callable
        Gives tissues and their level sets (mm, negative inside), the uppermost first.
    """

    guard: str
    reach: float
    fields: tuple[str, ...]
    paint: Paint


def _cortex(
    hull: Field, fold: Field, small: Field, reach: Field, y: Field, up: Field, side: Field
) -> list[tuple[str, Field]]:
    depth = -hull
    over = np.maximum(depth - reach, 0)
    sulcus = np.hypot(fold, over) - (np.float32(0.25) + np.float32(0.8) * np.exp(depth * np.float32(-0.2)))
    distance = soft_union(depth, sulcus, 2.5)
    over = np.maximum(depth - np.float32(0.4) * reach, 0)
    dimple = np.hypot(small, over) - (np.float32(0.1) + np.float32(0.6) * np.exp(depth * np.float32(-0.3)))
    distance = soft_union(distance, dimple, 1.5)
    end = np.maximum(np.maximum(y - 24, -46 - y), 0) ** 2
    cleft = np.sqrt(up * up + np.maximum(-side, 0) ** 2 + end)
    island = np.sqrt(side * side + np.maximum(np.abs(up - 3) - 9, 0) ** 2 + end)
    distance = np.minimum(distance, np.minimum(cleft - np.float32(1.3), island - np.float32(0.9)))
    return [("white", GREY_MM - distance), ("cortex", -distance)]


def _cerebellum(hull: Field, angle: Field, radius: Field) -> list[tuple[str, Field]]:
    depth = -hull
    phase = angle * np.float32(FOLIA)
    sheet = np.sin(phase) * radius * np.float32(1.0 / FOLIA)
    reach = 5.5 + 3.0 * np.cos(phase * np.float32(1.0 / 3.0)) + 2.5 * np.cos(phase * np.float32(0.2))
    over = np.maximum(np.maximum(depth - reach, 14 - radius), 0)
    cleft = np.hypot(sheet, over) - np.float32(0.55) * np.exp(depth * np.float32(-0.08))
    distance = soft_union(depth, cleft, 1.5)
    return [("white", FOLIUM_GREY_MM - distance), ("cortex", -distance)]


def _midline(
    middle: Field, inner: Field, core: Field, cerebellum: Field, y: Field, z: Field
) -> list[tuple[str, Field]]:
    side = np.abs(middle)
    sinus = np.maximum(
        side + np.float32(0.5) * np.abs(inner) - np.float32(4.4), np.maximum(inner, -4 - z + (y > 0) * 25)
    )
    falx = np.maximum(np.maximum(side - np.float32(0.55), inner), np.maximum(8 - core, 2 - cerebellum))
    falx = np.maximum(falx, -14 - z + np.maximum(0, 20 - np.abs(y + 8)))
    return [("vessel", sinus), ("dura", falx)]


def _skull(outer: Field, inner: Field, cells: Field) -> list[tuple[str, Field]]:
    diploe = np.maximum(outer + np.float32(1.9), np.float32(1.9) - inner) + np.float32(0.25) * cells
    return [("marrow", diploe), ("bone", outer)]


def _eyes(lens: Field, eye: Field, outside: Field) -> list[tuple[str, Field]]:
    lidded = np.maximum(eye, outside + np.float32(2.5))
    return [("lens", np.maximum(lens, lidded + 1)), ("vitreous", lidded), ("dura", lidded - 1)]


def _air(air: Field) -> list[tuple[str, Field]]:
    return [("cavity", air), ("mucosa", air - np.float32(1.3)), ("bone", air - np.float32(2.3))]


def _air_cells(region: Field, cells: Field) -> list[tuple[str, Field]]:
    return [("cavity", np.maximum(region, np.float32(2.2) * cells - 1)), ("bone", region - 1)]


def _bones(bones: Field, cells: Field) -> list[tuple[str, Field]]:
    return [("marrow", bones + np.float32(2.2) + np.float32(0.3) * cells), ("bone", bones)]


def _soft_tissue(outside: Field, septa: Field, cells: Field, y: Field, z: Field) -> list[tuple[str, Field]]:
    cheek = np.clip((-z - 20) / 40, 0, 1) * np.float32(4.0)
    thickness = np.float32(3.6) + cheek + np.float32(0.7) * septa
    deep = outside + SKIN_MM + thickness
    # sheets between muscles are thinner than a voxel: a little fat in a wide seam, here and there a real layer of it
    layer = np.float32(0.9) * np.maximum(cells - np.float32(0.6), 0)
    streaks = np.maximum(np.abs(septa) * np.float32(3.0) + np.float32(0.2) - layer, deep)
    return [("fat", streaks), ("muscle", deep), ("fat", outside + SKIN_MM)]


LAYERS: tuple[Layer, ...] = (
    Layer("ventricles", 2.0, ("ventricles",), lambda field: [("csf", field)]),
    Layer("pallidum", 2.0, ("pallidum",), lambda field: [("pallidum", field)]),
    Layer("deep_grey", 2.0, ("deep_grey",), lambda field: [("deep_grey", field)]),
    Layer("core", 2.0, ("core",), lambda field: [("white", field)]),
    Layer("stem", 2.0, ("stem",), lambda field: [("white", field)]),
    Layer(
        "hemispheres", 2.0,
        ("hemispheres", "fold", "small_fold", "fold_depth", "y", "sylvian_up", "sylvian_side"), _cortex,
    ),
    Layer("cerebellum", 2.0, ("cerebellum", "folia_angle", "folia_radius"), _cerebellum),
    Layer("midline", 7.0, ("middle", "intracranial", "core", "cerebellum", "y", "z"), _midline),
    Layer("intracranial", 2.0, ("intracranial",), lambda field: [("csf", field)]),
    Layer("cord", 2.0, ("cord",), lambda field: [("cord", field)]),
    Layer("canal", 2.0, ("canal",), lambda field: [("spinal_csf", field + 3), ("fat", field + 2)]),
    Layer("eyes", 3.0, ("lenses", "eyes", "outside"), _eyes),
    Layer("nerves", 2.0, ("nerves",), lambda field: [("cord", field)]),
    Layer("strings", 2.0, ("strings",), lambda field: [("muscle", field)]),
    Layer("air", 4.5, ("air",), _air),
    Layer("skull", 2.0, ("skull", "intracranial", "cells"), _skull),
    Layer("air_cells", 3.0, ("air_cells", "cells"), _air_cells),
    Layer("canal", 2.0, ("canal",), lambda field: [("bone", field)]),
    Layer("teeth", 2.0, ("teeth",), lambda field: [("bone", field)]),
    Layer("bones", 2.0, ("bones", "cells"), _bones),
    Layer("orbits", 4.0, ("orbits",), lambda field: [("fat", field), ("bone", field - np.float32(1.8))]),
    Layer("outside", 2.0, ("outside", "septa", "cells", "y", "z"), _soft_tissue),
)  # fmt: skip


def tissue_shares(
    canvas: Canvas,
    fields: dict[str, Field],
    grid: Sequence[np.ndarray[Any, Any]],
    pieces: tuple[int, int, int],
    width: float,
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Share of each tissue in each voxel.

    Parameters
    ----------
    canvas : Canvas
    fields : dict of ndarray
        All level sets on the canvas, mm.
    grid : sequence of three ndarrays
        World coordinates of the computed points along each axis, mm, ``pieces`` of them in a voxel.
    pieces : tuple of int
        Points averaged into one voxel along each axis.
    width : float
        Width over which an edge passes from 0 to 1, mm (the size of a computed point).

    Returns
    -------
    ndarray of uint8, shape (tissues, X, Y, Z)
        In 1/255, summing to 255 in each voxel.
    """
    upsampler = Upsampler.between(canvas, (grid[0], grid[1], grid[2]))
    counts = [len(axis) // piece for axis, piece in zip(grid, pieces, strict=True)]
    shares = np.zeros((len(TISSUES), *counts), dtype=np.uint8)
    rows = pieces[0] * max(1, SLAB_ROWS // pieces[0])
    for start in range(0, len(grid[0]), rows):
        part = slice(start, min(start + rows, len(grid[0])))
        _paint_slab(upsampler, fields, part, pieces, width, shares)
    return shares


def _paint_slab(
    upsampler: Upsampler,
    fields: dict[str, Field],
    rows: slice,
    pieces: tuple[int, int, int],
    width: float,
    shares: np.ndarray[Any, np.dtype[np.uint8]],
) -> None:
    """Lay all layers in some rows of the grid; rounding goes with what is left, so that shares sum to 255."""
    target = shares[:, rows.start // pieces[0] : rows.stop // pieces[0]]
    whole = (rows, slice(0, len(upsampler.axes[1])), slice(0, len(upsampler.axes[2])))
    outside = upsampler.interpolate(fields["outside"], whole)
    left = np.clip(np.float32(0.5) - outside * np.float32(1.0 / width), 0, 1)
    left_rounded = _rounded(left, pieces)
    target[TISSUE_INDEX["background"]] = 255 - left_rounded
    for layer in LAYERS:
        box = upsampler.box_below(fields[layer.guard], rows, layer.reach + 0.5 * width)
        if box is None:
            continue
        box = _aligned(box, pieces)
        inner = (slice(None), box[1], box[2])
        coarse = (
            slice(None),
            *(slice(part.start // n, part.stop // n) for part, n in zip(box[1:], pieces[1:], strict=True)),
        )
        values = [upsampler.interpolate(fields[name], box) for name in layer.fields]
        for tissue, level in layer.paint(*values):
            left[inner] *= np.clip(np.float32(0.5) + level * np.float32(1.0 / width), 0, 1)
            rounded = _rounded(left[inner], pieces)
            target[TISSUE_INDEX[tissue]][coarse] += left_rounded[coarse] - rounded
            left_rounded[coarse] = rounded
    target[TISSUE_INDEX["skin"]] += left_rounded


def _aligned(box: Box, pieces: tuple[int, int, int]) -> Box:
    """The box grown to whole voxels."""
    parts = [slice(part.start // n * n, -(-part.stop // n) * n) for part, n in zip(box, pieces, strict=True)]
    return (parts[0], parts[1], parts[2])


def _rounded(values: Field, pieces: tuple[int, int, int]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Mean over the pieces of each voxel, in 1/255."""
    for axis, piece in enumerate(pieces):
        if piece > 1:
            shape = (*values.shape[:axis], values.shape[axis] // piece, piece, *values.shape[axis + 1 :])
            values = values.reshape(shape).mean(axis=axis + 1)
    return np.asarray(values * np.float32(255.0) + np.float32(0.5)).astype(np.uint8)
