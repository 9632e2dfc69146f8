# SPDX-License-Identifier: Apache-2.0
"""Ratings as a BIDS derivative: one table a task with its dictionary, the items, and the consensus in its own file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import bidsqa
from bidsqa.bids.writing import write_changed
from bidsqa.rating.consensus import CONSENSUS_COLUMNS, consensus_of
from bidsqa.rating.imported_tasks import described_task
from bidsqa.rating.reading import COLUMNS, COUNTED, read_items, read_ratings, tasks_of
from bidsqa.rating.tasks import SKIP

if TYPE_CHECKING:
    import pandas as pd

ALL_KINDS = (*COUNTED, "catch", "practice")
UNITS = {"rt_ms": "ms"}


def export_ratings(ratings: Path, out: Path) -> list[Path]:
    """Write all tables of a rating.

    Parameters
    ----------
    ratings : Path
        Folder or file of the store.
    out : Path
        Folder of the derivative, made where absent.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    UsageError
        There are no ratings.
    """
    table = read_ratings(ratings, kinds=ALL_KINDS, only_current=False)
    items = read_items(ratings)
    files: dict[str, str] = {"dataset_description.json": as_json(_description())}
    for task in tasks_of(table, ratings):
        rows = table[table["task"] == task]
        name = f"desc-{task.replace('_', '')}"
        files[f"{name}_ratings.tsv"] = as_tsv(rows)
        files[f"{name}_ratings.json"] = as_json(ratings_dictionary(task, items))
        files[f"{name}_items.json"] = as_json({code: item for code, item in items.items() if item["task"] == task})
        current = rows[rows["kind"].isin(COUNTED) & rows["current"] & rows["value"].notna()]
        files[f"{name}_consensus.tsv"] = as_tsv(consensus_of(current, described_task(task, items)))
        files[f"{name}_consensus.json"] = as_json(_consensus_dictionary(task, items))
    for name, text in files.items():
        write_changed(out / name, text)
    return [out / name for name in files]


def _description() -> dict[str, Any]:
    return {
        "Name": "Ratings of image quality",
        "BIDSVersion": "1.9.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "bidsqa-rate", "Version": bidsqa.__version__}],
    }


def ratings_dictionary(task: str, items: Mapping[str, Any]) -> dict[str, Any]:
    """The data dictionary of a task's table, with the meaning of each answer under ``Levels``."""
    about = described_task(task, items)
    words: dict[str, Any] = {
        name: {"Description": text, **({"Units": UNITS[name]} if name in UNITS else {})}
        for name, text in COLUMNS.items()
    }
    words["value"]["Levels"] = {**about.levels, SKIP: "not answered"}
    words["value"]["Question"] = about.question
    words["value"]["Scale"] = about.measure
    if task == "pairwise":
        words["judgement"]["Levels"] = {
            "first": "the lower version number is better",
            "similar": about.levels["similar"],
            "second": "the higher version number is better",
        }
    return words


def _consensus_dictionary(task: str, items: Mapping[str, Any]) -> dict[str, Any]:
    about = described_task(task, items)
    words: dict[str, Any] = {name: {"Description": text} for name, text in CONSENSUS_COLUMNS.items()}
    words["value"]["Levels"] = dict(about.levels)
    words["share_<answer>"] = {"Description": "Share of the readers' votes for this answer; each reader has one vote."}
    return words


def as_json(content: Any) -> str:
    """Readable JSON."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def as_tsv(table: pd.DataFrame) -> str:
    """Tab-separated, ``n/a`` for what is missing; no cell can break a line."""
    lines = ["\t".join(map(str, table.columns))]
    lines += ["\t".join(_cell(value) for value in row) for row in table.itertuples(index=False)]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    import pandas as pd

    if isinstance(value, list):
        return json.dumps(value)
    if value is None or value is pd.NA or value != value:
        return "n/a"
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) < 1e6 else str(value)
    return " ".join(str(value).split()) or "n/a"
