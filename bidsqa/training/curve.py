# SPDX-License-Identifier: Apache-2.0
"""The curve of a training: a CSV file, and TensorBoard's event files where they are wanted."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bidsqa.bids.writing import write_atomic
from bidsqa.errors import UsageError

Row = dict[str, float]


class Curve:
    """Rows of numbers by step, in a file that is rewritten whole.

    Parameters
    ----------
    path : Path
        CSV.
    events : Path, optional
        Folder for TensorBoard.

    Raises
    ------
    UsageError
        TensorBoard is wanted and not installed.
    """

    def __init__(self, path: Path, events: Path | None = None) -> None:
        self._path = path
        self._writer = open_events(events) if events is not None else None
        self.rows: list[Row] = []

    def resume(self, step: int) -> None:
        """Take over the rows of an earlier start up to a step."""
        if self._path.is_file():
            self.rows = [row for row in read_curve(self._path) if row["step"] <= step]

    def add(self, row: Mapping[str, float]) -> None:
        """Append a row and write."""
        self.rows.append(dict(row))
        write_atomic(self._path, as_csv(self.rows))
        if self._writer is not None:
            for name, value in row.items():
                if name != "step":
                    self._writer.add_scalar(name, value, int(row["step"]))
            self._writer.flush()

    def close(self) -> None:
        """Close TensorBoard's file."""
        if self._writer is not None:
            self._writer.close()


def open_events(folder: Path) -> Any:
    """A TensorBoard writer."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UsageError("TensorBoard is not installed.", "pip install tensorboard") from None
    return SummaryWriter(str(folder))  # type: ignore[no-untyped-call]


def as_csv(rows: Sequence[Row]) -> str:
    """The rows as CSV; columns in the order in which they first came."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _short(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _short(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else f"{value:.6g}"


def read_curve(path: Path) -> list[Row]:
    """The rows of a file that :class:`Curve` wrote."""
    with path.open(encoding="utf-8", newline="") as handle:
        rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(handle)]
    # earlier versions called the steps of the severity iterations
    return [{"step": row.get("step", row.get("iteration", 0.0)), **row} for row in rows]
