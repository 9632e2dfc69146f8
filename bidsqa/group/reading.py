# SPDX-License-Identifier: Apache-2.0
"""Reading the records of an output folder; a damaged one is named and costs only itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bidsqa.bids.names import record_paths
from bidsqa.group.rows import Row, long_entity, row_of
from bidsqa.record import Record
from bidsqa.verdict import Rules, decide

if TYPE_CHECKING:
    import pandas as pd


def iterate(out: Path) -> Iterator[tuple[Path, Record | None, str]]:
    """Each record file with its record, or None and what is wrong with it in words; sorted by path."""
    for path in record_paths(out):
        try:
            yield path, Record.load(path), ""
        except (OSError, ValueError) as error:
            shown = path.relative_to(out)
            yield path, None, f"{shown}: not a readable record ({' '.join(str(error).split())[:160]})"


def read_records(out: Path) -> tuple[list[Record], list[str]]:
    """All records below an output folder.

    Returns
    -------
    records : list of Record
    problems : list of str
        One sentence for each file that is no record.
    """
    records, problems = [], []
    for _, record, problem in iterate(Path(out)):
        if record is None:
            problems.append(problem)
        else:
            records.append(record)
    return records, problems


def read_rows(out: Path, rules: Rules | None = None) -> tuple[list[Row], list[str]]:
    """The rows of all records, one at a time so that thousands fit in memory.

    Parameters
    ----------
    out : Path
    rules : Rules, optional
        Judge every record anew by these; by default the records' own verdicts stand.

    Returns
    -------
    rows : list of Row
    problems : list of str
    """
    rows: list[Row] = []
    problems: list[str] = []
    seen: dict[str, str] = {}
    for path, record, problem in iterate(Path(out)):
        if record is None:
            problems.append(problem)
            continue
        try:
            row = row_of(record, None if rules is None else decide(record, rules))
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            problems.append(f"{path.relative_to(out)}: not a usable record ({' '.join(str(error).split())[:160]})")
            continue
        if row.name in seen:
            problems.append(f"{path.relative_to(out)}: the same scan as {seen[row.name]}; left out")
            continue
        seen[row.name] = path.name
        rows.append(row)
    return rows, problems


def read(out: str | Path) -> pd.DataFrame:
    """The records of an output folder as a data frame, one row a scan.

    Parameters
    ----------
    out : path
        An output folder of bidsqa.

    Returns
    -------
    pandas.DataFrame
        ``bids_name``, the entities (``subject``, ``session``, ...), ``suffix``, ``status``, ``decision``, ``reasons``
        (texts joined), the scores with their uncertainties, and the metrics by name; missing values are NaN.

    Raises
    ------
    FileNotFoundError
        When there is no such folder.
    """
    import pandas as pd

    folder = Path(out)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder")
    rows, _ = read_rows(folder)
    frame = [
        {
            "bids_name": row.name,
            **{long_entity(key): label for key, label in row.entities.items()},
            "suffix": row.suffix,
            "status": row.status,
            "decision": row.decision,
            "reasons": "; ".join(str(reason.get("text", "")) for reason in row.reasons),
            **row.values,
        }
        for row in rows
    ]
    found = pd.DataFrame(frame)
    texts = ["bids_name", *dict.fromkeys(long_entity(key) for row in rows for key in row.entities)]
    fixed = [*texts, "suffix", "status", "decision", "reasons"]
    values = [key for key in _value_columns(rows) if key in found.columns]
    found = found.reindex(columns=[*fixed, *values])
    numbers = [key for key in values if not any(isinstance(row.values.get(key), str) for row in rows)]
    found[numbers] = found[numbers].astype(float)
    return found


def _value_columns(rows: list[Row]) -> list[str]:
    from bidsqa.group.tables import value_columns

    return value_columns(rows)
