# SPDX-License-Identifier: Apache-2.0
"""Classical measures move the way that their signs promise, whatever the unit of the image."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from bidsqa.image import Volume
from bidsqa.simulation import degrade_volume
from bidsqa.validation.baselines import baselines, entropy_focus


def test_entropy_of_known_images() -> None:
    assert entropy_focus(np.ones((4, 4, 4))) == pytest.approx(1.0)
    lone = np.zeros((4, 4, 4))
    lone[1, 2, 3] = 7.0
    assert entropy_focus(lone) == pytest.approx(0.0, abs=1e-12)
    assert entropy_focus(np.zeros((4, 4, 4))) == 0


@pytest.mark.parametrize(
    ("artifact", "names"),
    [
        ("blur", ("edge strength (negated)", "tenengrad (negated)", "laplacian (negated)")),
        ("noise", ("efc",)),
        ("bias", ("field range",)),
    ],
)
def test_each_measure_sees_what_it_is_for(t1w: Volume, artifact: str, names: tuple[str, ...]) -> None:
    clean, worse = baselines(t1w), baselines(degrade_volume(t1w, artifact, 1.0, seed=4)[0])
    for name in names:
        assert worse[name] > clean[name], name


@pytest.mark.parametrize("factor", [1e-15, 1e-3, 1e15])
def test_the_unit_does_not_matter(t1w: Volume, factor: float) -> None:
    scaled = Volume.from_array((t1w.data.astype(np.float64) * factor).astype(np.float32), t1w.spacing)
    plain = baselines(Volume.from_array(t1w.data, t1w.spacing))
    assert baselines(scaled) == pytest.approx(plain, rel=1e-3, abs=1e-4)


def test_an_empty_image_has_finite_measures() -> None:
    empty = Volume.from_array(np.zeros((12, 12, 12), dtype=np.float32), (1.0, 1.0, 1.0))
    assert all(np.isfinite(value) for value in baselines(empty).values())
