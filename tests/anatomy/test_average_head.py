# SPDX-License-Identifier: Apache-2.0
"""The average head: what ships, its interpolation, and whether a known pose is found again."""

from __future__ import annotations

import numpy as np
import pytest

from bidsqa.anatomy import atlas
from bidsqa.anatomy.segmenting import joined


@pytest.fixture(scope="module")
def average() -> np.ndarray:
    return atlas.load_atlas()


def test_shares_sum_to_one_and_the_brain_is_adult(average: np.ndarray) -> None:
    assert average.shape == (np.prod(atlas.ATLAS_SHAPE), 5)
    np.testing.assert_allclose(average.sum(axis=1), 1, atol=0.02)
    litres = average[:, 2:].sum(axis=0) * atlas.ATLAS_MM**3 / 1e6
    assert 1.2 < litres.sum() < 1.8
    left = average.reshape(*atlas.ATLAS_SHAPE, 5)
    np.testing.assert_allclose(left, left[::-1], atol=0.005)


def test_sampling_at_the_nodes_gives_the_nodes(average: np.ndarray) -> None:
    index = np.array([[10, 20, 30], [15, 30, 33], [40, 8, 21]])
    points = (index - (np.array(atlas.ATLAS_SHAPE)[:, None] - 1) / 2) * atlas.ATLAS_MM
    sampled = atlas.sample(average, points.astype(np.float32), np.zeros(9))
    np.testing.assert_allclose(sampled, average.reshape(*atlas.ATLAS_SHAPE, 5)[tuple(index)], atol=1e-4)


def test_mutual_information_of_known_tables() -> None:
    assert atlas.mutual_information(np.full((4, 8), 1 / 32)) == pytest.approx(0, abs=1e-12)
    assert atlas.mutual_information(np.eye(5) / 5) == pytest.approx(np.log(5))


@pytest.mark.parametrize("levels", [(0.0, 0.5, 0.2, 0.6, 1.0), (0.0, 0.4, 1.0, 0.6, 0.3)], ids=["T1w-like", "T2w-like"])
def test_fault_20_the_pose_that_every_run_finds_is_the_true_one(average: np.ndarray, levels: tuple[float, ...]) -> None:
    pose = np.array([0.15, 0.0, 0.05, 3.0, -4.0, 6.0, 0.04, 0.03, 0.05])
    axes = [(np.arange(n) - (n - 1) / 2) * 4.0 for n in (56, 64, 60)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij")).reshape(3, -1)
    shares = atlas.sample(average, grid.astype(np.float32), pose)
    image = (shares @ np.array(levels) * 100).reshape(56, 64, 60).astype(np.float32)
    head = (shares[:, 0] < 0.5).reshape(image.shape)
    found, start, information = atlas.find_pose(image, head, 4.0)
    assert information > 0.4
    origin = np.array([axis[0] for axis in axes])
    linear, truth = atlas.matrix_of(found), atlas.matrix_of(pose)
    inner = grid[:, shares[:, 2:].sum(axis=1) > 0.5]
    moved = linear @ (inner - (start + origin)[:, None] - found[3:6, None])
    wanted = truth @ (inner - pose[3:6, None])
    assert np.sqrt(np.mean((moved - wanted) ** 2)) < 4.0


def test_noise_holds_no_head() -> None:
    noise = np.random.default_rng(0).rayleigh(10, (40, 40, 40)).astype(np.float32)
    _, _, information = atlas.find_pose(noise, np.ones(noise.shape, dtype=bool), 4.0)
    assert information < 0.1


def test_the_mixture_draws_the_brain_and_both_the_tissues() -> None:
    first = np.array([0.2, 0.3, 0.1, 0.1, 0.3], dtype=np.float32).reshape(5, 1, 1, 1)
    mended = np.array([0.9, 0.0, 0.0, 0.09, 0.01], dtype=np.float32).reshape(5, 1, 1, 1)
    both = joined(first, mended).ravel()
    assert both.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(both[:2], [0.2, 0.3])
    assert both[3] / both[4] == pytest.approx(np.sqrt(0.1 * 0.09 / (0.3 * 0.01)), rel=1e-3)
    np.testing.assert_allclose(joined(first, first), first, atol=1e-5)
