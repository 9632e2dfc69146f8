# SPDX-License-Identifier: Apache-2.0
"""A phantom scan with its true masks and made-up scores, and the figures drawn from them."""

from __future__ import annotations

import numpy as np
import pytest

from bidsqa.anatomy import Anatomy
from bidsqa.image import Volume
from bidsqa.models import Score, SliceScores
from bidsqa.report import draw_figures
from bidsqa.simulation.phantom import Phantom


@pytest.fixture(scope="session")
def true_anatomy(phantom: Phantom) -> Anatomy:
    """Masks straight from the phantom's truth."""
    truth = phantom.truth
    empty = np.zeros(truth.head.shape, dtype=np.uint8)
    return Anatomy(
        head=truth.head,
        brain=truth.brain,
        hat=1 - truth.head,
        air=1 - truth.head,
        frame=empty,
        dseg=truth.dseg,
        posteriors=truth.posteriors,
        bias_field=np.ones(truth.head.shape, dtype=np.float32),
    )


@pytest.fixture(scope="session")
def made_up_scores() -> dict[str, Score]:
    """Slices 40 and 60 are the worst of the axial plane."""
    index = tuple(range(30, 80, 2))
    value = tuple(0.2 if at == 40 else 0.3 if at == 60 else 0.9 for at in index)
    return {"ssim": Score(0.85, 0.01, "", (SliceScores("axial", index, value),))}


@pytest.fixture(scope="session")
def figures(t1w: Volume, true_anatomy: Anatomy, made_up_scores: dict[str, Score]) -> dict[str, bytes]:
    """All figures of the phantom's T1w scan."""
    return draw_figures(t1w, true_anatomy, made_up_scores)
