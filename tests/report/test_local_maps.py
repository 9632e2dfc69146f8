# SPDX-License-Identifier: Apache-2.0
"""The maps on the page: laid over the right part of the slice, told apart by any eye, absent without harm."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bidsqa.anatomy import Anatomy
from bidsqa.bids import names
from bidsqa.image import Volume, take_slice
from bidsqa.models import Score
from bidsqa.models.local_map import LocalMap
from bidsqa.outputs import redraw
from bidsqa.record import Record
from bidsqa.report import LOCAL_MAP, draw_figures, render_scan, tiles
from bidsqa.report.local_maps import COLOURS, LEVELS, OPACITY, SHOWN, legend, overlay

SECTION = '<section id="local"'


def pointing_map(volume: Volume, axis: int, voxel: tuple[int, int, int], model: str = "severity") -> LocalMap:
    """A fine map that is bad in one cell only, the one that holds the voxel's middle; good everywhere else."""
    marked = np.zeros(volume.shape)
    marked[voxel] = 1
    picture = take_slice(marked, axis, voxel[axis])
    ((row, column),) = np.argwhere(picture)
    step = (2.5, 3.5)
    start = (-7.25, -3.5)
    shape = [int((size - begin) / edge) + 1 for size, begin, edge in zip(picture.shape, start, step, strict=True)]
    good, bad = SHOWN[model].good, SHOWN[model].bad
    grid = np.full(shape, good, dtype=np.float16)
    cell = int((row + 0.5 - start[0]) / step[0]), int((column + 0.5 - start[1]) / step[1])
    grid[cell] = bad
    return LocalMap(model, axis, voxel[axis], 0.5, grid, start, step)


def centre_of(weights: np.ndarray) -> np.ndarray:
    rows, columns = np.indices(weights.shape)
    return np.array([(rows * weights).sum(), (columns * weights).sum()]) / weights.sum()


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.2, 0.8, 1.5), (3.0, 1.0, 1.0), (0.5, 0.6, 4.0)], ids=str)
def test_the_map_lies_over_what_it_is_about(axis: int, spacing: tuple[float, float, float]) -> None:
    shape = tuple(round(120 / edge) for edge in spacing)
    voxel = tuple(int(share * size) for share, size in zip((0.3, 0.62, 0.7), shape, strict=True))
    data = np.zeros(shape, dtype=np.float32)
    data[voxel] = 1
    volume = Volume.from_array(data, spacing)
    box = tuple(slice(int(0.1 * size), int(0.93 * size)) for size in shape)
    layout = tiles.lay_out(axis, (voxel[axis],), box, spacing, columns=1, largest=150)
    # the same voxel as the tile draws it
    seen = centre_of(np.asarray(tiles.grey_mosaic(data, layout, (0.0, 1.0))).astype(float))
    one = pointing_map(volume, axis, voxel)
    levels = overlay(one, layout, np.ones(shape, dtype=bool))
    assert levels.shape == layout.size[::-1]
    assert levels.min() == 1
    found = centre_of(np.clip(levels.astype(float) - 1, 0, None))
    pixel = np.array(layout.size[::-1]) / [part.stop - part.start for part in _shown(layout)]
    # a cell's middle is half a cell at most from the voxel's
    assert np.all(np.abs(found - seen) <= 0.5 * np.array(one.step) * pixel + 1)


def _shown(layout: tiles.Layout) -> tuple[slice, slice]:
    across, up = (layout.box[other] for other in range(3) if other != layout.axis)
    return up, across


def test_colour_keeps_to_the_head_and_to_what_was_read() -> None:
    volume = Volume.from_array(np.ones((60, 60, 60), dtype=np.float32))
    grid = np.full((10, 10), np.nan, dtype=np.float16)
    grid[3:7, 3:7] = 3.0
    one = LocalMap("severity", 2, 30, 2.0, grid, (0.0, 0.0), (6.0, 6.0))
    box = (slice(0, 60), slice(0, 60), slice(0, 60))
    layout = tiles.lay_out(2, (30,), box, volume.spacing, columns=1)
    everywhere = overlay(one, layout, np.ones(volume.shape, dtype=bool))
    assert everywhere[20:40, 20:40].min() == LEVELS
    assert everywhere[:6].max() == everywhere[:, :6].max() == 0
    half = np.zeros(volume.shape, dtype=bool)
    half[:30] = True
    assert overlay(one, layout, half)[:, 31:].max() == 0


def test_the_colours_say_good_and_bad_and_are_told_apart_by_any_eye() -> None:
    assert SHOWN["ssim"].badness(np.array([1.2, 1.0, 0.5, 0.1])).tolist() == [0, 0, 1, 1]
    assert SHOWN["severity"].badness(np.array([0.0, 1.5, 9.0])).tolist() == [0, 0.5, 1]
    assert tuple(sorted(OPACITY)) == OPACITY
    # without the difference of red and green, and without any hue, the ends still differ
    good, bad = np.array(COLOURS[0]), np.array(COLOURS[-1])
    assert abs(int(good[2]) - int(bad[2])) > 100
    for name, shown in SHOWN.items():
        drawn = legend(name)
        assert shown.what.split(" (")[0] in drawn
        assert all(text in drawn for _, text in shown.ticks)
        assert "style=" not in drawn


@pytest.fixture(scope="module")
def with_maps(t1w: Volume, true_anatomy: Anatomy, made_up_scores: dict[str, Score]) -> dict[str, bytes]:
    """The phantom's figures with two maps of the SSIM and one of a model that is unknown here."""
    middle = tuple(size // 2 for size in t1w.shape)
    maps = [pointing_map(t1w, axis, (middle[0], middle[1], 40), "ssim") for axis in (2, 0)]
    maps.append(dataclasses.replace(maps[0], model="other"))
    maps.append(dataclasses.replace(maps[0], index=10_000))
    return draw_figures(t1w, true_anatomy, made_up_scores, maps)


def test_each_map_has_its_slice_plain_and_under_it(t1w: Volume, with_maps: dict[str, bytes]) -> None:
    local = {name: content for name, content in with_maps.items() if name.startswith(LOCAL_MAP)}
    stems = ["local-ssim-axial-040", f"local-ssim-sagittal-{t1w.shape[0] // 2:03d}"]
    assert sorted(local) == sorted(f"{stem}{end}" for stem in stems for end in ("-map.png", "-under.webp", ".webp"))
    for stem in stems:
        sizes = {Image.open(io.BytesIO(local[f"{stem}{end}"])).size for end in (".webp", "-under.webp", "-map.png")}
        assert len(sizes) == 1
        alpha = np.asarray(Image.open(io.BytesIO(local[f"{stem}-map.png"])).convert("RGBA"))[..., 3]
        assert alpha.min() == 0
        assert alpha.max() > 100
    for name in local:
        names.figure_path(Path(), "sub-01_T1w", name)


def test_the_page_shows_them_with_plane_slice_and_score(
    with_maps: dict[str, bytes], made_up_scores: dict[str, Score]
) -> None:
    scores = {name: score.to_dict() for name, score in made_up_scores.items()}
    html = render_scan(Record("sub-01_T1w", scores=scores), with_maps)
    part = html[html.index(SECTION) : html.index('<section id="pictures"')]
    assert "Axial slice 40: <strong>0.200</strong>" in part
    assert "Sagittal slice" in part, "a slice without a score of its own is shown as well"
    assert part.count("<img") == 6 == part.count("alt=")
    assert SHOWN["ssim"].what in part
    assert SHOWN["severity"].what not in part
    assert '<a href="#local">' in html
    assert len(html.encode()) < 2_500_000
    shuffled = {name: with_maps[name] for name in sorted(with_maps)}
    assert render_scan(Record("sub-01_T1w", scores=scores), shuffled) == html


@pytest.mark.parametrize("scores", [{}, {"ssim": None}, {"ssim": {"slices": [None, {"plane": "axial"}, 3]}}])
def test_records_that_know_nothing_of_the_slices_have_a_page(
    with_maps: dict[str, bytes], scores: dict[str, object]
) -> None:
    html = render_scan(Record("sub-01_T1w", scores=scores), with_maps)
    assert "Axial slice 40</figcaption>" in html


def test_without_maps_the_page_is_as_before(figures: dict[str, bytes], with_maps: dict[str, bytes]) -> None:
    record = Record("sub-01_T1w")
    assert {name for name in with_maps if not name.startswith(LOCAL_MAP)} == set(figures)
    html = render_scan(record, figures)
    assert SECTION not in html
    assert "#local" not in html
    half = {name: content for name, content in with_maps.items() if not name.endswith("-map.png")}
    assert SECTION not in render_scan(record, half)


def test_pages_are_drawn_again_with_and_without_them(with_maps: dict[str, bytes], tmp_path: Path) -> None:
    record = Record("sub-01_T1w")
    path = names.record_path(tmp_path, "sub-01_T1w")
    path.parent.mkdir(parents=True)
    path.write_text(record.dumps())
    for name, content in with_maps.items():
        figure = names.figure_path(tmp_path, "sub-01_T1w", name)
        figure.parent.mkdir(exist_ok=True)
        figure.write_bytes(content)
    assert SECTION in redraw(tmp_path, path).read_text()
    assert SECTION not in redraw(tmp_path, path, saliency=False).read_text()
