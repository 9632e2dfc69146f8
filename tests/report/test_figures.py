# SPDX-License-Identifier: Apache-2.0
"""The pictures: true proportions, the right side on the right, lossless where that matters."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from bidsqa.anatomy import Anatomy
from bidsqa.bids import names
from bidsqa.image import Volume
from bidsqa.models import Score, SliceScores
from bidsqa.report import draw_figures, tiles
from bidsqa.report.figures import OUTLINES, worst_slices

PLANES = ("axial", "coronal", "sagittal")


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def whole(volume: Volume, axis: int, index: tuple[int, ...], columns: int = 6) -> tiles.Layout:
    box = (slice(0, volume.shape[0]), slice(0, volume.shape[1]), slice(0, volume.shape[2]))
    return tiles.lay_out(axis, index, box, volume.spacing, columns)


def test_which_figures_there_are(figures: dict[str, bytes]) -> None:
    wanted = {f"{kind}-{plane}.webp" for kind in ("mosaic", "background") for plane in PLANES}
    wanted |= {f"outline-{mask}-{plane}.png" for mask in OUTLINES for plane in PLANES}
    wanted |= {"slices-axial.webp", "slices-brain-axial.png"}
    assert set(figures) == wanted | {"worst-axial.webp", "thumbnail.webp"}
    assert sum(map(len, figures.values())) < 1_200_000
    for name in figures:
        names.figure_path(names.Path(), "sub-01_T1w", name)


def test_outlines_lie_over_their_mosaic(figures: dict[str, bytes]) -> None:
    for plane in PLANES:
        size = opened(figures[f"mosaic-{plane}.webp"]).size
        for mask in OUTLINES:
            layer = opened(figures[f"outline-{mask}-{plane}.png"]).convert("RGBA")
            assert layer.size == size
            alpha = np.asarray(layer)[..., 3]
            assert set(np.unique(alpha)) == {0, 255}
            assert (alpha > 0).mean() < 0.2
            assert tuple(np.asarray(layer)[alpha > 0][0][:3]) == OUTLINES[mask]


def test_drawing_is_deterministic(
    t1w: Volume, true_anatomy: Anatomy, made_up_scores: dict[str, Score], figures: dict[str, bytes]
) -> None:
    assert draw_figures(t1w, true_anatomy, made_up_scores) == figures


def test_left_is_left_and_up_is_up() -> None:
    data = np.zeros((20, 24, 28), dtype=np.float32)
    data[2:6, 4:8, 20:26] = 100.0  # left, posterior, superior
    volume = Volume.from_array(data)
    for axis, index in ((2, 22), (1, 6), (0, 4)):
        grey = np.asarray(tiles.grey_mosaic(data, whole(volume, axis, (index,)), (0.0, 100.0)))
        rows, columns = np.nonzero(grey)
        upper, left = rows.mean() < grey.shape[0] / 2, columns.mean() < grey.shape[1] / 2
        assert left, "patient's left, or posterior, at the left border"
        assert upper == (axis != 2), "posterior is at the bottom of an axial picture, superior on top of the others"


def test_voxels_keep_their_proportions() -> None:
    volume = Volume.from_array(np.zeros((40, 40, 10), dtype=np.float32), spacing=(1.0, 1.0, 4.0))
    width, height = whole(volume, 1, (5,)).size
    assert (width, height) == (40, 40)
    assert whole(volume, 2, (5,)).size == (40, 40)
    large = Volume.from_array(np.zeros((600, 300, 10), dtype=np.float32), spacing=(0.4, 0.4, 2.0))
    width, height = whole(large, 2, (5,)).size
    assert max(width, height) == tiles.LARGEST_TILE
    assert width / height == pytest.approx(2.0, rel=0.02)


def test_lossless_pictures_are_lossless() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 80)).astype(np.uint8)
    kept = np.asarray(opened(tiles.encode(Image.fromarray(noise), lossless=True)).convert("L"))
    assert np.array_equal(kept, noise)


def test_the_outline_is_just_inside_the_mask() -> None:
    volume = Volume.from_array(np.zeros((20, 20, 20), dtype=np.float32))
    mask = np.zeros((20, 20, 20), dtype=np.uint8)
    mask[5:15, 5:15, :] = 1
    layout = whole(volume, 2, (3, 4), columns=2)
    from bidsqa.report.figures import _border

    line = _border(tiles.mask_mosaic(mask, layout), layout)
    assert line.sum() == 2 * 36
    assert not _border(np.ones((20, 40), dtype=bool), layout).any(), "the border between tiles is no outline"


def test_worst_slices_are_the_worst_and_not_neighbours(made_up_scores: dict[str, Score]) -> None:
    chosen = worst_slices(made_up_scores, "axial", 2)
    assert chosen == (40, 60)
    smooth = {"severity": Score(1, 0, "", (SliceScores("axial", tuple(range(100)), tuple(map(float, range(100)))),))}
    chosen = worst_slices(smooth, "axial", 4)
    assert chosen[-1] == 99
    assert min(np.diff(chosen)) >= 4
    assert worst_slices(smooth, "coronal", 4) == ()


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 5.0), (5.0, 1.0, 1.0)])
def test_thick_slices_come_first_whichever_way_they_lie(spacing: tuple[float, float, float]) -> None:
    shape = tuple(round(100 / edge) for edge in spacing)
    data = np.random.default_rng(1).random(shape).astype(np.float32)
    volume = Volume.from_array(data, spacing)
    empty = np.zeros(shape, dtype=np.uint8)
    blank = Anatomy(
        head=empty,
        brain=empty,
        hat=empty,
        air=empty,
        frame=empty,
        dseg=empty,
        posteriors=np.zeros((3, *shape), dtype=np.float16),
        bias_field=np.ones(shape, dtype=np.float32),
        problems={"brain": "there is none"},
    )
    found = draw_figures(volume, blank, {})
    assert ("worst-axial.webp" if spacing[2] == 5 else "worst-sagittal.webp") in found
    assert not [name for name in found if name.startswith("outline")]


@pytest.mark.parametrize(
    "data",
    [
        np.full((9, 9, 9), -5.0, dtype=np.float32) + np.arange(9, dtype=np.float32),
        np.eye(8, dtype=np.float32)[..., None] * np.ones(8, dtype=np.float32) * 1e-20,
        np.arange(8**3, dtype=np.float32).reshape(8, 8, 8) * 1e25,
    ],
    ids=["negative", "tiny", "huge"],
)
def test_odd_volumes_still_have_pictures(data: np.ndarray, true_anatomy: Anatomy) -> None:
    empty = np.zeros(data.shape, dtype=np.uint8)
    anatomy = dataclasses.replace(
        true_anatomy, head=empty, brain=empty, hat=empty, air=empty, dseg=empty, problems={"head": "none"}
    )
    assert "mosaic-axial.webp" in draw_figures(Volume.from_array(data), anatomy, {})
