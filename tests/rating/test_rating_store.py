# SPDX-License-Identifier: Apache-2.0
"""The store loses nothing, changes nothing, and stands two writers."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bidsqa.errors import UsageError
from bidsqa.rating.store import AlreadyAnswered, Item, Proposal, Reader, Store, Trial, store_path
from bidsqa.rating.tasks import Given


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "ratings.sqlite", create=True)


def one_trial(store: Store, name: str = "Ann", position: int = 0) -> tuple[Reader, Item, Trial]:
    reader = store.reader(name)
    item = store.add_items("likert", [{"path": "sub-01_T1w.nii.gz", "subject": "01"}])[0]
    assert store.issue(reader.id, "likert", position, Proposal(item, "main", "fixed", 5), {"image": {}})
    return reader, item, store.trials("likert", reader.id)[position]


def given(value: str, nonce: str = "n" * 16, supersedes: int | None = None) -> Given:
    return Given(value=value, nonce=nonce, supersedes=supersedes)


def test_rows_can_only_be_added(store: Store) -> None:
    _, _, trial = one_trial(store)
    store.answer(trial, given("3"))
    store.add_plan(trial.reader, "likert", [(1, 0, 1)])
    for table in ("readers", "items", "plans", "trials", "answers"):
        for act in (f"UPDATE {table} SET id = 99", f"DELETE FROM {table}"):
            with pytest.raises(sqlite3.IntegrityError, match="only ever added"):
                store.rows(act)


def test_each_commit_waits_for_the_disk(store: Store) -> None:
    assert store.rows("PRAGMA journal_mode")[0][0] == "wal"
    assert store.rows("PRAGMA synchronous")[0][0] == 2


def test_taking_back_and_correcting_keep_all_rows(store: Store) -> None:
    reader, _, trial = one_trial(store)
    first = store.answer(trial, given("3"))
    taken = store.withdraw(store.trials("likert", reader.id)[0])
    waiting = store.trials("likert", reader.id)[0]
    assert waiting.value is None
    assert waiting.answer == taken
    last = store.answer(waiting, given("4", "m" * 16, supersedes=taken))
    rows = [tuple(row) for row in store.rows("SELECT id, value, supersedes FROM answers ORDER BY id")]
    assert rows == [(first, "3", None), (taken, None, first), (last, "4", taken)]
    assert store.trials("likert", reader.id)[0].value == "4"


def test_sending_twice_stores_once(store: Store) -> None:
    _, _, trial = one_trial(store)
    assert store.answer(trial, given("3")) == store.answer(trial, given("3"))
    assert len(store.rows("SELECT id FROM answers")) == 1


def test_the_slower_of_two_windows_is_told(store: Store) -> None:
    _, _, trial = one_trial(store)
    store.answer(trial, given("3"))
    with pytest.raises(AlreadyAnswered):
        store.answer(trial, given("5", "m" * 16))
    assert store.trial(trial.code).value == "3"  # type: ignore[union-attr]


def test_a_position_is_issued_once(store: Store) -> None:
    reader, item, _ = one_trial(store)
    assert not store.issue(reader.id, "likert", 0, Proposal(item, "main", "fixed", 6), {})
    assert len(store.trials("likert", reader.id)) == 1


def test_names_are_of_the_same_person_in_any_case(store: Store) -> None:
    assert store.reader("Ann  B ") == store.reader("ann b")
    assert store.reader("Ben").code != store.reader("Ann B").code


def test_the_same_content_is_the_same_item(store: Store) -> None:
    one = store.add_items("likert", [{"path": "a", "x": 1}, {"path": "b"}])
    two = store.add_items("likert", [{"path": "b"}, {"x": 1, "path": "a"}])
    assert [item.code for item in one] == [item.code for item in reversed(two)]
    assert "a" not in one[0].code[:0] and one[0].code != one[1].code


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no ratings"):
        Store(tmp_path / "absent.sqlite")
    (tmp_path / "other.sqlite").write_text("not a database, but long enough to look at" * 30)
    with pytest.raises(UsageError, match="can't be used"):
        Store(tmp_path / "other.sqlite")
    Store(tmp_path / "later.sqlite", create=True).close()
    with contextlib.closing(sqlite3.connect(tmp_path / "later.sqlite")) as later:
        later.execute("PRAGMA user_version = 99")
    with pytest.raises(UsageError, match="later version"):
        Store(tmp_path / "later.sqlite")


@pytest.mark.parametrize("version", [0, 1, 99])
@pytest.mark.parametrize("table", ["places(url)", "readers(books)"])
def test_another_programs_database_stays_as_it_is(tmp_path: Path, table: str, version: int) -> None:
    path = tmp_path / "places.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute(f"CREATE TABLE {table}")
        other.execute(f"PRAGMA user_version = {version}")
    before = path.read_bytes()
    with pytest.raises(UsageError, match="another program's database"):
        Store(path, create=True)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_store_that_was_being_made_is_finished(tmp_path: Path) -> None:
    path = tmp_path / "ratings.sqlite"
    Store(path, create=True).close()
    with contextlib.closing(sqlite3.connect(path)) as half:
        half.execute("DROP TABLE answers")
        half.execute("PRAGMA user_version = 0")
    store = Store(path)
    assert store.rows("SELECT * FROM answers") == []
    store.close()


def test_a_folder_or_the_file_itself(tmp_path: Path) -> None:
    assert store_path(tmp_path / "ratings") == tmp_path / "ratings" / "ratings.sqlite"
    assert store_path(tmp_path / "mine.sqlite") == tmp_path / "mine.sqlite"


def test_two_connections_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "ratings.sqlite"
    Store(path, create=True).close()
    problems: list[BaseException] = []

    def rate(name: str) -> None:
        try:
            own = Store(path)
            for position in range(40):
                _, _, trial = one_trial(own, name, position)
                own.answer(trial, given("3", f"{name}-{position:012d}"))
            own.close()
        except BaseException as error:
            problems.append(error)

    raters = [threading.Thread(target=rate, args=(name,)) for name in ("Ann", "Ben", "Eva")]
    for thread in raters:
        thread.start()
    for thread in raters:
        thread.join()
    assert not problems
    store = Store(path)
    assert len(store.rows("SELECT * FROM answers")) == 120
    for reader in store.readers():
        assert [trial.position for trial in store.trials("likert", reader.id)] == list(range(40))


WRITER = """
import sys
from pathlib import Path
from bidsqa.rating.store import Proposal, Store
from bidsqa.rating.tasks import Given
store = Store(Path(sys.argv[1]), create=True)
reader = store.reader("Ann")
item = store.add_items("likert", [{"path": "x", "subject": "01"}])[0]
for position in range(100000):
    store.issue(reader.id, "likert", position, Proposal(item, "main", "fixed", 0), {})
    trial = store.trial(store.rows("SELECT code FROM trials ORDER BY id DESC LIMIT 1")[0][0])
    store.answer(trial, Given(value="3", nonce=f"{position:016d}"))
    print(position, flush=True)
"""


def test_every_answer_that_was_told_saved_outlives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "ratings.sqlite"
    writer = subprocess.Popen([sys.executable, "-P", "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout
    saved = -1
    while saved < 60:
        saved = int(writer.stdout.readline())
    os.kill(writer.pid, signal.SIGKILL)
    saved = max([saved, *(int(line) for line in writer.stdout.read().split())])
    writer.wait()
    store = Store(path)
    assert store.rows("PRAGMA integrity_check")[0][0] == "ok"
    kept = [row[0] for row in store.rows("SELECT nonce FROM answers ORDER BY id")]
    assert kept[: saved + 1] == [f"{position:016d}" for position in range(saved + 1)]
