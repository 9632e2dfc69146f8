# SPDX-License-Identifier: Apache-2.0
"""Blur, thick slices and truncation against what mathematics says of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

torch = pytest.importorskip("torch")

from bidsqa.simulation import ARTIFACTS  # noqa: E402
from bidsqa.simulation.resolution import (  # noqa: E402
    FWHM_PER_SIGMA,
    apply_blur,
    apply_gibbs,
    apply_pixels,
    gaussian_operator,
    thick_operator,
)


def noise(size: int = 96) -> object:
    return torch.randn(1, 1, size, size, generator=torch.Generator().manual_seed(0)) + 5


def test_blur_equals_an_independent_gaussian_filter() -> None:
    image = noise()
    fwhm = torch.tensor([[3.0, 5.0]])
    here = apply_blur(image, {"fwhm": fwhm}, image > 0)[0, 0].numpy()
    other = ndimage.gaussian_filter(
        image[0, 0].numpy(), np.array([3.0, 5.0]) / FWHM_PER_SIGMA, mode="reflect", truncate=6
    )
    assert np.allclose(here, other, atol=3e-3)


def test_blurs_compose_by_the_sum_of_squares() -> None:
    twice = gaussian_operator(80, 1.5) @ gaussian_operator(80, 2.0)
    assert torch.allclose(twice, gaussian_operator(80, 2.5), atol=2e-3)


def test_blur_is_in_millimetres() -> None:
    fine = ARTIFACTS["blur"].sample(torch.Generator(), 0.5, (0.5, 1.0))
    assert fine["fwhm"][0].tolist() == pytest.approx([4.0, 2.0])


@pytest.mark.parametrize("factor", [1.0, 1.7, 3.0, 6.0])
def test_thick_slices_keep_the_mean_and_lessen_noise(factor: float) -> None:
    matrix = thick_operator(97, factor)
    assert torch.allclose(matrix.sum(dim=1), torch.ones(97), atol=1e-5)
    assert torch.allclose(matrix @ torch.full((97,), 3.0), torch.full((97,), 3.0), atol=1e-4)
    line = torch.randn(97, 400, generator=torch.Generator().manual_seed(1))
    assert float((matrix @ line)[20:77].std()) <= float(line.std()) / np.sqrt(factor) * 1.06


def test_a_ramp_survives_thick_slices() -> None:
    ramp = torch.arange(90, dtype=torch.float32)
    result = thick_operator(90, 3.0) @ ramp
    assert torch.allclose(result[6:84], ramp[6:84], atol=1e-2)


def test_gibbs_overshoots_a_step_by_nine_percent_and_is_idempotent() -> None:
    image = torch.zeros(1, 1, 8, 512)
    image[..., 128:384] = 1.0
    parameters = {"kept": torch.tensor([0.3]), "axis": torch.tensor([1])}
    once = apply_gibbs(image, parameters, image > 0)
    assert float(once.max()) == pytest.approx(1.0895, abs=0.01)
    shifted = apply_gibbs(image + 1, parameters, image > 0)  # stays positive, so the magnitude changes nothing
    assert torch.allclose(apply_gibbs(shifted, parameters, image > 0), shifted, atol=1e-4)


def test_large_pixels_are_thick_slices_along_both_axes() -> None:
    image = noise(60)
    parameters = {"factor": torch.tensor([3.0]), "across": torch.tensor([-1])}
    matrix = thick_operator(60, 3.0)
    expected = matrix @ image[0, 0] @ matrix.T
    assert torch.allclose(apply_pixels(image, parameters, image > 0)[0, 0], expected, atol=1e-4)


@pytest.mark.parametrize("across", [0, 1, 2])
def test_large_pixels_leave_the_axis_across_alone(across: int) -> None:
    image = torch.rand(1, 1, 12, 12, 12, generator=torch.Generator().manual_seed(3))
    parameters = {"factor": torch.tensor([3.0]), "across": torch.tensor([across])}
    result = apply_pixels(image, parameters, image > 0)
    for place in range(12):
        one, whole = (volume.select(across + 2, place) for volume in (image, result))
        flat = apply_pixels(one, {"factor": torch.tensor([3.0]), "across": torch.tensor([-1])}, one > 0)
        assert torch.allclose(whole, flat, atol=1e-5)


def test_paper_severity_of_large_pixels_is_the_strength() -> None:
    row = ARTIFACTS["anisotropy_in_plane"]
    assert row.paper_severity is not None
    for strength in (0.2, 0.7, 1.0):
        drawn = row.sample(torch.Generator(), strength)
        assert float(row.paper_severity(drawn)) == pytest.approx(strength)
