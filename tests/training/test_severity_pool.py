# SPDX-License-Identifier: Apache-2.0
"""The split of the pool, and what is drawn for it."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

pytest.importorskip("torch")

from bidsqa.training.pool import TEST_MAPS, TEST_SITES, WATCH_SUBJECTS, drawn_scans, side_of


def test_split_by_site_and_subject() -> None:
    assert {"fnndsc", "boston"} <= TEST_SITES
    assert side_of("utah01", "utah") == "test"
    assert all(side_of(subject, "ljubljana") == "watch" for subject in WATCH_SUBJECTS)
    assert all(side_of(name, "labels") == "test" for name in TEST_MAPS)
    assert side_of("ljubljana01", "ljubljana") == "train"


def test_contrasts_are_drawn_or_given_in_turn(tmp_path: Path) -> None:
    axes = np.meshgrid(*[np.linspace(-1.2, 1.2, 40)] * 3, indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in axes))
    labels = (207 * (radius < 1) - 204 * (radius < 0.8)).astype(np.uint8)
    folder = tmp_path / "labels"
    folder.mkdir()
    nibabel.save(nibabel.Nifti1Image(labels, np.eye(4)), folder / f"{min(TEST_MAPS)}.nii.gz")
    table = [(0, 0, "background"), (3, 1, "brain"), (207, 2, "extra-cerebral")]
    rows = [{"stored": label, "intensity_class": number, "kind": kind} for label, number, kind in table]
    (folder / "labels.json").write_text(json.dumps({"labels": rows}))
    given = list(drawn_scans(tmp_path, 3, 1, ("test",), ("FLAIR", "PDw")))
    assert [clean.contrast for clean in given] == ["FLAIR", "PDw", "FLAIR"]
    assert [clean.name for clean in given] == [
        f"{min(TEST_MAPS)}_{kind}" for kind in ("FLAIR-000", "PDw-001", "FLAIR-002")
    ]
    assert {clean.side for clean in given} == {"test"}
    free = list(drawn_scans(tmp_path, 2, 1, ("test",)))
    assert [clean.name for clean in free] == [f"{min(TEST_MAPS)}_draw-{number:03d}" for number in range(2)]
