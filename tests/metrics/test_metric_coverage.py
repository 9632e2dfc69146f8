# SPDX-License-Identifier: Apache-2.0
"""Field of view, wrap-around and clipping: known answers, invariances, directions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bidsqa.anatomy import Anatomy
from bidsqa.image import Volume, load_volume
from bidsqa.metrics import Samples, coverage, measure
from bidsqa.simulation import degrade_volume

KEYS = ("brain_cut", "wrap_around")


def cut(volume: Volume, anatomy: Anatomy, window: tuple[slice, slice, slice]) -> tuple[Volume, Anatomy]:
    """A smaller field of view."""
    parts = {
        name: np.ascontiguousarray(getattr(anatomy, name)[window])
        for name in ("head", "brain", "hat", "air", "frame", "dseg", "bias_field")
    }
    posteriors = np.ascontiguousarray(anatomy.posteriors[(slice(None), *window)])
    return Volume.from_array(volume.data[window], volume.spacing), replace(anatomy, posteriors=posteriors, **parts)


def test_a_box_at_the_border_has_its_share_of_surface(scene: Any, changed: Any) -> None:
    volume, anatomy = scene(spacing=(1.0, 2.0, 3.0))
    brain = np.zeros(volume.shape, np.uint8)
    brain[:10, 20:40, 10:15] = 1
    # 10 x 20 x 5 voxels of 1 x 2 x 3 mm: faces of 600, 150 and 400 mm2
    sizes = (10.0, 40.0, 15.0)
    faces = (sizes[1] * sizes[2], sizes[0] * sizes[2], sizes[0] * sizes[1])
    found = coverage.brain_cut(Samples(volume, changed(anatomy, brain=brain)))
    assert found == pytest.approx(faces[0] / (2 * sum(faces)))


def test_a_smaller_field_of_view_cuts_more_of_the_brain(plain_scene: Any) -> None:
    found = [
        coverage.brain_cut(Samples(*cut(*plain_scene, (slice(None), slice(None), slice(start, None)))))
        for start in (0, 16, 24, 32)
    ]
    assert found[0] == 0
    assert found == sorted(found) and len(set(found)) == len(found)


def folded(volume: Volume, anatomy: Anatomy, keep: int, axis: int) -> tuple[Volume, Anatomy]:
    """What a field of view of ``keep`` voxels along an axis makes of the head: the rest comes in on the other side."""
    data = np.moveaxis(volume.data, axis, 0)
    start = (data.shape[0] - keep) // 2
    target = (np.arange(data.shape[0]) - start) % keep
    result = np.zeros((keep, *data.shape[1:]), np.float32)
    np.add.at(result, target, data)
    window = [slice(None)] * 3
    window[axis] = slice(start, start + keep)
    _, smaller = cut(volume, anatomy, (window[0], window[1], window[2]))
    return Volume.from_array(np.moveaxis(result, 0, axis), volume.spacing), smaller


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_smaller_the_field_the_more_wraps_around(scene: Any, axis: int) -> None:
    volume, anatomy = scene(sigma=5.0)
    found = [coverage.wrap_around(Samples(*folded(volume, anatomy, keep, axis))) for keep in (60, 48, 44, 38)]
    assert found[0] == 0
    assert found == sorted(found) and len(set(found)) == len(found)
    assert found[-1] > 0.1


def test_the_simulated_artifact_raises_it(scene: Any, changed: Any) -> None:
    volume, anatomy = scene(sigma=5.0)
    paths = []
    for seed in range(6):
        scans = [degrade_volume(volume, "wrap", strength, seed)[0] for strength in (0.0, 0.5, 0.75, 1.0)]
        frames = [(scan.data == 0).astype(np.uint8) for scan in scans]
        pairs = zip(scans, frames, strict=True)
        paths.append([coverage.wrap_around(Samples(scan, changed(anatomy, frame=frame))) for scan, frame in pairs])
    found = np.array(paths)
    assert (found[:, 0] == 0).all() and (found[:, 1:] > 0.1).all()
    # where exactly the head folds is drawn anew for each seed, so the order holds for their mean
    assert (np.diff(found.mean(axis=0)) > 0).all(), found


def test_a_clean_phantom_neither_wraps_nor_is_cut(phantom: Any, t1w: Volume, scene: Any, changed: Any) -> None:
    truth = phantom.truth
    anatomy = changed(
        scene(shape=(24, 26, 22))[1],
        head=truth.head,
        brain=truth.brain,
        frame=np.zeros_like(truth.head),
        bias_field=np.ones(truth.head.shape, np.float32),
    )
    samples = Samples(t1w, anatomy)
    assert coverage.wrap_around(samples) < 0.01
    assert coverage.brain_cut(samples) == 0


def test_what_is_no_wrap_around(scene: Any, changed: Any) -> None:
    volume, anatomy = scene()
    assert coverage.wrap_around(Samples(volume, anatomy)) == 0
    zeroed = Volume.from_array(np.where(anatomy.head, volume.data, 0))
    outside = changed(anatomy, frame=(anatomy.head == 0).astype(np.uint8))
    assert coverage.wrap_around(Samples(zeroed, outside)) < 0.01
    brain = anatomy.brain != 0
    stripped = Volume.from_array(np.where(brain, volume.data, 0))
    alone = changed(anatomy, head=anatomy.brain, frame=(~brain).astype(np.uint8))
    assert coverage.wrap_around(Samples(stripped, alone)) < 0.01
    # cropped to the brain as well, the worst case: the caps that touch both borders look alike in this mirrored brain
    low, high = (np.argwhere(brain).min(axis=0), np.argwhere(brain).max(axis=0) + 1)
    window = (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))
    assert coverage.wrap_around(Samples(*cut(stripped, alone, window))) < 0.04
    neck = cut(volume, anatomy, (slice(None), slice(None), slice(12, None)))
    assert coverage.wrap_around(Samples(*neck)) == 0


def test_thick_slices_do_not_fold_into_each_other(scene: Any) -> None:
    volume, anatomy = folded(*scene(sigma=5.0, spacing=(1.0, 1.0, 4.0)), 40, 2)
    assert coverage.wrap_around(Samples(volume, anatomy)) == 0


def test_what_cannot_be_told_is_null(scene: Any, changed: Any) -> None:
    volume, anatomy = scene()
    metrics, reasons = measure(volume, changed(anatomy, brain=np.zeros_like(anatomy.brain)))
    for key in KEYS:
        assert metrics[key] is None and "brain mask is empty" in reasons[key]


def test_clipping_is_what_was_noted_while_reading(scene: Any, tmp_path: Any) -> None:
    import nibabel

    volume, anatomy = scene()
    found = []
    for top in (3000, 1000, 700):
        path = tmp_path / f"{top}.nii.gz"
        stored = np.minimum(volume.data, top).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(stored, volume.affine), path)
        read = load_volume(path)
        found.append(coverage.clipped_share(Samples(read, anatomy)))
        assert found[-1] == pytest.approx(2 * np.mean(stored == stored.max()) / np.mean(stored > 0), rel=1e-6)
        # neither the type nor the unit of the file, nor an orientation or zero padding
        other = np.pad(0.37 * stored.astype(np.float32)[::-1], 3)
        nibabel.save(nibabel.Nifti1Image(other, volume.affine), path)
        assert coverage.clipped_share(Samples(load_volume(path), anatomy)) == found[-1]
    assert found == sorted(found) and len(set(found)) == len(found) and found[0] < 0.01 < found[-1]


@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_the_unit_does_not_matter(scene: Any, scale: float) -> None:
    volume, anatomy = folded(*scene(sigma=5.0), 40, 1)
    one, _ = measure(volume, anatomy)
    two, _ = measure(Volume.from_array(volume.data * np.float32(scale), volume.spacing), anatomy)
    for key in KEYS:
        assert two[key] == pytest.approx(one[key], rel=1e-4), key


def test_flips_do_not_matter(scene: Any) -> None:
    volume, anatomy = folded(*scene(sigma=5.0), 40, 1)
    window = (slice(None, None, -1),) * 3
    for function in (coverage.brain_cut, coverage.wrap_around):
        assert function(Samples(*cut(volume, anatomy, window))) == pytest.approx(function(Samples(volume, anatomy)))
