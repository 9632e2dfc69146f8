# SPDX-License-Identifier: Apache-2.0
"""Tables of motion, slice by slice and of whole scans, and of what clean scans get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bidsqa.models.noise_motion import MOVED
from bidsqa.validation.noise_motion_cases import MADE, REAL, SEEN_SITE
from bidsqa.validation.noise_motion_tables import (
    COMMAND,
    NETWORK,
    Judged,
    Rulers,
    error_cells,
    errors_of,
    groups,
    share_of,
    with_interval,
)
from bidsqa.validation.statistics import area, area_interval, prediction_limit, share_interval
from bidsqa.validation.tables import Table

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class WholeScan:
    """What the network says of a whole scan: medians over its slices.

    Parameters
    ----------
    data, subject, contrast : str
    noise : float
        Noise output, dB.
    p_still, p_moved : float
        Probability of motion as the scan is, and after the same motion of every slice.
    """

    data: str
    subject: str
    contrast: str
    noise: float
    p_still: float
    p_moved: float


def logit(probability: Array | float) -> Array:
    """Logit of a probability, kept finite."""
    inside = np.clip(np.asarray(probability, dtype=np.float64), 1e-9, 1 - 1e-9)
    return np.asarray(np.log(inside / (1 - inside)))


def motion_offset(clean: Sequence[WholeScan], without: str = "") -> float:
    """How sure of motion (logit) the network must be so that a clean scan is called moved with a chance of 5 %.

    Parameters
    ----------
    clean : sequence
        Whole clean scans; those of sites and maps that were not trained on count.
    without : str
        A subject to leave out.

    Returns
    -------
    float
        0 or more (:func:`bidsqa.validation.statistics.prediction_limit`).
    """
    known = [part for part in clean if part.data != SEEN_SITE and part.subject != without]
    return max(0.0, prediction_limit(logit(np.array([part.p_still for part in known])))) if known else 0.0


def motion_cells(judged: Sequence[Judged], name: str, clean: Sequence[WholeScan] = ()) -> list[str]:
    """Accuracy, area, share of moved slices that are found, false alarms; in percent but for the area.

    With clean scans a slice is called moved where the network is surer than :func:`motion_offset` without its subject.
    """
    pairs = np.array([one.moved[name] for one in judged])
    return pair_cells([one.case.subject for one in judged], pairs, clean)


def pair_cells(subjects: Sequence[str], pairs: Array, clean: Sequence[WholeScan]) -> list[str]:
    """The cells of :func:`motion_cells` for probabilities without and with motion, (N, 2)."""
    cuts = np.array([motion_offset(clean, subject) for subject in subjects])[:, None]
    values = 1 / (1 + np.exp(cuts - logit(pairs)))
    right = np.column_stack([values[:, 0] <= MOVED, values[:, 1] > MOVED])
    moved = [(subject, float(value)) for subject, value in zip(subjects, values[:, 1], strict=True)]
    still = [(subject, float(value)) for subject, value in zip(subjects, values[:, 0], strict=True)]
    low, high = area_interval(moved, still)
    alarms = int((values[:, 0] > MOVED).sum())
    bounds = share_interval(alarms, len(values))
    return [
        with_interval(subjects, share_of(right), 0),
        f"{area(values[:, 1], values[:, 0]):.2f} [{low:.2f}, {high:.2f}]",
        f"{100 * right[:, 1].mean():.0f}",
        f"{100 * alarms / len(values):.0f} [{100 * bounds[0]:.0f}, {100 * bounds[1]:.0f}]",
    ]


def scan_rows(scans: Sequence[WholeScan]) -> list[list[Any]]:
    """Whole scans by kind of data, and those that were not trained on together, with the offset and without."""
    sets = {kind: [scan for scan in scans if scan.data == kind] for kind in (REAL, SEEN_SITE, MADE)}
    unseen = [*sets[REAL], *sets[MADE]]
    parts = [(f"whole scans, {kind}", own, scans) for kind, own in sets.items()]
    parts.append(("whole scans, all not trained on", unseen, scans))
    parts.append(("whole scans, all not trained on, cut at 0.5 before the offset", unseen, ()))
    return [
        [
            title,
            len(own),
            *pair_cells([scan.subject for scan in own], np.array([(scan.p_still, scan.p_moved) for scan in own]), cut),
        ]
        for title, own, cut in parts
        if own
    ]


MOTION_COLUMNS = ("accuracy, %", "AUC", "moved found, %", "false alarms, %")


def motion_table(judged: Sequence[Judged], clean: Sequence[WholeScan], note: str) -> Table:
    """Motion by kind of data and order of the lines, and whole clean scans."""
    rows = [[title, len(own), *motion_cells(own, NETWORK, clean)] for title, own in groups(judged).items()]
    unseen = [one for one in judged if one.case.data != SEEN_SITE]
    rows.append(["all not trained on", len(unseen), *motion_cells(unseen, NETWORK, clean)])
    rows.append(["all not trained on, cut at 0.5 before the offset", len(unseen), *motion_cells(unseen, NETWORK)])
    for order in sorted({one.case.order for one in unseen}):
        own = [one for one in unseen if one.case.order == order]
        rows.append(
            [f"all not trained on: {order.replace('_', ' ')} order", len(own), *motion_cells(own, NETWORK, clean)]
        )
    rows += scan_rows(clean)
    told = (
        "Slices without motion, and the same with 2 to 4 moves within 1 degree and 3 pixels each, at random times; "
        "below, whole scans by the median over their slices, the motion being the same in all of a scan. Called moved "
        "where the network is surer than nineteen in twenty clean scans of sites "
        "and maps not trained on, the subject at hand left out; the shipped weights' offset rests on all of them "
        f"({motion_offset(clean):.3f}). False alarms have Wilson intervals. "
    )
    columns = ["data", "slices", *MOTION_COLUMNS]
    return Table("Motion: slices with simulated motion and without", columns, rows, told + note, COMMAND)


def task_table(judged: Sequence[Judged], rulers: Rulers, note: str) -> Table:
    """Both tasks against one, and what follows the convolutions."""
    unseen = [one for one in judged if one.case.data != SEEN_SITE]
    titles = {
        "dual": "both tasks; DN, motion branch ReLU+BN",
        "noise": "noise alone; DN",
        "motion": "motion alone; DN trunk, ReLU+BN",
        "relu_bn": "both tasks; ReLU+BN everywhere",
        "relu_ln": "both tasks; ReLU+LN everywhere",
    }
    rows = []
    for name, title in titles.items():
        noise = error_cells(unseen, errors_of(unseen, rulers, name)) if name in unseen[0].noise else ["", ""]
        motion = motion_cells(unseen, name)[:2] if name in unseen[0].moved else ["", ""]
        rows.append([title, *noise, *motion])
    columns = ["network", "noise: error", "noise: within 1, %", "motion: accuracy, %", "motion: AUC"]
    return Table("One task or both, and what normalises the features", columns, rows, note, COMMAND)


def clean_table(clean: Sequence[WholeScan], seconds: float, note: str) -> Table:
    """What clean scans get, and how long one takes."""
    rows = []
    for kind in (REAL, SEEN_SITE, MADE):
        for contrast in sorted({part.contrast for part in clean if part.data == kind}):
            values = np.array([part.noise for part in clean if part.data == kind and part.contrast == contrast])
            rows.append([kind, contrast, len(values), f"{np.median(values):.1f}", f"{values.min():.1f}"])
    told = f"A scan of 256 x 256 x 176 voxels takes {seconds:.2f} s of one processor, its rough head included. "
    columns = ["data", "contrast", "scans", "noise output, median", "lowest"]
    return Table("Noise output (dB) of clean scans", columns, rows, told + note, COMMAND)
