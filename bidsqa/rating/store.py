# SPDX-License-Identifier: Apache-2.0
"""The ratings on disk: an SQLite file in which rows are only ever added, safe for several readers and for crashes.

A row of ``answers`` is never changed. A correction is a new row that names the one it supersedes; taking an answer
back is a new row without a value. Of each trial the newest row counts.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bidsqa
from bidsqa.errors import UsageError
from bidsqa.rating.tasks import Given

FILE_NAME = "ratings.sqlite"
SCHEMA_VERSION = 1
PATIENCE_SECONDS = 30.0
TABLES = ("readers", "items", "plans", "trials", "answers")
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS readers(
  id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, name TEXT NOT NULL UNIQUE, created_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS items(
  id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, task TEXT NOT NULL, content TEXT NOT NULL,
  created_at TEXT NOT NULL, UNIQUE(task, content));
CREATE TABLE IF NOT EXISTS plans(
  id INTEGER PRIMARY KEY, reader INTEGER NOT NULL REFERENCES readers(id), task TEXT NOT NULL, pairs TEXT NOT NULL,
  created_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS trials(
  id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, reader INTEGER NOT NULL REFERENCES readers(id),
  task TEXT NOT NULL, item INTEGER NOT NULL REFERENCES items(id), position INTEGER NOT NULL, kind TEXT NOT NULL,
  strategy TEXT NOT NULL, plan INTEGER REFERENCES plans(id), repeat_of INTEGER REFERENCES trials(id),
  order_seed INTEGER NOT NULL, left_item INTEGER, right_item INTEGER, expected TEXT, shown TEXT NOT NULL,
  shown_at TEXT NOT NULL, UNIQUE(reader, task, position));
CREATE TABLE IF NOT EXISTS answers(
  id INTEGER PRIMARY KEY, nonce TEXT NOT NULL UNIQUE, trial INTEGER NOT NULL REFERENCES trials(id), value TEXT,
  acceptable INTEGER, artifacts TEXT NOT NULL, rt_ms REAL, idle INTEGER NOT NULL, confidence INTEGER,
  comment TEXT NOT NULL, view TEXT NOT NULL, app_version TEXT NOT NULL,
  supersedes INTEGER UNIQUE REFERENCES answers(id), answered_at TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS answers_of_trial ON answers(trial);
CREATE VIEW IF NOT EXISTS current_answers AS
  SELECT * FROM answers WHERE id IN (SELECT max(id) FROM answers GROUP BY trial);
"""
_TRIALS = """
SELECT t.*, a.id AS answer, a.value AS value FROM trials t LEFT JOIN current_answers a ON a.trial = t.id
"""


@dataclass(frozen=True)
class Reader:
    """A person who rates: the code stands in exports, the name only in the store."""

    id: int
    code: str
    name: str


@dataclass(frozen=True)
class Item:
    """Something to be rated; ``content`` tells how to make its pictures (see :mod:`bidsqa.rating.items`)."""

    id: int
    code: str
    task: str
    content: dict[str, Any]


@dataclass(frozen=True)
class Trial:
    """One item as one reader got it, with the answer that counts now.

    Parameters
    ----------
    left_item, right_item : int or None
        Versions of the item (0 and up) on the left and on the right, or the version shown; -1 is the clean image.
    kind : str
        ``"practice"``, ``"main"``, ``"repeat"`` or ``"catch"``.
    strategy : str
        How it was chosen: ``"uniform"``, ``"active"`` or ``"fixed"``.
    shown : dict
        What was found out when the pictures were made: slices, grey scale, checksum, parameters.
    answer : int or None
        Row of the answer that counts, also when it was taken back.
    value : str or None
        None while there is no answer or it was taken back.
    """

    id: int
    code: str
    reader: int
    task: str
    item: int
    position: int
    kind: str
    strategy: str
    plan: int | None
    repeat_of: int | None
    order_seed: int
    left_item: int | None
    right_item: int | None
    expected: str | None
    shown: dict[str, Any]
    shown_at: str
    answer: int | None
    value: str | None


@dataclass(frozen=True)
class Proposal:
    """A trial that is about to be issued; fields as in :class:`Trial`."""

    item: Item
    kind: str
    strategy: str
    order_seed: int
    left_item: int | None = None
    right_item: int | None = None
    plan: int | None = None
    repeat_of: int | None = None
    expected: str | None = None


class AlreadyAnswered(Exception):
    """The trial has an answer that the sender didn't know of: another window of the same reader was faster."""


def now() -> str:
    """UTC, ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def random_code(length: int = 6) -> str:
    """A code that tells nothing, of letters that can't be mixed up."""
    return "".join(secrets.choice(_LETTERS) for _ in range(length))


def store_path(ratings: Path) -> Path:
    """The SQLite file of what a user calls RATINGS: the file itself, or ``ratings.sqlite`` in the folder."""
    return ratings if ratings.is_file() or ratings.suffix in (".sqlite", ".db") else ratings / FILE_NAME


class Store:
    """The ratings.

    Parameters
    ----------
    path : Path
        The SQLite file.
    create : bool
        Make it where it is absent; otherwise that is an error.

    Raises
    ------
    UsageError
        It is absent, of a later version, or no such file.
    """

    def __init__(self, path: Path, create: bool = False) -> None:
        if not create and not path.is_file():
            raise UsageError(f"There are no ratings in {path}.", "Give the folder that bidsqa-rate wrote to.")
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(
            path, timeout=PATIENCE_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._connection.row_factory = sqlite3.Row
        try:
            self._prepare()
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise UsageError(
                f"{path} can't be used as a store of ratings: {error}.",
                "Give the folder of bidsqa-rate, or its export (.tsv).",
            ) from error

    def _prepare(self) -> None:
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        found = _columns(self._connection)
        if version > SCHEMA_VERSION and set(TABLES) <= set(found):
            raise UsageError(f"{self.path} was written by a later version of bidsqa.", "Use that version.")
        # before anything is written: another program's file must stay as it is
        if not _is_store(version, found):
            raise sqlite3.DatabaseError("it is another program's database")
        self._connection.execute("PRAGMA journal_mode = WAL")
        # a commit returns only when the answer is on the disk
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("PRAGMA foreign_keys = ON")
        if version == SCHEMA_VERSION:
            return
        self._connection.executescript(_SCHEMA)
        for table in TABLES:
            for act in ("UPDATE", "DELETE"):
                self._connection.execute(
                    f"CREATE TRIGGER IF NOT EXISTS keep_{table}_{act.lower()} BEFORE {act} ON {table} "
                    "BEGIN SELECT RAISE(ABORT, 'rows are only ever added'); END"
                )
        self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def close(self) -> None:
        """Close the file; what was answered is in it already."""
        with self._lock:
            self._connection.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that no other process can come between."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """All rows of a query that only reads."""
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def reader(self, name: str) -> Reader:
        """The reader of that name, made where new; in any case and without outer blanks it is the same person."""
        kept = " ".join(name.split())
        with self._writing() as connection:
            row = connection.execute("SELECT * FROM readers WHERE name = ? COLLATE NOCASE", (kept,)).fetchone()
            if row is None:
                connection.execute(
                    "INSERT INTO readers(code, name, created_at) VALUES(?, ?, ?)", (f"r{random_code(4)}", kept, now())
                )
                row = connection.execute("SELECT * FROM readers WHERE name = ?", (kept,)).fetchone()
        return Reader(row["id"], row["code"], row["name"])

    def readers(self) -> list[Reader]:
        """Everybody, in the order of coming."""
        return [Reader(row["id"], row["code"], row["name"]) for row in self.rows("SELECT * FROM readers ORDER BY id")]

    def add_items(self, task: str, contents: Sequence[Mapping[str, Any]]) -> list[Item]:
        """The items with these contents, in order; those that are not there yet are made."""
        texts = [json.dumps(content, sort_keys=True) for content in contents]
        with self._writing() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO items(code, task, content, created_at) VALUES(?, ?, ?, ?)",
                [(random_code(), task, text, now()) for text in texts],
            )
        known = {row["content"]: row for row in self.rows("SELECT * FROM items WHERE task = ?", (task,))}
        return [_item(known[text]) for text in texts]

    def item(self, number: int) -> Item:
        """One item by its row."""
        return _item(self.rows("SELECT * FROM items WHERE id = ?", (number,))[0])

    def add_plan(self, reader: int, task: str, pairs: Sequence[Sequence[int]]) -> int:
        """Keep a batch of pairs (item, version, version) that were chosen together."""
        with self._writing() as connection:
            made = connection.execute(
                "INSERT INTO plans(reader, task, pairs, created_at) VALUES(?, ?, ?, ?)",
                (reader, task, json.dumps([list(pair) for pair in pairs]), now()),
            )
        return int(made.lastrowid or 0)

    def last_plan(self, reader: int, task: str) -> tuple[int, list[list[int]]] | None:
        """The newest batch of a reader and its row."""
        found = self.rows(
            "SELECT id, pairs FROM plans WHERE reader = ? AND task = ? ORDER BY id DESC LIMIT 1", (reader, task)
        )
        return (found[0]["id"], json.loads(found[0]["pairs"])) if found else None

    def trials(self, task: str, reader: int | None = None) -> list[Trial]:
        """Trials of a task in the order of showing, of one reader or of all."""
        who = "" if reader is None else "AND t.reader = ?"
        return [
            _trial(row)
            for row in self.rows(
                f"{_TRIALS} WHERE t.task = ? {who} ORDER BY t.id",
                (task,) if reader is None else (task, reader),
            )
        ]

    def trial(self, code: str) -> Trial | None:
        """The trial with this code."""
        found = self.rows(
            f"{_TRIALS} WHERE t.code = ?",
            (code,),
        )
        return _trial(found[0]) if found else None

    def issue(self, reader: int, task: str, position: int, wanted: Proposal, shown: Mapping[str, Any]) -> bool:
        """Note that an item is shown; False where another window has issued this position meanwhile."""
        values = (
            random_code(12), reader, task, wanted.item.id, position, wanted.kind, wanted.strategy, wanted.plan,
            wanted.repeat_of, wanted.order_seed, wanted.left_item, wanted.right_item, wanted.expected,
            json.dumps(shown, sort_keys=True), now(),
        )  # fmt: skip
        with self._writing() as connection:
            made = connection.execute(
                "INSERT OR IGNORE INTO trials(code, reader, task, item, position, kind, strategy, plan, repeat_of, "
                "order_seed, left_item, right_item, expected, shown, shown_at) "
                f"VALUES({', '.join('?' * len(values))})",
                values,
            )
        return made.rowcount == 1

    def answer(self, trial: Trial, given: Given) -> int:
        """Add an answer; returns when it is on the disk.

        Returns
        -------
        int
            Its row; the same again where it has been sent before.

        Raises
        ------
        AlreadyAnswered
            The answer that counts is another one than the sender corrected.
        """
        return self._add(
            trial.id, given.nonce, given.supersedes, given.value, given.acceptable, given.artifacts, given.rt_ms,
            given.idle, given.confidence, given.comment, given.view,
        )  # fmt: skip

    def withdraw(self, trial: Trial) -> int:
        """Take back the answer that counts, by a new row without a value."""
        return self._add(trial.id, secrets.token_hex(16), trial.answer, None, None, (), None, False, None, "", ())

    def _add(self, trial: int, nonce: str, supersedes: int | None, value: str | None, *rest: Any) -> int:
        acceptable, artifacts, rt_ms, idle, confidence, comment, view = rest
        with self._writing() as connection:
            sent = connection.execute("SELECT id, trial FROM answers WHERE nonce = ?", (nonce,)).fetchone()
            if sent is not None:
                return int(sent["id"])
            newest = connection.execute("SELECT max(id) FROM answers WHERE trial = ?", (trial,)).fetchone()[0]
            if newest != supersedes:
                raise AlreadyAnswered
            made = connection.execute(
                "INSERT INTO answers(nonce, trial, value, acceptable, artifacts, rt_ms, idle, confidence, comment, "
                "view, app_version, supersedes, answered_at) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (nonce, trial, value, acceptable, json.dumps(list(artifacts)), rt_ms, int(idle), confidence, comment,
                 json.dumps(list(view)), bidsqa.__version__, supersedes, now()),
            )  # fmt: skip
        return int(made.lastrowid or 0)


def _columns(connection: sqlite3.Connection) -> dict[str, set[str]]:
    """Names of the columns by table."""
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    return {
        str(table["name"]): {str(row[0]) for row in connection.execute("SELECT name FROM pragma_table_info(?)", table)}
        for table in tables.fetchall()
    }


def _is_store(version: int, found: Mapping[str, set[str]]) -> bool:
    """Whether these are the columns of a store; of one that is just being made some tables are missing yet."""
    with contextlib.closing(sqlite3.connect(":memory:")) as model:
        model.row_factory = sqlite3.Row
        model.executescript(_SCHEMA)
        wanted = _columns(model)
    if version == 0:
        return all(wanted.get(table) == columns for table, columns in found.items())
    return version == SCHEMA_VERSION and all(columns <= found.get(table, set()) for table, columns in wanted.items())


def _item(row: sqlite3.Row) -> Item:
    return Item(row["id"], row["code"], row["task"], json.loads(row["content"]))


def _trial(row: sqlite3.Row) -> Trial:
    values = dict(row)
    values["shown"] = json.loads(values["shown"])
    return Trial(**values)
