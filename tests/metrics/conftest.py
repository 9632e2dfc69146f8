# SPDX-License-Identifier: Apache-2.0
"""A head of nested ellipsoids whose metrics can be worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bidsqa.anatomy import Anatomy
from bidsqa.image import Volume

Array = np.ndarray[Any, Any]
Scene = tuple[Volume, Anatomy]

SHAPE = (60, 68, 64)
SIGNAL = {"wm": 1000.0, "gm": 700.0, "csf": 300.0, "scalp": 1300.0}
RADII = {"wm": 0.45, "gm": 0.62, "csf": 0.72, "scalp": 0.86}


def as_mask(mask: Array) -> Array:
    return mask.astype(np.uint8)


def make_scene(
    sigma: float = 20.0,
    tissue_spread: float = 0.0,
    seed: int = 0,
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    shape: tuple[int, int, int] = SHAPE,
) -> Scene:
    """Nested ellipsoids (white, grey, CSF, scalp) in Rayleigh air, crisp posteriors, flat field.

    ``tissue_spread`` is the standard deviation of the texture inside the head, ``sigma`` that of the channel noise.
    """
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*[np.linspace(-1, 1, size) for size in shape], indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in axes))
    clean = np.zeros(shape)
    inner = 0.0
    masks: dict[str, Array] = {}
    for name, outer in RADII.items():
        masks[name] = (radius >= inner) & (radius < outer)
        clean[masks[name]] = SIGNAL[name]
        inner = outer
    head = radius < RADII["scalp"]
    clean[head] += tissue_spread * rng.standard_normal(int(head.sum()))
    data = np.hypot(clean + sigma * rng.standard_normal(shape), sigma * rng.standard_normal(shape))
    hat = ~head & (axes[2] > -0.3)
    brain = radius < RADII["csf"]
    dseg = np.zeros(shape, dtype=np.uint8)
    for label, name in enumerate(("gm", "wm", "csf"), start=1):
        dseg[masks[name]] = label
    anatomy = Anatomy(
        head=as_mask(head),
        brain=as_mask(brain),
        hat=as_mask(hat),
        air=as_mask(hat),
        frame=np.zeros(shape, dtype=np.uint8),
        dseg=dseg,
        posteriors=np.stack([masks[name] for name in ("csf", "gm", "wm")]).astype(np.float16),
        bias_field=np.ones(shape, dtype=np.float32),
    )
    return Volume.from_array(data, spacing), anatomy


@pytest.fixture
def scene() -> Callable[..., Scene]:
    """Builds a scene; see ``make_scene``."""
    return make_scene


@pytest.fixture(scope="session")
def plain_scene() -> Scene:
    """The scene with the default noise; not to be written to."""
    return make_scene()


@pytest.fixture
def changed() -> Callable[..., Anatomy]:
    """An anatomy with some arrays replaced, its cache empty."""

    def change(anatomy: Anatomy, **arrays: Any) -> Anatomy:
        return replace(anatomy, **arrays)

    return change
