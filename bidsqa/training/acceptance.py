# SPDX-License-Identifier: Apache-2.0
"""From ratings of any kind to what a verdict is fitted to: the share of readers who accept each scan."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bidsqa.errors import UsageError
from bidsqa.rating import read_items, read_ratings

# by task: how much each answer speaks for the scan
ACCEPTS: Mapping[str, Any] = {
    "page": lambda value: {"pass": 1.0, "review": 0.5, "fail": 0.0}.get(value),
    "mriqc": lambda value: float(float(value) >= 2.5),
    "diagnostic": lambda value: float(float(value) >= 1),
    "likert": lambda value: float(float(value) >= 3),
}
COLUMN, NAME = "accept", "bids_name"
WORDS = {"yes": 1.0, "true": 1.0, "accept": 1.0, "pass": 1.0, "no": 0.0, "false": 0.0, "exclude": 0.0, "fail": 0.0}


def acceptance(ratings: Path, task: str | None = None) -> tuple[dict[str, float], str]:
    """Share of readers who accept each scan, each reader counting once.

    Parameters
    ----------
    ratings : Path
        RATINGS of ``bidsqa-rate``, an export of it, or a table (TSV) with the columns ``bids_name`` and ``accept``
        (0-1, yes or no).
    task : str, optional
        Whose answers count; by default the first of ``ACCEPTS`` that there are answers to.

    Returns
    -------
    shares : dict of float
        By ``bids_name``.
    task : str
        Whose answers counted; ``accept`` for a table.

    Raises
    ------
    UsageError
        Nothing tells whether scans are accepted.
    """
    if ratings.suffix == ".tsv" and not ratings.name.endswith("_ratings.tsv"):
        return _from_table(ratings), COLUMN
    table = read_ratings(ratings)
    there = [name for name in ACCEPTS if (table["task"] == name).any()]
    chosen = task or (there[0] if there else "")
    if chosen not in there:
        raise UsageError(
            f"{ratings} holds no answer that tells whether a scan is accepted{f' (task {task})' if task else ''}.",
            "Rate diagnostic classes or 1 to 5, or import the ratings of pages: bidsqa-rate import",
        )
    whole = read_items(ratings)
    by_scan: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in table[table["task"] == chosen].itertuples():
        content = whole.get(str(row.item), {})
        # a picture that was spoiled on purpose says nothing of the scan
        if any(content.get("versions", [])) or content.get("purpose"):
            continue
        share = _share(chosen, str(row.value))
        if share is not None:
            by_scan[_bids_name(str(row.path))][str(row.rater)].append(share)
    shares = {
        name: sum(sum(own) / len(own) for own in readers.values()) / len(readers) for name, readers in by_scan.items()
    }
    return shares, chosen


def _share(task: str, value: str) -> float | None:
    try:
        found: float | None = ACCEPTS[task](value)
    except ValueError:
        return None
    return found


def _bids_name(path: str) -> str:
    return Path(path).name.removesuffix(".gz").removesuffix(".nii")


def _from_table(path: Path) -> dict[str, float]:
    import pandas as pd

    try:
        table = pd.read_csv(path, sep="\t", dtype=str)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} can't be read: {' '.join(str(error).split())[:120]}.", "Give a TSV.") from error
    missing = [name for name in (NAME, COLUMN) if name not in table.columns]
    if missing:
        raise UsageError(f"{path} has no column {missing[0]!r}.", f"It needs {NAME} and {COLUMN} (0-1, yes or no).")
    found: dict[str, list[float]] = defaultdict(list)
    for name, told in zip(table[NAME], table[COLUMN], strict=True):
        if isinstance(told, str) and isinstance(name, str):
            found[name].append(_told(told, path))
    return {name: sum(values) / len(values) for name, values in found.items()}


def _told(told: str, path: Path) -> float:
    try:
        value = WORDS.get(told.strip().lower())
        share = float(told) if value is None else value
    except ValueError:
        share = float("nan")
    if not 0 <= share <= 1:
        raise UsageError(f"{path}: {told!r} is no acceptance.", "Write a share from 0 to 1, yes or no.")
    return share
