# SPDX-License-Identifier: Apache-2.0
"""What readers agree on about each rated thing, and by which rule."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import TYPE_CHECKING, Any

from bidsqa.rating.agreement import majority_share
from bidsqa.rating.tasks import SKIP, Task

if TYPE_CHECKING:
    import pandas as pd

MAJORITY = "majority of all answers; n/a where two have the same number"
MEDIAN = "median of the readers' medians"
CONSENSUS_COLUMNS: Mapping[str, str] = {
    "rated": "What was rated, as in the table of ratings.",
    "item": "Code of what was shown.",
    "path": "The scan, relative to the dataset.",
    "subject": "Participant label without sub-.",
    "value": "What the readers agree on, by the rule; for a pair regardless of sides: first, similar or second, for "
    "the lower and the higher version number.",
    "rule": "How the value was found.",
    "raters": "How many readers answered.",
    "answers": "How many answers there are, repeats counted.",
    "majority": "Answers for the most frequent one over all; 0 where two are equally frequent.",
    "mean": "Mean of the readers' means, where the scale has an order.",
}


def consensus_of(table: pd.DataFrame, task: Task) -> pd.DataFrame:
    """One row a rated thing.

    Parameters
    ----------
    table : DataFrame
        Answers of one task that count, as :func:`bidsqa.rating.read_ratings` gives them; skipped ones are left out.
    task : Task

    Returns
    -------
    DataFrame
        Columns `CONSENSUS_COLUMNS`, and ``share_<answer>`` for each answer of the task: soft labels.
    """
    import pandas as pd

    kept = table[table["value"] != SKIP]
    answers = ("first", "similar", "second") if task.name == "pairwise" else task.values
    columns = [*CONSENSUS_COLUMNS, *(f"share_{answer}" for answer in answers)]
    rows = [_agreed(part, task, answers) for _, part in kept.groupby("rated", sort=False)]
    return pd.DataFrame(rows, columns=columns)


def _agreed(part: pd.DataFrame, task: Task, answers: tuple[str, ...]) -> dict[str, Any]:
    given = [str(value) for value in part["judgement"]]
    by_rater = [[str(value) for value in own["judgement"]] for _, own in part.groupby("rater")]
    shares = {answer: sum(own.count(answer) / len(own) for own in by_rater) / len(by_rater) for answer in answers}
    first = part.iloc[0]
    row = {
        "rated": first["rated"],
        "item": first["item"],
        "path": first["path"],
        "subject": first["subject"],
        "raters": len(by_rater),
        "answers": len(given),
        "majority": majority_share(given),
        **{f"share_{answer}": share for answer, share in shares.items()},
    }
    if task.measure == "nominal":
        row |= {"value": max(set(given), key=given.count) if row["majority"] else None, "rule": MAJORITY, "mean": None}
    else:
        numbers = [[float(value) for value in own] for own in by_rater]
        row |= {
            "value": median(median(own) for own in numbers),
            "rule": MEDIAN,
            "mean": sum(sum(own) / len(own) for own in numbers) / len(numbers),
        }
    return row
