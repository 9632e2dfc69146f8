# SPDX-License-Identifier: Apache-2.0
"""Known moments of the noise models."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from bidsqa.simulation import ARTIFACTS  # noqa: E402


def noisy(name: str, strength: float = 1.0) -> tuple[float, object, object]:
    """Noise SD, the noisy flat region and the noisy air of an image that is 50 in its head."""
    image = torch.zeros(1, 1, 400, 400)
    image[..., 100:300, 100:300] = 50.0
    artifact = ARTIFACTS[name]
    parameters = artifact.sample(torch.Generator().manual_seed(0), strength)
    result = artifact.apply(image, parameters)
    return 50 * 0.2 * strength, result[..., 100:300, 100:300], result[..., :90, :]


def test_gaussian_keeps_the_mean_and_has_the_sd() -> None:
    sigma, head, air = noisy("gaussian_noise")
    assert float(head.mean()) == pytest.approx(50, abs=0.2)
    assert float(head.std()) == pytest.approx(sigma, rel=0.02)
    assert float(air.min()) < 0


def test_rician_second_moment_and_rayleigh_air() -> None:
    sigma, head, air = noisy("noise")
    assert float(head.square().mean()) == pytest.approx(50**2 + 2 * sigma**2, rel=0.01)
    assert float(air.mean()) == pytest.approx(1.2533 * sigma, rel=0.02)
    assert float(air.std()) == pytest.approx(0.6551 * sigma, rel=0.02)
    assert float(air.min()) >= 0


def test_noncentral_chi_second_moment() -> None:
    sigma, head, air = noisy("coil_noise", 0.5)
    parameters = ARTIFACTS["coil_noise"].sample(torch.Generator().manual_seed(0), 0.5)
    coils = int(parameters["coils"][0])
    assert float(head.square().mean()) == pytest.approx(50**2 + 2 * coils * sigma**2, rel=0.01)
    assert float(air.square().mean()) == pytest.approx(2 * coils * sigma**2, rel=0.02)


def test_paper_severity_of_known_levels() -> None:
    severity = ARTIFACTS["noise"].paper_severity
    assert severity is not None
    assert float(severity({"sigma": torch.tensor([0.005])})) == pytest.approx(0, abs=1e-6)
    assert float(severity({"sigma": torch.tensor([0.2])})) == pytest.approx(1, abs=1e-6)
    assert math.isclose(float(severity({"sigma": torch.tensor([0.1025])})), 0.5, abs_tol=1e-6)
