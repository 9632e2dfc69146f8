# SPDX-License-Identifier: Apache-2.0
"""Agreement of a rating's readers as tables: every measure with its interval, by pair of readers and for all."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsqa.rating import agreement
from bidsqa.rating.tasks import SKIP, Task

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray[Any, Any]
Row = dict[str, Any]
ALL = "all"
AGREEMENT_COLUMNS: Mapping[str, str] = {
    "measure": "What was computed.",
    "scale": "Weights of a kappa, level of measurement of an alpha; n/a for the others.",
    "rater_1": "Code of the reader, or all.",
    "rater_2": "Code of the other reader; the same where a reader is compared with themselves.",
    "value": "n/a where it is not defined, e.g. because there was one and the same answer to everything.",
    "low": "Lower end of the 95 % interval by bootstrap over participants.",
    "high": "Upper end.",
    "things": "How many rated things it is about.",
    "subjects": "How many participants these are of; a ruler that is of no participant counts as one.",
}
TIME_COLUMNS: Mapping[str, str] = {
    "rater": "Code of the reader, or all.",
    "answers": "How many answers have a time; those with a pause are left out.",
    "paused": "How many answers with a pause were left out.",
    "median_ms": "Median time to the answer.",
    "quarter_ms": "A quarter of the answers took less.",
    "three_quarters_ms": "A quarter took longer.",
    "mean_ms": "Mean.",
    "skipped": "How often the reader skipped.",
    "left_share": "Of answers left or right, the share of left; far from 0.5 the reader prefers a side.",
    "catch": "How many obvious items were shown.",
    "catch_right": "How many of them were answered as expected.",
}


class Readers:
    """All that one task's answers tell, laid out for the measures.

    Parameters
    ----------
    table : DataFrame
        Of one task, kinds main, repeat and imported; skipped answers are left out.
    task : Task
    """

    def __init__(self, table: pd.DataFrame, task: Task) -> None:
        kept = table[table["value"] != SKIP]
        self.task = task
        self.codes = sorted(str(code) for code in kept["rater"].unique())
        self.levels: list[Any] = ["first", "similar", "second"] if task.name == "pairwise" else list(task.values)
        self.answers: dict[str, dict[Hashable, list[Any]]] = {code: {} for code in self.codes}
        self.subject: dict[Hashable, Hashable] = {}
        for rater, rated, judgement, subject in zip(
            kept["rater"], kept["rated"], kept["judgement"], kept["subject"].fillna(kept["rated"]), strict=True
        ):
            self.answers[str(rater)].setdefault(str(rated), []).append(self._level(judgement))
            self.subject[str(rated)] = str(subject)

    def _level(self, judgement: Any) -> Any:
        """MRIQC's ratings have fractions; its own limits lie at halves."""
        if self.task.name == "mriqc":
            return str(int(np.clip(np.floor(float(judgement) + 0.5), 1, 4)))
        return str(judgement)

    def number(self, level: Any) -> float:
        """A level as a number: its value, or its place where it is a word."""
        return float(self.levels.index(level)) if self.task.measure == "nominal" else float(level)

    def first_answers(self) -> tuple[list[Hashable], Array]:
        """Things, and each reader's first answer to each as numbers (readers, things), NaN where there is none."""
        things = list(self.subject)
        values = np.full((len(self.codes), len(things)), np.nan)
        for row, code in enumerate(self.codes):
            for column, thing in enumerate(things):
                given = self.answers[code].get(thing)
                if given:
                    values[row, column] = self.number(given[0])
        return things, values


def agreement_table(readers: Readers) -> pd.DataFrame:
    """Every measure of agreement.

    Returns
    -------
    DataFrame
        Columns `AGREEMENT_COLUMNS`. ``overlap`` (Tang et al.), ``exact`` and kappas by pair of readers, ``overlap``
        also over all pairs; ``repeats`` of each reader and of all; ``majority`` share and Krippendorff's ``alpha``.
    """
    import pandas as pd

    rows = [*_repeats(readers), *_pairs(readers), *_together(readers)]
    return pd.DataFrame(rows, columns=list(AGREEMENT_COLUMNS))


def _row(
    readers: Readers,
    measure: str,
    who: tuple[str, str],
    parts: Mapping[Hashable, Array],
    finish: Callable[[Array], float | None],
    scale: str | None = None,
) -> Row:
    """A measure of summed parts with its interval."""
    subjects = [readers.subject[thing] for thing in parts]
    stacked = np.stack(list(parts.values())) if parts else np.zeros((0, 2))
    interval = agreement.bootstrap_interval(stacked, subjects, finish) if parts else None
    low, high = interval or (None, None)
    value = finish(stacked.sum(axis=0)) if parts else None
    return {
        "measure": measure,
        "scale": scale,
        "rater_1": who[0],
        "rater_2": who[1],
        "value": value,
        "low": low if value is not None else None,
        "high": high if value is not None else None,
        "things": len(parts),
        "subjects": len(set(subjects)),
    }


def _repeats(readers: Readers) -> Iterator[Row]:
    everybody: dict[Hashable, Array] = {}
    for code in readers.codes:
        parts = agreement.repeat_parts(readers.answers[code])
        for thing, part in parts.items():
            everybody[thing] = everybody.get(thing, np.zeros(2)) + part
        yield _row(readers, "repeats", (code, code), parts, agreement.mean_of_parts)
    yield _row(readers, "repeats", (ALL, ALL), everybody, agreement.mean_of_parts)


def _pairs(readers: Readers) -> Iterator[Row]:
    everybody: dict[Hashable, Array] = {}
    for one, two in combinations(readers.codes, 2):
        first, second = readers.answers[one], readers.answers[two]
        shared = agreement.overlap_parts(first, second)
        for thing, part in shared.items():
            everybody[thing] = everybody.get(thing, np.zeros(2)) + part
        yield _row(readers, "overlap", (one, two), shared, agreement.mean_of_parts)
        tables = confusion_parts(readers, one, two)
        yield _row(readers, "exact", (one, two), tables, agreement.exact_agreement)
        scales = ("unweighted",) if readers.task.measure == "nominal" else ("unweighted", "linear", "quadratic")
        for scale in scales:
            yield _row(readers, "kappa", (one, two), tables, _kappa(scale), scale)
    yield _row(readers, "overlap", (ALL, ALL), everybody, agreement.mean_of_parts)


def _kappa(scale: str) -> Callable[[Array], float | None]:
    return lambda table: agreement.cohen_kappa(table, scale)


def confusion_parts(readers: Readers, one: str, two: str) -> dict[Hashable, Array]:
    """Confusion table of each thing that both readers answered, from their first answers."""
    first, second = readers.answers[one], readers.answers[two]
    return {
        thing: agreement.confusion(first[thing][:1], second[thing][:1], readers.levels)
        for thing in readers.subject
        if thing in first and thing in second
    }


def _together(readers: Readers) -> Iterator[Row]:
    votes: dict[Hashable, list[Any]] = {}
    voters: dict[Hashable, int] = {}
    for code in readers.codes:
        for thing, given in readers.answers[code].items():
            votes.setdefault(thing, []).extend(given)
            voters[thing] = voters.get(thing, 0) + 1
    shares = {
        thing: np.array([agreement.majority_share(given) or 0.0, 1.0])
        for thing, given in votes.items()
        if voters[thing] >= 2
    }
    yield _row(readers, "majority", (ALL, ALL), shares, agreement.mean_of_parts)
    things, values = readers.first_answers()
    levels = np.unique(values[np.isfinite(values)]).tolist()
    if not levels:
        return
    tables = agreement.coincidences(values, levels)
    usable = np.isfinite(values).sum(axis=0) >= 2
    parts = {thing: tables[at] for at, thing in enumerate(things) if usable[at]}
    for measure in agreement.MEASURES if readers.task.measure != "nominal" else ("nominal",):
        yield _row(readers, "alpha", (ALL, ALL), parts, _alpha(levels, measure), measure)


def _alpha(levels: list[float], measure: str) -> Callable[[Array], float | None]:
    return lambda table: agreement.alpha_of_coincidences(table, levels, measure)


def jaccard_table(readers: Readers) -> pd.DataFrame:
    """Jaccard index of each pair of answers of each pair of readers (Ma et al.), one row a cell."""
    import pandas as pd

    rows = []
    for one, two in combinations(readers.codes, 2):
        tables = list(confusion_parts(readers, one, two).values())
        table = np.sum(tables, axis=0) if tables else np.zeros((len(readers.levels),) * 2)
        matrix = agreement.jaccard_matrix(table)
        for at, answer in enumerate(readers.levels):
            for to, other in enumerate(readers.levels):
                value = float(matrix[at, to])
                rows.append(
                    {
                        "rater_1": one,
                        "rater_2": two,
                        "answer_1": answer,
                        "answer_2": other,
                        "things": int(table[at, to]),
                        "jaccard": value if np.isfinite(value) else None,
                    }
                )
    return pd.DataFrame(rows, columns=["rater_1", "rater_2", "answer_1", "answer_2", "things", "jaccard"])


def time_table(table: pd.DataFrame) -> pd.DataFrame:
    """Times, skips, side preference and catch trials of each reader.

    Parameters
    ----------
    table : DataFrame
        Of one task, with catch trials, without practice.
    """
    import pandas as pd

    rows = [_times(str(code), own) for code, own in table.groupby("rater")]
    return pd.DataFrame([*rows, _times(ALL, table)], columns=list(TIME_COLUMNS))


def _times(code: str, own: pd.DataFrame) -> Row:
    import pandas as pd

    counted = own[own["kind"] != "catch"]
    timed = counted[counted["rt_ms"].notna()]
    times = pd.to_numeric(timed["rt_ms"][~timed["idle"].astype(bool)])
    sided = counted[counted["value"].isin(["left", "right"])]
    catch = own[own["kind"] == "catch"]
    right = [
        str(value) in str(wanted).split("|") for value, wanted in zip(catch["value"], catch["expected"], strict=True)
    ]
    return {
        "rater": code,
        "answers": len(times),
        "paused": int(timed["idle"].astype(bool).sum()),
        "median_ms": float(times.median()) if len(times) else None,
        "quarter_ms": float(times.quantile(0.25)) if len(times) else None,
        "three_quarters_ms": float(times.quantile(0.75)) if len(times) else None,
        "mean_ms": float(times.mean()) if len(times) else None,
        "skipped": int((counted["value"] == SKIP).sum()),
        "left_share": float((sided["value"] == "left").mean()) if len(sided) else None,
        "catch": len(catch),
        "catch_right": sum(right),
    }
