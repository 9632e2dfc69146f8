# SPDX-License-Identifier: Apache-2.0
"""Tab-separated tables of a dataset, read without trusting them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from bidsqa.plain_files import read_bytes, why_unread

LARGEST_TABLE = 50_000_000  # bytes; a study of 100,000 participants with 20 columns has 20 MB
MOST_COLUMNS = 1000
LONGEST_CELL = 300
MISSING = "n/a"


@dataclass(frozen=True)
class Tsv:
    """A table as far as it could be read.

    Parameters
    ----------
    columns : tuple of str
        Names, each once.
    rows : list of dict
        By column; what is missing is not in them.
    problems : tuple of str
        What was odd, without the file's name: ``"3 rows have more cells than the header and were left out"``.
    """

    columns: tuple[str, ...] = ()
    rows: list[dict[str, str]] = field(default_factory=list)
    problems: tuple[str, ...] = ()


def read_tsv(path: Path) -> Tsv:
    """Read a table; whatever is wrong with it costs a sentence.

    Parameters
    ----------
    path : Path
        UTF-8, with or without byte order mark; other bytes are read as Latin-1.

    Returns
    -------
    Tsv
        Cells without outer blanks and control characters, at most 300 characters long. Rows with fewer cells than the
        header lack the last ones; rows with more are left out, since nobody knows which cell belongs where.
    """
    problems: list[str] = []
    try:
        data = read_bytes(path, LARGEST_TABLE, "more than such a table needs")
    except FileNotFoundError:
        return Tsv(problems=("its content is absent (a link that leads nowhere)",))
    except OSError as error:
        return Tsv(problems=(why_unread(error),))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
        problems.append("it is no UTF-8 text and was read as Latin-1")
    lines = [line for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n") if line.strip()]
    if not lines:
        return Tsv(problems=("it is empty",))
    header = [_cell(name) for name in lines[0].split("\t")]
    if len(header) > MOST_COLUMNS:
        return Tsv(problems=(f"it has {len(header)} columns, more than {MOST_COLUMNS}",))
    if len(header) == 1 and any(mark in header[0] for mark in ",;"):
        return Tsv(problems=("its columns are not separated by tabs",))
    if any(not name or name in header[:at] for at, name in enumerate(header)):
        problems.append("columns without a name, or with that of another, were left out")
    return _body(header, lines[1:], problems)


def _body(header: list[str], lines: list[str], problems: list[str]) -> Tsv:
    rows: list[dict[str, str]] = []
    short = long = 0
    for line in lines:
        cells = [_cell(cell) for cell in line.split("\t")]
        while len(cells) > len(header) and not cells[-1]:
            cells.pop()
        if len(cells) > len(header):
            long += 1
            continue
        short += len(cells) < len(header)
        row: dict[str, str] = {}
        for name, cell in zip(header, cells, strict=False):
            if name and name not in row and cell not in ("", MISSING):
                row[name] = cell
        rows.append(row)
    if short:
        problems.append(f"{_rows(short)} fewer cells than the header; the last ones count as missing")
    if long:
        problems.append(f"{_rows(long)} more cells than the header and {'was' if long == 1 else 'were'} left out")
    return Tsv(tuple(dict.fromkeys(name for name in header if name)), rows, tuple(problems))


def _rows(count: int) -> str:
    return "1 row has" if count == 1 else f"{count} rows have"


def _cell(text: str) -> str:
    kept = "".join(letter if letter.isprintable() else " " for letter in text.strip())
    found = " ".join(kept.split())
    return found if len(found) <= LONGEST_CELL else found[: LONGEST_CELL - 1] + "…"
