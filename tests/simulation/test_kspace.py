# SPDX-License-Identifier: Apache-2.0
"""Spikes, wrap-around and residual aliasing."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from bidsqa.simulation import ARTIFACTS  # noqa: E402
from bidsqa.simulation.kspace import CENTRE_FREE, apply_spike, apply_undersampling, apply_wrap  # noqa: E402


def test_a_spike_makes_a_stripe_of_its_amplitude() -> None:
    image = torch.full((1, 1, 64, 64), 10.0)
    parameters = {
        "frequency": torch.tensor([[[0.25, 0.125]] + [[0.2, 0.2]] * 4]),
        "amplitude": torch.tensor([[0.1, 0.0, 0.0, 0.0, 0.0]]),
        "phase": torch.zeros(1, 5),
    }
    result = apply_spike(image, parameters, image > 0)
    assert float(result.max()) == pytest.approx(11.0, abs=0.02)
    assert float(result.min()) == pytest.approx(9.0, abs=0.02)
    spectrum = torch.fft.fft2(result[0, 0]).abs()
    spectrum[0, 0] = 0
    assert divmod(int(spectrum.argmax()), 64) in ((16, 8), (48, 56))


def test_spikes_stay_away_from_the_centre() -> None:
    places = ARTIFACTS["spike"].sample(torch.Generator().manual_seed(0), [0.5] * 200)["frequency"]
    assert float(places.abs().amax(dim=2).min()) >= CENTRE_FREE / 2 - 1e-6


def test_folding_keeps_the_sum_and_lands_on_the_other_side() -> None:
    image = torch.zeros(1, 1, 60, 20)
    image[0, 0, 10:50] = 1.0
    image[0, 0, 49] = 5.0
    parameters = {"field": torch.tensor([0.75]), "place": torch.tensor([0.0]), "axis": torch.tensor([0])}
    result = apply_wrap(image, parameters, image > 0)
    assert float(result.sum()) == pytest.approx(float(image.sum()))
    assert float(result[0, 0, 40:].abs().max()) == 0
    assert float(result[0, 0, 19, 0]) == pytest.approx(6.0)


def test_aliasing_is_the_mean_of_shifted_copies() -> None:
    image = torch.zeros(1, 1, 40, 8)
    image[0, 0, 10] = 1.0
    parameters = {"residue": torch.tensor([0.4]), "factor": torch.tensor([2]), "axis": torch.tensor([0])}
    result = apply_undersampling(image, parameters, image > 0)[0, 0, :, 0]
    assert float(result[10]) == pytest.approx(0.8)
    assert float(result[30]) == pytest.approx(0.2)
