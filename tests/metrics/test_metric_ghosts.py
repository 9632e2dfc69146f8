# SPDX-License-Identifier: Apache-2.0
"""Ghosts half a field away and ringing beside the head: known answers, directions, nulls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from bidsqa.anatomy import Anatomy
from bidsqa.errors import NotComputable
from bidsqa.image import Volume
from bidsqa.metrics import Samples, ghosts, measure
from bidsqa.simulation import degrade_volume

KEYS = ("gsr_x", "gsr_y", "gsr_z", "ringing")

SHAPE = (84, 96, 88)


def ghosted(volume: Volume, anatomy: Anatomy, amplitude: float, axis: int) -> Volume:
    """The brain again at half the field, added to the air."""
    brain = np.where(anatomy.brain, 1000.0, 0.0)
    ghost = amplitude * np.roll(brain, volume.shape[axis] // 2, axis)
    return Volume.from_array(np.where(anatomy.head, volume.data, volume.data + ghost), volume.spacing)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_planted_ghost_has_its_amplitude(scene: Any, axis: int) -> None:
    volume, anatomy = scene(shape=SHAPE)
    samples = Samples(ghosted(volume, anatomy, 0.08, axis), anatomy)
    found = ghosts.ghost_to_signal(samples)
    assert found[f"gsr_{'xyz'[axis]}"] == pytest.approx(0.08 * 1000 / samples.brain_median, rel=0.02)
    assert abs(found[f"gsr_{'xyz'[1 - axis]}"]) < 0.04  # type: ignore[arg-type]


def test_a_clean_scan_has_no_ghost(scene: Any) -> None:
    found = ghosts.ghost_to_signal(Samples(*scene(shape=SHAPE)))
    assert all(isinstance(value, float) and abs(value) < 2e-3 for value in found.values())


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(("axis", "key"), [(0, "gsr_x"), (1, "gsr_y"), (2, "gsr_z")])
def test_the_simulated_half_field_ghost_raises_it(scene: Any, axis: int, key: str, seed: int) -> None:
    volume, anatomy = scene(shape=SHAPE)
    found = []
    for strength in (0.0, 0.3, 0.6, 1.0):
        worse = degrade_volume(volume, "ghosting", strength, seed, kind="half_field", axis=axis)[0]
        found.append(ghosts.ghost_to_signal(Samples(worse, anatomy))[key])
    assert found == sorted(found) and len(set(found)) == len(found)  # type: ignore[type-var]
    assert found[-1] > 0.05  # type: ignore[operator]


def test_the_blurred_rim_of_the_head_is_no_ghost(scene: Any) -> None:
    volume, anatomy = scene(shape=SHAPE)
    blurred = Volume.from_array(ndimage.gaussian_filter(volume.data, 1.5))
    for value in ghosts.ghost_to_signal(Samples(blurred, anatomy)).values():
        assert abs(value) < 3e-3  # type: ignore[arg-type]


@pytest.mark.parametrize("reaches", [(0, 0, 0), (1, 2, 5), (7, 40, 3)])
def test_a_mask_grows_by_a_block(reaches: tuple[int, int, int]) -> None:
    mask = np.random.default_rng(2).random((30, 24, 12)) > 0.995
    expected = ndimage.maximum_filter(mask, [2 * reach + 1 for reach in reaches], mode="constant")
    assert np.array_equal(ghosts._grown(mask, reaches), expected)


def test_no_air_no_ghost(scene: Any, changed: Any) -> None:
    volume, anatomy = scene()
    empty = changed(anatomy, hat=np.zeros_like(anatomy.hat))
    assert all(isinstance(value, NotComputable) for value in ghosts.ghost_to_signal(Samples(volume, empty)).values())
    metrics, reasons = measure(volume, changed(anatomy, problems={"air": "none was measured"}))
    for key in KEYS:
        assert metrics[key] is None and reasons[key] == "none was measured"
    with pytest.raises(NotComputable, match="too little measured air near the head"):
        ghosts.ringing(Samples(volume, empty))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_truncation_rings_at_any_cut_off(scene: Any, axis: int) -> None:
    volume, anatomy = scene(sigma=5.0, shape=SHAPE)
    found = []
    for strength in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        worse = degrade_volume(volume, "gibbs", strength, 2, axis=axis)[0]
        found.append(ghosts.ringing(Samples(worse, anatomy)))
    # the cut-off sets the wavelength, not the height, so the values need not keep the order of the strengths
    assert found[0] < 0.004
    assert min(found[1:]) > 2 * max(found[0], 1e-3), found


def test_ringing_rises_with_its_height(scene: Any) -> None:
    volume, anatomy = scene(sigma=5.0, shape=SHAPE)
    truncated = degrade_volume(volume, "gibbs", 0.5, 2, axis=1)[0].data
    found = [
        ghosts.ringing(Samples(Volume.from_array(volume.data + height * (truncated - volume.data)), anatomy))
        for height in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    assert found == sorted(found) and len(set(found)) == len(found), found


def test_ringing_of_a_known_wave(scene: Any) -> None:
    volume, anatomy = scene(sigma=0.0, shape=SHAPE)
    data = np.where(anatomy.head, volume.data, 100.0)
    y = np.arange(SHAPE[1])[None, :, None]
    near = ghosts._grown(anatomy.head != 0, (0, 12, 0))
    wave = np.where(near & (anatomy.head == 0), 20.0 * (-1.0) ** y, 0)
    samples = Samples(Volume.from_array(data + wave), anatomy)
    # (-1)^i a has the second difference 4 a
    assert ghosts.ringing(samples) == pytest.approx(20.0 / samples.brain_median, rel=1e-4)


def test_noise_alone_does_not_ring(scene: Any) -> None:
    for seed in range(3):
        samples = Samples(*scene(sigma=60.0, seed=seed, shape=SHAPE))
        assert ghosts.ringing(samples) < 0.25 * 60.0 / samples.brain_median


@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_the_unit_does_not_matter(scene: Any, scale: float) -> None:
    volume, anatomy = scene(shape=SHAPE)
    worse = degrade_volume(ghosted(volume, anatomy, 0.05, 1), "gibbs", 0.3, 2)[0]
    one, _ = measure(worse, anatomy)
    two, _ = measure(Volume.from_array(worse.data * np.float32(scale), worse.spacing), anatomy)
    for key in KEYS:
        assert two[key] == pytest.approx(one[key], rel=1e-3, abs=1e-6), key
