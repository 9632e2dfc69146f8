# SPDX-License-Identifier: Apache-2.0
"""A ruler from a scan: equal steps in dB, the slice as it is at the end, the same every time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bidsqa.errors import InputError
from bidsqa.image import Volume, take_slice
from bidsqa.rulers import Ruler
from bidsqa.rulers.building import automatic_threshold, build_ruler, equal_steps, stored
from bidsqa.simulation.coil_noise import bright_part, snr_db
from bidsqa.simulation.coils import coil_kspace


@pytest.fixture(scope="module")
def built(t1w: Volume) -> Ruler:
    return build_ruler("our-T1w", t1w, "T1w", {"MagneticFieldStrength": 3}, source="a phantom")


def test_steps_are_equal() -> None:
    assert equal_steps(12, 33) == pytest.approx((12, 15, 18, 21, 24, 27, 30))
    assert equal_steps(10, 17) == pytest.approx((10, 11, 12, 13, 14, 15, 16))


@pytest.mark.parametrize(("worst", "best"), [(20, 20), (20, 21), (30, 10), (-5, 30), (10, 90), (float("nan"), 30)])
def test_steps_that_make_no_ruler(worst: float, best: float) -> None:
    with pytest.raises(InputError, match="can't reach"):
        equal_steps(worst, best)


@pytest.mark.parametrize(
    ("worst", "best", "threshold"),
    [(12, 33, 4.0), (10, 31, 5.0), (18, 34, 3.0), (24, 45, 0.0), (30, 51, 0.0), (5, 20, 7.0)],
)
def test_the_automatic_threshold_is_a_level_of_noise(worst: float, best: float, threshold: float) -> None:
    found = automatic_threshold(equal_steps(worst, best), 24.0)
    assert found.value == threshold
    assert found.source == "automatic rule, no human"


def test_the_steps_of_a_ruler(built: Ruler) -> None:
    original = built.versions[-1].astype(np.float32)
    region = bright_part(original)
    found = [snr_db(original, version, region) for version in built.versions[:-1]]
    assert found == pytest.approx(built.snr_db, abs=0.05)
    assert np.diff(found) == pytest.approx(np.full(6, 3.0), abs=0.05)


def test_the_original_is_the_slice(built: Ruler, t1w: Volume) -> None:
    index = int(built.provenance["slice"])
    wanted = take_slice(t1w.data, 2, index).astype(np.float64)
    shown = built.versions[-1].astype(np.float64)
    scale = np.sum(wanted * shown) / np.sum(wanted**2)
    assert np.abs(shown - scale * wanted).max() <= 0.51
    assert built.versions.dtype == np.uint16
    assert built.versions.max() == 65535
    assert built.provenance["plane"] == "axial"
    assert built.kind.dimension == "3D"
    assert built.kind.field_strength == 3.0
    assert built.kind.pixel == 2.0


def test_all_versions_share_one_draw_of_noise(built: Ruler) -> None:
    original = built.versions[-1].astype(np.float64)
    bright = bright_part(built.versions[-1].astype(np.float32))
    worst, better = ((built.versions[version] - original)[bright] for version in (2, 5))
    assert np.corrcoef(worst, better)[0, 1] > 0.95


def test_the_same_seed_the_same_ruler(built: Ruler, t1w: Volume) -> None:
    again = build_ruler("our-T1w", t1w, "T1w", {"MagneticFieldStrength": 3}, source="a phantom")
    assert np.array_equal(again.versions, built.versions)
    other = build_ruler("our-T1w", t1w, "T1w", seed=1)
    assert not np.array_equal(other.versions, built.versions)


def test_thick_slices_give_their_own_plane(t1w: Volume) -> None:
    thick = Volume.from_array(t1w.data[:, ::3], (2.0, 6.0, 2.0))
    found = build_ruler("thick", thick, "T1w")
    assert found.provenance["plane"] == "coronal"
    assert found.kind.dimension == "2D"


def test_measured_kspace_is_used(t1w: Volume) -> None:
    image = take_slice(t1w.data, 2, 70)
    kspace, _ = coil_kspace(np.ascontiguousarray(image), 4, np.random.default_rng(0))
    found = build_ruler("raw", t1w, "T1w", index=70, kspace=kspace)
    assert found.provenance["k-space"] == "measured"
    assert found.provenance["coils"] == 4
    shown = found.versions[-1] / found.versions[-1].max()
    assert shown == pytest.approx(np.abs(image) / np.abs(image).max(), abs=2e-3)
    original = found.versions[-1].astype(np.float32)
    steps = [snr_db(original, version, bright_part(original)) for version in found.versions[:-1]]
    assert steps == pytest.approx(found.snr_db, abs=0.05)


@pytest.mark.parametrize(
    ("shape", "fill", "words"),
    [
        ((64, 64), 1, "shape 64 x 64"),
        ((65, 64, 64), 1, "shape 65 x"),
        ((2, 64, 2000), 1, "64 x 2000"),
        ((2, 64, 64), 0, "no image"),
        ((2, 64, 64), np.nan, "no image"),
    ],
)
def test_kspace_that_makes_no_ruler(t1w: Volume, shape: tuple[int, ...], fill: float, words: str) -> None:
    with pytest.raises(InputError, match=words):
        build_ruler("raw", t1w, "T1w", kspace=np.full(shape, fill, dtype=np.complex64))


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"index": 500}, "no axial slice 500"),
        ({"index": -1}, "no axial slice -1"),
        ({"coils": 0}, "0 coils"),
        ({"coils": 1000}, "1000 coils"),
    ],
)
def test_what_makes_no_ruler(t1w: Volume, about: dict[str, int], words: str) -> None:
    with pytest.raises(InputError, match=words):
        build_ruler("our", t1w, "T1w", **about)  # type: ignore[arg-type]


def test_an_empty_slice_makes_no_ruler(t1w: Volume) -> None:
    empty = replace(t1w, data=np.zeros_like(t1w.data))
    with pytest.raises(InputError, match="is empty"):
        build_ruler("our", empty, "T1w")


def test_eight_bits_are_enough_for_the_shipped_ones(built: Ruler) -> None:
    coarse = stored(built.versions.astype(np.float32), 8)
    original, better = coarse[-1].astype(np.float32), coarse[-2].astype(np.float32)
    assert snr_db(original, better, bright_part(original)) == pytest.approx(built.snr_db[-1], abs=0.3)
