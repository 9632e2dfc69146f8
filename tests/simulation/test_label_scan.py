# SPDX-License-Identifier: Apache-2.0
"""Scans drawn from label maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bidsqa.simulation.label_scan import CONTRASTS, SIGNALS, draw_scan, sampling_matrix, tissue_signals

LABELS = (2, 3, 4, 10, 41, 42, 43, 49, 207)


def labelled() -> tuple[Any, Any, Any]:
    """A round head of a few labels with its table."""
    axes = np.meshgrid(*[np.linspace(-1.2, 1.2, 70)] * 3, indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in axes))
    labels = np.zeros(radius.shape, dtype=np.uint8)
    for limit, label in ((1.0, 207), (0.8, 4), (0.7, 3), (0.55, 2), (0.2, 10)):
        labels[radius < limit] = label
    kinds, classes = np.zeros(256, dtype=int), np.zeros(256, dtype=int)
    for number, label in enumerate(LABELS):
        classes[label], kinds[label] = number + 1, 1 if label == 207 else 2
    return labels, classes, kinds


@pytest.mark.parametrize("seed", range(4))
def test_drawn_scans_are_images(seed: int) -> None:
    volume, contrast = draw_scan(*labelled(), np.random.default_rng(seed))
    assert contrast in (*SIGNALS, "random")
    assert np.isfinite(volume.data).all() and volume.data.min() >= 0 and volume.data.max() > 50
    assert np.array_equal(volume.data, np.rint(volume.data))
    assert min(volume.shape) >= 8
    again, _ = draw_scan(*labelled(), np.random.default_rng(seed))
    assert np.array_equal(again.data, volume.data)


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_a_named_contrast_is_drawn(contrast: str) -> None:
    volume, named = draw_scan(*labelled(), np.random.default_rng(3), contrast=contrast)
    assert named == contrast
    assert volume.data.max() > 50


def test_naming_the_contrast_that_would_be_drawn_changes_nothing() -> None:
    volume, contrast = draw_scan(*labelled(), np.random.default_rng(1))
    again, _ = draw_scan(*labelled(), np.random.default_rng(1), contrast=contrast)
    assert np.array_equal(again.data, volume.data)


def test_unknown_contrast_is_refused() -> None:
    with pytest.raises(ValueError, match="no contrast 'SWI'"):
        draw_scan(*labelled(), np.random.default_rng(0), contrast="SWI")


def test_contrasts_have_their_order() -> None:
    _, classes, kinds = labelled()
    for contrast, order in (("T1w", (2, 3, 4)), ("T2w", (4, 3, 2)), ("FLAIR", (3, 2, 4))):
        signals = tissue_signals(contrast, classes, kinds, np.random.default_rng(0))
        assert signals[order[0]] > signals[order[1]] > signals[order[2]]
        assert signals[0] == 0


def test_sampling_keeps_a_constant() -> None:
    for edge, box in ((0.9, False), (3.0, True)):
        matrix = sampling_matrix(80, edge, edge, box)
        assert np.allclose(matrix @ np.full(80, 7.0), 7.0)
        assert matrix.shape[0] == int(80 / edge)
