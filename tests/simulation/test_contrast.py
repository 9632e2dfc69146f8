# SPDX-License-Identifier: Apache-2.0
"""Signals against independent simulations and limits, noise against its known moments."""

from __future__ import annotations

import numpy as np
import pytest

from bidsqa.simulation.contrast import (
    PROTOCOLS,
    TISSUE_INDEX,
    TISSUES,
    WHITE_MATTER_LEVEL,
    Protocol,
    Tissue,
    add_rician_noise,
    mix,
    paint_labels,
    shading_field,
    signal_levels,
    texture_field,
    tissue_signal,
)


def _bloch_prepared(tissue: Tissue, protocol: Protocol, cycles: int = 12) -> float:
    """Longitudinal magnetisation stepped through an inversion-prepared train, pulse by pulse, until it repeats."""
    angle, along, centre = np.radians(protocol.flip), 1.0, 0.0

    def relax(value: float, time: float) -> float:
        return 1.0 - (1.0 - value) * np.exp(-time / tissue.t1)

    wait = protocol.ti - protocol.readout * protocol.spacing / 2
    rest = protocol.tr - wait - protocol.readout * protocol.spacing
    for _ in range(cycles):
        along = relax(-along, wait)
        for pulse in range(protocol.readout):
            if pulse == protocol.readout // 2:
                centre = along
            along = relax(along * np.cos(angle), protocol.spacing)
        along = relax(along, rest)
    return float(tissue.density * abs(centre) * np.sin(angle) * np.exp(-protocol.te / (0.7 * tissue.t2)))


@pytest.mark.parametrize("name", ["white", "cortex", "csf", "fat"])
def test_prepared_gradient_equals_stepping_through_the_train(name: str) -> None:
    tissue = TISSUES[TISSUE_INDEX[name]]
    expected = _bloch_prepared(tissue, PROTOCOLS["T1w"])
    assert tissue_signal(tissue, PROTOCOLS["T1w"]) == pytest.approx(expected, rel=1e-6)


def test_spin_echo_limits() -> None:
    tissue = Tissue("any", 0.8, t1=1000, t2=100)
    assert tissue_signal(tissue, Protocol("spin", tr=1e6, te=0)) == pytest.approx(0.8)
    assert tissue_signal(tissue, Protocol("spin", tr=1e6, te=100)) == pytest.approx(0.8 / np.e)
    assert tissue_signal(tissue, Protocol("spin", tr=1000, te=0)) == pytest.approx(0.8 * (1 - 1 / np.e))


def test_inversion_nulls_at_ln2_of_t1() -> None:
    tissue = Tissue("any", 1.0, t1=1000, t2=100)
    assert tissue_signal(tissue, Protocol("inversion", tr=1e6, te=0, ti=1000 * np.log(2))) == pytest.approx(0, abs=1e-9)
    assert tissue_signal(tissue, Protocol("inversion", tr=1e6, te=0, ti=0)) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("contrast", "rising"),
    [
        ("T1w", ("csf", "cortex", "deep_grey", "white", "fat")),
        ("T2w", ("bone", "muscle", "white", "deep_grey", "cortex", "csf")),
        ("FLAIR", ("csf", "muscle", "white", "cortex")),
        ("PDw", ("bone", "white", "cortex")),
    ],
)
def test_tissues_are_ordered_as_in_each_contrast(contrast: str, rising: tuple[str, ...]) -> None:
    levels = signal_levels(contrast)
    values = [levels[TISSUE_INDEX[name]] for name in rising]
    assert np.all(np.diff(values) > 0)
    assert levels[TISSUE_INDEX["white"]] == pytest.approx(WHITE_MATTER_LEVEL)
    assert levels[TISSUE_INDEX["background"]] == levels[TISSUE_INDEX["cavity"]] == 0


def test_flair_suppresses_csf() -> None:
    levels = signal_levels("FLAIR")
    assert levels[TISSUE_INDEX["csf"]] < 0.1 * levels[TISSUE_INDEX["white"]]


def test_unknown_contrast() -> None:
    with pytest.raises(ValueError, match="no contrast 'SWI'"):
        signal_levels("SWI")


def test_mix_is_the_weighted_sum() -> None:
    shares = np.zeros((len(TISSUES), 2, 2, 2), dtype=np.uint8)
    shares[TISSUE_INDEX["white"]], shares[TISSUE_INDEX["csf"]] = 102, 153
    levels = signal_levels("T2w")
    expected = 0.4 * levels[TISSUE_INDEX["white"]] + 0.6 * levels[TISSUE_INDEX["csf"]]
    np.testing.assert_allclose(mix(shares, levels), expected, rtol=1e-5)


def test_labels_are_painted_and_the_unnamed_are_background() -> None:
    labels = np.array([[[0, 2, 3, 41, 7]]])
    image = paint_labels(labels, {2: "white", 41: "white", 3: "cortex", 99: "fat"}, "T1w")
    assert image[0, 0, 1] == image[0, 0, 3] == pytest.approx(WHITE_MATTER_LEVEL)
    assert 0 < image[0, 0, 2] < image[0, 0, 1]
    assert image[0, 0, 0] == image[0, 0, 4] == 0


def test_noise_has_the_moments_of_rayleigh_and_rice() -> None:
    generator = np.random.default_rng(1)
    air = add_rician_noise(np.zeros((60, 60, 60), np.float32), 10.0, generator)
    assert air.mean() == pytest.approx(10 * np.sqrt(np.pi / 2), rel=0.01)
    assert air.std() == pytest.approx(10 * np.sqrt(2 - np.pi / 2), rel=0.01)
    tissue = add_rician_noise(np.full((60, 60, 60), 50, np.float32), 10.0, generator)
    assert np.mean(tissue.astype(np.float64) ** 2) == pytest.approx(50**2 + 2 * 10**2, rel=0.01)
    clean = np.ones((2, 2, 2), np.float32)
    assert add_rician_noise(clean, 0.0, generator) is clean


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 0.8, 4.0), (3.0, 3.0, 3.0)])
def test_texture_and_shading_keep_their_size_at_any_spacing(spacing: tuple[float, float, float]) -> None:
    shape = tuple(round(120 / edge) for edge in spacing)
    grain = texture_field(np.random.default_rng(2), shape, spacing)
    assert grain.std() == pytest.approx(1.0, abs=0.12)
    field = shading_field(np.random.default_rng(3), shape, spacing, 0.2)
    assert 0.8 - 1e-5 <= field.min() < field.max() <= 1.2 + 1e-5
    steps = [np.abs(np.diff(field, axis=axis)).max() / edge for axis, edge in enumerate(spacing)]
    assert max(steps) < 0.02  # per mm: smooth
