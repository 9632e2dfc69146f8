# SPDX-License-Identifier: Apache-2.0
"""Contrast changes against scikit-image and against what each curve must do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
exposure = pytest.importorskip("skimage.exposure")

from bidsqa.simulation import ARTIFACTS, degrade  # noqa: E402
from bidsqa.simulation.intensity_maps import (  # noqa: E402
    BINS,
    apply_clahe,
    apply_gamma,
    apply_log,
    apply_sigmoid,
    equalised,
)

CURVES = ("gamma", "log", "sigmoid")


def grey(size: int = 96) -> Any:
    """Smooth blobs and a step over 0-1 with both ends reached, shape (size, size)."""
    rows, columns = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size), indexing="ij")
    image = 0.3 + 0.15 * np.sin(9 * rows) * np.cos(11 * columns) + 0.3 * (columns > 0.6) + 0.05 * np.sin(60 * rows)
    image = image + 0.01 * np.random.default_rng(0).standard_normal(image.shape)
    return ((image - image.min()) / np.ptp(image)).astype(np.float32)


def batch(image: Any) -> Any:
    return torch.from_numpy(image)[None, None]


def one(**values: float) -> dict[str, Any]:
    return {key: torch.tensor([value]) for key, value in values.items()}


def test_gamma_log_and_sigmoid_equal_scikit_image() -> None:
    unit = grey()
    image = 300 * batch(unit)
    for exponent in (0.6, 1.5):
        found = apply_gamma(image, one(exponent=exponent), image > 0)[0, 0].numpy() / 300
        np.testing.assert_allclose(found, exposure.adjust_gamma(unit, exponent), atol=1e-5)
    found = apply_log(image, one(bend=1.0), image > 0)[0, 0].numpy() / 300
    np.testing.assert_allclose(found, exposure.adjust_log(unit), atol=1e-5)
    for gain, cutoff in ((1.0, 0.3), (6.0, 0.7)):
        found = apply_sigmoid(image, one(gain=gain, cutoff=cutoff), image > 0)[0, 0].numpy() / 300
        other = exposure.adjust_sigmoid(unit, cutoff, gain)
        np.testing.assert_allclose(found, exposure.rescale_intensity(other, out_range=(0.0, 1.0)), atol=1e-5)


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("strength", [0.1, 1.0])
def test_curves_keep_the_rank_order_zero_and_the_maximum(name: str, strength: float) -> None:
    ramp = (torch.arange(-100, 1401) / 2).reshape(1, 1, 19, 79)
    row = ARTIFACTS[name]
    for seed in range(5):
        mapped = row.apply(ramp, row.sample(torch.Generator().manual_seed(seed), strength)).flatten()
        assert bool((mapped.diff() > 0).all())
        assert float(mapped[-1]) == pytest.approx(700, rel=1e-5)
        assert float(mapped[100]) == pytest.approx(0, abs=1e-3)


def test_little_strength_is_little_change() -> None:
    image = batch(grey())
    for name in (*CURVES, "clahe"):
        row = ARTIFACTS[name]
        mapped = row.apply(image, row.sample(torch.Generator().manual_seed(0), 1e-3))
        assert float((mapped - image).abs().max()) < 2e-3, name


def test_clahe_without_room_for_contrast_is_the_identity() -> None:
    image = batch(grey())
    same = apply_clahe(image, one(clip=1.0, tile=0.25), image > 0)
    assert float((same - image).abs().max()) < 1e-5


def test_one_tile_without_limit_is_plain_equalisation() -> None:
    unit = grey()
    counts, edges = np.histogram(unit, bins=BINS, range=(0, 1))
    expected = np.interp(unit, edges, np.concatenate([[0], np.cumsum(counts)]) / unit.size)
    np.testing.assert_allclose(equalised(torch.from_numpy(unit), (1, 1), 1e6).numpy(), expected, atol=2e-3)


def test_clahe_stretches_no_more_than_the_limit_and_keeps_the_ends() -> None:
    ramp = torch.linspace(0, 1, 4096) ** 3  # most values are dark
    for clip in (1.5, 3.0):
        mapped = equalised(ramp.reshape(64, 64), (1, 1), clip).flatten()
        slope = mapped.diff() / ramp.diff().clamp(min=1e-9)
        assert float(slope[ramp.diff() > 1e-6].max()) < clip * 1.02
        assert float(mapped[0]) == 0 and float(mapped[-1]) == pytest.approx(1, abs=1e-4)
        assert float(mapped.mean()) > float(ramp.mean()) + 0.02


@pytest.mark.parametrize(("tiles", "clip"), [(4, 2.0), (4, 5.0), (8, 3.0)])
def test_clahe_is_close_to_scikit_image(tiles: int, clip: float) -> None:
    unit = grey(256)
    found = equalised(torch.from_numpy(unit), (tiles, tiles), clip).numpy()
    other = exposure.equalize_adapthist(unit, kernel_size=256 // tiles, clip_limit=clip / BINS, nbins=BINS)
    assert np.corrcoef(found.ravel(), other.ravel())[0, 1] > 0.998
    assert np.abs(found - other).mean() < 0.1 * np.abs(unit - other).mean()
    assert np.abs(unit - other).mean() > 0.04


def test_clahe_of_equal_slices_is_that_of_one_slice() -> None:
    unit = torch.from_numpy(grey())
    volume = unit[None].repeat(24, 1, 1)
    assert torch.allclose(equalised(volume, (2, 4, 4), 3.0)[7], equalised(unit, (4, 4), 3.0), atol=1e-5)


def test_air_stays_zero() -> None:
    unit = grey()
    unit[:, :30] = 0
    for name in (*CURVES, "clahe"):
        assert float(degrade(unit, name, 1.0, seed=0, monotone=False).image[:, :30].max()) == 0


def test_contrast_changes_are_no_damage_to_be_scored() -> None:
    result = degrade(grey(), "gamma", 1.0, seed=0)
    assert float(result.damage) > 0 and float(result.s_visible) > 0
    assert float(result.target) == 0
