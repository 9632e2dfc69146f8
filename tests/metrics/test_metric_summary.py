# SPDX-License-Identifier: Apache-2.0
"""summary_*: known answers, the unit, faults of MRIQC."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bidsqa.metrics import measure


def test_known_distributions(plain_scene) -> None:
    metrics, _ = measure(*plain_scene)
    for sample, level in (("summary_csf", 300), ("summary_gm", 700), ("summary_wm", 1000)):
        for name in ("mean", "median"):
            assert metrics[f"{sample}_{name}"] == pytest.approx(level, rel=0.01)
        for name in ("stdv", "mad"):
            assert metrics[f"{sample}_{name}"] == pytest.approx(20, rel=0.04)
        assert metrics[f"{sample}_p95"] == pytest.approx(level + 1.645 * 20, rel=0.01)
        assert metrics[f"{sample}_p05"] == pytest.approx(level - 1.645 * 20, rel=0.01)
        assert metrics[f"{sample}_k"] == pytest.approx(0.0, abs=0.15)
    assert metrics["summary_bg_mean"] == pytest.approx(20 * np.sqrt(np.pi / 2), rel=0.02)
    assert metrics["summary_bg_median"] == pytest.approx(20 * np.sqrt(2 * np.log(2)), rel=0.02)
    assert metrics["summary_bg_stdv"] == pytest.approx(20 * stats.rayleigh.std(), rel=0.02)
    assert metrics["summary_bg_k"] == pytest.approx(stats.rayleigh.stats(moments="k"), abs=0.1)


def test_fault_12_n_is_a_count_of_voxels(scene, changed) -> None:
    volume, anatomy = scene()
    posteriors = (anatomy.posteriors * np.float16(0.75)).astype(np.float16)
    metrics, _ = measure(volume, changed(anatomy, posteriors=posteriors))
    assert metrics["summary_wm_n"] == np.count_nonzero(anatomy.dseg == 2)
    assert metrics["summary_bg_n"] == np.count_nonzero(anatomy.air)


def test_fault_12_small_floats_are_not_rounded_away(scene) -> None:
    volume, anatomy = scene()
    plain, _ = measure(volume, anatomy)
    small, _ = measure(type(volume).from_array(volume.data * 1e-5), anatomy)
    for key, value in plain.items():
        if key.startswith("summary_"):
            assert small[key] == pytest.approx(value, rel=1e-4, abs=1e-3), key


def test_fault_13_without_pure_white_matter_the_unit_falls_back(scene, changed) -> None:
    volume, anatomy = scene()
    # blurred white matter, as in infants: no posterior reaches 0.9
    mixed = anatomy.posteriors.copy()
    mixed[2] *= np.float16(0.7)
    metrics, _ = measure(volume, changed(anatomy, posteriors=mixed))
    assert metrics["summary_wm_median"] == pytest.approx(1000.0, rel=1e-4)
    # none at all: the brain's median is the unit, grey matter keeps its numbers
    none = anatomy.posteriors.copy()
    none[2] = 0
    metrics, reasons = measure(volume, changed(anatomy, posteriors=none))
    assert metrics["summary_wm_median"] is None and "wm" in reasons["summary_wm_median"]
    brain = np.median(volume.data[anatomy.brain != 0])
    assert metrics["summary_gm_median"] == pytest.approx(1000 * 700 / brain, rel=0.01)


def test_partial_volume_does_not_widen_the_tissue(scene, changed) -> None:
    # posteriors of 0.3 beyond the border would mix grey values into white matter if all were weighted in
    volume, anatomy = scene()
    posteriors = anatomy.posteriors.copy()
    posteriors[2][anatomy.dseg == 1] = np.float16(0.3)
    posteriors[1][anatomy.dseg == 1] = np.float16(0.7)
    metrics, _ = measure(volume, changed(anatomy, posteriors=posteriors))
    assert metrics["summary_wm_stdv"] == pytest.approx(20, rel=0.04)
