# SPDX-License-Identifier: Apache-2.0
"""fwhm in voxels and in mm: known answers, faults of MRIQC, directions, nulls."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from bidsqa.metrics import Samples, measure, smoothness

SD_TO_FWHM = 2.354820045


def smooth_noise(scene, sigmas: tuple[float, float, float], spacing=(1.0, 1.0, 1.0), trend: float = 0.0):
    volume, anatomy = scene(shape=(90, 96, 92))
    noise = ndimage.gaussian_filter(np.random.default_rng(6).standard_normal(volume.shape), sigmas)
    x = np.linspace(-1, 1, volume.shape[0])[:, None, None]
    shading = trend * (x + x**2)
    return type(volume).from_array(500 + 100 * noise / noise.std() + shading, spacing), anatomy


def test_width_of_gaussian_noise_is_found_on_each_axis(scene) -> None:
    sigmas = (1.2, 1.6, 2.2)
    found = smoothness.width_in_voxels(Samples(*smooth_noise(scene, sigmas)))
    for axis, sigma in zip("xyz", sigmas, strict=True):
        assert found[f"fwhm_{axis}"] == pytest.approx(SD_TO_FWHM * sigma, rel=0.05)
    assert found["fwhm_avg"] == pytest.approx(SD_TO_FWHM * np.mean(sigmas), rel=0.04)


def test_fault_22_voxels_and_mm_have_their_own_keys(scene) -> None:
    spacing = (0.5, 2.0, 3.0)
    samples = Samples(*smooth_noise(scene, (1.5, 1.5, 1.5), spacing))
    voxels, mm = smoothness.width_in_voxels(samples), smoothness.width_in_mm(samples)
    for axis, edge in zip("xyz", spacing, strict=True):
        assert mm[f"fwhm_mm_{axis}"] == pytest.approx(voxels[f"fwhm_{axis}"] * edge)
        assert mm[f"fwhm_mm_{axis}"] == pytest.approx(SD_TO_FWHM * 1.5 * edge, rel=0.05)
    assert mm["fwhm_mm_avg"] == pytest.approx(np.mean([mm[f"fwhm_mm_{axis}"] for axis in "xyz"]))


def test_coil_shading_is_no_smoothness(scene) -> None:
    plain = smoothness.width_in_voxels(Samples(*smooth_noise(scene, (1.5, 1.5, 1.5))))
    shaded = smoothness.width_in_voxels(Samples(*smooth_noise(scene, (1.5, 1.5, 1.5), trend=300.0)))
    assert shaded["fwhm_avg"] == pytest.approx(plain["fwhm_avg"], rel=0.01)


def test_trend_is_removed_exactly() -> None:
    x, y, z = np.meshgrid(*[np.arange(n, dtype=np.float64) for n in (20, 24, 28)], indexing="ij")
    trend = 5 + 0.3 * x - 0.2 * y + 0.01 * z**2 + 0.02 * x * y - 0.01 * y * z
    left = smoothness.remove_trend(trend.astype(np.float32), np.ones(trend.shape, bool))
    assert np.abs(left).max() < 1e-4 * np.ptp(trend)


def test_blur_raises_and_noise_lowers_the_width(scene) -> None:
    volume, anatomy = scene(sigma=10.0)
    widths = []
    for sigma in (0.0, 0.7, 1.4):
        blurred = type(volume).from_array(ndimage.gaussian_filter(volume.data, sigma))
        widths.append(smoothness.width_in_voxels(Samples(blurred, anatomy))["fwhm_avg"])
    assert widths[0] < widths[1] < widths[2]
    assert smoothness.width_in_voxels(Samples(*scene(sigma=100.0)))["fwhm_avg"] < widths[0]


def test_anticorrelated_and_constant_brains_are_null(scene) -> None:
    volume, anatomy = scene()
    parity = np.indices(volume.shape).sum(axis=0) % 2
    metrics, reasons = measure(type(volume).from_array(500 + 100.0 * parity), anatomy)
    assert metrics["fwhm_x"] is None and "correlated" in reasons["fwhm_x"]
    assert metrics["fwhm_avg"] is None and "three axes" in reasons["fwhm_avg"]
    metrics, reasons = measure(type(volume).from_array(np.full(volume.shape, 7.0)), anatomy)
    assert metrics["fwhm_mm_y"] is None and reasons["fwhm_mm_y"]
