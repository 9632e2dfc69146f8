# SPDX-License-Identifier: Apache-2.0
"""The classical way to the tissues: an average head laid over the scan by mutual information, then its intensities.

Contrast-agnostic: neither the registration (Maes et al. 1997, doi 10.1109/42.563664, with class shares in the place
of the second image's bins) nor the intensity model (one histogram a class) knows what is bright.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

Array = np.ndarray[Any, Any]
ATLAS_FILE = Path(__file__).with_name("atlas.npz")
ATLAS_MM = 4.0
ATLAS_SHAPE = (50, 60, 64)
BINS = 32
# turns (rad), shifts (mm), log sizes: how far each is first moved
FIRST_STEPS = np.array([0.12, 0.06, 0.06, 6.0, 8.0, 10.0, 0.06, 0.06, 0.06])
# how far they usually are from the start (turns, shifts) and from the average (sizes)
SPREAD = np.array([0.25, 0.12, 0.12, 15.0, 20.0, 25.0, 0.06, 0.06, 0.06])
PULL = 0.01
THINNING = 7
REACH_MM = 130.0
# partial volume spreads a coarse voxel of tissue further than its quartiles tell
WIDER = 1.2
# no intensity is impossible for a class
FLOOR = 1e-4
BRAIN_BOX_MM = (164.0, 200.0, 180.0)
# scalp, fat and muscle are further from the brain than this; its border runs through bone, marrow and dura
SKULL_MM = 14.0
# with more of it at 0 than this the head was stripped, and what is left around the brain is brain
EMPTY = 0.5


def load_atlas() -> Array:
    """Class shares of the average head, float32, shape (X * Y * Z, 5), brain box at the centre of ``ATLAS_SHAPE``."""
    with np.load(ATLAS_FILE, allow_pickle=False) as stored:
        shares = np.asarray(stored["shares"], dtype=np.float32) / np.float32(255.0)
    return np.ascontiguousarray(shares.reshape(shares.shape[0], -1).T)


def matrix_of(pose: Array) -> Array:
    """Linear part (3, 3) from scan mm to atlas mm of a pose: turns about x, y, z, shifts, log sizes."""
    linear = np.diag(np.exp(-pose[6:9]))
    for axis, angle in enumerate(pose[:3]):
        turn = np.eye(3)
        first, second = [other for other in range(3) if other != axis]
        turn[first, first] = turn[second, second] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        linear = linear @ turn
    return np.asarray(linear)


def sample(atlas: Array, points: Array, pose: Array) -> Array:
    """Class shares at points of the scan, by linear interpolation; shape (N, 5), float32.

    Parameters
    ----------
    atlas : ndarray of float32, shape (X * Y * Z, 5)
    points : ndarray of float32, shape (3, N)
        mm from the start of the search.
    pose : ndarray, shape (9,)
    """
    linear = matrix_of(pose) / ATLAS_MM
    offset = (np.array(ATLAS_SHAPE) - 1) / 2 - linear @ pose[3:6]
    places = linear.astype(np.float32) @ points + offset[:, None].astype(np.float32)
    top = np.array(ATLAS_SHAPE, dtype=np.float32)[:, None] - np.float32(1.001)
    places = np.clip(places, 0, top)
    low = places.astype(np.int32)
    rest = places - low
    strides = (ATLAS_SHAPE[1] * ATLAS_SHAPE[2], ATLAS_SHAPE[2], 1)
    first = low[0] * strides[0] + low[1] * strides[1] + low[2]
    result = np.zeros((points.shape[1], atlas.shape[1]), dtype=np.float32)
    for corner in range(8):
        bits = [(corner >> axis) & 1 for axis in range(3)]
        weight = np.ones(points.shape[1], dtype=np.float32)
        for axis, bit in enumerate(bits):
            weight *= rest[axis] if bit else 1 - rest[axis]
        result += weight[:, None] * atlas[first + sum(b * s for b, s in zip(bits, strides, strict=True))]
    return result


def joint_histogram(shares: Array, bins: Array) -> Array:
    """Share of each class in each intensity bin, shape (5, BINS), sum 1; ``shares`` has shape (N, 5)."""
    counts = np.stack([np.bincount(bins, weights=shares[:, k], minlength=BINS) for k in range(shares.shape[1])])
    return np.asarray(counts / max(counts.sum(), 1e-12))


def mutual_information(joint: Array) -> float:
    """In nats, from a joint histogram."""
    product = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    used = joint > 1e-12
    return float(np.sum(joint[used] * np.log(joint[used] / product[used])))


def intensity_bins(image: Array) -> Array:
    """Bin of each voxel; bin 0 holds what is 0 or less, the others have equal counts of the rest."""
    positive = image[image > 0]
    if positive.size < BINS:
        return np.zeros(image.shape, dtype=np.int64)
    edges = np.quantile(positive[:: max(1, positive.size // 20000)], np.linspace(0, 1, BINS)[1:-1])
    return np.where(image > 0, 1 + np.searchsorted(edges, image), 0)


def register(atlas: Array, points: Array, bins: Array, starts: list[Array], rounds: int = 4) -> tuple[Array, float]:
    """The pose with the greatest mutual information, by a pattern search from the best of the starts.

    Parameters
    ----------
    atlas : ndarray of float32, shape (X * Y * Z, 5)
    points : ndarray of float32, shape (3, N)
        mm.
    bins : ndarray of int, shape (N,)
    starts : list of ndarray
        Poses to begin from.
    rounds : int
        Times that the steps are halved.

    Returns
    -------
    pose : ndarray, shape (9,)
    information : float
        Mutual information there over the entropy of the classes (0-1).
    """
    centre = starts[0]

    def gain(pose: Array) -> float:
        pull = PULL * float(np.sum(((pose - centre) / SPREAD) ** 2))
        return mutual_information(joint_histogram(sample(atlas, points, pose), bins)) - pull

    every, all_bins = points, bins
    points, bins = every[:, ::3], all_bins[::3]
    scored = sorted(((gain(pose), tuple(pose)) for pose in starts), reverse=True)
    best, pose = scored[0][0], np.array(scored[0][1])
    steps = FIRST_STEPS.copy()
    for turn in range(rounds):
        if turn == 2:  # the first, long steps don't need every point
            points, bins = every, all_bins
            best = gain(pose)
        for _ in range(2):
            before = best
            for index in (5, 4, 8, 0, 7, 6, 3, 1, 2):
                for sign in (1.0, -1.0):
                    moved = pose.copy()
                    moved[index] += sign * steps[index]
                    value = gain(moved)
                    if value > best:
                        best, pose = value, moved
                        break
            if best - before < 1e-4:
                break
        steps = steps / 2
    joint = joint_histogram(sample(atlas, points, pose), bins)
    classes = joint.sum(axis=1)
    entropy = -float(np.sum(classes * np.log(np.maximum(classes, 1e-12))))
    return pose, mutual_information(joint) / max(entropy, 1e-6)


def find_pose(block: Array, foreground: Array, step: float) -> tuple[Array, Array, float]:
    """Where the average head lies in a scan.

    Parameters
    ----------
    block : ndarray of float32, shape (X, Y, Z)
        At about 4 mm.
    foreground : ndarray of bool
        Rough head.
    step : float
        Voxel edge, mm.

    Returns
    -------
    pose : ndarray, shape (9,)
    start : ndarray, shape (3,)
        mm from the block's first voxel; the pose's shifts count from there.
    information : float
    """
    x, y, z = np.nonzero(foreground)
    top = (int(z.max()) + 1) * step
    upper = z > (top - 120) / step
    start = np.array([x[upper].mean() * step, y[upper].mean() * step, top - 85.0])
    axes = [np.arange(size) * step for size in block.shape]
    points = np.stack(np.meshgrid(*axes, indexing="ij")).reshape(3, -1) - start[:, None]
    bins = intensity_bins(block).ravel()
    # a share of the voxels, evenly strewn, is enough to find the pose
    strewn = np.indices(block.shape).sum(axis=0).ravel() % THINNING == 0
    chosen = strewn & (np.abs(points).max(axis=0) < REACH_MM)
    starts = [
        np.array([0, 0, 0, 0, 0, down, grown, grown, grown], dtype=float)
        for down in (0.0, 15.0, -15.0)
        for grown in (0.0, -0.12, 0.1)
    ]
    starts += [np.array([turn, 0, 0, 0, 0, down, 0, 0, 0]) for turn in (-0.25, 0.25) for down in (0.0, 15.0, -15.0)]
    pose, information = register(load_atlas(), points[:, chosen].astype(np.float32), bins[chosen], starts)
    return pose, start, information


def brain_corners(pose: Array) -> tuple[Array, Array]:
    """Lowest and highest corner (mm from the start) of the average brain's box in a pose."""
    half = 0.5 * np.array(BRAIN_BOX_MM)
    signs = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, -1)
    corners = np.linalg.inv(matrix_of(pose)) @ (signs * half[:, None]) + pose[3:6, None]
    return corners.min(axis=1), corners.max(axis=1)


def refine_by_intensity(shares: Array, image: Array, step: float, rounds: int = 3) -> Array:
    """Class shares after a few rounds of expectation maximisation on the coarse grid.

    CSF, grey and white matter are one Gaussian each (a tissue has one intensity); air and the rest of the head, which
    is anything from bone to fat, keep a smoothed histogram: one of what lies within 14 mm of the brain, where the
    border is decided, and one of everything for what lies further out (and for all of a stripped head).

    Parameters
    ----------
    shares : ndarray of float32, shape (5, X, Y, Z)
        Prior from the atlas.
    image : ndarray of float32, shape (X, Y, Z)
    step : float
        Voxel edge, mm.
    rounds : int

    Returns
    -------
    ndarray of float32, shape (5, X, Y, Z)
    """
    flat = intensity_bins(image).ravel()
    near = (ndimage.distance_transform_edt(shares[2:].sum(axis=0) < 0.5) * step <= SKULL_MM).ravel()
    near_bins = flat[near]
    counts = np.maximum(np.bincount(flat, minlength=BINS), 1)
    centres = np.bincount(flat, weights=image.ravel(), minlength=BINS) / counts
    prior = shares + np.float32(0.01)
    current = shares
    for turn in range(rounds):
        rows = current.reshape(len(shares), -1).T
        density = class_densities(joint_histogram(rows, flat), centres, counts)
        likelihood = density.astype(np.float32)[:, flat]
        around = smooth_histograms(joint_histogram(rows[near], near_bins)).astype(np.float32)
        if around[1, 0] < EMPTY:
            likelihood[:2, near] = around[:2][:, near_bins]
        likelihood = likelihood.reshape(shares.shape)
        current = prior * likelihood
        current /= current.sum(axis=0, keepdims=True)
        if turn == 0:
            continue
        # neighbours vote: a lone voxel of another class is noise
        for part in current:
            ndimage.gaussian_filter(part, 0.7, output=part, truncate=2.0)
        current *= prior
        current *= np.sqrt(likelihood)
        current /= current.sum(axis=0, keepdims=True)
    return np.asarray(current)


def class_densities(joint: Array, centres: Array, counts: Array) -> Array:
    """Density of each class over the bins, relative to the density of all voxels; shape (5, BINS).

    Parameters
    ----------
    joint : ndarray, shape (5, BINS)
        Joint histogram of classes and bins.
    centres : ndarray, shape (BINS,)
        Mean intensity of each bin.
    counts : ndarray, shape (BINS,)
        Voxels of each bin.
    """
    shares = smooth_histograms(joint)
    span = max(float(centres[-1] - centres[0]), 1e-12)
    for index in (2, 3, 4):
        reached = np.cumsum(joint[index])
        if not reached[-1] > 0:
            continue
        low, middle, high = np.interp(np.array([0.25, 0.5, 0.75]) * reached[-1], reached, centres)
        deviation = max((high - low) / 1.35 * WIDER, 0.02 * span)
        shape = np.exp(-0.5 * ((centres - middle) / deviation) ** 2) + 0.01
        weighted = shape * counts
        blend = np.sqrt(weighted / weighted.sum() * (shares[index] - FLOOR + 1e-5))
        shares[index] = blend / blend.sum() + FLOOR
    return np.asarray(shares)


def smooth_histograms(joint: Array) -> Array:
    """Share of each class's voxels in each bin, smoothed over the bins of positive intensity; never 0.

    Parameters
    ----------
    joint : ndarray, shape (5, BINS)
        From :func:`joint_histogram`.
    """
    shares = joint / (joint.sum(axis=1, keepdims=True) + 1e-9)
    shares[:, 1:] = ndimage.gaussian_filter1d(shares[:, 1:], 1.0, axis=1, mode="nearest")
    return np.asarray(shares + FLOOR)
