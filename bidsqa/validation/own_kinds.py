# SPDX-License-Identifier: Apache-2.0
"""Which kind of artifact a score names on a user's dataset, against the one that was simulated."""

from __future__ import annotations

from collections.abc import Sequence

from bidsqa.validation.own_results import Result
from bidsqa.validation.own_separation import COMMAND
from bidsqa.validation.severity_kinds import count_kinds, kinds_table
from bidsqa.validation.tables import Table


def named_kinds(results: Sequence[Result], model: str, note: str) -> Table | None:
    """Counts of true and named kind; None where the model names none.

    What is counted is the record's ``family``: the likeliest kind, and ``none`` while the severity is below 0.5.
    """
    named = [(row.artifact, row.strength, row.kinds[model]) for row in results if row.kinds.get(model)]
    return kinds_table(count_kinds(named), note, COMMAND) if named else None
