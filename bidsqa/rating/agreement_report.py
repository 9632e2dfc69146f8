# SPDX-License-Identifier: Apache-2.0
"""``bidsqa-rate agreement``: tables, dictionaries and plots of every task of a rating, and what to print of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsqa.bids.writing import write_changed
from bidsqa.rating.agreement_plots import draw_jaccard, draw_overlap, draw_times
from bidsqa.rating.agreement_tables import (
    AGREEMENT_COLUMNS,
    ALL,
    TIME_COLUMNS,
    Readers,
    agreement_table,
    jaccard_table,
    time_table,
)
from bidsqa.rating.export import as_json, as_tsv
from bidsqa.rating.imported_tasks import described_task
from bidsqa.rating.reading import COUNTED, read_items, read_ratings, tasks_of

if TYPE_CHECKING:
    import pandas as pd

JACCARD_COLUMNS = {
    "rater_1": "Code of the reader.",
    "rater_2": "Code of the other reader.",
    "answer_1": "Answer of the first reader.",
    "answer_2": "Answer of the second reader.",
    "things": "How many things got these two answers.",
    "jaccard": "Of the things to which either gave their answer, the share to which both did; n/a where neither did.",
}


def report_agreement(ratings: Path, out: Path) -> list[str]:
    """Write everything about agreement.

    Parameters
    ----------
    ratings : Path
        Store or export.
    out : Path
        Folder for tables (TSV with dictionary) and plots (SVG, PNG).

    Returns
    -------
    list of str
        Lines to print.

    Raises
    ------
    UsageError
        There are no ratings.
    """
    table = read_ratings(ratings, kinds=(*COUNTED, "catch"))
    items = read_items(ratings)
    lines: list[str] = []
    for name in tasks_of(table, ratings):
        rows = table[table["task"] == name]
        lines += _report_task(name, rows, items, out)
    return lines


def _report_task(name: str, rows: pd.DataFrame, items: dict[str, Any], out: Path) -> list[str]:
    task = described_task(name, items)
    readers = Readers(rows[rows["kind"].isin(COUNTED)], task)
    stem = f"desc-{name.replace('_', '')}"
    measures, jaccard, times = agreement_table(readers), jaccard_table(readers), time_table(rows)
    for kind, made, columns in (
        ("agreement", measures, AGREEMENT_COLUMNS),
        ("jaccard", jaccard, JACCARD_COLUMNS),
        ("times", times, TIME_COLUMNS),
    ):
        write_changed(out / f"{stem}_{kind}.tsv", as_tsv(made))
        write_changed(
            out / f"{stem}_{kind}.json", as_json({key: {"Description": text} for key, text in columns.items()})
        )
    if readers.codes:
        draw_overlap(measures, readers.codes, task.title, out / f"{stem}_overlap.svg")
        draw_jaccard(jaccard, readers.codes, readers.levels, task.title, out / f"{stem}_jaccard.svg")
    awake = rows[rows["rt_ms"].notna() & ~rows["idle"].astype(bool) & (rows["kind"] != "catch")]
    draw_times(
        {str(code): own["rt_ms"].astype(float).tolist() for code, own in awake.groupby("rater")},
        task.title,
        out / f"{stem}_times.svg",
    )
    return [f"{task.title} ({name}): {len(rows)} answers of {len(readers.codes)} readers", *_say(measures, times)]


def _say(measures: pd.DataFrame, times: pd.DataFrame) -> Iterator[str]:
    """The measures of all readers, and of each pair, as lines."""
    for row in measures.to_dict("records"):
        value = row["value"]
        if value is None or value != value:
            shown = "n/a"
        else:
            shown = f"{value:.3f}"
            if row["low"] is not None and row["low"] == row["low"]:
                shown += f" ({row['low']:.3f} to {row['high']:.3f})"
        who = "all" if row["rater_1"] == ALL else f"{row['rater_1']} {row['rater_2']}"
        measure = f"{row['measure']} {row['scale'] if isinstance(row['scale'], str) else ''}".strip()
        yield f"  {measure:<18} {who:<12} {shown}, {row['things']} things"
    for row in times.to_dict("records"):
        if row["median_ms"] is not None and row["median_ms"] == row["median_ms"]:
            yield f"  {'seconds an answer':<18} {row['rater']:<12} {row['median_ms'] / 1000:.2f} (median)"
