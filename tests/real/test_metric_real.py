# SPDX-License-Identifier: Apache-2.0
"""The metrics of real scans with their own masks: every number sound or missing with a reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bidsqa.anatomy import delineate
from bidsqa.image import load_volume
from bidsqa.metrics import METRIC_KEYS, measure

SCANS = {
    "natural": "sub-boston01/anat/sub-boston01_T1w.nii.gz",
    "filled": "sub-utah01/anat/sub-utah01_T1w.nii.gz",
    "thick": "sub-ljubljana20/anat/sub-ljubljana20_run-2_FLAIR.nii.gz",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SCANS)
def test_each_metric_is_sound_or_missing_with_a_reason(shared_scans: Path, name: str) -> None:
    path = shared_scans / SCANS[name]
    if not path.is_file():
        pytest.skip(f"{path.name} is not here")
    volume = load_volume(path)
    anatomy = delineate(volume)
    metrics, reasons = measure(volume, anatomy, path.name.split("_")[-1].split(".")[0])
    json.dumps(metrics, allow_nan=False)
    assert {key for key, value in metrics.items() if value is None} == set(reasons)
    for key, value in metrics.items():
        low, high = METRIC_KEYS[key].bounds
        if value is not None:
            assert (low is None or value >= low) and (high is None or value <= high), key
    if name == "natural" and not anatomy.problems:
        missing = {key for key in reasons if not key.startswith(("tpm_overlap", "qi_2"))}
        assert not missing, reasons
    if name == "filled":
        assert all(metrics[key] is None for key in ("fber", "efc", "snrd_total", "cnr", "qi_2", "summary_bg_mean"))
