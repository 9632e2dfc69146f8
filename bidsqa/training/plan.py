# SPDX-License-Identifier: Apache-2.0
"""The plan of a training: how long, how fast, how it is watched."""

from __future__ import annotations

import math
from dataclasses import dataclass

LOWEST = 0.01


@dataclass(frozen=True)
class Plan:
    """How long, how fast, how watched.

    Parameters
    ----------
    seed : int
    rate : float
        Highest learning rate; from the warm-up on it falls along a cosine to a hundredth.
    seconds, steps : optional
        The budget: time, steps, or whichever is spent first.
    decay : float
        Weight decay of AdamW.
    clip : float
        Largest norm of the gradient.
    warm_steps : int
        Steps over which the rate rises in proportion.
    warm_share : float
        Share of the budget over which the rate rises from a tenth.
    average, average_lag
        The averaged weights keep min(average, n / (n + average_lag)) of themselves at step n.
    look_seconds, look_steps : optional
        How often the watched batches are looked at and a row of the curve is written.
    look_first : bool
        Also before the first step.
    keep_best : bool
        The result is the averaged network of the look with the lowest ``watch_loss``, not the last one.
    patience : int, optional
        Looks without a lower ``watch_loss`` after which the training ends.
    """

    seed: int
    rate: float
    seconds: float | None = None
    steps: int | None = None
    decay: float = 1e-2
    clip: float = 1.0
    warm_steps: int = 0
    warm_share: float = 0.0
    average: float = 0.995
    average_lag: int = 10
    look_seconds: float | None = None
    look_steps: int | None = None
    look_first: bool = False
    keep_best: bool = False
    patience: int | None = None

    def share(self, step: int, seconds: float) -> float:
        """Share of the budget that is spent, 0-1."""
        spent = [step / self.steps] if self.steps else []
        spent += [seconds / self.seconds] if self.seconds else []
        return min(max(spent, default=1.0), 1.0)

    def rate_at(self, step: int, share: float) -> float:
        """Learning rate of a step."""
        if share < self.warm_share:
            return self.rate * (0.1 + 0.9 * share / self.warm_share)
        warm = min(1.0, (step + 1) / self.warm_steps) if self.warm_steps else 1.0
        return self.rate * warm * (LOWEST + (1 - LOWEST) * 0.5 * (1 + math.cos(math.pi * share)))

    def seconds_left(self, step: int, seconds: float) -> float | None:
        """Time to the end of the budget; None while it can't be told."""
        by_time = [self.seconds - seconds] if self.seconds else []
        by_steps = [(self.steps - step) * seconds / step] if self.steps and step else []
        return max(0.0, min(by_time + by_steps)) if by_time or by_steps else None
