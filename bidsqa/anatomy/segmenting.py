# SPDX-License-Identifier: Apache-2.0
"""Coarse shares of air, head, CSF, grey and white matter: by the network, or classically where it can't be had."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from bidsqa.anatomy.grids import Grid, bounding_box
from bidsqa.errors import WeightsError
from bidsqa.models import load_network
from bidsqa.models.networks_segmentation import CLASSES, MULTIPLE, normalise

Array = np.ndarray[Any, Any]
HEIGHT_MM = 210.0
WIDTH_MM = 256.0
MARGIN = 3


@dataclass(frozen=True)
class Parts:
    """Class shares on a coarse grid around the head.

    Parameters
    ----------
    shares : ndarray of float32, shape (5, X, Y, Z)
        Order of ``CLASSES``, sum 1.
    grid : Grid
        2.5 mm, a block of the scan's coarse grid.
    box : tuple of slice
        That block.
    method : str
        ``"network"`` or ``"classical"``.
    """

    shares: Array
    grid: Grid
    box: tuple[slice, slice, slice]
    method: str

    @property
    def brain(self) -> Array:
        """Share of brain with its CSF."""
        return np.asarray(self.shares[2:].sum(axis=0))


def head_block(foreground: Array, step: float) -> tuple[slice, slice, slice]:
    """The block that the network looks at: the head's box, its upper 210 mm."""
    x, y, z = bounding_box(foreground, MARGIN)
    height, width = int(HEIGHT_MM / step), int(WIDTH_MM / step)
    z = slice(max(z.start, z.stop - height), z.stop)
    x, y = (_centred(window, width) for window in (x, y))
    return x, y, z


def _centred(window: slice, width: int) -> slice:
    surplus = window.stop - window.start - width
    return window if surplus <= 0 else slice(window.start + surplus // 2, window.start + surplus // 2 + width)


def segment(coarse: Array, foreground: Array, grid: Grid, threads: int) -> Parts:
    """Class shares from the shipped network, or from :func:`classical` if its weights can't be used.

    Parameters
    ----------
    coarse : ndarray of float32
        The scan on ``grid`` (2.5 mm).
    foreground : ndarray of bool
        Rough head on ``grid``.
    grid : Grid
    threads : int

    Returns
    -------
    Parts
    """
    box = head_block(foreground, grid.step)
    block = coarse[box]
    try:
        network = load_network("segmentation", threads=threads)
    except WeightsError:
        return Parts(classical(block, foreground[box]), grid.part(box), box, "classical")
    padded = [-size % MULTIPLE for size in block.shape]
    before = [extra // 2 for extra in padded]
    after = [extra - first for extra, first in zip(padded, before, strict=True)]
    image = np.pad(normalise(block), list(zip(before, after, strict=True)))
    (logits,) = network.run({"image": image[None, None]})
    inner = tuple(slice(first, first + size) for first, size in zip(before, block.shape, strict=True))
    return Parts(softmax(logits[0][(slice(None), *inner)]), grid.part(box), box, "network")


def softmax(logits: Array) -> Array:
    """Shares from logits along the first axis, float32."""
    raised = np.exp(logits - logits.max(axis=0, keepdims=True))
    return np.asarray(raised / raised.sum(axis=0, keepdims=True), dtype=np.float32)


def classical(block: Array, foreground: Array) -> Array:
    """Shares without a network: the head eroded to a core is brain, three classes by intensity within it.

    For comparison and as a last resort: it assumes a T1w-like order (CSF darkest, white brightest) and knows
    nothing of anatomy.

    Parameters
    ----------
    block : ndarray of float32
        The scan at 2.5 mm.
    foreground : ndarray of bool

    Returns
    -------
    ndarray of float32, shape (5, X, Y, Z)
    """
    shares = np.zeros((len(CLASSES), *block.shape), dtype=np.float32)
    head = foreground.astype(bool)
    z = np.flatnonzero(head.any(axis=(0, 1)))
    brain = head.copy()
    if z.size:
        brain[:, :, : max(0, z[-1] - 75)] = False
    depth = ndimage.distance_transform_edt(np.pad(head, 1))[1:-1, 1:-1, 1:-1]
    values = block[brain & (depth > 7)]
    if values.size < 100:
        shares[0], shares[1] = ~head, head
        return shares
    low, high = np.percentile(values, (2, 98))
    tissue = brain & (depth > 4) & (block > low) & (block < high * 1.05)
    opened = ndimage.binary_opening(tissue, iterations=2)
    labels, count = ndimage.label(opened if opened.any() else tissue)
    if count:
        sizes = np.bincount(labels.ravel())[1:]
        tissue = labels == 1 + int(np.argmax(sizes))
    tissue = ndimage.binary_fill_holes(ndimage.binary_closing(tissue, iterations=4) & head)
    shares[0], shares[1] = ~head & ~tissue, head & ~tissue
    inside = block[tissue]
    if inside.size == 0:
        return shares
    means = np.percentile(inside, (10, 45, 80))
    for _ in range(20):
        nearest = np.argmin(np.abs(inside[:, None] - means[None]), axis=1)
        means = np.array([inside[nearest == k].mean() if (nearest == k).any() else means[k] for k in range(3)])
    spread = max(float(np.diff(np.sort(means)).min()) / 2, 1e-6)
    soft = np.exp(-0.5 * ((inside[:, None] - means[None]) / spread) ** 2) + 1e-6
    shares[2:, tissue] = (soft / soft.sum(axis=1, keepdims=True)).T
    return shares
