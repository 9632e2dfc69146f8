# SPDX-License-Identifier: Apache-2.0
"""What comes next: practice, repeats with swapped sides, catch trials, chosen and random pairs, and going on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise

from scipy.stats import spearmanr

from bidsqa.rating.planning import REPEAT_LAG, comparisons_of
from bidsqa.rating.sampling import posterior
from bidsqa.rating.session import Session
from bidsqa.rating.synthetic_reader import SyntheticReader, utility

SessionMaker = Callable[..., Session]


def test_a_whole_session_of_pairs(make_session: SessionMaker, drive) -> None:
    session = make_session(pictures=False, versions=9, goal=120, practice=2)
    trials = drive.read_pairs(session, "Ann", SyntheticReader(seed=4))
    reader = session.store.reader("Ann").id
    history = session.store.trials("pairwise", reader)
    assert len(history) == len(trials)
    kinds = Counter(trial.kind for trial in history)
    assert kinds["practice"] == 2
    assert all(trial.kind == "practice" for trial in history[:2])
    assert kinds["main"] == 120
    # 10 to 15 % of the pairs come again
    assert 0.10 * 120 <= kinds["repeat"] <= 0.15 * 120
    assert 0.02 <= kinds["catch"] / 120 <= 0.05
    by_row = {trial.id: trial for trial in history}
    for trial in history:
        if trial.kind == "repeat":
            before = by_row[trial.repeat_of]
            assert trial.position - before.position >= REPEAT_LAG
            assert (trial.left_item, trial.right_item) == (before.right_item, before.left_item)
        if trial.kind == "catch":
            assert {trial.left_item, trial.right_item} == {-1, 0}
            assert trial.expected == ("left" if trial.left_item == -1 else "right")
    assert len({trial.repeat_of for trial in history if trial.kind == "repeat"}) == kinds["repeat"]
    assert session.progress(reader, "pairwise") == (120, 120)
    assert session.open_trial(reader, "pairwise") is None


def test_a_fifth_or_more_of_the_pairs_are_random_and_none_comes_twice(make_session: SessionMaker, drive) -> None:
    session = make_session(pictures=False, versions=9, goal=120)
    main = [trial for trial in drive.read_pairs(session, "Ann", SyntheticReader(seed=4)) if trial.kind == "main"]
    uniform = sum(trial.strategy == "uniform" for trial in main)
    assert 0.2 <= uniform / len(main) <= 0.4
    pairs = [(trial.item, *sorted((trial.left_item, trial.right_item))) for trial in main]
    assert len(set(pairs)) == len(pairs)
    left_is_lower = sum(trial.left_item < trial.right_item for trial in main)
    assert 0.35 < left_is_lower / len(main) < 0.65
    # a batch is of one source, so that its versions are compared with each other
    plans = {}
    for trial in main:
        if trial.plan is not None:
            plans.setdefault(trial.plan, set()).add(trial.item)
    assert plans
    assert all(len(items) == 1 for items in plans.values())


def test_utilities_are_recovered_from_the_answers(make_session: SessionMaker, drive) -> None:
    session = make_session(pictures=False, versions=6, goal=60)
    for name, seed in (("Ann", 4), ("Ben", 5)):
        drive.read_pairs(session, name, SyntheticReader(seed=seed))
    answers = comparisons_of(session.store.trials("pairwise"))
    found, truth = [], []
    for item, comparisons in answers.items():
        versions = session.store.item(item).content["versions"]
        means, _ = posterior(len(versions), comparisons)
        own = [utility(version) for version in versions]
        found += (means - means.mean()).tolist()
        truth += [value - sum(own) / len(own) for value in own]
    assert len(answers) == 4
    assert spearmanr(found, truth).statistic > 0.9


def test_everything_is_shown_once_in_an_order_of_ones_own(make_session: SessionMaker, drive) -> None:
    session = make_session(pictures=False, tasks=("likert",), per_scan=6, practice=1)
    orders = []
    for name in ("Ann", "Ben"):
        reader = session.store.reader(name).id
        while drive.answer_one(session, reader, "likert", "3"):
            pass
        main = [trial for trial in session.store.trials("likert", reader) if trial.kind == "main"]
        assert len(main) == len({trial.item for trial in main}) == 24
        orders.append([trial.item for trial in main])
    assert sorted(orders[0]) == sorted(orders[1])
    assert orders[0] != orders[1]


def test_a_new_start_goes_on_where_it_was(make_session: SessionMaker, drive) -> None:
    """The same answers in one go and with a new session after each give the same trials."""
    whole = make_session("whole", pictures=False, versions=5, goal=30)
    drive.read_pairs(whole, "Ann", SyntheticReader(seed=4))
    reader = whole.store.reader("Ann").id
    person = SyntheticReader(seed=4)
    seen: list[str] = []
    for _ in range(5):
        broken = make_session("broken", pictures=False, versions=5, goal=30)
        assert broken.store.reader("Ann").id == reader
        waiting = broken.open_trial(reader, "pairwise")
        assert waiting is not None
        again = make_session("broken", pictures=False, versions=5, goal=30)
        assert again.open_trial(reader, "pairwise") == waiting
        drive.read_pairs(broken, "Ann", person, most=5)
        seen.append(waiting.code)
    assert len(set(seen)) == 5

    def told(session) -> list[tuple]:
        return [
            (trial.kind, trial.strategy, session.store.item(trial.item).content, trial.left_item, trial.right_item)
            for trial in session.store.trials("pairwise", reader)
        ]

    assert told(broken)[:20] == told(whole)[:20]


def test_undo_brings_the_item_back_and_the_rest_in_order(make_session: SessionMaker, drive) -> None:
    session = make_session(pictures=False, tasks=("likert",), per_scan=2, practice=0)
    reader = session.store.reader("Ann").id
    assert not session.undo(reader, "likert")
    first = drive.answer_one(session, reader, "likert", "3")
    second = drive.answer_one(session, reader, "likert", "4")
    third = session.open_trial(reader, "likert")
    assert session.undo(reader, "likert")
    assert session.open_trial(reader, "likert").code == second.code
    assert session.undo(reader, "likert")
    assert session.open_trial(reader, "likert").code == first.code
    for expected in (first, second, third):
        assert drive.answer_one(session, reader, "likert", "5").code == expected.code
    values = [trial.value for trial in session.store.trials("likert", reader)][:3]
    assert values == ["5", "5", "5"]
    assert len(session.store.rows("SELECT id FROM answers")) == 2 + 2 + 3


def test_a_scan_that_cant_be_read_costs_only_itself(make_session: SessionMaker, scans, drive) -> None:
    scans[1].path.write_bytes(b"no image")
    told: list[str] = []
    session = make_session(tasks=("likert",), per_scan=1, practice=0)
    session.tell = told.append
    reader = session.store.reader("Ann").id
    shown = []
    while (trial := drive.answer_one(session, reader, "likert", "3")) is not None:
        shown.append(trial)
    assert len([trial for trial in shown if trial.kind == "main"]) == 3
    assert len(told) == 1
    assert "sub-01_T2w" in told[0]


def test_a_scan_that_is_gone_while_its_item_waits_holds_nobody_up(make_session: SessionMaker, scans, drive) -> None:
    session = make_session(tasks=("likert",), practice=0)
    reader = session.store.reader("Ann").id
    waiting = session.open_trial(reader, "likert")
    (scans[0].root / session.store.item(waiting.item).content["path"]).unlink()
    told: list[str] = []
    again = make_session(tasks=("likert",), practice=0)
    again.tell = told.append
    shown = []
    while (trial := drive.answer_one(again, reader, "likert", "3")) is not None:
        shown.append(trial)
    assert waiting.code not in {trial.code for trial in shown}
    assert len([trial for trial in shown if trial.kind == "main"]) == 3
    assert len(told) == 1
    assert again.picture(reader, waiting.code, "image", 0) is None, "not an error of the app either"


def test_scans_that_come_later_change_nothing_of_the_others(make_session: SessionMaker, scans) -> None:
    before = make_session(tasks=("likert",), degraded=0.5)
    items = {item.code for item in before._planners["likert"].pool.main}
    scans.append(scans.pop(0))
    after = make_session(tasks=("likert",), degraded=0.5)
    assert {item.code for item in after._planners["likert"].pool.main} == items


def test_two_readers_at_once_get_their_own_trials(make_session: SessionMaker, drive) -> None:
    import threading

    session = make_session(versions=4, goal=20)
    problems: list[BaseException] = []

    def rate(name: str, seed: int) -> None:
        try:
            drive.read_pairs(session, name, SyntheticReader(seed=seed))
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=rate, args=pair) for pair in (("Ann", 1), ("Ben", 2))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    for reader in session.store.readers():
        positions = [trial.position for trial in session.store.trials("pairwise", reader.id)]
        assert all(after == before + 1 for before, after in pairwise(positions))
        assert session.progress(reader.id, "pairwise")[0] == 20


def test_what_was_skipped_comes_once_more_at_the_end(make_session: SessionMaker, drive) -> None:
    session = make_session(pictures=False, tasks=("likert",), practice=0)
    reader = session.store.reader("Ann").id
    first = [drive.answer_one(session, reader, "likert", value) for value in ("skip", "skip", "3", "4")]
    assert session.progress(reader, "likert") == (2, 4)
    again = [drive.answer_one(session, reader, "likert", value) for value in ("5", "skip")]
    assert sorted(trial.item for trial in again) == sorted(trial.item for trial in first[:2])
    assert session.open_trial(reader, "likert") is None, "not a third time"
    assert session.progress(reader, "likert") == (3, 4)
