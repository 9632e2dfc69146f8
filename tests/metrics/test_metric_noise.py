# SPDX-License-Identifier: Apache-2.0
"""snr and snrd: known answers, faults of MRIQC, directions, nulls."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats

from bidsqa.errors import NotComputable
from bidsqa.metrics import Samples, measure, noise
from bidsqa.metrics.statistics import MAD_TO_SD


def test_rayleigh_constants_agree_with_scipy() -> None:
    law = stats.rayleigh
    spread = optimize.brentq(lambda d: law.cdf(law.median() + d) - law.cdf(law.median() - d) - 0.5, 0.1, 1.0)
    assert pytest.approx(law.std(), rel=1e-12) == noise.RAYLEIGH_SD
    assert pytest.approx(MAD_TO_SD * spread, rel=1e-9) == noise.RAYLEIGH_MAD


def test_snr_of_known_noise(scene) -> None:
    found = noise.signal_to_noise(Samples(*scene(sigma=20.0)))
    assert found["snr_wm"] == pytest.approx(1000 / 20, rel=0.02)
    assert found["snr_gm"] == pytest.approx(700 / 20, rel=0.02)
    assert found["snr_csf"] == pytest.approx(300 / 20, rel=0.02)
    assert found["snr_total"] == pytest.approx((found["snr_wm"] + found["snr_gm"] + found["snr_csf"]) / 3)


@pytest.mark.parametrize("sigma", [5.0, 20.0, 60.0])
def test_fault_10_snrd_finds_the_planted_sigma(scene, sigma: float) -> None:
    # within 1 %: the constant of the standard deviation used with the MAD would be off by 1.5 %
    assert noise.noise_sigma(Samples(*scene(sigma=sigma))) == pytest.approx(sigma, rel=0.01)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_fault_10_the_threshold_is_relative(scene, scale: float) -> None:
    volume, anatomy = scene(sigma=20.0)
    found = noise.signal_to_air_noise(Samples(type(volume).from_array(volume.data * scale), anatomy))
    assert found["snrd_wm"] == pytest.approx(50.0, rel=0.02)


def test_fault_10_null_reaches_the_total(scene, changed) -> None:
    volume, anatomy = scene()
    posteriors = anatomy.posteriors.copy()
    posteriors[0] = 0
    metrics, reasons = measure(volume, changed(anatomy, posteriors=posteriors))
    assert metrics["snrd_csf"] is None and metrics["snr_csf"] is None
    assert metrics["snrd_total"] is None and "snrd_csf" in reasons["snrd_total"]
    assert metrics["snr_total"] is None and "snr_csf" in reasons["snr_total"]
    assert metrics["snrd_wm"] == pytest.approx(50.0, rel=0.03)


@pytest.mark.parametrize("sigma", [1.5, 3.0, 10.0, 40.0])
def test_noise_of_whole_numbers_is_measured_below_their_step(scene, sigma: float) -> None:
    volume, anatomy = scene(sigma=sigma)
    rounded = type(volume).from_array(np.rint(volume.data))
    assert noise.noise_sigma(Samples(rounded, anatomy)) == pytest.approx(sigma, rel=0.04)


def test_constant_air_gives_a_reason(scene) -> None:
    volume, anatomy = scene()
    data = volume.data.copy()
    data[anatomy.air != 0] = 3.0
    with pytest.raises(NotComputable, match="constant"):
        noise.signal_to_air_noise(Samples(type(volume).from_array(data), anatomy))


def test_noise_too_small_to_be_real_gives_a_reason(scene) -> None:
    with pytest.raises(NotComputable, match="too small"):
        noise.signal_to_air_noise(Samples(*scene(sigma=1e-3)))


def test_fault_14_one_effective_voxel_gives_a_reason_not_a_domain_error(scene) -> None:
    volume, anatomy = scene(sigma=0.0)
    metrics, reasons = measure(volume, anatomy)
    assert metrics["snr_wm"] is None and "do not vary" in reasons["snr_wm"]


def test_texture_lowers_snr_but_not_snrd(scene) -> None:
    plain, textured = Samples(*scene(sigma=20.0)), Samples(*scene(sigma=20.0, tissue_spread=50.0))
    assert noise.signal_to_noise(textured)["snr_wm"] < 0.5 * noise.signal_to_noise(plain)["snr_wm"]
    assert noise.signal_to_air_noise(textured)["snrd_wm"] == pytest.approx(
        noise.signal_to_air_noise(plain)["snrd_wm"], rel=0.03
    )


def test_the_extrapolated_field_does_not_shape_the_noise(scene, changed) -> None:
    # a field that runs away outside the head leaves the air as it was measured
    volume, anatomy = scene(sigma=20.0)
    field = np.where(anatomy.head != 0, 1.0, np.linspace(0.01, 30.0, volume.shape[2])).astype(np.float32)
    wild, _ = measure(volume, changed(anatomy, bias_field=field))
    flat, _ = measure(volume, anatomy)
    for key in ("snrd_wm", "cnr", "efc", "fber", "qi_2", "summary_bg_mad"):
        assert wild[key] == flat[key], key
