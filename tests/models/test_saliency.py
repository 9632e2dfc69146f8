# SPDX-License-Identifier: Apache-2.0
"""The maps of the worst slices: which slices, where the cells lie, and that they point at what was planted."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bidsqa import models
from bidsqa.errors import WeightsError
from bidsqa.image import Volume, rough_head, scored_axes
from bidsqa.models import MODELS, Score, SliceScores
from bidsqa.models.loading import Network
from bidsqa.models.local_map import LocalMap, load_maps, save_maps
from bidsqa.models.saliency import severity_maps, soft_windows, ssim_maps, worst_places
from bidsqa.models.severity_scale import Scale
from bidsqa.simulation.phantom import Phantom
from bidsqa.validation.local_maps import ARTIFACTS, cells_within, in_picture, map_of, place_of, planted, trials

Array = np.ndarray[Any, Any]
SPACINGS = [(2.0, 2.0, 2.0), (1.5, 0.95, 2.4), (4.0, 1.01, 3.0), (0.7, 6.0, 1.4)]
PLANES = ("sagittal", "coronal", "axial")
needs_weights = pytest.mark.skipif(not all(MODELS[name].sha256 for name in ("severity", "ssim")), reason="no weights")


def ellipsoid(spacing: tuple[float, float, float], spot: Array | None = None, size: float = 9.0) -> Volume:
    """A head of 150 x 190 x 170 mm off the middle of its field of view, with a bright ball at ``spot`` (mm)."""
    shape = [round(extent / edge) for extent, edge in zip((190, 220, 200), spacing, strict=True)]
    axes = np.meshgrid(*[np.arange(n) * edge for n, edge in zip(shape, spacing, strict=True)], indexing="ij")
    centre = np.array([90.0, 105.0, 106.0])
    radius = sum(((at - mid) / half) ** 2 for at, mid, half in zip(axes, centre, (75, 95, 85), strict=True))
    data = 100.0 * (radius < 1)
    if spot is not None:
        data[sum((at - mid) ** 2 for at, mid in zip(axes, spot, strict=True)) < size**2] = 250.0
    return Volume.from_array(data, spacing)


def score_of(axis: int, index: int, value: float = 0.7) -> Score:
    """A score of one slice alone."""
    return Score(value, 0.0, "", (SliceScores(PLANES[axis], (index,), (value,)),))


def bright_blocks(arrays: Mapping[str, Array]) -> list[Array]:
    """Stands for the SSIM network: a block is the worse the brighter it is."""
    slices, head = arrays["slices"], arrays["head"]
    local = 1 - slices.reshape(len(slices), 28, 8, 28, 8).mean(axis=(2, 4))[:, None] / 3
    return [(local * head).sum(axis=(2, 3)) / (head.sum(axis=(2, 3)) + 1e-6), local]


def bright_pool(arrays: Mapping[str, Array]) -> list[Array]:
    """Stands for the severity network: its motion reading is the brightness, pooled over the head."""
    image, head = arrays["image"], arrays["head"]
    output = np.zeros((max(len(image), len(head)), 12), dtype=np.float32)
    output[:, 3] = (image**4 * head).sum(axis=(1, 2, 3)) / (head.sum(axis=(1, 2, 3)) + 1e-6)
    return [output]


def picky_pool(arrays: Mapping[str, Array]) -> list[Array]:
    """The same, but of a graph that wants as many images as masks."""
    if len(arrays["image"]) != len(arrays["head"]):
        raise WeightsError("the network can't run on these slices", "")
    return bright_pool(arrays)


def network(name: str, run: Callable[[Mapping[str, Array]], list[Array]], inputs: tuple[str, ...] = ()) -> Network:
    wanted = inputs or {"ssim": ("slices", "head"), "severity": ("image", "head", "scalars")}[name]
    return Network(MODELS[name], run, wanted, {}, "0" * 64, "test")


def mapped(name: str, volume: Volume, axis: int, index: int, value: float = 0.7) -> LocalMap:
    """The map of one slice by a pretended network."""
    head, score = rough_head(volume), score_of(axis, index, value)
    if name == "ssim":
        (one, *_) = ssim_maps(network("ssim", bright_blocks), volume, head, score)
    else:
        scale = Scale(use=("motion",), limit={"motion": 0.5})
        (one, *_) = severity_maps(network("severity", bright_pool), scale, volume, head, score)
    return one


def test_three_planes_give_their_worst_slice_one_plane_its_three() -> None:
    index = tuple(range(0, 100, 2))
    rising = tuple(float(at) for at in index)
    parts = tuple(SliceScores(plane, index, rising) for plane in ("axial", "sagittal", "coronal"))
    found = worst_places("severity", Score(1.0, 0.0, "", parts))
    assert [(axis, indices) for axis, indices, _ in found] == [(2, [98]), (0, [98]), (1, [98])]
    assert worst_places("ssim", Score(1.0, 0.0, "", parts))[0] == (2, [0], [0.0])
    ((axis, indices, values),) = worst_places("severity", Score(1.0, 0.0, "", parts[:1]))
    assert (axis, len(indices), indices[0]) == (2, 3, 98)
    assert values == [float(at) for at in indices]
    assert min(abs(a - b) for a in indices for b in indices if a != b) >= 9
    few = Score(1.0, 0.0, "", (SliceScores("axial", (3,), (0.5,)),))
    assert worst_places("ssim", few) == [(2, [3], [0.5])]


@pytest.mark.parametrize("spacing", SPACINGS, ids=str)
@pytest.mark.parametrize("name", ["ssim", "severity"])
def test_cells_lie_where_they_should_for_any_voxels(name: str, spacing: tuple[float, float, float]) -> None:
    for spot in (np.array([62.0, 80.0, 120.0]), np.array([112.0, 128.0, 88.0])):
        volume = ellipsoid(spacing, spot)
        voxel = np.round(spot / spacing).astype(int)
        for axis in scored_axes(volume):
            pixel = [edge for place, edge in enumerate(spacing) if place != axis][::-1]
            # the severity network looks at 160 pixels at most, and its soft windows keep away from the rim
            if name == "severity" and min(pixel) < 0.9:
                continue
            one = mapped(name, volume, axis, int(voxel[axis]))
            rows, columns = one.middles()
            found = rows[one.worst()[0]], columns[one.worst()[1]]
            off = np.array(found) - in_picture(volume, axis, tuple(voxel))
            assert np.abs(off * pixel).max() <= (8.0 if name == "ssim" else 16.0), (axis, off * pixel)


def test_severity_is_parted_among_the_windows() -> None:
    volume = ellipsoid((1.0, 1.0, 1.0), np.array([62.0, 80.0, 120.0]))
    one = mapped("severity", volume, 2, 120, value=1.4)
    assert np.nanmean(one.grid) == pytest.approx(1.4, rel=0.1)
    assert np.nanmax(one.grid) > 2.8
    calm = mapped("severity", volume, 2, 120, value=0.01)
    assert np.nanmax(calm.grid) < 0.05, "a slice without artifacts has no part with some"


def test_a_graph_that_wants_images_and_masks_in_pairs_gives_the_same_map() -> None:
    volume, scale = ellipsoid((2.0, 2.0, 2.0), np.array([62.0, 80.0, 120.0])), Scale(use=("motion",))
    head, score = rough_head(volume), score_of(2, 60)
    easy = severity_maps(network("severity", bright_pool), scale, volume, head, score)
    picky = severity_maps(network("severity", picky_pool), scale, volume, head, score)
    assert [one.start for one in easy] == [one.start for one in picky]
    assert np.array_equal(easy[0].grid, picky[0].grid, equal_nan=True)


def test_networks_without_maps_give_none() -> None:
    volume = ellipsoid((4.0, 4.0, 4.0))
    head = rough_head(volume)
    lone = network("ssim", lambda arrays: bright_blocks(arrays)[:1])
    assert ssim_maps(lone, volume, head, score_of(2, 25)) == ()
    published = network("severity", bright_pool, inputs=("image",))
    assert severity_maps(published, Scale(), volume, head, score_of(2, 25)) == ()


@pytest.mark.parametrize("fill", [0.0, 7.0])
def test_empty_volumes_do_not_fail(fill: float) -> None:
    volume = Volume.from_array(np.full((40, 40, 40), fill, dtype=np.float32))
    nothing = np.zeros(volume.shape, dtype=bool)
    for head in (nothing, rough_head(volume)):
        for one in (
            *ssim_maps(network("ssim", bright_blocks), volume, head, score_of(2, 20)),
            *severity_maps(network("severity", bright_pool), Scale(), volume, head, score_of(2, 20)),
        ):
            assert np.isfinite(one.grid).any()


def test_soft_windows_cover_the_head_evenly() -> None:
    rows, columns = np.mgrid[:160, :160]
    head = ((rows - 80) ** 2 / 80**2 + (columns - 75) ** 2 / 60**2 < 1).astype(np.float32)
    centres, step, windows, share = soft_windows(head)
    assert windows.shape == (len(centres) ** 2, 160, 160)
    assert share.min() >= 0 and share.max() == pytest.approx(1, abs=0.01)
    total = windows.sum(axis=0)[40:120, 45:105]
    assert total.std() / total.mean() < 0.02
    assert np.diff(centres) == pytest.approx(step)


def test_maps_survive_their_file(tmp_path: Path) -> None:
    volume = ellipsoid((2.0, 2.0, 2.0), np.array([62.0, 80.0, 120.0]))
    maps = (mapped("ssim", volume, 2, 60), mapped("severity", volume, 0, 31))
    save_maps(tmp_path / "maps.npz", maps)
    assert (tmp_path / "maps.npz").stat().st_size < 8_000
    again = load_maps(tmp_path / "maps.npz")
    for one, other in zip(maps, again, strict=True):
        assert (one.model, one.axis, one.index, one.value) == (other.model, other.axis, other.index, other.value)
        assert (one.start, one.step, one.plane) == (other.start, other.step, other.plane)
        assert one.grid.dtype == other.grid.dtype == np.float16
        assert np.array_equal(one.grid, other.grid, equal_nan=True)
    save_maps(tmp_path / "none.npz", ())
    assert load_maps(tmp_path / "none.npz") == ()


@needs_weights
def test_shipped_networks_have_maps_and_the_record_does_not_grow(t1w: Volume) -> None:
    head = rough_head(t1w)
    for name in ("severity", "ssim"):
        scorer = models.load(name)
        score = scorer.score(t1w, head=head)
        assert score == scorer.score(t1w)
        maps = scorer.local_maps(t1w, head, score)
        assert [one.plane for one in maps] == [part.plane for part in score.slices]
        assert all(np.isfinite(one.grid).sum() >= 6 for one in maps)
        assert "grid" not in json.dumps(score.to_dict())
        for one, part in zip(maps, score.slices, strict=True):
            assert one.value == (min if name == "ssim" else max)(part.value)
            assert np.nanmean(one.grid.astype(float)) == pytest.approx(one.value, rel=0.2, abs=0.05)


@needs_weights
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "artifact", "contrast"),
    [
        ("severity", "ghosting and motion", "T1w"),
        ("severity", "ghosting and motion", "T2w"),
        ("ssim", "stripes", "T1w"),
        ("ssim", "motion twice", "T2w"),
    ],
)
def test_maps_point_at_what_was_planted(phantom_1mm: Phantom, contrast: str, name: str, artifact: str) -> None:
    clean = phantom_1mm.image(contrast, seed=1)
    rows = list(trials(clean, ARTIFACTS[artifact](clean), (name,)))
    assert len(rows) == 12
    # four places, three planes; by lot it would be four
    assert sum(row["hit"] for row in rows) >= 10, rows
    assert sum(row["chance"] for row in rows) < 6


@needs_weights
def test_the_planted_part_stands_out_against_the_clean_slice(t1w: Volume) -> None:
    """At 2 mm, far from what the networks learned from, the part may not be the worst; it still gets worse."""
    head = rough_head(t1w)
    scorer, degraded = models.load("ssim"), ARTIFACTS["stripes"](t1w)
    for shares in ((-0.4, 0.35, 0.25), (0.4, -0.3, 0.2)):
        voxel = place_of(head, shares)
        for axis in (2, 1):
            before, after = (
                map_of(scorer, volume, head, axis, voxel[axis]) for volume in (t1w, planted(t1w, degraded, voxel))
            )
            change = (after.grid - before.grid).astype(float)
            near = cells_within(after, t1w, voxel)
            assert near[np.unravel_index(np.nanargmin(change), change.shape)]
