# SPDX-License-Identifier: Apache-2.0
"""The protocol of Hays et al. on a user's dataset, for comparison with the paper; the baselines stand beside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bidsqa.validation.own_results import Result
from bidsqa.validation.own_separation import COMMAND, scored_by
from bidsqa.validation.paper_protocol import paper_protocol, pooled_correlation, protocol_table
from bidsqa.validation.separation import Scored, ranged
from bidsqa.validation.tables import Table


def protocol(results: Sequence[Result], models: Sequence[str], note: str, strengths: Sequence[float]) -> Table | None:
    """Pearson's r over pooled images; None where the copies for it were not made.

    Parameters
    ----------
    results : sequence of Result
    models : sequence of str
    note : str
    strengths : sequence of float
        Of the graded copies, for the two columns that pool all artifacts at all strengths.
    """
    scored = scored_by(results, models)
    found = {name: paper_protocol(cases) for name, cases in scored.items()}
    if all(np.isnan(part["r"]) for part in found.values()):
        return None
    graded = [number for number, row in enumerate(results) if row.clean or row.strength in strengths]
    known = [number for number in graded if not np.isnan(results[number].s_paper)]
    strength = [row.strength for row in results]
    paper = [row.s_paper for row in results]
    more = {
        "r with the strength, all copies": {
            name: _pooled(cases, strength, graded) for name, cases in scored.items() if name != "constant"
        },
        "r with the severity of Table 1, all copies that have one": {
            name: _pooled(cases, paper, known) for name, cases in scored.items() if name != "constant"
        },
    }
    text = (
        f"{note} All scores with higher as worse, ssim as 1 - ssim. All copies: the graded ones ({len(graded)} images, "
        f"{len(known)} with a severity of Table 1). The first column:"
    )
    return protocol_table(found, text, COMMAND, more)


def _pooled(cases: Scored, levels: Sequence[float], rows: Sequence[int]) -> str:
    r, interval = pooled_correlation(
        [levels[number] for number in rows],
        [cases[number][1] for number in rows],
        [cases[number][0].subject for number in rows],
    )
    return ranged(r, interval)
