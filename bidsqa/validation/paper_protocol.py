# SPDX-License-Identifier: Apache-2.0
"""The protocol of Hays et al. 2025, Table 2, for comparison: Pearson's r of score and severity over pooled images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bidsqa.validation.separation import Scored, ranged
from bidsqa.validation.severity_cases import PAPER
from bidsqa.validation.statistics import bootstrap
from bidsqa.validation.tables import Table

Array = np.ndarray[Any, Any]


def pooled_correlation(
    levels: Sequence[float], values: Sequence[float], subjects: Sequence[str]
) -> tuple[float, tuple[float, float]]:
    """Pearson's r over all images together, with its 95 % interval by bootstrap over subjects; 0 for constants."""
    first, second = np.asarray(levels, dtype=np.float64), np.asarray(values, dtype=np.float64)

    def correlation(rows: Array) -> float:
        if np.ptp(first[rows]) == 0 or np.ptp(second[rows]) == 0:
            return 0.0
        return float(np.corrcoef(first[rows], second[rows])[0, 1])

    return correlation(np.arange(len(first))), bootstrap(subjects, correlation)


def paper_protocol(cases: Scored) -> dict[str, Any]:
    """Hays et al., Table 2: one severity for each kind, Pearson's r of score and severity over all images together.

    Returns
    -------
    dict
        ``r`` and ``interval`` (bootstrap over subjects), ``n``, ``means`` ((mean, SD) by kind).
    """
    wanted = {("none", 0.0), *PAPER.items()}
    own = [(case, value) for case, value in cases if (case.artifact, case.strength) in wanted]
    if len({case.artifact for case, _ in own}) < 3:
        return {"r": float("nan"), "interval": (float("nan"), float("nan")), "n": len(own), "means": {}}
    values = np.array([value for _, value in own])
    kinds = np.array([case.artifact for case, _ in own])
    means = {name: (float(values[kinds == name].mean()), float(values[kinds == name].std())) for name in set(kinds)}
    subjects = [case.subject for case, _ in own]
    r, interval = pooled_correlation([case.strength for case, _ in own], list(values), subjects)
    return {"r": r, "interval": interval, "n": len(own), "means": means}


def protocol_table(
    found: Mapping[str, Mapping[str, Any]], note: str, command: str, more: Mapping[str, Mapping[str, str]] | None = None
) -> Table:
    """One row a score.

    Parameters
    ----------
    found : Mapping of Mapping
        From :func:`paper_protocol`, by score.
    note, command : str
    more : Mapping of Mapping of str, optional
        Further columns by their title, then by score.
    """
    order = [kind for kind in ("none", *PAPER) if any(kind in part["means"] for part in found.values())]
    columns = ["score", "Pearson r", *(more or {})]
    columns += [kind if kind == "none" else f"{kind} {PAPER[kind]:g}" for kind in order]
    rows = []
    for name, part in found.items():
        means = [part["means"].get(kind, (float("nan"),) * 2) for kind in order]
        cells = [cells.get(name, "") for cells in (more or {}).values()]
        spans = ["" if np.isnan(mean) else f"{mean:.2f} ± {spread:.2f}" for mean, spread in means]
        rows.append([name, ranged(part["r"], part["interval"]), *cells, *spans])
    count = next(iter(found.values()))["n"]
    text = (
        f"{note} {count} images. Kind and severity are confounded in this protocol (one severity a kind): a constant "
        "for each kind would do well. Severities are strengths of our simulators."
    )
    return Table("The protocol of Hays et al., Table 2: one severity for each kind", columns, rows, text, command)
