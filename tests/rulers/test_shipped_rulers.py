# SPDX-License-Identifier: Apache-2.0
"""The rulers that ship: whole, small, made from no person, readable by the shipped network, and made again alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bidsqa import models
from bidsqa.rulers import Ruler, kind_of_scan, match_ruler, ruler_levels, shipped_rulers
from bidsqa.rulers.folder import FACTS, IMAGES, PICTURE
from bidsqa.rulers.ruler import AUTOMATIC
from bidsqa.rulers.shelf import SHIPPED_FOLDER
from bidsqa.simulation.coil_noise import bright_part, snr_db
from bidsqa.simulation.phantom import make_phantom
from bidsqa.training.rulers import CONTRASTS, HEADS, shipped_ruler

NAMES = [f"{contrast}-{dimension}" for contrast in sorted(CONTRASTS) for dimension in ("2D", "3D")]
each = pytest.mark.parametrize("name", NAMES)


def named(name: str) -> Ruler:
    return {ruler.name: ruler for ruler in shipped_rulers()}[name]


def test_there_is_one_for_each_kind() -> None:
    assert [ruler.name for ruler in shipped_rulers()] == NAMES
    assert all(ruler.shipped for ruler in shipped_rulers())
    files = [path for path in SHIPPED_FOLDER.rglob("*") if path.is_file()]
    assert {path.name for path in files} == {FACTS, IMAGES, PICTURE}
    assert sum(path.stat().st_size for path in files) < 3.2e6


@each
def test_no_person_is_in_it_and_none_has_set_it(name: str) -> None:
    ruler = named(name)
    assert ruler.threshold.source == AUTOMATIC
    assert ruler.threshold.set_by == ""
    assert "no person" in ruler.provenance["source"]
    assert ruler.name == f"{ruler.kind.suffix}-{ruler.kind.dimension}"


@each
def test_the_shipped_network_orders_its_versions(name: str) -> None:
    levels = ruler_levels(models.load("noise_motion"), named(name))
    assert (np.diff(levels) > 0).all()


@each
def test_its_steps_are_equal(name: str) -> None:
    ruler = named(name)
    original = ruler.versions[-1].astype(np.float32)
    region = bright_part(original)
    found = [snr_db(original, version, region) for version in ruler.versions[:-1]]
    assert found == pytest.approx(ruler.snr_db, abs=0.1)  # kept as 8 bits


@pytest.mark.slow
def test_it_is_made_again_alike(tmp_path: Path) -> None:
    seed, spacing = HEADS["2D"]
    made = shipped_ruler(make_phantom(seed=seed, spacing=spacing), "T2w", "2D")
    known = named("T2w-2D")
    # processors round differently; the noise and the head are the same
    assert np.abs(made.versions.astype(int) - known.versions).max() <= 1
    assert (made.kind, made.threshold, made.snr_db) == (known.kind, known.threshold, known.snr_db)


def test_a_plain_scan_finds_its_ruler() -> None:
    head = make_phantom(seed=0, spacing=(3.0, 3.0, 3.0))
    found = match_ruler(kind_of_scan("FLAIR", {}, head.spacing), shipped_rulers())
    assert found
    assert found.ruler.name == "FLAIR-3D"
