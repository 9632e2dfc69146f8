# SPDX-License-Identifier: Apache-2.0
"""Scoring volumes: laws that hold for any weights, and what the shipped ones must tell apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bidsqa import models
from bidsqa.image import Volume
from bidsqa.models.loading import Network
from bidsqa.models.ssim import CLASS_COUNTS, SsimScorer, clinical_class, equal_class, readings
from bidsqa.models.ssim_inputs import prepare

Array = np.ndarray[Any, Any]
SHIPPED = bool(models.MODELS["ssim"].sha256)
needs_weights = pytest.mark.skipif(not SHIPPED, reason="no weights shipped yet")


def brightness(arrays: Mapping[str, Array]) -> list[Array]:
    """Stands for a network: head-weighted mean of the slice, folded into 0-1."""
    slices, head = arrays["slices"], arrays["head"]
    means = slices.reshape(len(slices), 28, 8, 28, 8).mean(axis=(2, 4))[:, None]
    return [np.clip((means * head).sum(axis=(2, 3)) / (head.sum(axis=(2, 3)) + 1e-6), 0, 1)]


@pytest.fixture
def scorer() -> SsimScorer:
    row = models.MODELS["ssim"]
    return SsimScorer(Network(row, brightness, ("slices", "head"), {}, "0" * 64, "test"))


@pytest.fixture(scope="module")
def head_scan() -> Volume:
    """A textured ellipsoid with noise around it."""
    generator = np.random.default_rng(5)
    grid = np.meshgrid(*(np.linspace(-1, 1, size) for size in (90, 110, 100)), indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in grid))
    data = (radius < 0.75) * (1 + 0.5 * np.sin(12 * radius)) + 0.02 * generator.random(radius.shape)
    return Volume.from_array((500 * data).astype(np.float32), (2.0, 2.0, 2.0))


def scaled(volume: Volume, factor: float) -> Volume:
    facts = replace(volume.facts, minimum=volume.facts.minimum * factor, maximum=volume.facts.maximum * factor)
    return Volume((volume.data * np.float32(factor)).astype(np.float32), volume.affine, facts)


@pytest.mark.parametrize("factor", [3.0, 0.01, 1e-30])
def test_intensity_scale_does_not_matter(scorer: SsimScorer, head_scan: Volume, factor: float) -> None:
    assert scorer.score(scaled(head_scan, factor)).value == pytest.approx(scorer.score(head_scan).value, abs=1e-4)


def test_padding_with_air_does_not_matter(scorer: SsimScorer, head_scan: Volume) -> None:
    wide = np.pad(head_scan.data, 12)
    padded = Volume.from_array(wide, head_scan.spacing)
    # the same voxels; only the rough head mask may differ by a block
    assert scorer.score(padded).value == pytest.approx(scorer.score(head_scan).value, abs=0.01)


def test_the_uncertainty_owns_up_to_the_networks_own_error(scorer: SsimScorer, head_scan: Volume) -> None:
    row = models.MODELS["ssim"]
    honest = SsimScorer(Network(row, brightness, ("slices", "head"), {"error": "0.04"}, "0" * 64, "test"))
    spread, both = scorer.score(head_scan), honest.score(head_scan)
    assert spread.extra["model_error"] == 0
    assert both.extra["model_error"] == 0.04
    assert both.value == spread.value
    assert both.uncertainty == pytest.approx(np.hypot(spread.uncertainty, 0.04))


def test_the_head_is_near_one_and_input_is_bounded(head_scan: Volume) -> None:
    from bidsqa.image import rough_head

    head = rough_head(head_scan)
    slices, blocks = prepare(head_scan, head, 2, np.array([40, 50]))
    assert slices.shape == (2, 1, 224, 224)
    assert blocks.shape == (2, 1, 28, 28)
    assert slices.dtype == blocks.dtype == np.float32
    assert 0 <= slices.min() <= slices.max() <= 3
    assert 0.8 < np.percentile(slices[0, 0][slices[0, 0] > 0.3], 99) < 1.2
    assert 0 <= blocks.min() <= blocks.max() <= 1 + 1e-6


def test_negative_values_are_offset_not_cut(scorer: SsimScorer, head_scan: Volume) -> None:
    lowered = Volume.from_array(head_scan.data - 200, head_scan.spacing)
    score = scorer.score(lowered)
    assert np.isfinite(score.value)
    assert score.value == pytest.approx(scorer.score(head_scan).value, abs=0.1)


@pytest.mark.parametrize("fill", [0.0, 7.0])
def test_constant_volumes_give_a_finite_score(scorer: SsimScorer, fill: float) -> None:
    score = scorer.score(Volume.from_array(np.full((20, 20, 20), fill, dtype=np.float32)))
    assert np.isfinite(score.value)
    assert np.isfinite(score.uncertainty)


def test_a_single_slice_axis_still_scores(scorer: SsimScorer, head_scan: Volume) -> None:
    thin = Volume.from_array(head_scan.data[:, :, 48:51], (2.0, 2.0, 6.0))
    assert [part.plane for part in scorer.score(thin).slices] == ["axial"]


def test_readings_of_known_slices() -> None:
    part = models.SliceScores("axial", tuple(range(10)), tuple(np.linspace(0.5, 0.95, 10).tolist()))
    found = readings([part], 0.725)
    assert found["median"] == pytest.approx(0.725)
    assert found["p10"] == pytest.approx(0.545)
    assert found["share_below_060"] == pytest.approx(0.2)
    assert found["share_below_085"] == pytest.approx(0.7)
    assert found["clinical_class"] == "usable"
    assert found["planes"] == {"axial": pytest.approx(0.725)}
    assert (found["class_3"], found["class_5"], found["class_10"]) == (3, 4, 8)
    assert found["n_slices"] == 10


@pytest.mark.parametrize("count", CLASS_COUNTS)
def test_equal_classes_cover_zero_to_one(count: int) -> None:
    assert equal_class(0.0, count) == 1
    assert equal_class(1.0, count) == count
    assert equal_class(0.5 / count, count) == 1
    assert equal_class((count - 0.5) / count, count) == count


def test_clinical_bounds() -> None:
    named = [clinical_class(value) for value in (0.85, 0.8499, 0.60, 0.5999)]
    assert named == ["good", "usable", "usable", "rescan"]


def test_voxels_unlike_the_training_are_told(scorer: SsimScorer, head_scan: Volume) -> None:
    assert scorer.score(head_scan).extra["outside_domain"] == []
    coarse = Volume.from_array(head_scan.data[::2, ::2, ::2], (4.0, 4.0, 4.0))
    assert "4.00 x 4.00 mm" in scorer.score(coarse).extra["outside_domain"][0]


@needs_weights
def test_shipped_weights_agree_with_the_laws(t1w: Volume) -> None:
    scorer = models.load("ssim")
    score = scorer.score(t1w)
    assert 0 <= score.value <= 1
    assert score.to_dict() == models.load("ssim").score(t1w).to_dict()
    assert models.load("ssim", threads=2).score(t1w).value == pytest.approx(score.value, abs=1e-5)
    assert scorer.score(scaled(t1w, 3.0)).value == pytest.approx(score.value, abs=1e-3)
    assert scorer.score(scaled(t1w, 0.01)).value == pytest.approx(score.value, abs=1e-3)
    mirrored = Volume.from_array(t1w.data[::-1], t1w.spacing)
    assert scorer.score(mirrored).value == pytest.approx(score.value, abs=0.03)
    padded = Volume.from_array(np.pad(t1w.data, 6), t1w.spacing)
    assert scorer.score(padded).value == pytest.approx(score.value, abs=0.03)


@needs_weights
@pytest.mark.parametrize("contrast", ["t1w", "t2w"])
def test_more_motion_scores_lower(contrast: str, request: pytest.FixtureRequest) -> None:
    from bidsqa.simulation import degrade_volume

    clean: Volume = request.getfixturevalue(contrast)
    scorer = models.load("ssim")
    values = [scorer.score(clean).value]
    values += [scorer.score(degrade_volume(clean, "motion", strength, seed=3)[0]).value for strength in (0.4, 1.0)]
    assert values[0] > values[1] > values[2]
    assert values[0] - values[2] > 0.1
