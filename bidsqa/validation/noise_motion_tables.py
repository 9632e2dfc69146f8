# SPDX-License-Identifier: Apache-2.0
"""The tables of the noise and motion network's validation, from what :mod:`bidsqa.validation.noise_motion` judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bidsqa.rulers import scale
from bidsqa.training.noise_motion import RULER_LEVELS
from bidsqa.validation.noise_motion_cases import MADE, REAL, SEEN_SITE, Case
from bidsqa.validation.statistics import bootstrap
from bidsqa.validation.tables import Table

Array = np.ndarray[Any, Any]
NETWORK = "network"
COMPARED = {NETWORK: "network", "IEDD": "IEDD", "plain SNR": "SNR", "meon": "MEON-shaped"}
DRAWS = 400
# dB from which a made-up reader accepts a version, by contrast: half way between two versions
ACCEPTED = {"T1w": 25.5, "T2w": 19.5, "FLAIR": 22.5, "PDw": 28.5}
CLEAR_OF_OWN = 3.0
COMMAND = "python -m bidsqa.validation.noise_motion"


@dataclass(frozen=True)
class Judged:
    """What all scorers say of a case.

    Parameters
    ----------
    case : Case
        Without its images.
    noise : dict of ndarray
        Scores of the eight versions by scorer.
    moved : dict of ndarray
        Probability of motion of the slice without and with it, by network.
    """

    case: Case
    noise: dict[str, Array]
    moved: dict[str, Array]


Rulers = Mapping[str, Mapping[str, Array]]


def ruler_of(case: Case) -> str:
    """Name of the shipped ruler of a case's kind."""
    return f"{case.contrast}-{case.dimension}"


def read_versions(levels: Array, values: Array) -> Array:
    """Nearest version (Equation 5) for each value; also where a scorer doesn't order the ruler."""
    known = np.nan_to_num(np.asarray(levels, dtype=np.float64), nan=1e9)
    return np.abs(np.nan_to_num(np.asarray(values), nan=-1e9)[:, None] - known[None]).argmin(axis=1)


def errors_of(judged: Sequence[Judged], rulers: Rulers, name: str, ruler: str | None = None) -> Array:
    """|read - true version|, a row a case, (N, 8)."""
    rows = [
        np.abs(read_versions(rulers[ruler or ruler_of(one.case)][name], one.noise[name]) - np.arange(scale.VERSIONS))
        for one in judged
    ]
    return np.array(rows, dtype=np.float64)


def with_interval(subjects: Sequence[str], statistic: Callable[[Array], float], digits: int = 2) -> str:
    """``value [low, high]``, subjects drawn anew; without an interval where there is one subject."""
    value = statistic(np.arange(len(subjects)))
    if len(set(subjects)) < 2:
        return f"{value:.{digits}f}"
    low, high = bootstrap(subjects, statistic, draws=DRAWS)
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def error_cells(judged: Sequence[Judged], errors: Array, kept: Array | None = None) -> list[str]:
    """Mean error and share within one version, with intervals."""
    subjects = [one.case.subject for one in judged]
    used = np.ones(errors.shape, dtype=bool) if kept is None else kept

    def mean(rows: Array) -> float:
        return float(errors[rows][used[rows]].mean()) if used[rows].any() else float("nan")

    def within(rows: Array) -> float:
        return 100 * float((errors[rows][used[rows]] <= 1).mean()) if used[rows].any() else float("nan")

    return [with_interval(subjects, mean), with_interval(subjects, within, 0)]


def groups(judged: Sequence[Judged]) -> dict[str, list[Judged]]:
    """Cases by kind of data and contrast, then all of a kind."""
    found: dict[str, list[Judged]] = {}
    for kind in (REAL, SEEN_SITE, MADE):
        own = [one for one in judged if one.case.data == kind]
        contrasts = sorted({one.case.contrast for one in own})
        for contrast in contrasts if len(contrasts) > 1 else ():
            found[f"{kind}: {contrast}"] = [one for one in own if one.case.contrast == contrast]
        if own:
            found[f"{kind}: all"] = own
    return found


def clear_of_own(judged: Sequence[Judged]) -> Array:
    """Versions whose added noise is 3 dB or more above what the slice has of its own, (N, 8)."""
    levels = np.array([*RULER_LEVELS, np.inf])
    return np.array([levels + CLEAR_OF_OWN <= one.case.own for one in judged])


def ruler_table(judged: Sequence[Judged], rulers: Rulers, note: str) -> Table:
    """Error on scans with known added noise, against other scores."""
    names = {name: title for name, title in COMPARED.items() if name in judged[0].noise}
    rows = []
    for title, own in groups(judged).items():
        cells = [part for name in names for part in error_cells(own, errors_of(own, rulers, name))]
        rows.append([title, len({one.case.subject for one in own}), len(own), *cells])
    unseen = [one for one in judged if one.case.data != SEEN_SITE]
    kept = clear_of_own(unseen)
    cells = [part for name in names for part in error_cells(unseen, errors_of(unseen, rulers, name), kept)]
    share = f"{100 * kept.mean():.0f} %"
    rows.append([f"not trained on, added noise {CLEAR_OF_OWN:g} dB above the own ({share})", "", len(unseen), *cells])
    columns = ["data", "subjects", "slices", *(f"{t}: {w}" for t in names.values() for w in ("error", "within 1, %"))]
    told = (
        "Each slice with added noise of 12 to 30 dB in steps of 3 dB and as it is (versions 0 to 7), each read against "
        "the shipped ruler of its contrast; error is the distance in versions to the added noise. What a scan has of "
        "its own noise counts as none, so that scans that are noisy already are read as worse than their version: the "
        "last row leaves those versions out. SNR is the one without a reference (Immerkær); Equation 1 needs the clean "
        "slice and is exact by construction. "
    )
    return Table("Noise against image rulers: error in versions", columns, rows, told + note, COMMAND)


def label_table(judged: Sequence[Judged], rulers: Rulers, note: str) -> Table:
    """Networks with plain and calibrated labels."""
    unseen = [one for one in judged if one.case.data != SEEN_SITE]
    titles = {
        "snr_plain": "SNR labels",
        "noise": "SNR labels, calibrated",
        "iedd_plain": "IEDD labels",
        "iedd": "IEDD labels, calibrated",
    }
    rows = []
    for name, title in titles.items():
        errors = errors_of(unseen, rulers, name)
        clear = error_cells(unseen, errors, clear_of_own(unseen))
        rows.append([title, *error_cells(unseen, errors), *clear])
    columns = ["labels", "error", "within 1, %", "error, clear of own noise", "within 1, clear of own noise, %"]
    return Table("Labels of noise as they are and calibrated (networks of noise alone)", columns, rows, note, COMMAND)


def best_cut(values: Array, truth: Array) -> float:
    """Largest accuracy that one threshold on the values can reach."""
    order = np.argsort(values)
    sure = truth[order]
    right = np.concatenate([[sure.sum()], sure.sum() - np.cumsum(sure) + np.cumsum(~sure)])
    return float(right.max() / len(sure))


def share_of(right: Array) -> Callable[[Array], float]:
    """From rows to the percentage of what is true in them."""
    return lambda rows: 100 * float(right[rows].mean())


def threshold_table(judged: Sequence[Judged], rulers: Rulers, note: str) -> Table:
    """A threshold on each contrast's ruler against the best one for all."""
    unseen = [one for one in judged if one.case.data != SEEN_SITE]
    levels = np.array([*RULER_LEVELS, RULER_LEVELS[-1] + 3])
    truth = np.array([levels >= ACCEPTED[one.case.contrast] for one in unseen])
    rows = []
    for name, title in COMPARED.items():
        if name not in unseen[0].noise:
            continue
        values = np.array([one.noise[name] for one in unseen])
        passes = []
        for one, own in zip(unseen, values, strict=True):
            known = np.asarray(rulers[ruler_of(one.case)][name])
            threshold = (ACCEPTED[one.case.contrast] - levels[0]) / (levels[1] - levels[0])
            cut = 0.5 * (known[int(np.floor(threshold))] + known[int(np.ceil(threshold))])
            passes.append(own >= cut)
        subjects = [one.case.subject for one in unseen]
        right = np.array(passes) == truth
        single = 100 * best_cut(np.nan_to_num(values, nan=-1e9).ravel(), truth.ravel())
        rows.append([title, f"{single:.1f}", with_interval(subjects, share_of(right), 1)])
    told = (
        "A made-up reader accepts from "
        + ", ".join(f"{level:g} dB ({contrast})" for contrast, level in ACCEPTED.items())
        + ". Percent of versions judged as the reader does; the single threshold is the best one for these very "
        "slices. "
    )
    columns = ["score", "best single threshold, %", "thresholds on rulers, %"]
    title = "Accepted or not: one threshold for all contrasts against one on each ruler"
    return Table(title, columns, rows, told + note, COMMAND)


def unseen_table(judged: Sequence[Judged], rulers: Rulers, note: str) -> Table:
    """A contrast that the training left out, read on a ruler of its own."""
    flair = [one for one in judged if one.case.contrast == "FLAIR"]
    rows = []
    for title, name, ruler in (
        ("trained with FLAIR, FLAIR ruler", "noise", None),
        ("trained without FLAIR, FLAIR ruler", "no_flair", None),
        ("trained without FLAIR, T1w ruler", "no_flair", "T1w"),
    ):
        parts = [errors_of([one], rulers, name, ruler and f"{ruler}-{one.case.dimension}")[0] for one in flair]
        rows.append([title, *error_cells(flair, np.array(parts))])
    subjects = len({one.case.subject for one in flair})
    told = f"{len(flair)} FLAIR slices of {subjects} subjects and maps not trained on. "
    columns = ["network of noise alone", "error", "within 1, %"]
    return Table("A contrast that was not trained on, with a ruler of its own", columns, rows, told + note, COMMAND)
