# SPDX-License-Identifier: Apache-2.0
"""The viewer of slices: the n-th of a sheet is the slice it is said to be, and what is said of it is the record's."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image

from bidsqa.anatomy import Anatomy
from bidsqa.image import Volume
from bidsqa.models import Score, SliceScores
from bidsqa.models.local_map import LocalMap
from bidsqa.record import Record
from bidsqa.report import draw_figures, page, render_scan
from bidsqa.report.figures import MOST_BYTES, PLANS, _draw, _window
from bidsqa.report.slice_sheets import COLUMNS, MOST_SLICES, read_sheet, scored_planes, shown_slices, slices_of
from bidsqa.report.slice_strip import Lane, slice_strip
from bidsqa.report.slice_viewer import place_in, slice_viewer


def scores_of(*parts: tuple[str, list[int]], name: str = "ssim") -> dict[str, Score]:
    slices = tuple(SliceScores(plane, tuple(index), tuple(0.9 - at / 1000 for at in index)) for plane, index in parts)
    return {name: Score(0.9, 0.01, "", slices)}


def blank(shape: tuple[int, ...], mask: int = 1) -> Anatomy:
    whole = np.full(shape, mask, dtype=np.uint8)
    return Anatomy(
        head=whole,
        brain=whole,
        hat=0 * whole,
        air=0 * whole,
        frame=0 * whole,
        dseg=2 * whole,
        posteriors=np.zeros((3, 1, 1, 1), dtype=np.float16),
        bias_field=np.ones((1, 1, 1), dtype=np.float32),
    )


def tile(sheet: Image.Image, place: int, size: tuple[int, int]) -> np.ndarray:
    left, top = place % COLUMNS * size[0], place // COLUMNS * size[1]
    return np.asarray(sheet.convert("L").crop((left, top, left + size[0], top + size[1])), dtype=float)


@pytest.mark.parametrize(("axis", "plane"), [(2, "axial"), (1, "coronal"), (0, "sagittal")])
def test_the_nth_of_a_sheet_is_the_slice_it_is_said_to_be(axis: int, plane: str) -> None:
    shape = (90, 90, 90)
    data = np.broadcast_to(np.arange(90, dtype=np.float32).reshape([-1 if at == axis else 1 for at in range(3)]), shape)
    volume = Volume.from_array(np.ascontiguousarray(data))
    index = [3, 9, 10, 31, 32, 33, 50, 64, 71, 88]
    figures = draw_figures(volume, blank(shape), scores_of((plane, index)))
    content = figures[f"slices-{plane}.webp"]
    layout = read_sheet(page.picture(content))
    assert layout == (index, (90, 90))
    low, high = _window(volume, np.ones(shape, dtype=bool))
    sheet = Image.open(io.BytesIO(content))
    for place, at in enumerate(index):
        found = tile(sheet, place, (90, 90))[
            8:-8, 8:-8
        ]  # away from the neighbours: the compression mixes them a little
        assert found.mean() == pytest.approx(255 * (at - low) / (high - low), abs=2)
        assert found.std() < 2


def test_a_sheet_shows_a_head_as_it_is(t1w: Volume, true_anatomy: Anatomy) -> None:
    from bidsqa.report import tiles
    from bidsqa.report.figures import _head_box

    index = [30, 40, 41, 55]
    content = draw_figures(t1w, true_anatomy, scores_of(("axial", index)))["slices-axial.webp"]
    _, size = read_sheet(page.picture(content)) or ([], (0, 0))
    window, box = _window(t1w, true_anatomy.head > 0), _head_box(t1w, true_anatomy.head > 0)
    for place, at in enumerate(index):
        layout = tiles.lay_out(2, (at,), box, t1w.spacing, 1, largest=256)
        wanted = np.asarray(tiles.grey_mosaic(t1w.data, layout, window), dtype=float)
        assert layout.size == size
        assert np.abs(tile(Image.open(io.BytesIO(content)), place, size) - wanted).mean() < 3
        assert np.corrcoef(tile(Image.open(io.BytesIO(content)), place, size).ravel(), wanted.ravel())[0, 1] > 0.99


def test_thick_slices_keep_their_proportions() -> None:
    volume = Volume.from_array(np.random.default_rng(0).random((60, 80, 12)).astype(np.float32), (1.0, 1.0, 6.0))
    figures = draw_figures(volume, blank(volume.shape), scores_of(("axial", [3, 5]), ("coronal", [10, 70])))
    assert (read_sheet(page.picture(figures["slices-axial.webp"])) or [])[1] == (60, 80)
    assert (read_sheet(page.picture(figures["slices-coronal.webp"])) or [])[1] == (60, 72)


def test_the_outline_lies_on_its_sheet(figures: dict[str, bytes]) -> None:
    sheet, line = (page.picture(figures[name]) for name in ("slices-axial.webp", "slices-brain-axial.png"))
    assert (sheet["width"], sheet["height"]) == (line["width"], line["height"])


def test_all_scored_slices_are_shown_or_evenly_some() -> None:
    scores = {
        "severity": {"slices": [{"plane": "axial", "index": [4, 9], "value": [1.0, 2.0]}]},
        "ssim": {"slices": [{"plane": "axial", "index": [5, 9, 7], "value": [0.5, 0.6, 0.7]}, {"plane": "odd"}, None]},
        "other": 3,
    }
    assert scored_planes(scores) == ["axial"]
    assert shown_slices(scores, "axial") == (4, 5, 7, 9)
    assert slices_of(scores, "axial")["ssim"] == {5: 0.5, 7: 0.7, 9: 0.6}
    assert shown_slices(scores, "coronal") == ()
    many = {"ssim": {"slices": [{"plane": "axial", "index": list(range(10, 400)), "value": [0.5] * 390}]}}
    shown = shown_slices(many, "axial")
    assert (len(shown), shown[0], shown[-1]) == (MOST_SLICES, 10, 399)
    assert set(np.diff(shown)) <= {8, 9}


@pytest.mark.parametrize(
    "change",
    [
        {"description": ""},
        {"description": "{}"},
        {"description": '{"index":["x"],"size":[1,1]}'},
        {"description": '{"index":[1,2],"size":[10]}'},
        {"description": '{"index":[],"size":[0,0]}'},
        {"width": 30},
        {"height": 11},
    ],
)
def test_a_sheet_that_isnt_what_it_says_is_none(change: dict[str, object]) -> None:
    picture = {"width": 20, "height": 10, "description": '{"index":[1,2],"size":[10,10]}'}
    assert read_sheet(picture) == ([1, 2], (10, 10))
    assert read_sheet({**picture, **change}) is None


def test_reasons_lead_to_the_worst_of_the_slices_they_name() -> None:
    scores = {name: score.to_dict() for name, score in scores_of(("axial", [55, 61, 66, 78, 90])).items()}
    found = place_in("motion: predicted SSIM 0.58 is below 0.60, axial slices 61-78 worst", "scores.ssim.value", scores)
    assert found is not None
    assert (found["plane"], found["at"], found["words"]) == ("axial", 78, "axial slices 61-78 worst")
    assert found["before"] + found["words"] == "motion: predicted SSIM 0.58 is below 0.60, axial slices 61-78 worst"
    alone = place_in("blur: severity 2.0 is above 1, axial slice 309 worst", "scores.severity.value", scores)
    assert alone is not None
    assert alone["at"] == 309
    assert place_in("noise: severity 2.6 is above 2, in all slices alike", "scores.severity.value", scores) is None


def test_what_is_said_of_a_slice_is_the_records(figures: dict[str, bytes], made_up_scores: dict[str, Score]) -> None:
    ready = {name: page.picture(content) for name, content in figures.items()}
    scores = {name: score.to_dict() for name, score in made_up_scores.items()}
    viewer = slice_viewer(ready, scores, [], [])
    assert viewer is not None
    about = viewer["data"]["planes"][0]
    assert about["told"]["ssim"][about["index"].index(40)] == ["0.200", "rescan", "fail"]
    assert about["told"]["ssim"][about["index"].index(42)] == ["0.900", "good", "pass"]
    assert viewer["data"]["open"] == ("axial", 40), "it opens on the worst slice"
    where = {"where": {"plane": "axial", "at": 60}}
    assert slice_viewer(ready, scores, [], [{"where": None}, where])["data"]["open"] == ("axial", 60)  # type: ignore[index]
    assert slice_viewer({}, scores, [], []) is None
    assert slice_viewer(ready, {"ssim": {"slices": [{"plane": "axial", "index": [1], "value": [1]}]}}, [], []) is None


def test_the_strip_has_a_lane_for_each_network_on_one_axis() -> None:
    readings = [("good", 0.5, 1.0), ("bad", 0.0, 0.5)]
    strip = slice_strip(
        "axial", [Lane("One <b>", [10, 20], [0.9, 0.2], readings), Lane("Two", [30, 50], [0.6, 0.7], readings)]
    )
    assert "One &lt;b&gt;" in strip
    assert strip.count("<polyline") == 2
    assert 'data-first="10" data-last="50"' in strip
    places = [float(x) for x in re.findall(r'transform="translate\(([\d.]+) ', strip)]
    assert places == sorted(places)
    assert places[2] == pytest.approx((places[0] + places[3]) / 2, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.02, 0.5], ids=["quiet", "noise"])
def test_a_large_scan_keeps_the_budget(t1w: Volume, true_anatomy: Anatomy, noise: float) -> None:
    """0.5 mm, 512 x 512: what noise leaves of compression must still fit."""
    rng = np.random.default_rng(0)
    block = rng.normal(size=(4, 512, 512, 60)).astype(np.float32)

    def large(data: np.ndarray) -> np.ndarray:
        data = np.pad(data, [(0, max(128 - edge, 0)) for edge in data.shape])[:128, :128, :75]
        return np.repeat(np.repeat(np.repeat(data, 4, 0), 4, 1), 4, 2)

    data = large(t1w.data)
    level = noise * float(t1w.data.max())
    for part in range(0, data.shape[2], 60):
        data[..., part : part + 60] += level * block[part // 60 % 4]
    volume = Volume.from_array(np.abs(data), (0.5, 0.5, 0.5))
    assert volume.shape == (512, 512, 300)
    head, white = large(true_anatomy.head), large(true_anatomy.dseg)
    anatomy = Anatomy(
        head=head,
        brain=large(true_anatomy.brain),
        hat=1 - head,
        air=1 - head,
        frame=0 * head,
        dseg=white,
        posteriors=np.zeros((3, 1, 1, 1), dtype=np.float16),
        bias_field=np.ones((1, 1, 1), dtype=np.float32),
    )
    planes = [(plane, list(range(90, 260, 5))) for plane in ("axial", "sagittal", "coronal")]
    scores = scores_of(*planes) | scores_of(*planes, name="severity")
    grid = np.linspace(0, 2, 256, dtype=np.float16).reshape(16, 16)
    maps = [LocalMap(name, axis, 150, 1.0, grid, (0.0, 0.0), (32.0, 32.0)) for name in scores for axis in range(3)]
    figures = draw_figures(volume, anatomy, scores, maps)
    assert sum(map(len, figures.values())) <= MOST_BYTES
    record = Record("sub-01_T1w", scores={name: score.to_dict() for name, score in scores.items()})
    html = render_scan(record, figures)
    assert 'id="sheet-axial"' in html
    assert "axial-150-map" not in html
    assert 'id="map-severity-axial-150"' in html
    assert len(html.encode()) < 2_400_000, "a real record's text is 100 KB longer"


def test_plans_get_smaller(t1w: Volume, true_anatomy: Anatomy) -> None:
    scores = scores_of(("axial", list(range(30, 70, 4))))
    sizes = [
        sum(map(len, _draw(t1w, true_anatomy, true_anatomy.head > 0, scores, (), plan).values())) for plan in PLANS
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 0.7 * sizes[0]
