# SPDX-License-Identifier: Apache-2.0
"""Krippendorff's alpha of the version that was made and the version that a scorer reads off the ruler.

The paper judges its readings by this measure (Lei et al. 2022, against radiologists' ruler scores). Here the first
rater is the simulation, which knows the noise that was added; the second is the network, or a score without one.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bidsqa.rating.agreement import alpha_of_coincidences, bootstrap_interval, coincidences
from bidsqa.rulers import scale
from bidsqa.validation.noise_motion_cases import SEEN_SITE
from bidsqa.validation.noise_motion_tables import (
    CLEAR_OF_OWN,
    COMMAND,
    COMPARED,
    Judged,
    Rulers,
    clear_of_own,
    groups,
    read_versions,
    ruler_of,
)
from bidsqa.validation.tables import Table

Array = np.ndarray[Any, Any]
LEVELS = tuple(map(float, range(scale.VERSIONS)))
MEASURES = ("interval", "ordinal")


@dataclass(frozen=True)
class Alpha:
    """Alpha of two raters.

    Parameters
    ----------
    value : float or None
        1 full agreement, 0 chance; None where both gave one and the same version to everything.
    low, high : float or None
        95 % interval, subjects drawn anew; None with fewer than two subjects.
    """

    value: float | None
    low: float | None
    high: float | None

    def cell(self) -> str:
        """``value [low, high]``."""
        if self.value is None:
            return "n/a"
        return f"{self.value:.2f}" + ("" if self.low is None else f" [{self.low:.2f}, {self.high:.2f}]")


def alpha_of(true: Array, read: Array, subjects: Sequence[Hashable], measure: str) -> Alpha:
    """Alpha of the versions that were made and those that were read.

    Parameters
    ----------
    true, read : ndarray of int, shape (N,)
        0 to 7.
    subjects : sequence, length N
        Whose each version is.
    measure : str
        ``"interval"`` (versions lie at equal steps of dB) or ``"ordinal"``.
    """
    parts = coincidences(np.stack([true, read]).astype(float), LEVELS)

    def finish(table: Array) -> float | None:
        return alpha_of_coincidences(table, LEVELS, measure)

    low, high = bootstrap_interval(parts, subjects, finish) or (None, None)
    return Alpha(finish(parts.sum(axis=0)), low, high)


def _cells(judged: Sequence[Judged], rulers: Rulers, names: Mapping[str, str], kept: Array | None = None) -> list[str]:
    """The alphas of each scorer on some cases, of all versions or of those that are kept (N, 8)."""
    used = np.ones((len(judged), scale.VERSIONS), dtype=bool) if kept is None else kept
    true = np.broadcast_to(np.arange(scale.VERSIONS), used.shape)[used]
    subjects = [one.case.subject for one, own in zip(judged, used, strict=True) for _ in range(int(own.sum()))]
    cells = []
    for name in names:
        read = np.stack([read_versions(rulers[ruler_of(one.case)][name], one.noise[name]) for one in judged])[used]
        cells += [alpha_of(true, read, subjects, measure).cell() for measure in MEASURES]
    return cells


def alpha_table(judged: Sequence[Judged], rulers: Rulers, note: str) -> Table:
    """Alpha between the true version and that read by the network, IEDD, SNR, by kind of data and contrast.

    Parameters
    ----------
    judged : sequence of Judged
    rulers : Mapping
        Scores of the shipped rulers' versions by ruler and scorer.
    note : str
        On weights and intervals.
    """
    names = {name: title for name, title in COMPARED.items() if name in judged[0].noise}
    rows = [
        [title, len({one.case.subject for one in own}), len(own), *_cells(own, rulers, names)]
        for title, own in groups(judged).items()
    ]
    unseen = [one for one in judged if one.case.data != SEEN_SITE]
    kept = clear_of_own(unseen)
    if kept.any():
        title = f"not trained on, added noise {CLEAR_OF_OWN:g} dB above the own ({100 * kept.mean():.0f} %)"
        people = len({one.case.subject for one in unseen})
        rows.append([title, people, len(unseen), *_cells(unseen, rulers, names, kept)])
    measured = [f"{title}: {measure}" for title in names.values() for measure in MEASURES]
    told = (
        "Krippendorff's alpha of two raters of the same versions: the simulation, which knows which of the eight it "
        "made, and a scorer, which reads each against the shipped ruler of its contrast. 1 is agreement, 0 chance; "
        "interval counts squared distances in versions, ordinal ranks. A scan's own noise counts as none: the last row "
        "leaves out the versions where it matters. No reader has seen these slices. "
    )
    return Table(
        "Noise against image rulers: agreement with the added noise",
        ["data", "subjects", "slices", *measured],
        rows,
        told + note,
        COMMAND,
    )
