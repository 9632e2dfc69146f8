# SPDX-License-Identifier: Apache-2.0
"""Labels of noise by what a site's readers still accept: their answers to ``min_acceptable``, and Equations 2 to 4.

A reader picks the noisiest version of a series that is acceptable. The series' estimates without a reference (IEDD, dB)
give that pick a place in dB, its *limit* t. All labels of a slice then move by η (μ - t), so that what readers just
accept has nearly one label on every slice (Lei et al. 2022). The pick itself can't be handed to a training's slices,
whose versions have other noise; the limit can, and the move is the same for all versions of a slice.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bidsqa.errors import InputError, UsageError
from bidsqa.models.noise_motion_inputs import prepare_images
from bidsqa.rating import read_items, read_ratings
from bidsqa.rating.consensus import consensus_of
from bidsqa.rating.pictures import SERIES, Gallery
from bidsqa.rating.tasks import MIN_ACCEPTABLE, SKIP
from bidsqa.training.label_calibration import best_eta, calibrate, iedd_scores, targets
from bidsqa.training.own_scans import Split

Array = np.ndarray[Any, Any]
# dB from the noisiest version to the original: less tells nothing of the readers' pick
LEAST_RISE = 1.0
ADVISED = MIN_ACCEPTABLE.minimum
# whose limit a slice takes, the nearest first
NEAREST = (
    "its subject and contrast, same plane",
    "its subject and contrast",
    "its site and contrast",
    "its contrast",
    "nobody's: not moved",
)


@dataclass(frozen=True)
class Pick:
    """What readers picked of one series.

    Parameters
    ----------
    code : str
        Of the item.
    content : Mapping
        From which the series can be made again (:mod:`bidsqa.rating.items`).
    value : float
        0 (worse than version 1 would do) to 6 (none will do): the median of the readers' medians.
    by_reader : tuple of float
        Each reader's median.
    """

    code: str
    content: Mapping[str, Any]
    value: float
    by_reader: tuple[float, ...]

    @property
    def subject(self) -> str:
        """Label without ``sub-``."""
        return str(self.content.get("subject", ""))


@dataclass(frozen=True)
class RatedSeries:
    """A series that was made again and measured.

    Parameters
    ----------
    subject, site, contrast, plane : str
        As in :attr:`bidsqa.training.noise_motion_sets.Windows.about`.
    side : str
        ``train``, ``watch`` or ``test``.
    pick : Pick
    scores : ndarray, shape (5,)
        IEDD of the versions, dB, the noisiest first; never falling.
    slices : ndarray of float16, shape (5, 1, 256, 256)
        The versions as a network reads them.
    """

    subject: str
    site: str
    contrast: str
    plane: str
    side: str
    pick: Pick
    scores: Array
    slices: Array


def read_picks(ratings: Path) -> list[Pick]:
    """What the readers of a rating agree on about each series; skipped answers don't count.

    Parameters
    ----------
    ratings : Path
        RATINGS of ``bidsqa-rate``, or an export of it.

    Raises
    ------
    UsageError
        There are no ratings, or none of this task.
    """
    if not ratings.exists():
        raise UsageError(f"There are no ratings at {ratings}.", "Make them: bidsqa-rate BIDS_DIR RATINGS")
    table, items = read_ratings(ratings, MIN_ACCEPTABLE.name), read_items(ratings)
    table = table[table["value"] != SKIP]
    by_reader: dict[str, list[float]] = defaultdict(list)
    for (rated, _), own in table.groupby(["rated", "rater"]):
        by_reader[str(rated)].append(median(float(value) for value in own["judgement"]))
    found = []
    for row in consensus_of(table, MIN_ACCEPTABLE).to_dict("records"):
        content = items.get(str(row["item"]), {})
        if SERIES in content:
            found.append(Pick(str(row["item"]), content, float(row["value"]), tuple(by_reader[str(row["rated"])])))
    if not found:
        raise UsageError(
            f"{ratings} holds no answer on the worst version that is still acceptable.",
            f"Rate series first: bidsqa-rate BIDS_DIR RATINGS --tasks {MIN_ACCEPTABLE.name}",
        )
    return sorted(found, key=lambda pick: pick.code)


def fingerprint(picks: Sequence[Pick]) -> str:
    """What tells these answers from others."""
    told = [[pick.code, pick.value, list(pick.by_reader)] for pick in picks]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def measure(
    picks: Sequence[Pick],
    root: Path,
    split: Split,
    say: Callable[[str], None],
    reading: Callable[[int, int, str], None],
) -> list[RatedSeries]:
    """Make the series of the training's subjects again, and measure their noise.

    Parameters
    ----------
    picks : sequence of Pick
    root : Path
        The dataset that was rated.
    split : Split
        Which subjects are trained on.
    say, reading : callable
        Told what is passed over, and number, total and name before each series.

    Raises
    ------
    UsageError
        No usable series is of a subject that is trained on.
    """
    own = [pick for pick in picks if pick.subject in split.sides]
    if len(own) < len(picks):
        say(f"{len(picks) - len(own)} of {len(picks)} rated series are of subjects that have no part in this training.")
    gallery, found = Gallery(root), []
    for number, pick in enumerate(own, start=1):
        name = str(pick.content.get("path", pick.code))
        reading(number, len(own), name)
        try:
            found.append(_measured(pick, gallery, split))
        except (InputError, OSError, KeyError, TypeError, IndexError) as error:
            say(f"skipped  {name}: {error}")
    learned = [one for one in found if one.side == "train"]
    if not learned:
        raise UsageError(
            f"None of the {len(picks)} rated series can be used and is of a subject that is trained on.",
            "Rate series of these subjects, or give the dataset that was rated.",
        )
    if len(learned) < ADVISED:
        say(f"{len(learned)} rated series are learned from; {ADVISED}, and one of each participant, are advised.")
    return found


def _measured(pick: Pick, gallery: Gallery, split: Split) -> RatedSeries:
    stack = gallery.series_floats(pick.content)
    versions = stack[:, stack.shape[1] // 2]
    scores = iedd_scores(versions)
    if not np.isfinite(scores).all() or scores[-1] - scores[0] < LEAST_RISE:
        raise InputError("its noise can't be told from its detail", "the estimate must rise by 1 dB over the series")
    # as the automatic rule has it: a better version never counts for less
    scores = np.maximum.accumulate(scores)
    return RatedSeries(
        subject=pick.subject,
        site=f"site-{split.sites[pick.subject]}",
        contrast=str(pick.content["suffix"]),
        plane=str(gallery.look(pick.content)[SERIES]["plane"]),
        side=split.sides[pick.subject],
        pick=pick,
        scores=scores,
        slices=prepare_images(versions).astype(np.float16),
    )


def limits(series: Sequence[RatedSeries], outputs: Sequence[Array] | None = None) -> Array:
    """Place of each pick: t of Equations 2 and 3, (n,); in the series' IEDD or in the given outputs, (5,) each."""
    scores = np.stack([one.scores for one in series] if outputs is None else list(outputs))
    return targets(scores, [one.pick.value for one in series])


class Shifts:
    """By how much the labels of a slice move, from the series that are learned from (Equation 4).

    Parameters
    ----------
    series : sequence of RatedSeries
        Those of the training side set the mean.
    eta : float
        0 to 1.
    """

    def __init__(self, series: Sequence[RatedSeries], eta: float) -> None:
        self._series = list(series)
        self._eta = eta
        self.mean = float(limits([one for one in series if one.side == "train"]).mean())
        scores = np.stack([one.scores for one in series])
        moved = calibrate(scores, [one.pick.value for one in series], eta, self.mean)
        self._moves = (moved - scores)[:, 0]

    def of(self, about: Array, sides: Sequence[str]) -> tuple[Array, Counter[str]]:
        """Moves of some slices, and how many took theirs from where.

        Parameters
        ----------
        about : ndarray of str, shape (N, 4)
            Subject, site, contrast, plane.
        sides : sequence of str
            Sides whose series may be used: nothing of the watched subjects may reach what is learned from.

        Returns
        -------
        shift : ndarray of float64, shape (N,)
            dB; the mean of the nearest series, see `NEAREST`.
        taken : Counter of str
            Slices by the words of `NEAREST`.
        """
        usable = [(one, move) for one, move in zip(self._series, self._moves, strict=True) if one.side in sides]
        known: dict[tuple[str, str, str, str], tuple[float, str]] = {}
        shift, taken = np.zeros(len(about)), Counter[str]()
        for row, (subject, site, contrast, plane) in enumerate(about.tolist()):
            key = (subject, site, contrast, plane)
            if key not in known:
                known[key] = _nearest(key, usable)
            shift[row], words = known[key]
            taken[words] += 1
        return shift, taken


def _nearest(about: tuple[str, str, str, str], usable: Sequence[tuple[RatedSeries, float]]) -> tuple[float, str]:
    """Mean move of the nearest series, and which those are."""
    subject, site, contrast, plane = about
    alike = [(one, move) for one, move in usable if one.contrast == contrast]
    own = [(one, move) for one, move in alike if one.subject == subject]
    groups = (
        [move for one, move in own if one.plane == plane],
        [move for _, move in own],
        [move for one, move in alike if one.site == site],
        [move for _, move in alike],
    )
    for words, moves in zip(NEAREST, groups, strict=False):
        if moves:
            return float(np.mean(moves)), words
    return 0.0, NEAREST[-1]


def fitting_eta(series: Sequence[RatedSeries]) -> tuple[float, float, float] | None:
    """SD of the limit between series and of one reader's limit within one, dB, and the η with the least error.

    The variance of the consensus is that of a reader over the number of readers, but not below that of rounding to a
    version (step²/12), which readers share; what is left of the variance between series is that of the offsets
    (:func:`bidsqa.training.label_calibration.best_eta`).

    Returns
    -------
    tuple of float, or None
        None where fewer than two series, or none was read by two readers.
    """
    shared = [one for one in series if len(one.pick.by_reader) > 1]
    if len(series) < 2 or not shared:
        return None
    within = []
    for one in shared:
        places = targets(np.repeat(one.scores[None], len(one.pick.by_reader), axis=0), one.pick.by_reader)
        within.append(float(places.var(ddof=1)))
    reader = float(np.mean(within))
    readers = float(np.mean([len(one.pick.by_reader) for one in series]))
    between = float(limits(series).var(ddof=1))
    steps = [(one.scores[-1] - one.scores[0]) / (len(one.scores) - 1) for one in series]
    pick = max(reader / readers, float(np.mean(np.square(steps))) / 12)
    offsets = max(between - pick, 0.0)
    return between**0.5, reader**0.5, best_eta(offsets, pick) if offsets + pick > 0 else 0.0
