# SPDX-License-Identifier: Apache-2.0
"""cjv, cnr and wm2max: known answers, directions, nulls."""

from __future__ import annotations

import numpy as np
import pytest

from bidsqa.errors import NotComputable
from bidsqa.metrics import Samples, contrast


def test_cjv_of_known_spread(scene) -> None:
    volume, anatomy = scene(sigma=0.01, tissue_spread=30.0)
    expected = (30.0 + 30.0) / (1000.0 - 700.0)
    assert contrast.coefficient_of_joint_variation(Samples(volume, anatomy)) == pytest.approx(expected, rel=0.02)


def test_cnr_of_known_spread_and_air(scene) -> None:
    volume, anatomy = scene(sigma=25.0)
    air = 0.6551364 * 25.0
    expected = (1000.0 - 700.0) / np.sqrt(air**2 + 2 * 25.0**2)
    assert contrast.contrast_to_noise(Samples(volume, anatomy)) == pytest.approx(expected, rel=0.02)


def test_wm2max_of_known_scalp(scene) -> None:
    volume, anatomy = scene(sigma=0.01)
    assert contrast.white_matter_to_maximum(Samples(volume, anatomy)) == pytest.approx(1000.0 / 1300.0, rel=1e-3)


def test_fault_9_bright_fat_is_not_capped(scene) -> None:
    # 0.3 % of the head is fat ten times as bright: a copy clipped at P99.9 of the positive voxels keeps little of it
    volume, anatomy = scene(sigma=0.01)
    head = np.flatnonzero(anatomy.head)
    scalp = head[volume.data.ravel()[head] > 1200]
    data = volume.data.copy()
    data.ravel()[scalp[:: scalp.size // (head.size * 3 // 1000)]] = 10_000.0
    bright = type(volume).from_array(data)
    assert contrast.white_matter_to_maximum(Samples(bright, anatomy)) == pytest.approx(0.1, rel=1e-3)


def test_wm2max_is_null_on_a_stripped_scan(scene, changed) -> None:
    volume, anatomy = scene()
    with pytest.raises(NotComputable, match="stripped"):
        contrast.white_matter_to_maximum(Samples(volume, changed(anatomy, background="stripped")))


def test_noise_lowers_cnr_and_raises_cjv(scene) -> None:
    found = [Samples(*scene(sigma=sigma)) for sigma in (10.0, 30.0, 90.0)]
    cnr = [contrast.contrast_to_noise(samples) for samples in found]
    cjv = [contrast.coefficient_of_joint_variation(samples) for samples in found]
    assert cnr[0] > cnr[1] > cnr[2]
    assert cjv[0] < cjv[1] < cjv[2]


def test_shading_left_in_raises_cjv_and_the_field_removes_it(scene, changed) -> None:
    volume, anatomy = scene(sigma=5.0)
    field = np.linspace(0.7, 1.3, volume.shape[0], dtype=np.float32)[:, None, None] * np.ones(volume.shape, np.float32)
    shaded = type(volume).from_array(volume.data * field)
    plain = contrast.coefficient_of_joint_variation(Samples(volume, anatomy))
    left = contrast.coefficient_of_joint_variation(Samples(shaded, changed(anatomy)))
    removed = contrast.coefficient_of_joint_variation(Samples(shaded, changed(anatomy, bias_field=field)))
    assert left > 3 * plain
    assert removed == pytest.approx(plain, rel=1e-4)


def test_fault_14_equal_tissues_give_a_reason_not_a_division_by_zero(scene) -> None:
    volume, anatomy = scene(sigma=0.0)
    data = volume.data.copy()
    data[anatomy.brain != 0] = 500.0
    data[anatomy.air != 0] = 1.0
    samples = Samples(type(volume).from_array(data), anatomy)
    with pytest.raises(NotComputable, match="same median"):
        contrast.coefficient_of_joint_variation(samples)
    with pytest.raises(NotComputable, match="constant"):
        contrast.contrast_to_noise(samples)
