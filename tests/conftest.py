# SPDX-License-Identifier: Apache-2.0
"""Fixtures shared by all tests: the phantom in several forms, small BIDS datasets made from it, the real scans."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bidsqa.image import Volume
from bidsqa.simulation.phantom import Phantom, make_phantom

BidsMaker = Callable[..., Path]
SHARED_SCANS = Path(__file__).resolve().parents[2] / "shared" / "data" / "scans"


@pytest.fixture(scope="session")
def phantom() -> Phantom:
    """The head of seed 0 at 2 mm."""
    return make_phantom(seed=0, spacing=(2.0, 2.0, 2.0))


@pytest.fixture(scope="session")
def phantom_1mm() -> Phantom:
    """The head of seed 0 at 1 mm (takes several seconds: for tests marked slow)."""
    return make_phantom(seed=0, spacing=(1.0, 1.0, 1.0))


@pytest.fixture(scope="session")
def phantom_3mm() -> Phantom:
    """The head of seed 0 at 3 mm, where small files matter more than anatomy."""
    return make_phantom(seed=0, spacing=(3.0, 3.0, 3.0))


@pytest.fixture(scope="session")
def t1w(phantom: Phantom) -> Volume:
    """A good T1w scan at 2 mm."""
    return phantom.image("T1w", seed=1)


@pytest.fixture(scope="session")
def t2w(phantom: Phantom) -> Volume:
    """A good T2w scan at 2 mm."""
    return phantom.image("T2w", seed=2)


@pytest.fixture(scope="session")
def shared_scans() -> Path:
    """The folder of real scans beside the repository; skips the test where it isn't there."""
    if not SHARED_SCANS.is_dir():
        pytest.skip("the real scans are not here")
    return SHARED_SCANS


@pytest.fixture
def bids_dataset(tmp_path: Path, phantom_3mm: Phantom) -> BidsMaker:
    """Makes small BIDS datasets.

    The maker is called with the names of the scans without extension, e.g.
    ``bids_dataset("sub-01_T1w", "sub-01_ses-a_run-1_T2w")``, and returns the dataset's folder. Keywords: ``volumes``
    (name -> Volume, instead of the 3 mm phantom), ``sidecar`` (dict for all scans, None for no sidecars), ``sidecars``
    (name -> dict), ``extension``, ``folder`` (name of the dataset's folder), ``datatype``. Calling it again with the
    same ``folder`` adds scans.
    """
    cache: dict[str, Volume] = {}

    def picture(name: str) -> Volume:
        contrast = name.rsplit("_", 1)[-1]
        contrast = contrast if contrast in ("T1w", "T2w", "FLAIR", "PDw") else "T1w"
        if contrast not in cache:
            cache[contrast] = phantom_3mm.image(contrast, seed=3)
        return cache[contrast]

    def make(
        *names: str,
        volumes: dict[str, Volume] | None = None,
        sidecar: dict[str, Any] | None = {"MagneticFieldStrength": 3, "RepetitionTime": 2.3},  # noqa: B006
        sidecars: dict[str, dict[str, Any]] | None = None,
        extension: str = ".nii.gz",
        folder: str = "dataset",
        datatype: str = "anat",
    ) -> Path:
        root = tmp_path / folder
        root.mkdir(exist_ok=True)
        description = {"Name": "Phantom heads", "BIDSVersion": "1.9.0", "DatasetType": "raw"}
        (root / "dataset_description.json").write_text(json.dumps(description))
        (root / "README").write_text("Simulated heads made for a test.\n")
        for name in names:
            parts = [part for part in name.split("_") if part.startswith(("sub-", "ses-"))]
            home = root.joinpath(*parts, datatype)
            home.mkdir(parents=True, exist_ok=True)
            volume = (volumes or {}).get(name) or picture(name)
            phantom_3mm.to_nifti(volume).to_filename(home / f"{name}{extension}")
            about = (sidecars or {}).get(name, sidecar)
            if about is not None:
                (home / f"{name}.json").write_text(json.dumps(about))
        return root

    return make


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C as at a terminal: a test run that was started in the background ignores it, and so would the test."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
