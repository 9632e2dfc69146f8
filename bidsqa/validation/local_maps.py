# SPDX-License-Identifier: Apache-2.0
"""Do the maps of a slice point at an artifact in one part of it? ``python -m bidsqa.validation.local_maps``.

A ball of a phantom scan is replaced by the same ball of a degraded copy; the worst cell of the map of each slice
through its middle should lie in the ball.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from bidsqa import models
from bidsqa.image import PLANES, Volume, head_extent, rough_head, take_slice
from bidsqa.models import Score, SliceScores
from bidsqa.models.local_map import LocalMap
from bidsqa.simulation import degrade_volume
from bidsqa.validation.tables import Table

Array = np.ndarray[Any, Any]
SCORES = ("severity", "ssim")
RADIUS_MM = 40.0
# of the half extents of the head (left-right, back-front, down-up) from its middle
PLACES = {
    "left, in front": (-0.40, 0.35, 0.25),
    "right, behind": (0.40, -0.30, 0.20),
    "right, in front": (0.40, 0.40, 0.20),
    "left, behind": (-0.40, -0.30, 0.30),
}


def ringing(volume: Volume) -> Volume:
    """Stripes of 5 mm through the whole head, aslant to all planes, as of a single wrong spot in k-space."""
    place = sum(
        np.arange(size).reshape([-1 if axis == other else 1 for other in range(3)]) * edge
        for axis, (size, edge) in enumerate(zip(volume.shape, volume.spacing, strict=True))
    )
    stripes = 1 + 0.25 * np.sin(2 * np.pi * np.asarray(place) / 7.5)
    return Volume((volume.data * stripes).astype(np.float32), volume.affine, volume.facts)


def _degraded(*steps: tuple[str, int]) -> Callable[[Volume], Volume]:
    def act(volume: Volume) -> Volume:
        for name, seed in steps:
            volume = degrade_volume(volume, name, 1.0, seed=seed)[0]
        return volume

    return act


ARTIFACTS: Mapping[str, Callable[[Volume], Volume]] = MappingProxyType(
    {
        "motion": _degraded(("motion", 3)),
        "motion twice": _degraded(("motion", 3), ("motion", 4)),
        "ghosting": _degraded(("ghosting", 3)),
        "ghosting and motion": _degraded(("ghosting", 3), ("motion", 4)),
        "blur": _degraded(("blur", 3)),
        "noise": _degraded(("noise", 3)),
        "stripes": ringing,
    }
)


def place_of(head: Array, shares: tuple[float, float, float]) -> tuple[int, int, int]:
    """The voxel at given shares of the head's half extents from its middle."""
    found = []
    for axis, share in enumerate(shares):
        low, high = head_extent(head, axis)
        found.append(round((low + high - 1) / 2 + share * (high - 1 - low) / 2))
    return found[0], found[1], found[2]


def planted(clean: Volume, degraded: Volume, voxel: tuple[int, int, int], radius: float = RADIUS_MM) -> Volume:
    """The clean scan with a ball of the degraded one, with an edge 6 mm wide.

    Parameters
    ----------
    clean, degraded : Volume
        On one grid.
    voxel : tuple of int
        Middle of the ball.
    radius : float
        mm.
    """
    grid = np.ogrid[tuple(slice(size) for size in clean.shape)]
    steps = zip(grid, voxel, clean.spacing, strict=True)
    distance = np.sqrt(sum(((at - middle) * edge) ** 2 for at, middle, edge in steps))
    share = np.clip((radius + 3 - distance) / 6, 0, 1).astype(np.float32)
    return Volume(clean.data * (1 - share) + degraded.data * share, clean.affine, clean.facts)


def in_picture(volume: Volume, axis: int, voxel: tuple[int, int, int]) -> tuple[float, float]:
    """Row and column of a voxel's middle in its slice's picture, looked up."""
    marked = np.zeros(volume.shape, dtype=bool)
    marked[voxel] = True
    ((row, column),) = np.argwhere(take_slice(marked, axis, voxel[axis]))
    return float(row) + 0.5, float(column) + 0.5


def map_of(scorer: Any, volume: Volume, head: Array, axis: int, index: int) -> LocalMap:
    """The map of one slice, whatever its score."""
    score = Score(1.0, 0.0, "", (SliceScores(PLANES[axis], (index,), (1.0,)),))
    (one,) = scorer.local_maps(volume, head, score)
    return one


def cells_within(one: LocalMap, volume: Volume, voxel: tuple[int, int, int], radius: float = RADIUS_MM) -> Array:
    """Which cells of a map have their middle in the ball around the voxel, 5 mm wider; bool, as the grid."""
    rows, columns = one.middles()
    row, column = in_picture(volume, one.axis, voxel)
    width, height = (edge for place, edge in enumerate(volume.spacing) if place != one.axis)
    near: Array = np.hypot(((rows - row) * height)[:, None], ((columns - column) * width)[None]) <= radius + 5
    return near


def trials(clean: Volume, degraded: Volume, names: Sequence[str] = SCORES) -> Iterator[dict[str, Any]]:
    """One row for each place, plane and score: whether its map points at the artifact, and how likely that was."""
    head = rough_head(clean)
    scorers = {name: models.load(name) for name in names}
    for place, shares in PLACES.items():
        voxel = place_of(head, shares)
        volume = planted(clean, degraded, voxel)
        for axis in (2, 1, 0):
            for name, scorer in scorers.items():
                one = map_of(scorer, volume, head, axis, voxel[axis])
                near = cells_within(one, volume, voxel)
                chance = float(near[np.isfinite(one.grid)].mean())
                hit = bool(near[one.worst()])
                yield {"place": place, "plane": PLANES[axis], "score": name, "hit": hit, "chance": chance}


def main() -> None:
    """Print the table and write it to ``docs/validation_tables``."""
    from bidsqa.simulation.phantom import make_phantom

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=Path, default=Path("docs/validation_tables"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    options = parser.parse_args()
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in ARTIFACTS}
    for seed in options.seeds:
        phantom = make_phantom(seed=seed, spacing=(1.0, 1.0, 1.0))
        for contrast in ("T1w", "T2w"):
            clean = phantom.image(contrast, seed=1)
            for name, degrade in ARTIFACTS.items():
                rows[name] += trials(clean, degrade(clean))
                print(seed, contrast, name, flush=True)
    write_table(rows, options.tables, len(options.seeds))


def write_table(rows: Mapping[str, list[dict[str, Any]]], folder: Path, heads: int) -> None:
    """``local_maps.json``: the share of maps that point at the artifact, by artifact and score."""
    lines = []
    for name, found in rows.items():
        shares = []
        for score in SCORES:
            own = [row for row in found if row["score"] == score]
            hits = sum(row["hit"] for row in own)
            by_chance = np.mean([row["chance"] for row in own])
            shares.append(f"{hits}/{len(own)} (by chance {by_chance * len(own):.0f})")
        lines.append([name, *shares])
    note = (
        f"Maps whose worst cell lies in the part with the artifact: a ball of {2 * RADIUS_MM:g} mm in {heads} phantom "
        "heads, T1w and T2w at 1 mm, at four places, in three planes; artifacts at their full strength. In brackets "
        "how many would if the cell were drawn by lot. The SSIM network is meant not to see blur, noise and ghosts."
    )
    columns = ["artifact", *SCORES]
    table = Table("Maps of where the networks look", columns, lines, note, "python -m bidsqa.validation.local_maps")
    table.write(folder / "local_maps.json")
    print(table.text())


if __name__ == "__main__":
    main()
