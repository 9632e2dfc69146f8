# SPDX-License-Identifier: Apache-2.0
"""Ratings as a table, from the store or from an export; what a training on ratings starts from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsqa.errors import UsageError
from bidsqa.rating.imported_tasks import IMPORTED
from bidsqa.rating.store import Store, store_path
from bidsqa.rating.tasks import SKIP, TASKS

if TYPE_CHECKING:
    import pandas as pd

COUNTED = ("main", "repeat", "imported")
RATINGS_SUFFIX, ITEMS_SUFFIX = "_ratings.tsv", "_items.json"
HINT = "Give what bidsqa-rate wrote, or its export: bidsqa-rate export RATINGS OUT"
# name of a column to what it tells; the dictionary of an export is made from it
COLUMNS: Mapping[str, str] = {
    "rater": "Code of the reader; the name is only in the store.",
    "path": "The scan, relative to the dataset.",
    "subject": "Participant label without sub-.",
    "task": "What was asked.",
    "item": "Code of what was shown; the items file tells how its pictures were made.",
    "rated": "What was rated, regardless of the side on which it stood: equal for repeats and between readers.",
    "left": "Version of the item on the left or shown alone; -1 is the clean image.",
    "right": "Version of the item on the right; -1 is the clean image.",
    "value": "The answer as given; skip where the reader couldn't or didn't want to answer, n/a where taken back.",
    "judgement": "The answer regardless of sides: of a pair first, similar or second, for the lower and the higher "
    "version number.",
    "acceptable": "Whether the image is acceptable, where that was asked.",
    "artifacts": "What the reader marked, as a JSON list.",
    "kind": "main, repeat (shown again with its sides swapped), catch (obvious), practice (doesn't count), imported.",
    "strategy": "How the item was chosen: uniform (at random), active (most informative) or fixed (all of them).",
    "repeat_of": "Trial that this one repeats.",
    "trial": "Code of this showing.",
    "expected": "The obvious answer of a catch trial; several are parted by a bar.",
    "plane": "Plane of the slice.",
    "slice": "Index of the slice in RAS+ orientation, or of the middle one of a stack.",
    "slices": "How many slices were shown.",
    "rt_ms": "Time from the pictures being on the screen to the answer.",
    "idle": "The reader was away: a minute without input, or another window in front. Leave these out of times.",
    "zoomed": "The reader zoomed in.",
    "confidence": "0 guess, 1 unsure, 2 fairly sure, 3 sure, 4 certain.",
    "comment": "The reader's words.",
    "time": "When the answer was saved, UTC.",
    "sha256": "Of the scan's data; of a ruler alone, of its file of images.",
    "app_version": "Version of bidsqa that asked.",
    "current": "false where a later row of the same trial replaces this one.",
}
_QUERY = """
SELECT r.code AS rater, t.task, i.code AS item, i.content, t.left_item AS left, t.right_item AS right, a.value,
  a.acceptable, a.artifacts, t.kind, t.strategy, o.code AS repeat_of, t.code AS trial, t.expected, t.shown, a.rt_ms,
  a.idle, a.view, a.confidence, a.comment, a.answered_at AS time, a.app_version,
  a.id = (SELECT max(id) FROM answers WHERE trial = t.id) AS current
FROM answers a JOIN trials t ON t.id = a.trial JOIN readers r ON r.id = t.reader JOIN items i ON i.id = t.item
LEFT JOIN trials o ON o.id = t.repeat_of ORDER BY a.id
"""


def read_ratings(
    path: str | Path,
    task: str | None = None,
    kinds: Sequence[str] = COUNTED,
    only_current: bool = True,
) -> pd.DataFrame:
    """The answers of a rating, one row each.

    Parameters
    ----------
    path : path
        What was given to ``bidsqa-rate`` as RATINGS, or an exported ``desc-<task>_ratings.tsv``, or the folder of them.
    task : str, optional
        Only of this task.
    kinds : sequence of str
        Without ``"catch"`` and ``"practice"`` by default.
    only_current : bool
        Without answers that were corrected or taken back.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`; ``artifacts`` as lists. Skipped answers are in it (value ``skip``).

    Raises
    ------
    UsageError
        There are no ratings.
    """
    import pandas as pd

    place = Path(path)
    exported = _exported(place)
    if exported:
        table = pd.concat([_read_export(file) for file in exported])
    else:
        store = Store(store_path(place))
        try:
            table = pd.DataFrame([_row(dict(row)) for row in store.rows(_QUERY)], columns=list(COLUMNS))
        finally:
            store.close()
    kept = table["kind"].isin(list(kinds))
    if task is not None:
        kept &= table["task"] == task
    if only_current:
        kept &= table["current"].astype(bool) & table["value"].notna()
    return table[kept].reset_index(drop=True).convert_dtypes()


def _read_export(file: Path) -> pd.DataFrame:
    """One table of an export.

    Raises
    ------
    UsageError
        It isn't one.
    """
    import pandas as pd

    if not file.is_file():
        raise UsageError(f"There are no ratings in {file}.", HINT)
    texts = dict.fromkeys(("rater", "subject", "item", "value", "judgement", "trial", "expected", "sha256"), str)
    try:
        table = pd.read_csv(file, sep="\t", na_values="n/a", dtype=texts)
        missing = [name for name in COLUMNS if name not in table.columns]
        if missing:
            raise ValueError(f"it has no column {missing[0]!r}")
        table["artifacts"] = [json.loads(text) for text in table["artifacts"]]
        for task, value in {*zip(table["task"], table["value"], strict=True)}:
            _check_known(str(task), value)
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"{file} can't be used as ratings: {' '.join(str(error).split())[:120]}.", HINT) from error
    return table


def _check_known(task: str, value: Any) -> None:
    """The task is one of ours and the answer, where it isn't missing, one of the task's; ValueError if not."""
    if task not in TASKS and task not in IMPORTED:
        raise ValueError(f"there is no task {task!r}")
    if isinstance(value, str) and value != SKIP and task in TASKS and value not in TASKS[task].values:
        raise ValueError(f"{value!r} is no answer of {task}")


def read_items(path: str | Path) -> dict[str, dict[str, Any]]:
    """How the pictures of each item are made: code to its content with ``task`` and what was ``shown``.

    Parameters
    ----------
    path : path
        As for :func:`read_ratings`.

    Returns
    -------
    dict
        See :mod:`bidsqa.rating.items`; :class:`bidsqa.rating.pictures.Gallery` makes the pictures.

    Raises
    ------
    UsageError
        There are no ratings, or the items are missing beside an export of them.
    """
    place = Path(path)
    exported = _exported(place)
    if exported:
        items: dict[str, dict[str, Any]] = {}
        for table in exported:
            file = table.with_name(table.name.removesuffix(RATINGS_SUFFIX) + ITEMS_SUFFIX)
            try:
                items.update(json.loads(file.read_text(encoding="utf-8")))
            except FileNotFoundError:
                raise UsageError(f"Beside {table} there is no {file.name}.", HINT) from None
            except (OSError, ValueError, TypeError) as error:
                raise UsageError(f"{file} can't be read: {error}.", HINT) from error
        return items
    store = Store(store_path(place))
    try:
        rows = store.rows(
            "SELECT i.code, i.task, i.content, t.shown FROM items i JOIN trials t ON t.item = i.id ORDER BY t.id"
        )
    finally:
        store.close()
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        entry = found.setdefault(row["code"], {"task": row["task"], **json.loads(row["content"]), "shown": {}})
        _merge_shown(entry["shown"], json.loads(row["shown"]))
    return found


def _exported(place: Path) -> list[Path]:
    """The tables of an export, none where the place is a store."""
    if place.name.endswith(RATINGS_SUFFIX):
        return [place]
    return sorted(place.glob(f"*{RATINGS_SUFFIX}")) if place.is_dir() and not store_path(place).is_file() else []


def _merge_shown(kept: dict[str, Any], shown: Mapping[str, Any]) -> None:
    """Each trial tells the parameters of the versions that it showed; together they tell all."""
    for part, about in shown.items():
        before = kept.get(part)
        if isinstance(before, dict) and isinstance(before.get("versions"), dict):
            kept[part] = {**about, "versions": {**before["versions"], **about["versions"]}}
        else:
            kept[part] = about


def _row(row: dict[str, Any]) -> dict[str, Any]:
    content, shown = json.loads(row["content"]), json.loads(row["shown"])
    about = shown.get("image") or shown.get("series") or {}
    slices = about.get("slices", [])
    series = content.get("series", {})
    rated, judgement = _regardless_of_sides(row)
    told = {
        **row,
        "path": content.get("path"),
        "subject": content.get("subject"),
        "rated": rated,
        "judgement": judgement,
        "acceptable": None if row["acceptable"] is None else bool(row["acceptable"]),
        "artifacts": json.loads(row["artifacts"]),
        "plane": about.get("plane") or None,
        "slice": slices[len(slices) // 2] if slices and "ruler" not in series else None,
        "slices": len(slices) or None,
        "idle": bool(row["idle"]),
        "zoomed": any(event["what"] == "zoom" and event["value"] > 1 for event in json.loads(row["view"])),
        "time": shown.get("time", row["time"]),
        "sha256": about.get("sha256", shown.get("import", {}).get("sha256")),
        "current": bool(row["current"]),
    }
    return {name: told[name] for name in COLUMNS}


def _regardless_of_sides(row: Mapping[str, Any]) -> tuple[str, str | None]:
    if row["task"] != "pairwise":
        return row["item"], row["value"]
    first, second = sorted((row["left"], row["right"]))
    turned = {"left": "first", "right": "second"} if row["left"] == first else {"left": "second", "right": "first"}
    return f"{row['item']}:{first}:{second}", turned.get(row["value"], row["value"])


def tasks_of(table: pd.DataFrame, path: str | Path) -> list[str]:
    """Names of the tasks in a table, in the order of the app; those from elsewhere last.

    Raises
    ------
    UsageError
        The table is empty.
    """
    if not len(table):
        raise UsageError(f"There is no answer in {path}.", "Rate first: bidsqa-rate BIDS_DIR RATINGS")
    order = list(TASKS)
    found = {str(name) for name in table["task"].unique()}
    return sorted(found, key=lambda name: (order.index(name) if name in order else len(order), name))
