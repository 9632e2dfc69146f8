# SPDX-License-Identifier: Apache-2.0
"""SSIM in the head against an independent implementation."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
metrics = pytest.importorskip("skimage.metrics")

from bidsqa.simulation.visible_damage import damage, damage_batch, ssim_map  # noqa: E402


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


@pytest.mark.parametrize("factor", [1e-20, 1e-12, 1e-6, 1e6, 1e18, 1e20])
def test_damage_does_not_depend_on_the_unit(factor: float) -> None:
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(2, 1, 40, 40, generator=generator) + 0.2
    other = image + 0.2 * torch.rand(2, 1, 40, 40, generator=generator)
    head = image > 0.3
    plain, scaled = damage_batch(image, other, head), damage_batch(image * factor, other * factor, head)
    assert plain["damage"].min() > 0.02
    for key, values in plain.items():
        assert torch.allclose(scaled[key], values, atol=1e-5), key
    volume = torch.rand(16, 18, 20, generator=generator).numpy() + np.float32(0.2)
    worse = volume + np.float32(0.2) * torch.rand(16, 18, 20, generator=generator).numpy()
    inside, unit = volume > 0.3, np.float32(factor)
    expected = damage(volume, worse, inside)
    assert expected["damage"] > 0.02
    assert damage(volume * unit, worse * unit, inside) == pytest.approx(expected, abs=1e-5)


def test_an_empty_image_has_no_damage_at_all() -> None:
    nothing = torch.zeros(1, 1, 20, 20)
    assert float(damage_batch(nothing, nothing, nothing == 0)["damage"]) == pytest.approx(0, abs=1e-6)
    empty = np.zeros((12, 12, 12), dtype=np.float32)
    assert damage(empty, empty, empty > 0)["nrmse"] == 0
