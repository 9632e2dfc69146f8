# SPDX-License-Identifier: Apache-2.0
"""Scenes for the segmentation network and its training, on a small head drawn from the phantom."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from bidsqa.anatomy.segmenting import CLASSES
from bidsqa.simulation.phantom import make_phantom
from bidsqa.training.segmentation import CUT, STEPS_A_SCENE, SegmentationTask, cut, join, loss_of, overlaps, scene_of
from bidsqa.training.segmentation_scenes import Scene, cropped, deformed, draw_scene, draw_volume

Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def head() -> Array:
    """Labels 1 head, 2 CSF, 3 grey, 4 white matter of a phantom at 1 mm."""
    truth = make_phantom(seed=3).truth
    return np.where(truth.dseg > 0, np.array([0, 3, 4, 2])[truth.dseg], truth.head != 0).astype(np.uint8)


@pytest.fixture(scope="module")
def classes() -> Array:
    """The class of each label: itself."""
    return np.concatenate([np.arange(5), np.zeros(251)]).astype(np.uint8)


@pytest.fixture(scope="module")
def scene(head: Array, classes: Array) -> Scene:
    """One scene."""
    return scene_of([head], classes, (1, 0))


def test_scenes_are_reproducible_and_hold_shares(head: Array, classes: Array, scene: Scene) -> None:
    again = scene_of([head], classes, (1, 0))
    assert all(np.array_equal(a, b) for a, b in zip(vars(scene).values(), vars(again).values(), strict=True))
    for part in (scene.prior, scene.first, scene.truth):
        assert part.shape == (len(CLASSES), *scene.image.shape)
        np.testing.assert_allclose(part.astype(np.float32).sum(axis=0), 1, atol=0.02)  # stored in steps of 1/255
    assert np.isfinite(scene.image).all()


def test_the_average_head_lies_over_the_truth(scene: Scene) -> None:
    prior, truth = (torch.from_numpy(part.astype(np.float32))[None] for part in (scene.prior, scene.truth))
    assert float(overlaps(prior, truth)[0]) > 0.8


def test_a_bent_head_keeps_its_labels_and_about_its_size(head: Array) -> None:
    bent = deformed(head, np.random.default_rng(2))
    assert bent.shape == head.shape
    assert set(np.unique(bent)) <= set(np.unique(head))
    assert 0.6 < np.count_nonzero(bent >= 2) / np.count_nonzero(head >= 2) < 1.6


def test_fields_of_view_are_cut_out_of_the_head(head: Array, classes: Array) -> None:
    sizes = {cropped(head, classes, np.random.default_rng(seed)).shape for seed in range(12)}
    assert len(sizes) > 2
    assert all(size[0] == head.shape[0] and size[1] <= head.shape[1] and size[2] <= head.shape[2] for size in sizes)


def test_volumes_hold_what_their_shares_say(head: Array, classes: Array) -> None:
    for seed in range(4):
        volume, shares = draw_volume(head, classes, np.random.default_rng(seed))
        assert shares.shape == (len(CLASSES), *volume.shape)
        np.testing.assert_allclose(shares.sum(axis=0), 1, atol=1e-4)
        assert volume.data.min() >= 0


def test_a_scan_without_a_head_is_no_scene(classes: Array) -> None:
    assert draw_scene(np.zeros((40, 40, 40), np.uint8), classes, np.random.default_rng(0)) is None


def test_the_loss_is_least_at_the_truth(scene: Scene) -> None:
    batch = join([cut(scene, np.random.default_rng(0))])
    assert batch.image.shape == (1, 1, CUT, CUT, CUT)
    at_truth = loss_of(torch.log(batch.truth + 1e-4), batch.truth)
    assert at_truth < loss_of(torch.log(batch.first + 1e-4), batch.truth)
    assert float(overlaps(batch.truth, batch.truth).min()) == pytest.approx(1, abs=1e-4)


def test_a_few_steps_mend_what_is_given(scene: Scene) -> None:
    torch.manual_seed(0)
    batch = join([cut(scene, np.random.default_rng(0))])
    small = type(batch)(*(part[..., 16:48, 16:48, 16:48] for part in vars(batch).values()))
    network = SegmentationTask([], np.zeros(0), 0, []).network()
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        loss = loss_of(network.logits(small.image, small.prior, small.first), small.truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]


def test_batches_follow_from_their_step(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def draw(maps: Any, classes: Any, seed: tuple[int, int]) -> Scene:
        drawn.append(seed[1])
        return scene

    monkeypatch.setattr("bidsqa.training.segmentation.scene_of", draw)
    one, other = (SegmentationTask([], np.zeros(0), 7, []) for _ in range(2))
    for step in (0, 1, 2 * STEPS_A_SCENE):
        batch = one.batch(step, 0.0)
    again = other.batch(2 * STEPS_A_SCENE, 0.0)
    assert all(torch.equal(a, b) for a, b in zip(vars(batch).values(), vars(again).values(), strict=True))
    assert not torch.equal(batch.image, other.batch(2 * STEPS_A_SCENE + 1, 0.0).image)
    assert drawn[0] == 0 and 2 in drawn and max(drawn) == 2


def test_watching_an_untrained_network_finds_what_it_was_given(scene: Scene) -> None:
    task = SegmentationTask([], np.zeros(0), 0, [])
    seen = task.watch(task.network(), [join([cut(scene, np.random.default_rng(0))])])
    for name in ("brain", "csf", "gm", "wm"):
        assert seen[f"watch_{name}"] == pytest.approx(seen[f"first_{name}"], abs=0.02)
