# SPDX-License-Identifier: Apache-2.0
"""The diagnostic maps: parts that sum to the logits, cells that lie where they look, and what they point at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bidsqa.errors import WeightsError
from bidsqa.image import PLANES, Volume, rough_head, scored_axes
from bidsqa.models import MODELS, Score, SliceScores
from bidsqa.models.diagnostic import DiagnosticScorer
from bidsqa.models.diagnostic_inputs import SIZE, corner, fitted
from bidsqa.models.diagnostic_maps import FIRST_KEY, contrast_of, diagnostic_maps, log_odds
from bidsqa.models.loading import Network
from bidsqa.models.local_map import LocalMap
from bidsqa.models.networks_diagnostic import ARCHITECTURES, ConvNet, ResNet10, WithMap
from bidsqa.validation.local_maps import in_picture

Array = np.ndarray[Any, Any]
CELL, BALL_MM = 16, 9.0


def score_of(axis: int, index: int) -> Score:
    return Score(1.0, 0.0, "", (SliceScores(PLANES[axis], (index,), (1.0,)),))


def network(run: Callable[[Mapping[str, Array]], list[Array]], first: float = CELL / 2) -> Network:
    settings = {"temperature": "2", FIRST_KEY: f"{first:g}"}
    return Network(MODELS["diagnostic"], run, ("slices",), settings, "0" * 64, "test")


def dark_is_good(first: float) -> Callable[[Mapping[str, Array]], list[Array]]:
    """Stands for a network: the brightness around the middle of each cell speaks for "non-diagnostic"."""

    def run(arrays: Mapping[str, Array]) -> list[Array]:
        moved = np.roll(arrays["slices"][:, 0], -round(first - CELL / 2), axis=(1, 2))
        cells = moved.reshape(len(moved), SIZE // CELL, CELL, SIZE // CELL, CELL).mean(axis=(2, 4))
        parts = np.stack([0.3 * cells**4, 0 * cells, 0 * cells], axis=1)
        return [parts.sum(axis=(2, 3)) + np.array([-3.0, 0, 0]), parts]

    return run


def scene(spacing: tuple[float, float, float], spot: Array) -> Volume:
    """A head of 150 x 190 x 170 mm off the middle of its field of view, with a bright ball."""
    shape = [round(extent / edge) for extent, edge in zip((190, 220, 200), spacing, strict=True)]
    axes = np.meshgrid(*[np.arange(n) * edge for n, edge in zip(shape, spacing, strict=True)], indexing="ij")
    inside = sum(((at - mid) / half) ** 2 for at, mid, half in zip(axes, (90, 105, 106), (75, 95, 85), strict=True)) < 1
    data = 100.0 * inside
    data[sum((at - mid) ** 2 for at, mid in zip(axes, spot, strict=True)) < BALL_MM**2] = 250.0
    return Volume.from_array(data, spacing)


def miss(one: LocalMap, volume: Volume, voxel: Array) -> Array:
    """How far the worst cell's middle lies from a voxel, pixels of the picture."""
    rows, columns = one.middles()
    found = rows[one.worst()[0]], columns[one.worst()[1]]
    return np.abs(np.array(found) - in_picture(volume, one.axis, tuple(voxel)))


@pytest.mark.parametrize("name", ["convnet_2", "convnet_3", "resnet10_3"])
def test_parts_and_the_bias_sum_to_the_logits(name: str) -> None:
    torch.manual_seed(1)
    one = ARCHITECTURES[name]().eval()
    slices = torch.rand(2, 1, SIZE, SIZE) if name.startswith("convnet") else torch.rand(2, 1, 128, 96)
    with torch.inference_mode():
        logits, parts = WithMap(one)(slices)
        assert torch.allclose(logits, one(slices), atol=1e-4)
        assert torch.allclose(parts.sum(dim=(2, 3)) + one.output.bias, logits, atol=1e-5)
    assert parts.shape[:2] == logits.shape


@pytest.mark.parametrize("made", [ConvNet, ResNet10])
def test_the_first_cell_looks_where_it_is_said_to(made: type[nn.Module]) -> None:
    one = made().eval()
    for part in one.modules():
        if isinstance(part, nn.Conv2d):
            # a mean, so that every pixel that is looked at shows
            nn.init.constant_(part.weight, 1 / part.weight[0].numel())
    for place, part in enumerate(one.features):
        if isinstance(part, nn.MaxPool2d):
            one.features[place] = nn.AvgPool2d(part.kernel_size, part.stride, part.padding)
    slices = torch.ones(1, 1, SIZE, SIZE, requires_grad=True)
    features = one.features(slices)
    row, column = 7, 9
    features[0, :, row, column].sum().backward()
    weight = slices.grad[0, 0].numpy().astype(np.float64)
    assert weight.min() >= 0
    cell = SIZE / features.shape[-1]
    for axis, place in ((0, row), (1, column)):
        along = np.flatnonzero(weight.sum(axis=1 - axis))
        assert (along[0] + along[-1] + 1) / 2 == one.first_middle + cell * place


@pytest.mark.parametrize("logits", [(0.3, -1.2), (1.0, 2.0, -0.5), (-4.0, 6.0, 5.0)])
def test_log_odds_are_linear_in_the_logits_but_for_an_entropy(logits: tuple[float, ...]) -> None:
    values = np.array(logits)
    chances = np.exp(values) / np.exp(values).sum()
    odds = np.log(chances[0] / (1 - chances[0]))
    assert log_odds(values) == pytest.approx(odds)
    others = chances[1:] / chances[1:].sum()
    entropy = -(others * np.log(others)).sum()
    assert contrast_of(values) @ values - entropy == pytest.approx(odds)
    assert contrast_of(values).sum() == pytest.approx(0)


@pytest.mark.parametrize("shape", [(100, 60), (512, 512), (600, 300), (601, 701)])
def test_the_corner_is_where_the_square_begins(shape: tuple[int, int]) -> None:
    marked = np.zeros(shape)
    row, column = shape[0] // 2 + 3, shape[1] // 2 - 5
    marked[row, column] = 1
    ((found_row, found_column),) = np.argwhere(fitted(marked))
    top, left = corner(shape)
    assert (found_row + top, found_column + left) == (row, column)


@pytest.mark.parametrize("first", [CELL / 2, 15.0, 0.0])
@pytest.mark.parametrize("spacing", [(2.0, 2.0, 2.0), (1.5, 0.95, 2.4), (0.7, 6.0, 0.5)], ids=str)
def test_cells_lie_where_they_should_for_any_voxels(spacing: tuple[float, float, float], first: float) -> None:
    for spot in (np.array([62.0, 80.0, 120.0]), np.array([112.0, 128.0, 88.0])):
        volume = scene(spacing, spot)
        voxel = np.round(spot / spacing).astype(int)
        for axis in scored_axes(volume):
            score = score_of(axis, int(voxel[axis]))
            (one,) = diagnostic_maps(network(dark_is_good(first), first), 2.0, volume, rough_head(volume), score)
            pixel = np.array([edge for place, edge in enumerate(spacing) if place != axis][::-1])
            # where the ball covers several cells each of them will do
            assert (miss(one, volume, voxel) <= np.maximum(0.75 * CELL, BALL_MM / pixel)).all()
            assert np.nanmin(one.grid) < np.nanmedian(one.grid)


class Grain(ConvNet):
    """The ConvNet with weights on paper: how much of each place is fine grain speaks for class 0."""

    def __init__(self) -> None:
        super().__init__(2)
        chequered = torch.from_numpy((-1.0) ** np.add.outer(np.arange(10), np.arange(10))).float() / 100
        first, *others = [part for part in self.features if isinstance(part, nn.Conv2d)]
        nn.init.zeros_(first.weight)
        first.weight.data[:, 0] = torch.stack([chequered, -chequered]).repeat(8, 1, 1)
        for part in others:
            nn.init.constant_(part.weight, 1 / part.weight[0].numel())
        for part in self.features:
            if isinstance(part, nn.Conv2d):
                nn.init.zeros_(part.bias)
        nn.init.constant_(self.output.weight, 0)
        nn.init.constant_(self.output.weight[0].data, 50.0)
        nn.init.zeros_(self.output.bias)
        self.eval()


def test_maps_point_at_local_grain() -> None:
    one = WithMap(Grain())

    def run(arrays: Mapping[str, Array]) -> list[Array]:
        with torch.inference_mode():
            return [output.numpy() for output in one(torch.from_numpy(arrays["slices"]))]

    clean = scene((1.0, 1.0, 1.0), np.array([500.0, 0, 0]))
    for voxel in (np.array([60, 80, 100]), np.array([115, 120, 100]), np.array([110, 70, 100])):
        data = clean.data.copy()
        grid = np.ogrid[tuple(slice(size) for size in data.shape)]
        ball = sum((at - mid) ** 2 for at, mid in zip(grid, voxel, strict=True)) < 20**2
        data[ball] += 30 * np.random.default_rng(1).standard_normal(int(ball.sum()))
        volume = Volume(np.abs(data), clean.affine, clean.facts)
        (found,) = diagnostic_maps(network(run, ConvNet.first_middle), 1.0, volume, rough_head(clean), score_of(2, 100))
        assert np.hypot(*miss(found, volume, voxel)) < 20


def test_the_mean_over_the_head_is_the_slice() -> None:
    """Where parts differ so little that nothing is cut off, log-odds average to the slice's."""

    def run(arrays: Mapping[str, Array]) -> list[Array]:
        outputs = dark_is_good(CELL / 2)(arrays)
        parts = 1e-4 * outputs[1]
        return [parts.sum(axis=(2, 3)) + np.array([-1.0, 0, 0]), parts]

    volume = scene((1.0, 1.0, 1.0), np.array([62.0, 80.0, 100.0]))
    score = score_of(2, 100)
    (one,) = diagnostic_maps(network(run), 1.0, volume, rough_head(volume), score)
    chances = one.grid[np.isfinite(one.grid)].astype(float)
    assert np.log(1 / chances - 1).mean() == pytest.approx(-1.0 - np.log(2), abs=0.02)


def test_weights_without_a_map_give_none() -> None:
    volume = scene((4.0, 4.0, 4.0), np.array([62.0, 80.0, 120.0]))
    head, score = rough_head(volume), score_of(2, 25)
    lone = network(lambda arrays: dark_is_good(CELL / 2)(arrays)[:1])
    assert DiagnosticScorer(lone).local_maps(volume, head, score) == ()
    older = Network(MODELS["diagnostic"], dark_is_good(CELL / 2), ("slices",), {"temperature": "1"}, "0" * 64, "test")
    assert DiagnosticScorer(older).local_maps(volume, head, score) == ()
    assert len(DiagnosticScorer(network(dark_is_good(CELL / 2))).local_maps(volume, head, score)) == 1


@pytest.mark.parametrize(
    "wrong", [{"temperature": "0"}, {"temperature": "nan"}, {"temperature": "warm"}, {FIRST_KEY: "here"}, None]
)
def test_settings_that_mean_nothing_are_refused(wrong: dict[str, str] | None) -> None:
    settings = {} if wrong is None else {"temperature": "2", FIRST_KEY: "8", **wrong}
    with pytest.raises(WeightsError, match="temperature"):
        DiagnosticScorer(Network(MODELS["diagnostic"], lambda arrays: [], ("slices",), settings, "0" * 64, "test"))
