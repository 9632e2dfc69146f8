# SPDX-License-Identifier: Apache-2.0
"""The one form in which scripts print a table and the documentation shows it."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

INTERVAL = re.compile(r"(-?[\d.]+)(?: %)? \[(-?[\d.]+), (-?[\d.]+)\]")


@dataclass(frozen=True)
class Table:
    """A table of results.

    Parameters
    ----------
    title : str
    columns : sequence of str
    rows : sequence of sequence
        Strings or numbers, as long as the columns.
    note : str
        On which data, how many scans and subjects, which interval, which machine: what a reader needs to judge it.
    command : str
        The command that printed it.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    note: str = ""
    command: str = ""

    def text(self) -> str:
        """For the terminal: aligned columns."""
        cells = [list(self.columns), *[[_cell(value) for value in row] for row in self.rows]]
        widths = [max(len(row[column]) for row in cells) for column in range(len(self.columns))]
        lines = [
            "  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip() for row in cells
        ]
        lines.insert(1, "  ".join("-" * width for width in widths))
        return "\n".join([self.title, "", *lines, "", self.note]).rstrip() + "\n"

    def write(self, path: Path) -> None:
        """For the documentation: JSON, which ``docs/_ext/tables.py`` reads."""
        path.parent.mkdir(parents=True, exist_ok=True)
        plain = {**asdict(self), "rows": [[_cell(value) for value in row] for row in self.rows]}
        path.write_text(json.dumps(plain, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    def write_csv(self, path: Path) -> None:
        """For programs; an interval ``value [low, high]`` becomes three columns, percent stay percent."""
        cells = [[_cell(value) for value in row] for row in self.rows]
        spans = [any(INTERVAL.fullmatch(row[place]) for row in cells) for place in range(len(self.columns))]
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as handle:
            writer = csv.writer(handle, lineterminator="\n")
            parts = [
                [name, f"{name} low", f"{name} high"] if span else [name]
                for name, span in zip(self.columns, spans, strict=True)
            ]
            writer.writerow([name for part in parts for name in part])
            for row in cells:
                split = [_split(text) if span else [text] for text, span in zip(row, spans, strict=True)]
                writer.writerow([text for part in split for text in part])


def _split(text: str) -> list[str]:
    """Value, low and high of an interval, without the sign of percent; empty where there is none."""
    found = INTERVAL.fullmatch(text)
    return list(found.groups()) if found else ["", "", ""]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1 else f"{value:.4g}"
    return str(value)


def write_rows(path: Path, rows: Sequence[Any], leave_out: Sequence[str] = ()) -> None:
    """Every single result, for plots and second looks, as CSV; numbers to four digits after the point.

    Parameters
    ----------
    path : Path
    rows : sequence of dataclass instances
        All of one class, at least one.
    leave_out : sequence of str
        Fields that are not written.
    """
    names = [field.name for field in fields(rows[0]) if field.name not in leave_out]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(names)
        for row in rows:
            values = [getattr(row, name) for name in names]
            writer.writerow([f"{value:.4f}" if isinstance(value, float) else value for value in values])
