# SPDX-License-Identifier: Apache-2.0
"""SSIM in the head against an independent implementation."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
metrics = pytest.importorskip("skimage.metrics")

from bidsqa.simulation.visible_damage import damage_batch, ssim_map  # noqa: E402


def test_ssim_map_equals_scikit_image() -> None:
    rng = np.random.default_rng(0)
    first = rng.random((50, 60)).astype(np.float32)
    second = np.clip(first + 0.2 * rng.standard_normal(first.shape), 0, 1).astype(np.float32)
    _, reference = metrics.structural_similarity(
        first, second, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    ours = ssim_map(*(torch.from_numpy(image)[None, None] for image in (first, second)), torch.ones(1))[0, 0].numpy()
    assert np.allclose(ours[6:-6, 6:-6], reference[6:-6, 6:-6], atol=2e-4)


def test_identical_images_and_pure_scaling_are_undamaged() -> None:
    image = torch.rand(2, 1, 40, 40, generator=torch.Generator().manual_seed(0))
    head = image > 0.2
    for other in (image, 4 * image):
        harm = damage_batch(image, other, head)
        assert harm["ssim_head"].tolist() == pytest.approx([1, 1], abs=1e-4)
        assert harm["nrmse"].tolist() == pytest.approx([0, 0], abs=1e-4)


def test_an_empty_head_has_no_damage() -> None:
    image = torch.rand(1, 1, 40, 40)
    harm = damage_batch(image, image + 1, torch.zeros_like(image, dtype=torch.bool))
    assert float(harm["damage"]) == 0 and float(harm["nrmse"]) == 0
