# SPDX-License-Identifier: Apache-2.0
"""Which slices are judged, how their scores become one, and how far it is trusted."""

from __future__ import annotations

import numpy as np
import pytest

from bidsqa.image import Volume
from bidsqa.models import Score, SliceScores
from bidsqa.models.aggregation import aggregate, choose_slices, plane_scores, standard_error, thin


def ball(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Volume:
    grid = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    return Volume.from_array(np.asarray(sum(axis**2 for axis in grid) < 0.5, dtype=np.float32), spacing)


def test_isotropic_scans_are_judged_in_three_planes_thick_ones_in_theirs() -> None:
    isotropic = ball((64, 64, 64), (1.0, 1.0, 1.0))
    assert [axis for axis, _ in choose_slices(isotropic, isotropic.data > 0, 0.6)] == [2, 0, 1]
    thick = ball((64, 20, 64), (1.0, 4.0, 1.0))
    assert [axis for axis, _ in choose_slices(thick, thick.data > 0, 0.6)] == [1]


def test_the_middle_of_the_head_counts_not_of_the_image() -> None:
    data = np.zeros((40, 40, 100), dtype=np.float32)
    data[:, :, 60:100] = 1
    volume = Volume.from_array(data)
    indices = dict(choose_slices(volume, data > 0, 0.5, limit=100))[2]
    assert (indices[0], indices[-1]) == (70, 89)


@pytest.mark.parametrize(("count", "limit"), [(10, 24), (24, 24), (25, 24), (100, 24), (7, 1)])
def test_thinning_keeps_order_and_reaches_both_halves_alike(count: int, limit: int) -> None:
    kept = thin(np.arange(count), limit)
    assert len(kept) == min(count, limit)
    assert np.all(np.diff(kept) > 0)
    # symmetric about the middle, to half a step
    assert abs((kept[0] + kept[-1]) - (count - 1)) <= max(1, count / limit)


def test_constant_scores_have_no_error_and_one_slice_none_either() -> None:
    assert standard_error([np.full(20, 0.3)]) == pytest.approx(0.0, abs=1e-12)
    assert standard_error([np.array([0.3])]) == 0.0
    assert standard_error([]) == 0.0


def test_the_error_of_independent_slices_is_that_of_the_mean() -> None:
    generator = np.random.default_rng(0)
    found = [standard_error([generator.normal(0, 0.1, 400)]) for _ in range(50)]
    # r is cut at 0 from below, so the mean lies a little above sigma / sqrt(n)
    assert 0.1 / 20 <= np.mean(found) < 1.1 * 0.1 / 20


def test_neighbours_that_tell_the_same_count_less() -> None:
    generator = np.random.default_rng(1)
    slow = np.repeat(generator.normal(0, 0.1, 20), 20)
    shuffled = generator.permutation(slow)
    assert standard_error([slow]) > 2 * standard_error([shuffled])


def test_planes_that_disagree_raise_the_error() -> None:
    generator = np.random.default_rng(2)
    noise = generator.normal(0, 0.01, (3, 30))
    agree = standard_error(list(noise + 0.8))
    disagree = standard_error(list(noise + np.array([[0.6], [0.8], [1.0]])))
    assert disagree == pytest.approx(np.std([0.6, 0.8, 1.0], ddof=1) / np.sqrt(3), rel=0.05)
    assert disagree > 10 * agree


def test_aggregation_pools_slices_and_drops_empty_planes() -> None:
    parts = [
        SliceScores("axial", (1, 2, 3), (0.2, 0.4, 0.9)),
        SliceScores("coronal", (), ()),
        SliceScores("sagittal", (5,), (0.5,)),
    ]
    score = aggregate(parts, lambda values: float(np.median(values)), "", lambda kept, value: {"planes": len(kept)})
    assert score.value == pytest.approx(0.45)
    assert [part.plane for part in score.slices] == ["axial", "sagittal"]
    assert score.extra == {"planes": 2}


def test_scores_survive_the_record() -> None:
    part = plane_scores(0, np.array([3, 4]), np.array([0.25, 0.5], dtype=np.float32))
    assert part.plane == "sagittal"
    score = aggregate([part], lambda values: float(values.mean()), "mm", lambda kept, value: {"p90": 0.5})
    assert Score.from_dict(score.to_dict()) == score
