# SPDX-License-Identifier: Apache-2.0
"""Jumps between slices and lost signal: known answers, invariances, directions, nulls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from bidsqa.errors import NotComputable
from bidsqa.image import Volume
from bidsqa.metrics import Samples, measure, slice_signal

KEYS = ("slice_jump", "slice_jump_odd_even", "drop_out")


def scaled(volume: Volume, factors: np.ndarray, axis: int = 2) -> Volume:
    """Slices times factors."""
    shape = [1, 1, 1]
    shape[axis] = -1
    return Volume.from_array(volume.data * factors.reshape(shape).astype(np.float32), volume.spacing)


@pytest.mark.parametrize("factor", [0.6, 0.9, 1.3])
def test_one_slice_times_f_gives_the_logarithm_of_f(scene: Any, factor: float) -> None:
    volume, anatomy = scene(sigma=0.0)
    factors = np.ones(volume.shape[2])
    factors[30] = factor
    found = slice_signal.slice_jumps(Samples(scaled(volume, factors), anatomy))
    assert found["slice_jump"] == pytest.approx(abs(np.log(factor)), rel=1e-4)


@pytest.mark.parametrize("lost", [(), (30,), (28, 29), (24, 30, 31, 32)])
def test_lost_slices_are_counted(scene: Any, lost: tuple[int, ...]) -> None:
    volume, anatomy = scene()
    factors = np.ones(volume.shape[2])
    factors[list(lost)] = 0.0
    assert slice_signal.empty_slices(Samples(scaled(volume, factors), anatomy)) == len(lost)
    assert slice_signal.empty_slices(Samples(scaled(volume, 37.0 * factors), anatomy)) == len(lost)


@pytest.mark.parametrize("factor", [0.8, 0.95])
def test_every_other_slice_times_f(scene: Any, factor: float) -> None:
    volume, anatomy = scene(sigma=0.0)
    factors = np.where(np.arange(volume.shape[2]) % 2, factor, 1.0)
    found = slice_signal.slice_jumps(Samples(scaled(volume, factors), anatomy))
    # each slice differs from both neighbours by the logarithm of f: d alternates between plus and minus that
    assert found["slice_jump_odd_even"] == pytest.approx(abs(np.log(factor)), rel=0.02)
    assert found["slice_jump"] == pytest.approx(abs(np.log(factor)), rel=1e-3)


def test_a_clean_scan_and_a_smooth_field_do_not_jump(scene: Any) -> None:
    volume, anatomy = scene()
    field = np.exp(0.5 * np.sin(np.linspace(0, 2, volume.shape[2])))
    for image in (volume, scaled(volume, field)):
        found = slice_signal.slice_jumps(Samples(image, anatomy))
        assert found["slice_jump"] < 0.02
        assert found["slice_jump_odd_even"] < 0.002


def test_jumps_grow_with_lost_signal_across_the_thick_slices(scene: Any) -> None:
    volume, anatomy = scene(spacing=(4.0, 1.0, 1.0))
    found = []
    for loss in (0.0, 0.1, 0.2, 0.4):
        factors = np.ones(volume.shape[0])
        factors[[20, 31, 32]] = 1 - loss
        found.append(slice_signal.slice_jumps(Samples(scaled(volume, factors, 0), anatomy))["slice_jump"])
    assert found == sorted(found) and found[0] < 0.02 and found[1] > 0.04


def test_the_small_slices_at_the_ends_do_not_count(scene: Any) -> None:
    volume, anatomy = scene()
    areas = anatomy.brain.sum(axis=(0, 1), dtype=int)
    small = areas < 0.35 * areas.max()
    found = slice_signal.slice_jumps(Samples(scaled(volume, np.where(small, 0.7, 1.0)), anatomy))
    assert small.any() and found["slice_jump"] < 0.02


def test_too_few_slices_are_a_reason(scene: Any, changed: Any) -> None:
    volume, anatomy = scene()
    thin = np.where(np.isin(np.arange(volume.shape[2]), (30, 31, 32)), anatomy.brain, 0).astype(np.uint8)
    with pytest.raises(NotComputable, match="fewer than 5 slices"):
        slice_signal.slice_jumps(Samples(volume, changed(anatomy, brain=thin)))


def with_hole(volume: Volume, radius: float) -> Volume:
    """Signal lost around a place at the brain's lower front, as beside a sinus."""
    x, y, z = (np.arange(size) for size in volume.shape)
    square = (x[:, None, None] - 30) ** 2 + (y[None, :, None] - 52) ** 2 + (z[None, None] - 24) ** 2
    return Volume.from_array(volume.data * (1 - 0.98 * np.exp(-0.5 * square / max(radius, 1e-3) ** 4)), volume.spacing)


def test_drop_out_grows_with_the_hole(scene: Any) -> None:
    volume, anatomy = scene()
    found = [slice_signal.drop_out(Samples(with_hole(volume, radius), anatomy)) for radius in (0.0, 2.0, 2.6, 3.2)]
    assert found[0] < 0.02
    assert found == sorted(found) and len(set(found)) == len(found)


def test_drop_out_without_a_brain_or_a_field_is_null(scene: Any, changed: Any) -> None:
    volume, anatomy = scene()
    metrics, reasons = measure(volume, changed(anatomy, brain=np.zeros_like(anatomy.brain)))
    assert all(metrics[key] is None and "brain mask is empty" in reasons[key] for key in KEYS)
    metrics, reasons = measure(volume, changed(anatomy, problems={"bias_field": "it did not settle"}))
    assert metrics["drop_out"] is None and reasons["drop_out"] == "it did not settle"
    speck = np.zeros_like(anatomy.brain)
    speck[30:33, 30:33, 30:33] = 1
    with pytest.raises(NotComputable, match="outer part"):
        slice_signal.drop_out(Samples(volume, changed(anatomy, brain=speck)))


def test_drop_out_of_a_known_share(scene: Any, changed: Any) -> None:
    volume, anatomy = scene(sigma=0.0)
    brain = anatomy.brain != 0
    dark = brain & (np.arange(volume.shape[0])[:, None, None] < 24)
    flat = Volume.from_array(np.where(dark, 10.0, 1000.0) * brain)
    outer = brain & (ndimage.distance_transform_edt(brain) <= slice_signal.DEPTH_MM)
    # the Gaussian mean of a step is 0.4 a quarter of its width before the middle
    lost = dark & (np.arange(volume.shape[0])[:, None, None] < 24 - 0.25 * slice_signal.BLUR_MM)
    share = np.count_nonzero(lost & outer) / np.count_nonzero(outer)
    assert slice_signal.drop_out(Samples(flat, anatomy)) == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("key", KEYS)
def test_scale_and_flips_do_not_matter(scene: Any, changed: Any, key: str) -> None:
    volume, anatomy = scene()
    volume = with_hole(volume, 3.0)
    window = (slice(None, None, -1),) * 3

    def value(image: np.ndarray, brain: np.ndarray, head: np.ndarray) -> float:
        samples = Samples(Volume.from_array(image), changed(anatomy, brain=brain, head=head))
        return slice_signal.drop_out(samples) if key == "drop_out" else slice_signal.slice_jumps(samples)[key]

    one = value(volume.data, anatomy.brain, anatomy.head)
    assert value(volume.data * np.float32(1e-3), anatomy.brain, anatomy.head) == pytest.approx(one, rel=1e-4, abs=1e-6)
    turned = value(*(np.ascontiguousarray(part[window]) for part in (volume.data, anatomy.brain, anatomy.head)))
    assert turned == pytest.approx(one, rel=0.05, abs=1e-4)
