# SPDX-License-Identifier: Apache-2.0
"""How Tang et al. 2025 spoil slices to be ranked: blur, dropped samples, noise, one jump, in any mixture.

Unlike :data:`bidsqa.simulation.ARTIFACTS`, whose rows are single artifacts of a known strength, this is the paper's
recipe as a whole, on complex slices; its drawn parameters are also what a synthetic reader's opinion is made from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
MOST_BLUR_PX = 1.5
MOST_LINES, MOST_POINTS = 0.30, 0.20
CENTRE = (0.20, 0.40)
MOST_NOISE = 12.0
# one step of noise, as a share of the head's 99th percentile: what is left in a scan of good quality
NOISE_STEP = 0.008
MOST_SHIFT_PX = 20
# no jump while the central tenth of the lines is acquired
QUIET = 0.05
CHANCE = 0.5


class Costs(NamedTuple):
    """Utility lost by each kind at its worst, in units of the reader's own uncertainty.

    With those of ``COSTS`` the difference of two images of a pair has the SD that Tang's readers suggest.
    """

    noise: float
    blur: float
    jump: float
    dropped: float


COSTS = Costs(noise=4.0, blur=4.0, jump=4.0, dropped=3.0)


@dataclass(frozen=True)
class Corruption:
    """What is done to one slice.

    Parameters
    ----------
    blur : float
        SD of the Gaussian point spread, pixels; 0-1.5.
    dropped : float
        Share of lines or points of k-space outside the centre that are lost: to 0.30 of lines, to 0.20 of points.
    points : bool
        Points instead of lines.
    centre : float
        Share of lines at the centre that is always kept, 0.2-0.4.
    noise : float
        SD of the complex noise added, in steps of 0.8 % of the head's 99th percentile; 0-12.
    shift : tuple of int
        Rows and columns by which the head jumps, together at most 20 pixels.
    start : float
        Share of the lines that were acquired before the jump, 0-1; 1 for no jump.
    seed : int
        Of noise and dropped samples.
    """

    blur: float = 0.0
    dropped: float = 0.0
    points: bool = False
    centre: float = CENTRE[1]
    noise: float = 0.0
    shift: tuple[int, int] = (0, 0)
    start: float = 1.0
    seed: int = 0

    @property
    def moved_share(self) -> float:
        """Share of the lines acquired after the jump."""
        return 1 - self.start

    @property
    def noise_loss_db(self) -> float:
        """Loss of signal-to-noise ratio against one step of noise, dB."""
        return 10 * math.log10(1 + self.noise**2)

    @property
    def utility(self) -> float:
        """What the slice is worth to a reader with the costs of ``COSTS``."""
        return self.worth(COSTS)

    def worth(self, costs: Costs) -> float:
        """What the slice is worth, 0 (untouched) and less; of the drawn parameters alone, never of the image."""
        return -(
            costs.noise * self.noise_loss_db / (10 * math.log10(1 + MOST_NOISE**2))
            + costs.blur * self.blur / MOST_BLUR_PX
            + costs.jump * math.hypot(*self.shift) * self.moved_share / (MOST_SHIFT_PX * (0.5 - QUIET))
            + costs.dropped * self.dropped / MOST_LINES
        )


def draw_corruption(chance: np.random.Generator) -> Corruption:
    """Each of four kinds with a chance of one half."""
    on = chance.random(4) < CHANCE
    points = bool(chance.random() < 0.5)
    angle = chance.uniform(0, 2 * math.pi)
    length = chance.uniform(1, MOST_SHIFT_PX) * on[3]
    late = chance.uniform(0.5, 1.0)
    return Corruption(
        blur=float(chance.uniform(0, MOST_BLUR_PX) * on[0]),
        dropped=float(chance.uniform(0, MOST_POINTS if points else MOST_LINES) * on[1]),
        points=points,
        centre=float(chance.uniform(*CENTRE)),
        noise=float(chance.uniform(0, MOST_NOISE) * on[2]),
        shift=(round(length * math.sin(angle)), round(length * math.cos(angle))),
        start=float(late if on[3] and late > 0.5 + QUIET else 1.0),
        seed=int(chance.integers(2**31)),
    )


def smooth_phase(shape: tuple[int, int], chance: np.random.Generator) -> Array:
    """Phase as a magnitude image may have had it: a random quadratic surface within about ±π, shape (H, W)."""
    rows, columns = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    weights = chance.uniform(-1, 1, 6)
    terms = (np.ones(shape), rows, columns, rows * columns, rows**2, columns**2)
    surface: Array = sum(weight * term for weight, term in zip(weights, terms, strict=True))  # type: ignore[assignment]
    return surface * math.pi / 2


def corrupt(image: Array, corruption: Corruption, scale: float = 1.0) -> Array:
    """Spoil a complex slice in k-space, lines along the first axis.

    Parameters
    ----------
    image : ndarray of complex, shape (H, W)
    corruption : Corruption
    scale : float
        The head's 99th percentile, for the noise.

    Returns
    -------
    ndarray of complex64, shape (H, W)
        Scaled to the image by least squares, as the paper does.
    """
    rows, columns = image.shape
    frequency = [np.fft.fftshift(np.fft.fftfreq(size)) for size in (rows, columns)]
    space = np.fft.fftshift(np.fft.fft2(image, norm="ortho"))
    if corruption.blur:
        square = frequency[0][:, None] ** 2 + frequency[1][None] ** 2
        space = space * np.exp(-2 * math.pi**2 * corruption.blur**2 * square)
    first = round(corruption.start * rows)
    if any(corruption.shift) and first < rows:
        turn = frequency[0][first:, None] * corruption.shift[0] + frequency[1][None] * corruption.shift[1]
        space[first:] = space[first:] * np.exp(-2j * math.pi * turn)
    chance = np.random.default_rng(corruption.seed)
    if corruption.noise:
        noise = chance.standard_normal((2, rows, columns))
        space = space + corruption.noise * NOISE_STEP * scale * (noise[0] + 1j * noise[1])
    if corruption.dropped:
        lost = chance.random((rows, columns) if corruption.points else (rows, 1)) < corruption.dropped
        space = np.where(lost & (np.abs(frequency[0][:, None]) > corruption.centre / 2), 0, space)
    spoiled = np.fft.ifft2(np.fft.ifftshift(space), norm="ortho")
    gain = complex(np.vdot(spoiled, image)) / max(float(np.vdot(spoiled, spoiled).real), 1e-20)
    result: Array = (gain * spoiled).astype(np.complex64)
    return result
