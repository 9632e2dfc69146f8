# SPDX-License-Identifier: Apache-2.0
"""Edges of the brain: independent references, known answers, directions, nulls."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage, stats

from bidsqa.metrics import Samples, measure, sharpness

KEYS = ("edge_strength", "tenengrad", "gradient_entropy", "laplacian_variance")


def reference(volume, anatomy) -> dict[str, float]:
    """The four numbers with SciPy's filters on the whole grid."""
    brain = anatomy.brain != 0
    inner = ndimage.binary_erosion(brain, np.ones((3, 3, 3)))
    image = volume.data.astype(np.float64) / np.median(volume.data[brain])
    strength = np.sqrt(sum((ndimage.sobel(image, axis) / (32 * edge)) ** 2 for axis, edge in enumerate(volume.spacing)))
    laplacian = sum(ndimage.correlate1d(image, [1, -2, 1], axis) / edge**2 for axis, edge in enumerate(volume.spacing))
    values = strength[inner]
    return {
        "edge_strength": values[values >= np.percentile(values, 98)].mean(),
        "tenengrad": np.mean(values**2),
        "gradient_entropy": stats.entropy(values) / np.log(values.size),
        "laplacian_variance": np.var(laplacian[inner]),
    }


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 1.2, 4.0)])
def test_agrees_with_scipy_filters(scene, spacing: tuple[float, float, float]) -> None:
    volume, anatomy = scene(spacing=spacing)
    metrics, _ = measure(volume, anatomy)
    for key, value in reference(volume, anatomy).items():
        assert metrics[key] == pytest.approx(value, rel=1e-4), key


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.5, 0.5, 5.0), (2.0, 1.0, 1.0)])
def test_fault_5_a_ramp_in_mm_has_the_same_gradient_on_any_grid(scene, spacing: tuple[float, float, float]) -> None:
    volume, anatomy = scene(sigma=0.0, spacing=spacing)
    mm = [np.arange(size) * edge for size, edge in zip(volume.shape, spacing, strict=True)]
    x, y, z = np.meshgrid(*mm, indexing="ij")
    slope = np.array([0.3, -0.4, 1.2])
    data = 1000.0 + slope[0] * x + slope[1] * y + slope[2] * z
    samples = Samples(type(volume).from_array(data, spacing), anatomy)
    strengths = sharpness.gradient_strengths(samples) * samples.brain_median
    assert np.median(strengths) == pytest.approx(np.linalg.norm(slope), rel=1e-3)


def test_even_gradients_have_the_largest_entropy(scene) -> None:
    volume, anatomy = scene(sigma=0.0)
    ramp = np.broadcast_to(1000.0 + np.arange(volume.shape[0])[:, None, None], volume.shape)
    assert sharpness.gradient_entropy(Samples(type(volume).from_array(ramp), anatomy)) == pytest.approx(1.0, abs=1e-6)


def test_blur_dulls_edges(scene) -> None:
    volume, anatomy = scene(sigma=5.0)
    found = []
    for sigma in (0.0, 0.8, 1.6):
        metrics, _ = measure(type(volume).from_array(ndimage.gaussian_filter(volume.data, sigma)), anatomy)
        found.append([metrics[key] for key in KEYS])
    first, second, third = np.array(found)
    for index, key in enumerate(KEYS):
        if key == "gradient_entropy":
            continue  # of a noisy image blur first removes the noise's even gradients
        assert first[index] > second[index] > third[index], key
    assert third[KEYS.index("gradient_entropy")] > second[KEYS.index("gradient_entropy")]


def test_noise_raises_what_the_table_says_it_raises(scene) -> None:
    clean, _ = measure(*scene(sigma=5.0))
    noisy, _ = measure(*scene(sigma=50.0))
    for key in ("tenengrad", "gradient_entropy", "laplacian_variance"):
        assert noisy[key] > clean[key], key


def test_the_surface_of_a_stripped_brain_is_no_edge(scene, changed) -> None:
    volume, anatomy = scene()
    stripped = type(volume).from_array(np.where(anatomy.brain != 0, volume.data, 0))
    plain, _ = measure(volume, anatomy)
    cut, _ = measure(stripped, changed(anatomy))
    for key in KEYS:
        assert cut[key] == plain[key], key


def test_a_thin_or_empty_brain_is_null(scene, changed) -> None:
    volume, anatomy = scene()
    thin = np.zeros_like(anatomy.brain)
    thin[:, :, 30:32] = anatomy.brain[:, :, 30:32]
    for brain, words in ((thin, "thinner"), (np.zeros_like(thin), "empty")):
        metrics, reasons = measure(volume, changed(anatomy, brain=brain))
        for key in KEYS:
            assert metrics[key] is None and words in reasons[key], key
