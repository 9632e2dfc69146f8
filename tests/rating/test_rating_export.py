# SPDX-License-Identifier: Apache-2.0
"""What comes out and what comes in: tables with dictionaries, consensus, the table for a training, foreign files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bidsqa.errors import UsageError
from bidsqa.rating import read_items, read_ratings
from bidsqa.rating.agreement_report import report_agreement
from bidsqa.rating.agreement_tables import Readers, agreement_table
from bidsqa.rating.consensus import consensus_of
from bidsqa.rating.export import as_tsv, export_ratings
from bidsqa.rating.importing import import_ratings, read_outside
from bidsqa.rating.items import Settings, make_pool
from bidsqa.rating.pictures import Gallery
from bidsqa.rating.store import Proposal, Store, Trial
from bidsqa.rating.tasks import LIKERT, PAIRWISE, TASKS, Given, diagnostic

HOSTILE = "<img src=x onerror=alert(1)>\t\n'\"{{7*7}}%s"


def put(store: Store, name: str, task: str, answers: list[tuple], **shown) -> None:
    """Trials of a reader: (item number, left, right, value, kind)."""
    reader = store.reader(name)
    for at, (number, left, right, value, kind) in enumerate(answers):
        content = {"path": f"sub-{number:02d}/anat/x_T1w.nii.gz", "subject": f"{number:02d}", "versions": [[], [], []]}
        item = store.add_items(task, [content])[0]
        wanted = Proposal(item, kind, "uniform", 0, left, right, expected="left" if kind == "catch" else None)
        about = {"image": {"slices": [7], "plane": "axial", "sha256": "abc", "versions": {}}, **shown}
        store.issue(reader.id, task, at, wanted, about)
        trial: Trial = store.trials(task, reader.id)[at]
        comment = HOSTILE if at == 0 else ""
        store.answer(trial, Given(value=value, nonce=f"{name}{task}{at:09d}", rt_ms=1000.0 + at, comment=comment,
                                  idle=at == 1, confidence=3))  # fmt: skip


@pytest.fixture(scope="module")
def rated_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once, since each answer waits for the disk."""
    folder = tmp_path_factory.mktemp("rated")
    store = Store(folder / "ratings.sqlite", create=True)
    pairs = [(1, 0, 1, "left", "main"), (2, 2, 0, "left", "main"), (3, 0, 1, "similar", "main"),
             (1, 1, 0, "right", "repeat"), (2, 0, 1, "skip", "main"), (1, -1, 2, "left", "catch"),
             (3, 0, 2, "right", "practice")]  # fmt: skip
    put(store, "Ann Example", "pairwise", pairs)
    put(store, "Ben Example", "pairwise", [(1, 1, 0, "left", "main"), (2, 2, 0, "left", "main")])
    put(store, "Ann Example", "likert", [(number, 0, None, str(1 + number % 5), "main") for number in range(6)])
    put(store, "Ben Example", "likert", [(number, 0, None, str(1 + (number + 1) % 5), "main") for number in range(6)])
    store.withdraw(store.trials("likert", 1)[5])
    store.close()
    return folder


@pytest.fixture
def rated(rated_once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(rated_once, tmp_path / "ratings"))


def test_what_a_training_reads(rated: Path) -> None:
    table = read_ratings(rated, "pairwise")
    assert len(table) == 7
    assert set(table["kind"]) == {"main", "repeat"}
    ann = table[table["rater"] == table["rater"].iloc[0]]
    # the same pair on swapped sides is the same thing and, with the same image chosen, the same judgement
    one = ann[ann["path"].str.contains("sub-01")]
    assert one["rated"].nunique() == 1
    assert one["judgement"].tolist() == ["first", "first"]
    assert one["value"].tolist() == ["left", "right"]
    assert ann[ann["path"].str.contains("sub-02")]["judgement"].tolist() == ["second", "skip"]
    assert "Example" not in table.to_csv()
    items = read_items(rated)
    assert set(table["item"]) <= set(items)
    assert len(read_ratings(rated, "likert")) == 11, "what was taken back isn't there"
    assert len(read_ratings(rated, "likert", only_current=False)) == 13


def test_the_export_reads_like_the_store(rated: Path, tmp_path: Path) -> None:
    out = tmp_path / "bids"
    export_ratings(rated, out)
    for task in ("pairwise", "likert"):
        stored, exported = read_ratings(rated, task), read_ratings(out, task)
        assert stored.columns.tolist() == exported.columns.tolist()
        for name in ("rater", "item", "rated", "value", "judgement", "kind", "artifacts"):
            assert stored[name].tolist() == exported[name].tolist(), name
        assert exported["rt_ms"].tolist() == stored["rt_ms"].tolist()
        assert exported["left"].tolist() == stored["left"].tolist()
    assert read_items(out) == read_items(rated)
    assert len(read_ratings(out / "desc-likert_ratings.tsv")) == 11


def test_tables_are_bids_tables(rated: Path, tmp_path: Path) -> None:
    out = tmp_path / "bids"
    written = export_ratings(rated, out)
    assert all(path.is_file() for path in written)
    description = json.loads((out / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    for path in out.glob("*.tsv"):
        lines = path.read_text(encoding="utf-8").split("\n")
        width = len(lines[0].split("\t"))
        assert lines[-1] == ""
        assert all(len(line.split("\t")) == width for line in lines[:-1]), "hostile comments break no line"
        words = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        columns = lines[0].split("\t")
        assert all(name in words or name.startswith("share_") for name in columns)
        assert all(text["Description"] for text in words.values())
        assert not {"True", "False"} & {cell for line in lines for cell in line.split("\t")}, "as the dictionary has it"
    levels = json.loads((out / "desc-pairwise_ratings.json").read_text())["value"]["Levels"]
    assert set(levels) == {"left", "similar", "right", "skip"}
    assert "Example" not in "".join(path.read_text(encoding="utf-8") for path in out.iterdir())
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    export_ratings(rated, out)
    assert before == {path: path.stat().st_mtime_ns for path in out.iterdir()}


def test_missing_and_true_and_false_in_a_table() -> None:
    table = pd.DataFrame({"a": [None, True], "b": ["x\ty\nz", ""], "c": [1.5, float("nan")]})
    assert as_tsv(table) == "a\tb\tc\nn/a\tx y z\t1.5\ntrue\tn/a\tn/a\n"


def test_consensus_names_its_rule(rated: Path) -> None:
    made = consensus_of(read_ratings(rated, "pairwise"), PAIRWISE).set_index("path")
    first = made.loc["sub-01/anat/x_T1w.nii.gz"]
    # Ann said first twice, Ben second once: two of three answers, but one vote each for the soft label
    assert first["value"] == "first"
    assert first["majority"] == pytest.approx(2 / 3)
    assert first["share_first"] == pytest.approx(0.5)
    assert "majority" in first["rule"]
    likert = consensus_of(read_ratings(rated, "likert"), LIKERT).set_index("subject")
    assert likert.loc["00", "value"] == 1.5
    assert likert.loc["00", "mean"] == 1.5
    assert likert.loc["00", "share_1"] == 0.5
    assert likert.loc["05", "raters"] == 1
    assert "median" in likert.loc["00", "rule"]


def test_a_tie_has_no_consensus() -> None:
    rows = [{"rater": who, "rated": "a", "item": "i", "path": "p", "subject": "1", "value": value, "judgement": value}
            for who, value in (("r1", "first"), ("r2", "second"))]  # fmt: skip
    made = consensus_of(pd.DataFrame(rows), PAIRWISE)
    assert made.loc[0, "value"] is None
    assert made.loc[0, "majority"] == 0


def test_agreement_by_hand(rated: Path, tmp_path: Path) -> None:
    lines = report_agreement(rated, tmp_path / "agreement")
    assert any("overlap" in line for line in lines)
    table = pd.read_csv(tmp_path / "agreement" / "desc-pairwise_agreement.tsv", sep="\t", na_values="n/a")
    overlap = table[table["measure"] == "overlap"].iloc[0]
    # pair of participant 1: Ann first, Ben second; of participant 2: both the same
    assert overlap["value"] == 0.5
    assert overlap["things"] == 2
    assert overlap["low"] == 0
    assert overlap["high"] == 1
    repeats = table[(table["measure"] == "repeats") & (table["rater_1"] == "all")].iloc[0]
    assert repeats["value"] == 1
    assert repeats["things"] == 1
    times = pd.read_csv(tmp_path / "agreement" / "desc-pairwise_times.tsv", sep="\t", na_values="n/a")
    everybody = times[times["rater"] == "all"].iloc[0]
    assert everybody["paused"] == 2
    assert everybody["skipped"] == 1
    assert everybody["catch"] == everybody["catch_right"] == 1
    assert everybody["left_share"] == pytest.approx(4 / 5)
    likert = pd.read_csv(tmp_path / "agreement" / "desc-likert_agreement.tsv", sep="\t", na_values="n/a")
    assert set(likert.loc[likert["measure"] == "alpha", "scale"]) == {"nominal", "ordinal", "interval", "ratio"}
    jaccard = pd.read_csv(tmp_path / "agreement" / "desc-likert_jaccard.tsv", sep="\t", na_values="n/a")
    assert len(jaccard) == 25


def test_plots_are_drawn_and_the_same_every_day(rated: Path, tmp_path: Path) -> None:
    report_agreement(rated, tmp_path / "one")
    report_agreement(rated, tmp_path / "two")
    for task in ("pairwise", "likert"):
        for kind in ("overlap", "jaccard", "times"):
            svg = (tmp_path / "one" / f"desc-{task}_{kind}.svg").read_bytes()
            assert svg == (tmp_path / "two" / f"desc-{task}_{kind}.svg").read_bytes()
            assert b"<svg" in svg
            assert (tmp_path / "one" / f"desc-{task}_{kind}.png").read_bytes().startswith(b"\x89PNG")


def test_an_export_alone_is_enough_for_the_agreement(rated: Path, tmp_path: Path) -> None:
    export_ratings(rated, tmp_path / "bids")
    from_store = report_agreement(rated, tmp_path / "one")
    assert report_agreement(tmp_path / "bids", tmp_path / "two") == from_store


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text: "", "No columns"),
        (lambda text: "bids_name\taccept\nsub-01_T1w\t1\n", "no column 'rater'"),
        (lambda text: text.replace("\tlikert\t", "\tlikes\t"), "no task 'likes'"),
        (lambda text: text.replace("\t[]\t", "\t[\t"), "Expecting"),
        (lambda text: text.replace("\t5\t5\t", "\t9\t9\t"), "'9' is no answer of likert"),
        (lambda text: text.encode("utf-16").decode("latin-1"), "can't be used"),
    ],
)
def test_a_table_that_is_no_export_is_told(rated: Path, tmp_path: Path, change: Callable[[str], str], why: str) -> None:
    export_ratings(rated, tmp_path / "bids")
    path = tmp_path / "bids" / "desc-likert_ratings.tsv"
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="latin-1")
    for place in (path, path.parent):
        with pytest.raises(UsageError, match=why):
            read_ratings(place)


@pytest.mark.parametrize("content", [None, "{", "5"])
def test_an_export_needs_its_items(rated: Path, tmp_path: Path, content: str | None) -> None:
    export_ratings(rated, tmp_path / "bids")
    path = tmp_path / "bids" / "desc-likert_items.json"
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    for place in (path.parent, path.with_name("desc-likert_ratings.tsv")):
        with pytest.raises(UsageError, match=r"desc-likert_items\.json"):
            read_items(place)


def test_no_answers_are_told(tmp_path: Path) -> None:
    Store(tmp_path / "ratings.sqlite", create=True).close()
    with pytest.raises(UsageError, match="no answer"):
        export_ratings(tmp_path, tmp_path / "out")
    with pytest.raises(UsageError, match="no answer"):
        report_agreement(tmp_path, tmp_path / "out")
    with pytest.raises(UsageError, match="no ratings"):
        read_ratings(tmp_path / "elsewhere")


def test_the_parameters_of_all_showings_are_joined(tmp_path: Path, scans) -> None:
    store = Store(tmp_path / "ratings.sqlite", create=True)
    item = make_pool(store, "pairwise", scans, Settings()).main[0]
    gallery, reader = Gallery(scans[0].root), store.reader("Ann")
    for position, sides in enumerate(((0, 1), (2, 3))):
        shown = gallery.look(item.content, sides)
        store.issue(reader.id, "pairwise", position, Proposal(item, "main", "uniform", 0, *sides), shown)
    found = read_items(tmp_path)[item.code]
    assert set(found["shown"]["image"]["versions"]) == {"0", "1", "2", "3"}
    again = Gallery(scans[0].root).floats(found, 2)
    assert np.array_equal(again, gallery.floats(item.content, 2)), "an exported item makes the picture again"


# ---------------------------------------------------------------- foreign files

PAGE_RATING = {
    "kind": "bidsqa rating",
    "schema_version": 1,
    "bids_name": "sub-01_T1w",
    "image_sha256": "f" * 64,
    "rater": "Ann",
    "decision": "review",
    "artifacts": ["motion"],
    "comment": "blurred",
    "confidence": 3,
    "seconds": 12.5,
    "time": "2026-03-01T10:00:00Z",
    "bidsqa": "0.1.0",
    "shown": {"decision": "pass", "rules_version": "1", "group_decision": None},
}
MRIQC_RATING = {
    "dataset": "<unset>",
    "subject": "sub-02_ses-1_T1w",
    "rating": 2.4,
    "artifacts": ["head-motion"],
    "time_sec": 31.2,
    "confidence": 3.2,
    "comments": "ringing",
}


def test_ratings_of_pages_and_of_mriqcs_widget_come_in(tmp_path: Path) -> None:
    files = []
    for number, content in enumerate((PAGE_RATING, MRIQC_RATING, [{**MRIQC_RATING, "rating": "4"}])):
        files.append(tmp_path / f"{number}.json")
        files[-1].write_text(json.dumps(content), encoding="utf-8")
    store = Store(tmp_path / "ratings.sqlite", create=True)
    done = import_ratings(store, files, "Ben")
    assert (done.taken, done.known, done.refused) == (3, 0, {})
    again = import_ratings(store, files, "Ben")
    assert (again.taken, again.known) == (0, 3)
    table = read_ratings(tmp_path)
    page = table[table["task"] == "page"].iloc[0]
    assert (page["value"], page["subject"], page["rt_ms"], page["confidence"]) == ("review", "01", 12500, 3)
    assert page["artifacts"] == ["motion"]
    assert page["time"] == "2026-03-01T10:00:00Z"
    assert page["sha256"] == "f" * 64
    mriqc = table[table["task"] == "mriqc"]
    assert mriqc["value"].tolist() == ["2.4", "4"]
    assert mriqc["subject"].tolist() == ["02", "02"]
    assert {reader.name for reader in store.readers()} == {"Ann", "Ben"}
    assert report_agreement(tmp_path, tmp_path / "agreement")


def test_two_imports_at_once_mix_nothing_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [tmp_path / f"{number}.json" for number in (1, 2)]
    for number, file in enumerate(files, start=1):
        file.write_text(json.dumps({**MRIQC_RATING, "subject": f"sub-0{number}_T1w", "rating": number}))
    issue, rival = Store.issue, Store(tmp_path / "ratings.sqlite", create=True)

    def overtaken(store: Store, *given: Any) -> bool:
        monkeypatch.setattr(Store, "issue", issue)
        assert import_ratings(rival, files[1:], "Ben").taken == 1
        return issue(store, *given)

    monkeypatch.setattr(Store, "issue", overtaken)
    store = Store(tmp_path / "ratings.sqlite")
    assert import_ratings(store, files[:1], "Ben").taken == 1
    table = read_ratings(tmp_path)
    assert dict(zip(table["subject"], table["value"], strict=True)) == {"01": "1", "02": "2"}
    store.close()
    rival.close()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ([1], "no rating"),
        ({"a": 1}, "neither"),
        ({**PAGE_RATING, "decision": "maybe"}, "decision"),
        ({**PAGE_RATING, "artifacts": [HOSTILE]}, "artifacts"),
        ({**PAGE_RATING, "schema_version": 9}, "another version"),
        ({**PAGE_RATING, "comment": 5}, "should be a text"),
        ({key: value for key, value in PAGE_RATING.items() if key != "seconds"}, "no seconds"),
        ({**MRIQC_RATING, "rating": 7}, "between 1 and 4"),
        ({**MRIQC_RATING, "rating": "good"}, "no number"),
        ({**MRIQC_RATING, "rating": None}, "no number"),
        ({**MRIQC_RATING, "artifacts": "all"}, "no list"),
    ],
)
def test_what_is_no_rating_is_refused(tmp_path: Path, content, why: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    store = Store(tmp_path / "ratings.sqlite", create=True)
    done = import_ratings(store, [path, tmp_path / "absent.json"])
    assert done.taken == 0
    assert why in done.refused["x.json"]
    assert "absent.json" in done.refused


def test_hostile_names_stay_text() -> None:
    rating = read_outside({**MRIQC_RATING, "subject": "../../etc/passwd\n" + HOSTILE})
    assert "\n" not in rating.name
    assert read_outside({**PAGE_RATING, "rater": ""}, "Eva").rater == "Eva"


def test_the_number_of_classes_is_kept() -> None:
    from bidsqa.rating.imported_tasks import described_task

    assert described_task("diagnostic", {"x": {"classes": 2}}).values == diagnostic(2).values == ("0", "1")


# Krippendorff 2011: four observers, twelve units, . where there is no value
OBSERVED = ("123321412...", "1233224125.3", ".3332342251.", "12332441251.")


@pytest.mark.parametrize("task", ["min_acceptable", "ruler_threshold", "ruler_score"])
@pytest.mark.parametrize("of_participants", [True, False])
def test_alpha_of_noise_answers_is_krippendorffs(task: str, of_participants: bool) -> None:
    rows = [
        {"rater": reader, "rated": f"thing{at}", "value": value, "judgement": value,
         "subject": f"{at:02d}" if of_participants else None}
        for reader, line in zip("ABCD", OBSERVED, strict=True)
        for at, value in enumerate(line)
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    table = table[table["value"] != "."].convert_dtypes()
    found = agreement_table(Readers(table, TASKS[task]))
    alphas = found[found["measure"] == "alpha"].set_index("scale")
    assert alphas["value"]["ordinal"] == pytest.approx(0.81539, abs=1e-5)
    assert alphas["value"]["interval"] == pytest.approx(0.84911, abs=1e-5)
    # a ruler is of no participant: each stands for itself, so that there is an interval all the same
    assert alphas["subjects"]["interval"] == 11
    assert 0 < alphas["low"]["interval"] < 0.84911 < alphas["high"]["interval"] <= 1
