# SPDX-License-Identifier: Apache-2.0
"""The phantom with its true masks: plausible numbers, inside their bounds, moved the right way by artifacts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from bidsqa.anatomy import Anatomy, delineate
from bidsqa.image import Volume
from bidsqa.metrics import METRIC_KEYS, Samples, measure, slice_signal
from bidsqa.simulation import degrade_volume
from bidsqa.simulation.phantom import Phantom

# the good T1w scans of MRIQC's own reference tables before its numbers drifted, widened by a half on both sides
PLAUSIBLE_T1W = {
    "snr_total": (4.5, 18.0),
    "snrd_total": (9.0, 36.0),
    "cnr": (2.0, 6.2),
    "cjv": (0.2, 0.6),
    "efc": (0.4, 0.9),
    "wm2max": (0.2, 0.85),
    "fber": (60.0, 960.0),
    "qi_2": (0.0, 1e-3),
}


@pytest.fixture(scope="session")
def true_anatomy(phantom: Phantom) -> Anatomy:
    """The phantom's own masks; air is the upper background three voxels off the skin."""
    truth = phantom.truth
    head = truth.head != 0
    upper = np.arange(head.shape[2])[None, None, :] > 0.45 * head.shape[2]
    hat = ~head & upper
    air = hat & ~ndimage.binary_dilation(head, iterations=3)
    return Anatomy(
        head=truth.head,
        brain=truth.brain,
        hat=hat.astype(np.uint8),
        air=air.astype(np.uint8),
        frame=np.zeros_like(truth.head),
        dseg=truth.dseg,
        posteriors=truth.posteriors,
        bias_field=np.ones(head.shape, dtype=np.float32),
    )


@pytest.mark.parametrize("contrast", ["T1w", "T2w", "FLAIR", "PDw"])
def test_every_metric_but_the_template_lies_inside_its_bounds(
    phantom: Phantom, true_anatomy: Anatomy, contrast: str
) -> None:
    metrics, reasons = measure(phantom.image(contrast, seed=4), true_anatomy, contrast)
    assert {key for key in reasons if not key.startswith("tpm_overlap")} == set()
    for key, value in metrics.items():
        low, high = METRIC_KEYS[key].bounds
        if value is not None:
            assert (low is None or value >= low) and (high is None or value <= high), key


def test_a_good_t1w_has_the_numbers_of_good_t1w_scans(t1w: Volume, true_anatomy: Anatomy) -> None:
    metrics, _ = measure(t1w, true_anatomy)
    for key, (low, high) in PLAUSIBLE_T1W.items():
        value = metrics[key]
        assert value is not None and low <= value <= high, (key, value)


def test_volumes_are_the_phantoms(phantom: Phantom, t1w: Volume, true_anatomy: Anatomy) -> None:
    metrics, _ = measure(t1w, true_anatomy)
    total = sum(phantom.volumes_ml.values())
    for tissue, ml in phantom.volumes_ml.items():
        assert metrics[f"icvs_{tissue}"] == pytest.approx(ml / total, abs=0.01)


def test_motion_between_interleaved_slices_makes_them_jump(t1w: Volume, true_anatomy: Anatomy) -> None:
    # in ascending or descending order neighbours move together, and slices barely jump
    pytest.importorskip("torch")
    chosen = {"order": "interleaved", "axis": 2}
    found: dict[str, list[list[float]]] = {"slice_jump": [], "slice_jump_odd_even": []}
    for seed in range(6):
        scans = [degrade_volume(t1w, "slice_motion", strength, seed, **chosen)[0] for strength in (0.0, 0.3, 0.6, 1.0)]
        values = [slice_signal.slice_jumps(Samples(scan, true_anatomy)) for scan in scans]
        for key, path in found.items():
            path.append([value[key] for value in values])
    assert (np.diff(found["slice_jump"], axis=1) > 0).all()
    # of single scans only the trend holds: which of two neighbours lags is up to the path
    odd_even = np.array(found["slice_jump_odd_even"])
    assert (odd_even[:, -1] > odd_even[:, 0]).all()
    assert (np.diff(odd_even.mean(axis=0)) > 0).all()


# artifact -> metrics that must rise (+) or fall (-) at strengths 0, 0.4 and 0.9, one step after the other
DIRECTIONS = {
    "noise": "+cjv -cnr -snr_total -snrd_total +efc -fber +summary_bg_mad -fwhm_avg +gradient_entropy",
    "ghosting": "+cjv -cnr -snr_total +efc -fber +qi_2 +summary_bg_mad",
    "blur": "+fwhm_avg +fwhm_mm_x -edge_strength -tenengrad -laplacian_variance +gradient_entropy",
    "motion": "+cjv -cnr -snr_total +efc -fber +qi_2 +gradient_entropy",
    "bias": "+cjv -snr_total -wm2max",
    "wrap": "+wrap_around",
}
# with the estimated field taken out, what compares tissues no longer sees a shading: the field's own range does
WITH_ESTIMATED_MASKS = DIRECTIONS | {"bias": "-wm2max +inu_range"}


@pytest.mark.parametrize("artifact", DIRECTIONS)
def test_artifacts_move_metrics_the_right_way(t1w: Volume, true_anatomy: Anatomy, artifact: str) -> None:
    _check_directions(t1w, artifact, DIRECTIONS[artifact], lambda _: true_anatomy)


@pytest.mark.parametrize("artifact", WITH_ESTIMATED_MASKS)
def test_so_they_do_with_masks_estimated_from_the_degraded_scan(t1w: Volume, artifact: str) -> None:
    _check_directions(t1w, artifact, WITH_ESTIMATED_MASKS[artifact], delineate)


def _check_directions(scan: Volume, artifact: str, expected: str, masks: Callable[[Volume], Anatomy]) -> None:
    found: list[dict[str, Any]] = []
    for strength in (0.0, 0.4, 0.9):
        degraded, _, _ = degrade_volume(scan, artifact, strength, seed=11)
        found.append(measure(degraded, masks(degraded))[0])
    for sign, key in ((entry[0], entry[1:]) for entry in expected.split()):
        first, second, third = (metrics[key] for metrics in found)
        assert (first < second < third) if sign == "+" else (first > second > third), (key, first, second, third)
