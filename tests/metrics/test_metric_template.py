# SPDX-License-Identifier: Apache-2.0
"""tpm_overlap with a tiny TemplateFlow home made from the scene itself, and without one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from bidsqa.errors import NotComputable
from bidsqa.metrics import measure, template

NAMES = ("CSF", "GM", "WM")


def write_home(home: Path, posteriors: np.ndarray, affine: np.ndarray, resolution: str = "02") -> None:
    nibabel = pytest.importorskip("nibabel")
    folder = home / "tpl-MNI152NLin2009cAsym"
    folder.mkdir(parents=True)
    for name, share in zip(NAMES, posteriors, strict=True):
        image = nibabel.Nifti1Image(share.astype(np.float32), affine)
        image.to_filename(folder / f"tpl-MNI152NLin2009cAsym_res-{resolution}_label-{name}_probseg.nii.gz")


def test_overlap_of_known_maps() -> None:
    first, second = np.zeros(100), np.zeros(100)
    first[:60], second[30:90] = 1.0, 1.0
    assert template.overlap(first, second) == pytest.approx(30 / 90)
    assert template.overlap(first, 0.5 * first) == pytest.approx(0.5)
    with pytest.raises(NotComputable, match="empty"):
        template.overlap(0 * first, 0 * first)


def test_an_affine_copy_of_the_scan_overlaps(scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume, anatomy = scene()
    smooth = np.stack([ndimage.gaussian_filter(share.astype(np.float32), 1.0) for share in anatomy.posteriors])
    # larger voxels, another origin and a small rotation: the template lives in a world of its own
    turn = np.deg2rad(8.0)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    affine[:3, :3] *= 1.15
    affine[:3, 3] = (-40.0, -55.0, -20.0)
    write_home(tmp_path, smooth, affine)
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path))
    metrics, _ = measure(volume, anatomy)
    # smoothed against crisp maps: what is left is the width of the borders
    reached = template.overlap(anatomy.posteriors[2].astype(np.float32), smooth[2])
    assert metrics["tpm_overlap_wm"] == pytest.approx(reached, abs=0.05)
    again, _ = measure(volume, anatomy)
    assert [again[f"tpm_overlap_{name.lower()}"] for name in NAMES] == [
        metrics[f"tpm_overlap_{name.lower()}"] for name in NAMES
    ]


def test_worse_tissue_maps_overlap_less(scene, changed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume, anatomy = scene()
    write_home(tmp_path, anatomy.posteriors, np.eye(4), resolution="01")
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path))
    eroded = anatomy.posteriors.copy()
    eroded[2] = ndimage.binary_erosion(eroded[2] > 0.5, iterations=3)
    good, _ = measure(volume, anatomy)
    bad, _ = measure(volume, changed(anatomy, posteriors=eroded))
    assert good["tpm_overlap_wm"] > bad["tpm_overlap_wm"] + 0.1


def test_placeholders_and_missing_homes_are_null_with_the_way_to_fetch(
    plain_scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tpl-MNI152NLin2009cAsym"
    folder.mkdir()
    for name in NAMES:
        (folder / f"tpl-MNI152NLin2009cAsym_res-01_label-{name}_probseg.nii.gz").touch()
    for home in (tmp_path, tmp_path / "nowhere"):
        monkeypatch.setenv("TEMPLATEFLOW_HOME", str(home))
        metrics, reasons = measure(*plain_scene)
        assert metrics["tpm_overlap_gm"] is None
        assert "TEMPLATEFLOW_HOME" in reasons["tpm_overlap_gm"] and str(home) not in reasons["tpm_overlap_gm"]
    assert not (tmp_path / "nowhere").exists()


def test_the_files_are_those_that_templateflow_names(tmp_path: Path) -> None:
    # in a process of its own: TemplateFlow fills its home with empty files when it is imported
    code = (
        "from templateflow.client import TemplateFlowClient as C\n"
        "for tissue in ('CSF', 'GM', 'WM'):\n"
        "    [path] = C(autoupdate=False).ls('MNI152NLin2009cAsym', suffix='probseg', label=tissue, resolution=2)\n"
        "    path.write_bytes(b'content')\n"
        "    print(path)\n"
    )
    surroundings = os.environ | {"TEMPLATEFLOW_HOME": str(tmp_path), "TEMPLATEFLOW_AUTOUPDATE": "off"}
    ran = subprocess.run([sys.executable, "-c", code], env=surroundings, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert [str(path) for path in template.find_priors(tmp_path).values()] == ran.stdout.split()


def test_a_broken_template_is_null(plain_scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "tpl-MNI152NLin2009cAsym"
    folder.mkdir()
    for name in NAMES:
        (folder / f"tpl-MNI152NLin2009cAsym_res-01_label-{name}_probseg.nii.gz").write_bytes(b"no image")
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path))
    metrics, reasons = measure(*plain_scene)
    assert metrics["tpm_overlap_gm"] is None and "can't be read" in reasons["tpm_overlap_gm"]
