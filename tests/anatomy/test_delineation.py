# SPDX-License-Identifier: Apache-2.0
"""The whole of ``delineate`` on the phantom: floors of overlap, laws, and honesty about what can't be had."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bidsqa.anatomy import Anatomy, delineate
from bidsqa.anatomy.plausibility import dice
from bidsqa.errors import NotComputable
from bidsqa.image import Volume
from bidsqa.metrics import measure
from bidsqa.simulation.phantom import Phantom


@pytest.fixture(scope="module")
def anatomy(t1w: Volume) -> Anatomy:
    """Of the good T1w phantom at 2 mm."""
    return delineate(t1w)


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    return dice(np.asarray(first) != 0, np.asarray(second) != 0)


def test_finds_the_phantom(anatomy: Anatomy, phantom: Phantom) -> None:
    assert not anatomy.problems
    assert anatomy.background == "natural"
    assert overlap(anatomy.brain, phantom.truth.brain) > 0.9
    assert overlap(anatomy.head, phantom.truth.head) > 0.93
    for label in (1, 2):
        assert dice(anatomy.dseg == label, phantom.truth.dseg == label) > 0.7


@pytest.mark.parametrize("contrast", ["T2w", "FLAIR", pytest.param("PDw", marks=pytest.mark.slow)])
def test_fault_15_tissues_keep_their_names_in_other_contrasts(contrast: str, phantom: Phantom) -> None:
    found = delineate(phantom.image(contrast, seed=4))
    assert "brain" not in found.problems
    assert overlap(found.brain, phantom.truth.brain) > 0.9
    assert dice(found.dseg == 2, phantom.truth.dseg == 2) > (0.5 if contrast == "PDw" else 0.7)


def test_the_network_mends_tissues_that_intensities_mistake(phantom: Phantom) -> None:
    """Grey and white matter of a FLAIR differ little."""
    volume = phantom.image("FLAIR", seed=4)
    mended, classical = delineate(volume), delineate(volume, classical=True)
    for label in (1, 2):
        overlaps = [dice(found.dseg == label, phantom.truth.dseg == label) for found in (mended, classical)]
        assert overlaps[0] > overlaps[1] + 0.005, overlaps
    assert overlap(mended.brain, classical.brain) > 0.98, "the border is the mixture's"


def test_shapes_types_and_containment(anatomy: Anatomy, t1w: Volume) -> None:
    for name in ("head", "brain", "hat", "air", "frame", "dseg"):
        mask = getattr(anatomy, name)
        assert mask.shape == t1w.shape
        assert mask.dtype == np.uint8
    assert anatomy.bias_field.dtype == np.float32
    assert (anatomy.bias_field > 0).all()
    assert anatomy.posteriors.dtype == np.float16
    total = anatomy.posteriors.astype(np.float32).sum(axis=0)
    np.testing.assert_allclose(total[anatomy.brain != 0], 1.0, atol=5e-3)
    assert not total[anatomy.brain == 0].any()
    assert np.array_equal(anatomy.dseg != 0, anatomy.brain != 0)
    assert not (anatomy.brain.astype(bool) & ~anatomy.head.astype(bool)).any()
    assert not (anatomy.air.astype(bool) & ~anatomy.hat.astype(bool)).any()
    assert not (anatomy.hat.astype(bool) & (anatomy.head.astype(bool) | anatomy.frame.astype(bool))).any()
    assert float(anatomy.bias_field[anatomy.brain != 0].mean()) == pytest.approx(1.0, abs=0.02)


def test_fault_4_the_head_holds_the_brain_and_no_shell_at_the_border(anatomy: Anatomy, phantom: Phantom) -> None:
    """MRIQC's dilation takes what lies outside of the grid for head."""
    assert not (anatomy.brain.astype(bool) & ~anatomy.head.astype(bool)).any()
    for face in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1], np.s_[:, :, -1]):
        assert anatomy.head[face].mean() < phantom.truth.head[face].mean() + 0.02


def test_the_hat_holds_no_face(anatomy: Anatomy, phantom: Phantom, t1w: Volume) -> None:
    """The hat's lowest slice lies below the top half of the brain and above its bottom."""
    brain = np.flatnonzero(phantom.truth.brain.any(axis=(0, 1)))
    lowest = np.flatnonzero(anatomy.hat.any(axis=(0, 1)))[0]
    assert brain[0] - 20 < lowest < brain.mean()


def test_scale_of_the_intensities_does_not_matter(anatomy: Anatomy, t1w: Volume) -> None:
    other = delineate(Volume.from_array(t1w.data * np.float32(0.0123), t1w.spacing))
    assert other.background == anatomy.background
    # rounding may move a step of the search for the pose
    assert overlap(other.brain, anatomy.brain) > 0.99
    assert overlap(other.air, anatomy.air) > 0.99
    assert np.mean(other.dseg == anatomy.dseg) > 0.99


def test_padding_with_zeros_is_frame_and_changes_little(anatomy: Anatomy, t1w: Volume) -> None:
    pad = 12
    padded = Volume.from_array(np.pad(t1w.data, pad), t1w.spacing)
    other = delineate(padded)
    inner = (slice(pad, -pad),) * 3
    assert other.frame[:pad].all()
    assert other.frame[inner].mean() < 0.01
    assert overlap(other.brain[inner], anatomy.brain) > 0.98
    assert overlap(other.head[inner], anatomy.head) > 0.98
    assert not other.hat[:pad].any()


@pytest.mark.slow
def test_left_and_right_are_alike(anatomy: Anatomy, t1w: Volume) -> None:
    other = delineate(Volume.from_array(t1w.data[::-1].copy(), t1w.spacing))
    assert overlap(other.brain[::-1], anatomy.brain) > 0.96
    assert abs(other.facts["gm_share"] - anatomy.facts["gm_share"]) < 0.05


@pytest.mark.slow
def test_fault_17_a_second_run_gives_the_same_bits(anatomy: Anatomy, t1w: Volume) -> None:
    again = delineate(t1w)
    assert np.array_equal(again.brain, anatomy.brain)
    assert np.array_equal(again.posteriors, anatomy.posteriors)
    assert np.array_equal(again.bias_field, anatomy.bias_field)


def test_threads_change_nothing(anatomy: Anatomy, t1w: Volume) -> None:
    two = delineate(t1w, threads=2)
    assert overlap(two.brain, anatomy.brain) > 0.9999
    np.testing.assert_allclose(two.bias_field, anatomy.bias_field, rtol=1e-5)
    metrics = [measure(t1w, found)[0] for found in (anatomy, two)]
    for key, value in metrics[0].items():
        assert metrics[1][key] == (None if value is None else pytest.approx(value, rel=1e-5, abs=1e-7)), key


def test_stripped(phantom: Phantom, t1w: Volume) -> None:
    stripped = Volume.from_array(np.where(phantom.truth.brain, t1w.data, 0), t1w.spacing)
    found = delineate(stripped)
    assert found.background == "stripped"
    assert overlap(found.brain, phantom.truth.brain) > 0.93
    assert "air" in found.problems
    with pytest.raises(NotComputable, match="stripped"):
        found.require("air")


def test_fault_18_zeroed_air_is_told_from_a_frame_and_gives_no_air(phantom: Phantom, t1w: Volume) -> None:
    zeroed = Volume.from_array(np.where(phantom.truth.head, t1w.data, 0), t1w.spacing)
    found = delineate(zeroed)
    assert found.background in ("zeroed", "defaced")
    assert "air" in found.problems
    assert "brain" not in found.problems


def test_defaced(phantom: Phantom, t1w: Volume) -> None:
    brain = np.argwhere(phantom.truth.brain)
    front, (_, _, middle) = brain[:, 1].max(), brain.mean(axis=0)
    y, z = np.meshgrid(np.arange(t1w.shape[1]), np.arange(t1w.shape[2]), indexing="ij")
    # what a defacing tool removes: everything in front of a plane that falls away backwards below the brow
    face = (y > front - 0.45 * (middle - z)) & (z < middle - 8)
    data = np.where(face[None] & (phantom.truth.brain == 0), 0, t1w.data)
    assert delineate(Volume.from_array(data, t1w.spacing)).background == "defaced"


@pytest.mark.parametrize(
    "data",
    [
        np.zeros((40, 40, 40)),
        np.full((40, 40, 40), 5.0),
        np.random.default_rng(0).rayleigh(10, (48, 48, 48)),
        -np.random.default_rng(1).rayleigh(10, (30, 30, 30)),
        np.ones((1, 1, 1)),
        np.arange(2 * 30 * 300).reshape(2, 30, 300),
    ],
    ids=["zeros", "constant", "noise", "negative", "one voxel", "thin"],
)
def test_a_bad_scan_is_no_accident(data: np.ndarray) -> None:
    found = delineate(Volume.from_array(data, (3.0, 3.0, 3.0)))
    assert {"brain", "tissue"} <= set(found.problems)
    assert np.isfinite(found.bias_field).all()


def test_saved_and_loaded(anatomy: Anatomy, tmp_path: Path) -> None:
    anatomy.save(tmp_path / "anatomy.npz")
    again = Anatomy.load(tmp_path / "anatomy.npz")
    assert np.array_equal(again.posteriors, anatomy.posteriors)
    assert again.facts == anatomy.facts
    assert again.problems == anatomy.problems
