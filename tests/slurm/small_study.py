# SPDX-License-Identifier: Apache-2.0
"""A BIDS dataset of small scans, so that many of them can be judged in a test: made-up heads of few voxels."""

from __future__ import annotations

import json
from pathlib import Path

SPACING = 4.0
CONTRASTS = ("T1w", "T2w")


def write_small_study(root: Path, subjects: int, contrasts: tuple[str, ...] = CONTRASTS) -> list[str]:
    """Write a dataset of one head with other noise in every scan.

    Parameters
    ----------
    root : Path
        New.
    subjects : int
    contrasts : tuple of str

    Returns
    -------
    list of str
        Names of the scans.
    """
    from bidsqa.simulation.phantom import make_phantom

    phantom = make_phantom(seed=0, spacing=(SPACING,) * 3)
    root.mkdir(parents=True)
    (root / "dataset_description.json").write_text(json.dumps({"Name": "Small heads", "BIDSVersion": "1.9.0"}))
    names = []
    for number in range(1, subjects + 1):
        folder = root / f"sub-{number:03d}" / "anat"
        folder.mkdir(parents=True)
        for contrast in contrasts:
            name = f"sub-{number:03d}_{contrast}"
            phantom.to_nifti(phantom.image(contrast, seed=number)).to_filename(folder / f"{name}.nii.gz")
            (folder / f"{name}.json").write_text(json.dumps({"MagneticFieldStrength": 3}))
            names.append(name)
    return sorted(names)
