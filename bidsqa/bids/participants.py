# SPDX-License-Identifier: Apache-2.0
"""``participants.tsv`` of a dataset, and the copy of it that an output folder keeps.

The group level may run where the dataset isn't mounted, so the participant level leaves a cleaned copy in the output
folder. The dataset's own file is only read.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bidsqa.bids.scan import ENTITIES, split_name
from bidsqa.bids.sidecar import load_sidecar
from bidsqa.bids.tsv import MISSING, read_tsv
from bidsqa.bids.writing import write_changed

ID = "participant_id"
SOURCE = "participants"
COPY = "group_participants"
PREFIX = "participants_"
# PyBIDS takes the keys of a data dictionary for entities of its table, and these would mislead it
ENTITY_NAMES = frozenset({*ENTITIES, *ENTITIES.values(), "suffix", "extension", "datatype"})
LONGEST_DESCRIPTION = 1000
MOST_LEVELS = 200


@dataclass(frozen=True)
class Participants:
    """What is known about the participants of a study.

    Parameters
    ----------
    columns : tuple of str
        Without ``participant_id``.
    rows : dict of str to dict
        By label without ``sub-``: column to text; what is missing is absent.
    described : dict of str to dict
        Entries of the data dictionary by column; only texts and levels of them.
    problems : tuple of str
        Sentences about what is wrong with the file.
    """

    columns: tuple[str, ...] = ()
    rows: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    described: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def read_participants(folder: Path, stem: str = SOURCE) -> Participants:
    """Read ``participants.tsv`` and ``participants.json`` without trusting them.

    Parameters
    ----------
    folder : Path
        The dataset, or an output folder (whose copy has another `stem`).
    stem : str

    Returns
    -------
    Participants
        Empty where there is no table. Ids lack their ``sub-`` in some datasets; both forms are taken. Where an id has
        several rows, a value counts that is the same in all of them.
    """
    path = folder / f"{stem}.tsv"
    if not os.path.lexists(path):
        return Participants()
    table = read_tsv(path)
    problems = [f"{path.name}: {problem}." for problem in table.problems]
    if ID not in table.columns:
        why = f"{path.name} was not used: it has no column {ID}."
        return Participants(problems=(*problems, why) if table.columns else tuple(problems))
    rows: dict[str, dict[str, str]] = {}
    twice: set[str] = set()
    odd = 0
    for row in table.rows:
        label = row.get(ID, "").removeprefix("sub-")
        if not _is_label(label):
            odd += 1
            continue
        own = {column: value for column, value in row.items() if column != ID}
        if label in rows:
            twice.add(label)
            own = {column: value for column, value in own.items() if rows[label].get(column) == value}
        rows[label] = own
    if odd:
        problems.append(f"{path.name}: {odd} {'row has' if odd == 1 else 'rows have'} no usable {ID}.")
    if twice:
        some = ", ".join(f"sub-{label}" for label in sorted(twice)[:3])
        problems.append(f"{path.name} has more than one row for {some}; only values that agree were taken.")
    columns = tuple(column for column in table.columns if column != ID)
    described, problem = _described(path.with_suffix(".json"), columns)
    return Participants(columns, rows, described, (*problems, *problem))


def keep_copy(root: Path, out: Path) -> tuple[str, ...]:
    """Bring the output folder's copy of ``participants.tsv`` up to date, if the dataset is there.

    Parameters
    ----------
    root : Path
        The dataset; where it isn't mounted (no description, no participants) the copy stays as it is.
    out : Path
        The output folder; the copy is ``group_participants.tsv`` with its dictionary.

    Returns
    -------
    tuple of str
        Sentences about what is wrong with the dataset's file.
    """
    if not _is_dataset(root):
        return ()
    found = read_participants(root)
    paths = [out / f"{COPY}.{extension}" for extension in ("tsv", "json")]
    if not found.rows:
        # a file that can't be used leaves the copy; one that is gone takes it along
        if not found.problems:
            for path in paths:
                path.unlink(missing_ok=True)
        return found.problems
    names = {column: f"{PREFIX}{column}" if column in ENTITY_NAMES else column for column in found.columns}
    lines = ["\t".join((ID, *names.values()))]
    for label, row in sorted(found.rows.items()):
        lines.append("\t".join((f"sub-{label}", *(row.get(column, MISSING) for column in found.columns))))
    write_changed(paths[0], "\n".join(lines) + "\n")
    dictionary: dict[str, Any] = {ID: {"Description": "Participant as in participants.tsv"}}
    dictionary |= {names[column]: entry for column, entry in found.described.items()}
    write_changed(paths[1], json.dumps(dictionary, indent=2, ensure_ascii=False) + "\n")
    return found.problems


def _is_dataset(root: Path) -> bool:
    try:
        with os.scandir(root) as entries:
            return any(entry.name == "dataset_description.json" or entry.name.startswith("sub-") for entry in entries)
    except OSError:
        return False


def _is_label(label: str) -> bool:
    try:
        return list(split_name(f"sub-{label}_x")[0]) == ["sub"]
    except ValueError:
        return False


def _described(path: Path, columns: tuple[str, ...]) -> tuple[dict[str, dict[str, Any]], tuple[str, ...]]:
    """The usable part of a data dictionary."""
    if not os.path.lexists(path):
        return {}, ()
    content, problem = load_sidecar(path)
    found = {column: _entry(content[column]) for column in columns if isinstance(content.get(column), dict)}
    return {column: entry for column, entry in found.items() if entry}, (
        (f"{path.name} was not used: {problem}.",) if problem else ()
    )


def _entry(told: Mapping[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        key: _text(told[key]) for key in ("LongName", "Description", "Units") if isinstance(told.get(key), str)
    }
    levels = told.get("Levels")
    if isinstance(levels, dict):
        kept = list(levels.items())[:MOST_LEVELS]
        entry["Levels"] = {_text(str(key)): _text(value) for key, value in kept if isinstance(value, str)}
    return {key: value for key, value in entry.items() if value}


def _text(text: str) -> str:
    plain = re.sub(r"\s+", " ", text.encode("utf-8", "replace").decode("utf-8")).strip()
    return plain if len(plain) <= LONGEST_DESCRIPTION else plain[: LONGEST_DESCRIPTION - 1] + "…"
