# SPDX-License-Identifier: Apache-2.0
"""What the card of a noise network says of the readers whose picks its labels were calibrated by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bidsqa.models.noise_motion import NoiseMotionScorer
from bidsqa.training.readers_limits import RatedSeries, fitting_eta, limits
from bidsqa.validation.statistics import bootstrap
from bidsqa.validation.tables import Table

Array = np.ndarray[Any, Any]
SIDES = {"watch": "watched", "test": "held out", "train": "trained on"}


def limit_table(series: Sequence[RatedSeries], scorers: Mapping[str, NoiseMotionScorer]) -> Table:
    """How far one limit for all series agrees with the readers: of each network, of IEDD, of accepting all or nothing.

    The one limit is the mean output at the picks of the series that were trained on.

    Parameters
    ----------
    series : sequence of RatedSeries
        At least one of the training side.
    scorers : Mapping of NoiseMotionScorer
        By name, in the order of the rows.
    """
    outputs = {
        name: [scorer.score_images(one.slices.astype(np.float32))[0].astype(np.float64) for one in series]
        for name, scorer in scorers.items()
    }
    outputs["IEDD, no network"] = [one.scores for one in series]
    learned = np.array([one.side == "train" for one in series])
    accepted = np.array([np.arange(1, len(one.scores) + 1) >= one.pick.value for one in series])
    always = accepted[learned].mean() >= 0.5
    rows = []
    for side, words in SIDES.items():
        own = np.flatnonzero([one.side == side for one in series])
        if not len(own):
            continue
        subjects = [series[at].subject for at in own.tolist()]
        told: list[Any] = [words, len(own), len(set(subjects))]
        for name, values in outputs.items():
            found = limits(series, values)
            passes = np.stack(values) >= found[learned].mean()
            spread = f"{found[own].std(ddof=1):.2f}" if len(own) > 1 else "n/a"
            rows.append([*told, name, spread, _share((passes == accepted)[own], subjects)])
        rows.append([*told, f"{'accept' if always else 'refuse'} all", "", _share((accepted == always)[own], subjects)])
    note = (
        "Five versions a series, 18 to 30 dB and as acquired; accepted is the version that the readers picked and all "
        "better ones. One limit for all series, the mean output at the picks of the series trained on, tells which "
        "versions are accepted; SD is that of the output at the picks. Intervals: 95 %, subjects drawn anew. Series "
        "that were trained on are no validation."
    )
    columns = ["series", "number", "subjects", "judged by", "SD at the limit, dB", "versions judged as readers do"]
    return Table("What your readers still accept", columns, rows, note)


def _share(right: Array, subjects: Sequence[str]) -> str:
    value = f"{100 * right.mean():.0f} %"
    if len(set(subjects)) < 2:
        return value
    low, high = bootstrap(subjects, lambda rows: 100 * float(right[rows].mean()))
    return f"{value} [{low:.0f}, {high:.0f}]"


def readers_notes(series: Sequence[RatedSeries], eta: float) -> list[str]:
    """Whose opinion the labels hold, and what it was checked against, as sentences for the card.

    Parameters
    ----------
    series : sequence of RatedSeries
    eta : float
        As it was used.
    """
    learned = [one for one in series if one.side == "train"]
    others = [one for one in series if one.side != "train"]
    readers = max(len(one.pick.by_reader) for one in series)
    by_one = "one reader" if readers == 1 else f"up to {readers} readers"
    notes = [
        f"**label_source: readers.** Labels of noise are estimates without a reference (IEDD), moved by eta = {eta:g} "
        f"towards what readers just accept: {_count(learned)}, each read by {by_one} (median), task "
        f"`min_acceptable`; Equations 2 to 4 of Lei et al. 2022. Noise and motion are simulated."
    ]
    if others:
        notes.append(
            f"**human_validation: readers' picks** of {_count(others)} that were not trained on; the first table below."
        )
    else:
        notes.append("**human_validation: none**: no rated series is of a subject that was watched or held out.")
    fit = fitting_eta(series)
    if fit is not None:
        between, reader, eta_of_least = fit
        notes.append(
            f"In IEDD the readers' limit differs between series by {between:.1f} dB (SD), and between readers of one "
            f"series by {reader:.1f} dB; by these numbers an eta of {eta_of_least:.2f} makes the least error."
        )
    return notes


def _count(series: Sequence[RatedSeries]) -> str:
    subjects = len({one.subject for one in series})
    return f"{len(series)} series of {'1 subject' if subjects == 1 else f'{subjects} subjects'}"
