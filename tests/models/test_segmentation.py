# SPDX-License-Identifier: Apache-2.0
"""The segmentation network: what it is given, what it gives, and that it mends the average head."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from bidsqa.models import MODELS
from bidsqa.models.loading import load_network
from bidsqa.models.networks_segmentation import CLASSES, ShareNetwork
from bidsqa.models.segmentation import HIGHEST, class_shares, normalised, segmentation_network

Array = np.ndarray[Any, Any]
needs_weights = pytest.mark.skipif(not MODELS["segmentation"].sha256, reason="no weights")


@pytest.fixture
def block() -> tuple[Array, Array]:
    """A ball of white in a shell of grey matter in a box, with a vague prior."""
    grid = np.stack(np.meshgrid(*[np.arange(size) - size / 2 for size in (30, 37, 26)], indexing="ij"))
    radius = np.sqrt((grid**2).sum(axis=0))
    image = np.where(radius < 6, 100.0, np.where(radius < 9, 70.0, 5.0)).astype(np.float32)
    inside = 1 / (1 + np.exp(radius - 8))
    prior = np.stack([1 - inside, 0 * inside, 0.1 * inside, 0.4 * inside, 0.5 * inside]).astype(np.float32)
    return image, prior


def test_the_image_is_scaled_by_its_brain_whatever_its_unit(block: tuple[Array, Array]) -> None:
    image, prior = block
    one = normalised(image, prior)
    assert np.median(one[(prior[3:].sum(axis=0) > 0.5)]) == pytest.approx(1)
    np.testing.assert_allclose(normalised(image * 1e6, prior), one, rtol=1e-6)
    assert normalised(np.where(image == 5, 1e9, image), prior).max() == HIGHEST
    assert not normalised(np.zeros_like(image), prior).any()


def test_an_untrained_network_gives_what_it_is_given(block: tuple[Array, Array]) -> None:
    image, prior = (torch.from_numpy(part[..., :24, :32, :24]) for part in block)
    shares = ShareNetwork().eval()(image[None, None], 0 * prior[None] + 0.2, prior[None])
    assert shares.shape == (1, CLASSES, 24, 32, 24)
    assert float((shares[0] - (prior + 0.01) / 1.05).abs().max().detach()) < 1e-5


@needs_weights
def test_blocks_of_any_size_and_unit(block: tuple[Array, Array]) -> None:
    image, prior = block
    network = segmentation_network()
    shares = class_shares(image, prior, prior, network)
    assert shares.shape == (CLASSES, *image.shape)
    np.testing.assert_allclose(shares.sum(axis=0), 1, atol=1e-5)
    np.testing.assert_allclose(class_shares(image * 7.5, prior, prior, network), shares, atol=1e-4)
    assert np.array_equal(class_shares(image, prior, prior, network), shares), "twice the same, bit for bit"


@needs_weights
def test_threads_change_nothing_but_rounding(block: tuple[Array, Array]) -> None:
    one, two = (class_shares(*block, block[1], load_network("segmentation", threads=threads)) for threads in (1, 2))
    np.testing.assert_allclose(one, two, atol=1e-5)
