# SPDX-License-Identifier: Apache-2.0
"""Degrading whole scans."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")

from bidsqa.image import Volume, clipped_fraction
from bidsqa.simulation import damage, degrade_volume, visible_severity


def scan() -> Volume:
    """A small head of whole numbers with zeroed air."""
    axes = np.meshgrid(*[np.linspace(-1.2, 1.2, size) for size in (40, 44, 36)], indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in axes))
    data = np.where(radius < 1, np.rint(300 + 80 * np.sin(8 * axes[0]) * np.cos(7 * axes[1])), 0)
    volume = Volume.from_array(data, (2.0, 2.0, 2.5))
    return replace(volume, facts=replace(volume.facts, dtype="int16"))


def test_strength_zero_returns_the_scan() -> None:
    volume = scan()
    same, parameters, harm = degrade_volume(volume, "motion", 0.0, seed=1)
    assert np.array_equal(same.data, volume.data)
    assert harm["damage"] == 0
    assert parameters["name"] == "motion" and parameters["strength"] == 0


@pytest.mark.parametrize("name", ["noise", "ghosting", "motion", "blur", "anisotropy", "bias"])
def test_grid_steps_and_blanked_air_are_kept(name: str) -> None:
    volume = scan()
    worse, parameters, harm = degrade_volume(volume, name, 0.8, seed=2)
    assert worse.shape == volume.shape
    assert np.array_equal(worse.affine, volume.affine)
    assert np.array_equal(worse.data, np.rint(worse.data))
    assert (worse.data[volume.data == 0] == 0).all()
    assert harm["nrmse"] > 0.01
    assert parameters["seed"] == 2


def test_air_is_left_open_on_request() -> None:
    volume = scan()
    worse, _, _ = degrade_volume(volume, "noise", 0.8, seed=2, keep_zero_mask=False)
    assert (worse.data[volume.data == 0] > 0).any()


def test_seeds_decide() -> None:
    volume = scan()
    first, again, other = (degrade_volume(volume, "ghosting", 0.9, seed=seed)[0].data for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_damage_ignores_brightness_and_sees_noise() -> None:
    volume = scan()
    head = volume.data > 0
    assert damage(volume.data, 3 * volume.data, head)["damage"] == pytest.approx(0, abs=1e-4)
    noisy = volume.data + np.random.default_rng(0).normal(0, 40, volume.shape).astype(np.float32)
    assert damage(volume.data, noisy, head)["damage"] > 0.05
    assert damage(volume.data, noisy, head)["nrmse"] == pytest.approx(
        40 / np.sqrt((volume.data[head] ** 2).mean()), rel=0.05
    )


def test_unknown_artifact() -> None:
    with pytest.raises(KeyError, match="no artifact 'gremlins'"):
        degrade_volume(scan(), "gremlins", 0.5, seed=0)
    with pytest.raises(KeyError, match="did you mean 'motion'"):
        degrade_volume(scan(), "motio", 0.5, seed=0)


def test_visible_severity_is_that_of_the_damage() -> None:
    volume = scan()
    _, parameters, harm = degrade_volume(volume, "noise", 0.7, seed=3)
    assert parameters["s_visible"] == pytest.approx(float(visible_severity(harm["damage"])))
    assert degrade_volume(volume, "noise", 0.0, seed=3)[1]["s_visible"] == 0


def thick_scan() -> Volume:
    axes = np.meshgrid(*[np.linspace(-1.2, 1.2, size) for size in (36, 14, 40)], indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in axes))
    return Volume.from_array(np.where(radius < 1, 300 + 80 * np.sin(8 * axes[0]) * np.cos(7 * axes[2]), 0), (1, 4, 1))


def test_thick_slices_are_moved_as_slices_and_encoded_in_their_plane() -> None:
    volume = thick_scan()
    for seed in range(6):
        assert degrade_volume(volume, "slice_motion", 0.5, seed=seed)[1]["axis"] == 1
        assert degrade_volume(volume, "motion_iid", 0.5, seed=seed)[1]["axis"] != 1
    worse, parameters, _ = degrade_volume(volume, "anisotropy_in_plane", 1.0, seed=0)
    assert parameters["across"] == 1
    assert not np.array_equal(worse.data, volume.data)


def test_ways_can_be_chosen() -> None:
    volume = thick_scan()
    _, parameters, _ = degrade_volume(volume, "motion", 0.5, seed=1, order="interleaved", axis=1)
    assert parameters["order"] == 2 and parameters["axis"] == 1
    with pytest.raises(ValueError, match="can't be 'spiral'"):
        degrade_volume(volume, "motion", 0.5, seed=1, order="spiral")


def test_facts_are_those_of_the_degraded_voxels() -> None:
    full = thick_scan().data
    cut = np.minimum(full, np.percentile(full[full > 0], 70))
    volume = Volume.from_array(cut, (1, 4, 1))
    volume = replace(volume, facts=replace(volume.facts, clipped_fraction=clipped_fraction(cut)))
    assert volume.facts.clipped_fraction == pytest.approx(0.6, abs=0.01)
    noisy = degrade_volume(volume, "noise", 0.5, seed=0)[0]
    assert noisy.facts.clipped_fraction == clipped_fraction(noisy.data) < 0.01
    assert noisy.facts.maximum == noisy.data.max()
