# SPDX-License-Identifier: Apache-2.0
"""Noise and motion of volumes and images: laws that hold for any weights, and what the shipped ones must tell apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from bidsqa import models
from bidsqa.image import Volume, rough_head
from bidsqa.models.loading import Network
from bidsqa.models.local_map import load_maps, save_maps
from bidsqa.models.noise_motion import NoiseMotionScorer, motion_readings
from bidsqa.models.noise_motion_inputs import prepare, prepare_images, standardise

Array = np.ndarray[Any, Any]
ROW = models.MODELS["noise_motion"]
needs_weights = pytest.mark.skipif(not ROW.sha256, reason="no weights shipped yet")


def roughness(arrays: Mapping[str, Array]) -> list[Array]:
    """Stands for a network: 30 minus the roughness of the slice; the logit of being still is the same, less 20."""
    slices = arrays["slices"][:, 0]
    rough = np.abs(np.diff(slices, axis=2)).reshape(len(slices), -1).mean(axis=1)
    noise = (30 - 20 * rough)[:, None].astype(np.float32)
    blocks = slices.reshape(len(slices), 8, 32, 8, 32).mean(axis=(2, 4))[:, None].astype(np.float32) / 20
    return [noise, noise - 20, blocks, -blocks]


def scorer_of(run=roughness) -> NoiseMotionScorer:
    return NoiseMotionScorer(Network(ROW, run, ("slices",), {}, "0" * 64, "test"))


@pytest.fixture(scope="module")
def head_scan() -> Volume:
    generator = np.random.default_rng(5)
    grid = np.meshgrid(*(np.linspace(-1, 1, size) for size in (90, 110, 100)), indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in grid))
    data = (radius < 0.75) * (1 + 0.5 * np.sin(12 * radius)) + 0.02 * generator.random(radius.shape)
    return Volume.from_array((500 * data).astype(np.float32), (2.0, 2.0, 2.0))


def test_slices_keep_their_pixels(head_scan: Volume) -> None:
    """Cut, padded, shifted and scaled, but never interpolated: differences of neighbours keep their proportions."""
    head = rough_head(head_scan)
    found = prepare(head_scan, head, 2, np.array([50]))
    assert found.shape == (1, 1, 256, 256)
    assert found.dtype == np.float32
    assert found.mean() == pytest.approx(0, abs=1e-4)
    assert found.std() == pytest.approx(1, abs=1e-4)
    picture = head_scan.data[:, :, 50].T[::-1]
    inside = np.sort(np.unique(np.round(found[0, 0], 4)))
    scale = np.ptp(picture) / np.ptp(found)
    wanted = np.sort(np.unique(np.round((picture - picture.min()) / scale, 4)))
    assert len(inside) == pytest.approx(len(wanted) + 1, abs=3)  # and the air around it


def test_plain_images_are_cut_as_slices_of_the_volume_are(head_scan: Volume) -> None:
    picture = head_scan.data[:, :, 50].T[::-1]
    rows = prepare_images(np.stack([picture, picture]))
    assert np.array_equal(rows[0], rows[1])
    assert np.allclose(np.sort(rows[0].ravel()), np.sort(prepare(head_scan, rough_head(head_scan), 2, [50]).ravel()))


def test_versions_of_an_image_share_one_window() -> None:
    rng = np.random.default_rng(0)
    image = np.zeros((300, 320))
    image[40:200, 100:280] = 100
    noisy = np.abs(image + 60 * rng.standard_normal(image.shape))
    both = prepare_images(np.stack([image, noisy]))
    edge = [int(np.flatnonzero(version[0].mean(axis=1) > 0)[0]) for version in both]
    assert abs(edge[0] - edge[1]) <= 1


@pytest.mark.parametrize("fill", [0.0, 7.0])
def test_constant_images_become_nothing(fill: float) -> None:
    assert (standardise(np.full((2, 8, 8), fill)) == 0).all()
    score = scorer_of().score(Volume.from_array(np.full((20, 20, 20), fill, dtype=np.float32)))
    assert np.isfinite(score.value)


@pytest.mark.parametrize("factor", [3.0, 0.01])
def test_intensity_scale_does_not_matter(head_scan: Volume, factor: float) -> None:
    other = Volume.from_array(head_scan.data * np.float32(factor), head_scan.spacing)
    assert scorer_of().score(other).value == pytest.approx(scorer_of().score(head_scan).value, abs=1e-3)


def test_score_of_a_volume_is_the_median_of_its_slices(head_scan: Volume) -> None:
    score = scorer_of().score(head_scan)
    values = np.concatenate([part.value for part in score.slices])
    assert score.value == pytest.approx(np.median(values))
    assert score.unit == ""
    assert score.extra["n_slices"] == len(values) == 30
    moved = np.concatenate([part["value"] for part in score.extra["p_motion_slices"]])
    assert score.extra["p_motion"] == pytest.approx(np.median(moved))
    # the pretended network is sure of stillness as it is of the noise's absence
    assert np.allclose(moved, 1 / (1 + np.exp(values - 20)), atol=1e-4)
    assert models.Score.from_dict(score.to_dict()) == score


def test_an_image_scores_as_the_same_slice_does(head_scan: Volume) -> None:
    head = rough_head(head_scan)
    scorer = scorer_of()
    score = scorer.score(head_scan, head=head)
    axial = score.slices[0]
    noise, p_motion = scorer.score_images(prepare(head_scan, head, 2, np.array(axial.index)))
    assert noise.shape == p_motion.shape == (10,)
    assert noise.tolist() == pytest.approx(list(axial.value))


def test_motion_is_told_by_the_median() -> None:
    part = models.SliceScores("axial", (1, 2, 3), (0.9, 0.7, 0.1))
    found = motion_readings([part])
    assert found["p_motion"] == 0.7
    assert found["motion"] == "moved"
    assert found["moved_share"] == pytest.approx(2 / 3)
    assert motion_readings([models.SliceScores("axial", (1,), (0.2,))])["motion"] == "still"


def test_an_offset_makes_it_slower_to_call_a_scan_moved(head_scan: Volume) -> None:
    plain = scorer_of()
    strict = NoiseMotionScorer(Network(ROW, roughness, ("slices",), {"motion_offset": "2.0"}, "0" * 64, "test"))
    slices = prepare(head_scan, rough_head(head_scan), 2, np.array([50]))
    before, after = (float(scorer.score_images(slices)[1][0]) for scorer in (plain, strict))
    assert np.log(after / (1 - after)) == pytest.approx(np.log(before / (1 - before)) - 2, abs=1e-3)


def test_maps_of_both_branches(head_scan: Volume, tmp_path) -> None:
    head_scan = Volume.from_array(head_scan.data.repeat(2, 0).repeat(2, 1).repeat(2, 2), (1.0, 1.0, 1.0))
    scorer, head = scorer_of(), rough_head(head_scan)
    score = scorer.score(head_scan, head=head)
    maps = scorer.local_maps(head_scan, head, score)
    assert [one.part for one in maps] == [""] * 3 + ["motion"] * 3
    for one in maps:
        assert one.grid.shape == (8, 8)
        assert one.step == (32.0, 32.0)
    noise, motion = maps[0], maps[3]
    assert np.nanmin(noise.grid) < noise.value < np.nanmax(noise.grid)
    assert np.nanmean(noise.grid.astype(float)) == pytest.approx(noise.value, abs=1.0)
    assert ((motion.grid[np.isfinite(motion.grid)] >= 0) & (motion.grid[np.isfinite(motion.grid)] <= 1)).all()
    # the worst place of noise is the lowest, that of motion the highest
    assert noise.grid[noise.worst()] == np.nanmin(noise.grid)
    assert motion.grid[motion.worst()] == np.nanmax(motion.grid)
    save_maps(tmp_path / "maps.npz", maps)
    assert [one.part for one in load_maps(tmp_path / "maps.npz")] == [one.part for one in maps]


def test_no_maps_from_a_network_without(head_scan: Volume) -> None:
    scorer, head = scorer_of(lambda arrays: roughness(arrays)[:2]), rough_head(head_scan)
    assert scorer.local_maps(head_scan, head, scorer.score(head_scan, head=head)) == ()


def test_large_pixels_are_told(head_scan: Volume) -> None:
    coarse = Volume.from_array(head_scan.data, (3.0, 3.0, 3.0))
    assert "pixels of 3.00 x 3.00 mm" in scorer_of().score(coarse).extra["outside_domain"][0]
    assert scorer_of().score(head_scan).extra["outside_domain"] == []


@needs_weights
def test_shipped_weights_order_noise_and_see_motion(t1w: Volume) -> None:
    from bidsqa.simulation import degrade_volume

    scorer = models.load("noise_motion")
    assert scorer.provenance()["name"] == "noise_motion"
    values = [scorer.score(t1w).value]
    values += [scorer.score(degrade_volume(t1w, "noise", strength, seed=1)[0]).value for strength in (0.3, 0.6, 1.0)]
    assert np.all(np.diff(values) < 0)
    assert values[0] - values[-1] > 3
    moved, _, _ = degrade_volume(t1w, "motion", 0.8, seed=2)
    # odds, since the weights' offset makes probabilities of clean scans small
    still, found = (scorer.score(scan).extra["p_motion"] for scan in (t1w, moved))
    assert found / (1 - found) > 2 * still / (1 - still)
