# SPDX-License-Identifier: Apache-2.0
"""Class shares of a head by the segmentation network, from an image and first shares."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from bidsqa.models.loading import Network, load_network

Array = np.ndarray[Any, Any]
STRIDE = 8
HIGHEST = 4.0


def normalised(image: Array, prior: Array) -> Array:
    """The image as the network wants it: median 1 where the average head has its brain, within 0-4, float32.

    Parameters
    ----------
    image : ndarray, shape (X, Y, Z)
    prior : ndarray, shape (5, X, Y, Z)
        Shares of air, head, csf, gm, wm.
    """
    values = image[(prior[3] + prior[4] > 0.5) & (image > 0)]
    if values.size == 0:
        values = image[image > 0]
    level = float(np.median(values)) if values.size else 1.0
    return np.clip(image.astype(np.float32) / np.float32(max(level, 1e-12)), 0, HIGHEST)


@lru_cache(maxsize=4)
def segmentation_network(threads: int = 1) -> Network:
    """The shipped network, loaded once a process.

    Raises
    ------
    WeightsError
        The weights are missing or damaged.
    """
    return load_network("segmentation", threads=threads)


def class_shares(image: Array, prior: Array, first: Array, network: Network) -> Array:
    """Shares of air, head, CSF, grey and white matter in each voxel.

    Parameters
    ----------
    image : ndarray of float32, shape (X, Y, Z)
        At 2 mm, any contrast and unit, at least one voxel above 0.
    prior : ndarray of float32, shape (5, X, Y, Z)
        The average head's shares, sum 1.
    first : ndarray of float32, shape (5, X, Y, Z)
        Shares that the intensities made of them, sum 1.
    network : Network
        From :func:`segmentation_network`.

    Returns
    -------
    ndarray of float32, shape (5, X, Y, Z)
        Sum 1.
    """
    arrays = {
        "image": _filled(normalised(image, prior), 0.0)[None, None],
        **{name: _filled_shares(shares)[None] for name, shares in (("prior", prior), ("first", first))},
    }
    shares = network.run(arrays)[0][0]
    x, y, z = image.shape
    return np.ascontiguousarray(shares[:, :x, :y, :z])


def _filled(data: Array, value: float) -> Array:
    """With a constant up to multiples of what the network takes."""
    return np.pad(data, [(0, -size % STRIDE) for size in data.shape], constant_values=value)


def _filled_shares(shares: Array) -> Array:
    """Beyond the block is air."""
    return np.stack([_filled(part, float(row == 0)) for row, part in enumerate(shares)])
