# SPDX-License-Identifier: Apache-2.0
"""icvs, rpve, inu, size and spacing: known answers, faults of MRIQC, nulls."""

from __future__ import annotations

import numpy as np
import pytest

from bidsqa.metrics import Samples, field, geometry, measure, volumes


def test_icvs_of_known_volumes(plain_scene) -> None:
    volume, anatomy = plain_scene
    found = volumes.volume_fractions(Samples(volume, anatomy))
    assert sum(found.values()) == pytest.approx(1.0)
    # nested ellipsoids: volumes go with the cube of the radii
    assert found["icvs_wm"] == pytest.approx((0.45 / 0.72) ** 3, rel=0.02)
    assert found["icvs_gm"] == pytest.approx((0.62**3 - 0.45**3) / 0.72**3, rel=0.02)
    counted = np.count_nonzero(anatomy.dseg == 3) / np.count_nonzero(anatomy.dseg)
    assert found["icvs_csf"] == pytest.approx(counted, rel=1e-6)


def test_fault_8_crisp_maps_have_no_partial_volume_and_the_background_adds_none(plain_scene) -> None:
    found = volumes.residual_partial_volume(Samples(*plain_scene))
    assert found == {"rpve_csf": 0.0, "rpve_gm": 0.0, "rpve_wm": 0.0}


def test_fault_8_evenly_mixed_voxels_give_a_quarter(scene, changed) -> None:
    # uniform posteriors: the mean of min(p, 1 - p) over 0.02-0.98 is 0.26, however large the background is
    volume, anatomy = scene()
    brain = anatomy.brain != 0
    share = np.where(brain, np.random.default_rng(7).uniform(0, 1, volume.shape), 0)
    posteriors = np.stack([np.zeros_like(share), np.where(brain, 1 - share, 0), share]).astype(np.float16)
    found = volumes.residual_partial_volume(Samples(volume, changed(anatomy, posteriors=posteriors)))
    assert found["rpve_wm"] == pytest.approx(0.26, rel=0.02)
    assert found["rpve_gm"] == pytest.approx(0.26, rel=0.02)
    half = np.where(brain, 0.5, 0).astype(np.float16)
    mixed = changed(anatomy, posteriors=np.stack([np.zeros_like(half), half, half]))
    assert volumes.residual_partial_volume(Samples(volume, mixed))["rpve_gm"] == pytest.approx(0.5)


def test_fault_14_an_empty_tissue_is_null(scene, changed) -> None:
    volume, anatomy = scene()
    metrics, reasons = measure(volume, changed(anatomy, posteriors=np.zeros_like(anatomy.posteriors)))
    for key in ("rpve_wm", "icvs_wm", "snr_wm", "cjv", "summary_wm_mean"):
        assert metrics[key] is None and reasons[key], key


@pytest.mark.parametrize("gain", [1.0, 0.6, 40.0])
def test_fault_21_the_field_is_read_on_a_scale_of_its_own(scene, changed, gain: float) -> None:
    volume, anatomy = scene()
    slope = np.linspace(0.8, 1.2, volume.shape[0], dtype=np.float32)[:, None, None]
    samples = Samples(volume, changed(anatomy, bias_field=gain * slope * np.ones(volume.shape, np.float32)))
    brain = anatomy.brain != 0
    expected = np.percentile(np.broadcast_to(slope, volume.shape)[brain], (5, 95))
    assert field.field_median(samples) == pytest.approx(1.0, abs=0.01)
    assert field.field_range(samples) == pytest.approx(expected[1] - expected[0], rel=1e-3)


def test_a_flat_field_is_perfect(plain_scene) -> None:
    assert field.field_median(Samples(*plain_scene)) == 1.0
    assert field.field_range(Samples(*plain_scene)) == 0.0


def test_grid(scene) -> None:
    samples = Samples(*scene(spacing=(0.5, 1.25, 6.0)))
    assert geometry.grid_size(samples) == {"size_x": 60, "size_y": 68, "size_z": 64}
    assert geometry.voxel_spacing(samples) == {"spacing_x": 0.5, "spacing_y": 1.25, "spacing_z": 6.0}
