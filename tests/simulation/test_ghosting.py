# SPDX-License-Identifier: Apache-2.0
"""Ghosts where the theory puts them, as bright as it says."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from bidsqa.simulation.ghosting import COSINE, EVERY_NTH, HALF_PHASE, PHASE, apply_ghosting, line_weights  # noqa: E402

SIZE = 120


def point(kind: int, amplitude: float, period: float, axis: int = 0, protected: float = 0.0) -> object:
    """Image of a single bright pixel after ghosting."""
    image = torch.zeros(1, 1, SIZE, SIZE)
    image[0, 0, 60, 60] = 1.0
    parameters = settings(kind, amplitude, period, axis, protected)
    return apply_ghosting(image, parameters, image > 0)[0, 0]


def settings(kind: int, amplitude: float, period: float, axis: int = 0, protected: float = 0.0) -> dict[str, object]:
    return {
        "amplitude": torch.tensor([amplitude]),
        "period": torch.tensor([period]),
        "phase": torch.tensor([0.7]),
        "axis": torch.tensor([axis]),
        "kind": torch.tensor([kind]),
        "protected": torch.tensor([protected]),
    }


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("period", [3, 4, 5, 8])
def test_cosine_ghosts_lie_at_plus_and_minus_the_field_over_n_with_half_the_amplitude(period: int, axis: int) -> None:
    result = point(COSINE, 0.5, period, axis)
    line = result[:, 60] if axis == 0 else result[60, :]
    step = SIZE // period
    assert float(line[60]) == pytest.approx(1.0, abs=1e-4)
    assert float(line[(60 + step) % SIZE]) == pytest.approx(0.25, abs=1e-4)
    assert float(line[(60 - step) % SIZE]) == pytest.approx(0.25, abs=1e-4)
    assert float(line.sum()) == pytest.approx(1.5, abs=1e-3)


def test_half_field_ghost_has_main_cosine_and_ghost_sine() -> None:
    result = point(HALF_PHASE, 0.5, 2)
    theta = math.asin(0.5 / math.sqrt(2))
    assert float(result[60, 60]) == pytest.approx(math.cos(theta), abs=1e-4)
    assert float(result[0, 60]) == pytest.approx(math.sin(theta), abs=1e-4)


def test_every_nth_line_has_the_energy_ratio_of_the_paper() -> None:
    period, amplitude = 4, 0.4
    result = point(EVERY_NTH, amplitude, period)
    loss = amplitude * period / math.sqrt(2 * (period - 1))
    ghosts = [float(result[(60 + 30 * copy) % SIZE, 60]) for copy in (1, 2, 3)]
    assert ghosts == pytest.approx([loss / period] * 3, abs=1e-4)
    assert math.sqrt(sum(value**2 for value in ghosts)) == pytest.approx(amplitude / math.sqrt(2), abs=1e-4)


@pytest.mark.parametrize("kind", [COSINE, EVERY_NTH, PHASE])
def test_kinds_have_equal_ghost_energy(kind: int) -> None:
    weights = line_weights(SIZE, settings(kind, 0.3, 5))[0]
    spread = (weights - weights.mean()).abs().square().mean().sqrt()
    assert float(spread) == pytest.approx(0.3 / math.sqrt(2), rel=0.08)


def test_protected_centre_leaves_the_centre_line_alone() -> None:
    weights = line_weights(SIZE, settings(COSINE, 0.5, 5, protected=0.05))[0]
    assert complex(weights[0]) == pytest.approx(1 + 0j)
    assert float((weights[40:80] - 1).abs().max()) > 0.4


@pytest.mark.parametrize("period", [2, 3, 5, 10])
def test_every_nth_line_never_loses_the_centre(period: int) -> None:
    weights = line_weights(SIZE, settings(EVERY_NTH, 0.6, period))[0]
    assert complex(weights[0]) == pytest.approx(1 + 0j)
    assert int((weights.abs() < 1).sum()) == SIZE // period
