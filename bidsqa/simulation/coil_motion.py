# SPDX-License-Identifier: Apache-2.0
"""Rigid moves during the acquisition of a slice, filled line by line into its coils' k-space (Lei et al.)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bidsqa.simulation.coils import combine, estimate_sensitivities, to_kspace

Array = np.ndarray[Any, Any]
ORDERS = ("linear", "interleaved", "echo_train")
FEWEST, MOST = 2, 4
LARGEST_TURN, LARGEST_SHIFT = 1.0, 3.0
ECHOES = 8


@dataclass(frozen=True)
class Moves:
    """A path of the object: it lies still, then takes one pose after the other.

    Parameters
    ----------
    start : ndarray, shape (P,)
        When each pose begins, as a share of the acquisition, ascending.
    turn : ndarray, shape (P,)
        Degrees from where it lay at first.
    shift : ndarray, shape (P, 2)
        Pixels along rows and columns from there.
    """

    start: Array
    turn: Array
    shift: Array


def draw_moves(rng: np.random.Generator, strength: float = 1.0) -> Moves:
    """Two to four moves at random times, each within 1 degree and 3 pixels of the pose before.

    Parameters
    ----------
    rng : numpy.random.Generator
    strength : float
        Scales the moves; 1 is the paper's.
    """
    count = int(rng.integers(FEWEST, MOST + 1))
    turn = strength * LARGEST_TURN * rng.uniform(-1, 1, size=count)
    angle, length = rng.uniform(0, 2 * np.pi, size=count), np.sqrt(rng.uniform(0, 1, size=count))
    step = strength * LARGEST_SHIFT * np.stack([length * np.sin(angle), length * np.cos(angle)], axis=1)
    return Moves(np.sort(rng.uniform(0, 1, size=count)), np.cumsum(turn), np.cumsum(step, axis=0))


def line_times(lines: int, order: str, echoes: int = ECHOES) -> Array:
    """When each line of k-space, from the first to the last, is acquired: its rank, shape (lines,).

    Parameters
    ----------
    lines : int
    order : str
        ``linear``: one after the other. ``interleaved``: every second, then the others. ``echo_train``: each shot takes
        ``echoes`` lines that lie a segment apart, the next shot their neighbours.
    echoes : int
        Lines a shot.

    Raises
    ------
    ValueError
        For an order that isn't there.
    """
    number = np.arange(lines)
    if order == "linear":
        return number
    if order == "interleaved":
        sequence = np.concatenate([number[::2], number[1::2]])
    elif order == "echo_train":
        shots = -(-lines // echoes)
        sequence = np.argsort((number % shots) * lines + number // shots, kind="stable")
    else:
        raise ValueError(f"no order {order!r}; there are {', '.join(ORDERS)}")
    times = np.empty(lines, dtype=int)
    times[sequence] = number
    return times


def move(
    kspace: Array, moves: Moves, order: str = "linear", axis: int = 0, sensitivities: Array | None = None
) -> Array:
    """k-space of the object as it moved.

    Lines of the time before the first move are those of ``kspace``. For each later pose the combined image is turned
    (by shears, which leave noise its power), shifted (by a phase ramp) and seen by the coils again, which stay where
    they are.

    Parameters
    ----------
    kspace : ndarray of complex64, shape (C, H, W)
    moves : Moves
    order : str
        Of ``ORDERS``.
    axis : int
        0: lines are rows (phase encoding along the first axis), 1: columns.
    sensitivities : ndarray of complex64, shape (C, H, W), optional
        Estimated from ``kspace`` if not given.

    Returns
    -------
    ndarray of complex64, shape (C, H, W)
    """
    lines = kspace.shape[1 + axis]
    pose = np.searchsorted(moves.start, (line_times(lines, order) + 0.5) / lines, side="right")
    seen = [number for number in range(1, len(moves.start) + 1) if (pose == number).any()]
    result = np.array(kspace, dtype=np.complex64)
    if not seen:
        return result
    maps = estimate_sensitivities(kspace) if sensitivities is None else sensitivities
    image = combine(kspace, maps)
    for number, posed in zip(seen, _posed(image, moves, [number - 1 for number in seen]), strict=True):
        chosen = (slice(None),) * (1 + axis) + (np.flatnonzero(pose == number),)
        result[chosen] = to_kspace(maps * posed)[chosen]
    return result


def _posed(image: Array, moves: Moves, chosen: list[int]) -> list[Array]:
    """The image in some of the poses."""
    import torch

    from bidsqa.simulation.rotation import resample_planes, rotation_matrix

    angles = np.deg2rad(moves.turn[chosen])
    turned = np.repeat(image[None], len(chosen), axis=0)
    some = np.flatnonzero(np.abs(angles) > 1e-7)
    if some.size:
        planes = torch.from_numpy(np.concatenate([turned[some].real, turned[some].imag]).astype(np.float32))
        matrix = rotation_matrix(torch.from_numpy(-angles[some].astype(np.float32))[:, None]).repeat(2, 1, 1)
        moved = resample_planes(planes, matrix, torch.zeros((2 * some.size, 2)), torch.ones(2)).numpy()
        turned[some] = moved[: some.size] + 1j * moved[some.size :]
    return [_shifted(one, moves.shift[number]) for one, number in zip(turned, chosen, strict=True)]


def _shifted(image: Array, shift: Array) -> Array:
    """Moved by whole or broken pixels, around the borders."""
    rows, columns = (np.fft.fftfreq(size) for size in image.shape)
    ramp = np.exp(-2j * np.pi * (rows[:, None] * shift[0] + columns[None, :] * shift[1]))
    return np.asarray(np.fft.ifft2(np.fft.fft2(image) * ramp), dtype=np.complex64)
