# SPDX-License-Identifier: Apache-2.0
"""The shipped severity on a real scan of a site not trained on: degraded copies lie above the clean scan."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from bidsqa.image import load_volume
from bidsqa.models import load
from bidsqa.models.table import MODELS
from bidsqa.simulation import degrade_volume

SCAN = "sub-boston01/anat/sub-boston01_T2w.nii.gz"


@pytest.mark.slow
@pytest.mark.skipif(not MODELS["severity"].sha256, reason="no weights shipped yet")
@pytest.mark.parametrize("artifact", ["noise", "motion", "ghosting", "blur"])
def test_degraded_copies_lie_above_the_clean_scan(shared_scans: Path, artifact: str) -> None:
    path = shared_scans / SCAN
    if not path.exists():
        pytest.skip("the scan is not there")
    volume = load_volume(path)
    scorer = load("severity")
    clean = scorer.score(volume).value
    worse = scorer.score(degrade_volume(volume, artifact, 1.0, seed=11)[0]).value
    assert clean <= 1.0
    assert worse > max(1.0, clean)
