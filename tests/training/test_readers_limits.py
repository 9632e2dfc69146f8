# SPDX-License-Identifier: Apache-2.0
"""Labels of noise by what readers accept: picks of a rating, moves on paper, and what the card says of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bidsqa.bids import collect_scans  # noqa: E402
from bidsqa.errors import UsageError  # noqa: E402
from bidsqa.rating.export import export_ratings  # noqa: E402
from bidsqa.rating.items import Settings, make_pool  # noqa: E402
from bidsqa.rating.pictures import Gallery  # noqa: E402
from bidsqa.rating.store import Proposal, Store  # noqa: E402
from bidsqa.rating.tasks import Given  # noqa: E402
from bidsqa.training import noise_motion  # noqa: E402
from bidsqa.training.label_calibration import iedd_scores  # noqa: E402
from bidsqa.training.noise_motion import ruler_errors, watched_batches  # noqa: E402
from bidsqa.training.noise_motion_batches import Recipe, Reserve  # noqa: E402
from bidsqa.training.noise_motion_sets import Windows, noise_set, numbered_noise_set  # noqa: E402
from bidsqa.training.own_scans import Split  # noqa: E402
from bidsqa.training.readers_card import limit_table, readers_notes  # noqa: E402
from bidsqa.training.readers_limits import (  # noqa: E402
    NEAREST,
    Pick,
    RatedSeries,
    Shifts,
    fingerprint,
    fitting_eta,
    limits,
    measure,
    read_picks,
)

# the example of the method's reference: targets 20, 62 and -4, their mean 26
SCORES = ([10, 20, 30, 40, 50], [12, 22, 32, 42, 52], [5, 14, 25, 35, 45])
PICKS = (2, 6, 0)


def series(
    subject: str, scores: Sequence[float], value: float, contrast: str = "T1w", side: str = "train",
    by_reader: tuple[float, ...] = (), site: str = "site-A",
) -> RatedSeries:  # fmt: skip
    levels = np.array(scores, dtype=float)
    slices = np.broadcast_to(levels[:, None, None, None], (5, 1, 2, 2)).astype(np.float16)
    pick = Pick(f"item-{subject}", {"subject": subject}, value, by_reader or (value,))
    return RatedSeries(subject, site, contrast, "axial", side, pick, levels, slices)


@pytest.fixture
def on_paper() -> list[RatedSeries]:
    return [series(name, scores, pick) for name, scores, pick in zip(("01", "02", "03"), SCORES, PICKS, strict=True)]


def test_moves_on_paper(on_paper: list[RatedSeries]) -> None:
    assert limits(on_paper).tolist() == [20, 62, -4]
    moves = Shifts(on_paper, 0.85)
    assert moves.mean == 26
    about = np.array([[name, "site-A", "T1w", "axial"] for name in ("01", "02", "03")])
    shift, taken = moves.of(about, ("train",))
    assert shift.tolist() == pytest.approx([5.1, -30.6, 25.5])
    assert taken == {NEAREST[0]: 3}
    assert Shifts(on_paper, 0.0).of(about, ("train",))[0].tolist() == [0, 0, 0]
    # at 1 all that is just accepted gets one label
    assert (limits(on_paper) + Shifts(on_paper, 1.0).of(about, ("train",))[0]).tolist() == [26, 26, 26]


def test_a_slice_takes_the_move_of_the_nearest_series(on_paper: list[RatedSeries]) -> None:
    rated = [
        *on_paper[:2],
        replace(on_paper[2], site="site-B"),
        series("09", SCORES[0], 4, side="watch"),
        series("01", SCORES[0], 3, contrast="T2w"),
    ]
    moves = Shifts(rated, 1.0)
    mean = (20 + 62 - 4 + 30) / 4
    assert moves.mean == mean, "the watched subjects' picks are no part of it"
    about = [
        ["01", "site-A", "T1w", "axial"],
        ["01", "site-A", "T1w", "coronal"],
        ["07", "site-A", "T1w", "axial"],
        ["07", "site-C", "T1w", "axial"],
        ["01", "site-A", "FLAIR", "axial"],
        ["09", "site-A", "T1w", "axial"],
    ]
    shift, taken = moves.of(np.array(about), ("train",))
    near, alike = mean - (20 + 62) / 2, mean - (20 + 62 - 4) / 3
    assert shift.tolist() == pytest.approx([mean - 20, mean - 20, near, alike, 0, near])
    assert taken == dict(zip(NEAREST, (1, 1, 2, 1, 1), strict=True))
    watched, _ = moves.of(np.array(about[-1:]), ("train", "watch"))
    assert watched.tolist() == pytest.approx([mean - 40])


def test_the_eta_that_the_readers_spread_asks_for(on_paper: list[RatedSeries]) -> None:
    assert fitting_eta(on_paper) is None, "one reader tells nothing of readers"
    evenly = [10.0, 20, 30, 40, 50]
    rated = [
        series("01", evenly, 2.5, by_reader=(2, 3)),
        series("02", [score + 20 for score in evenly], 2.5, by_reader=(2, 3)),
    ]
    between, reader, eta = fitting_eta(rated) or (0, 0, 0)
    assert between**2 == pytest.approx(200)
    assert reader**2 == pytest.approx(50)
    # of the consensus of two readers: 25, so that 175 of the 200 are offsets
    assert eta == pytest.approx(175 / 200)
    # readers who agree in all still round to versions that are 10 dB apart
    agreed = [replace(one, pick=replace(one.pick, by_reader=(3, 3), value=3)) for one in rated]
    assert fitting_eta(agreed) == pytest.approx((200**0.5, 0, (200 - 100 / 12) / 200))


def test_labels_move_and_images_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise_motion, "WATCHED_SETS", 2)
    monkeypatch.setattr(noise_motion, "WATCHED_PAIRS", 10)
    rows, columns = np.meshgrid(np.linspace(-1.4, 1.4, 256), np.linspace(-1.4, 1.4, 256), indexing="ij")
    head = np.hypot(rows, 1.2 * columns) < 1
    image = np.where(head, 0.6 + 0.3 * np.sin(11 * rows) * np.cos(9 * columns), 0)[None].astype(np.float16)
    plain = Windows(image, np.ones(1), np.array([["01", "site-A", "T1w", "axial"]]))
    moved = replace(plain, shift=np.array([3.5]))
    recipe = Recipe(noise_slices=1, motion_slices=1)
    for task, step in (("noise", 3.5), ("motion", 0.0)):
        before, after = (Reserve(one, recipe, 0.0).batch(task, 0) for one in (plain, moved))
        assert torch.equal(before.slices, after.slices)
        assert (after.target - before.target).tolist() == pytest.approx([step] * len(before.target), abs=1e-4)
    first, second = watched_batches(plain)[0], watched_batches(moved)[0]
    assert torch.equal(first.slices, second.slices)
    assert (second.target - first.target).tolist() == pytest.approx([3.5] * 8, abs=1e-4)
    versions, levels = noise_set(plain, np.random.default_rng(4))
    again, same, row = numbered_noise_set(plain, np.random.default_rng(4))
    assert np.array_equal(versions, again)
    assert (levels.tolist(), row) == (same.tolist(), 0)


def test_read_as_the_labels_say_is_no_error() -> None:
    levels = np.arange(12.0, 36.0, 3)
    outputs = [levels, levels + 6]
    assert ruler_errors(outputs, [levels, levels]).mean() > 0
    assert ruler_errors(outputs, outputs).tolist() == [0] * 16
    assert ruler_errors(outputs).tolist() == ruler_errors(outputs, [levels, levels]).tolist()


class Reading:
    """Stands in for a network: the slices' own number, plus a step for each series."""

    def score_images(self, slices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return slices[:, 0, 0, 0].copy(), np.zeros(len(slices))


def test_one_limit_for_all_series() -> None:
    evenly = [10.0, 20, 30, 40, 50]
    rated = [
        series("01", evenly, 3),
        series("02", [score - 20 for score in evenly], 5),
        series("03", evenly, 3, side="watch"),
        series("04", [score + 20 for score in evenly], 3, side="test"),
    ]
    table = limit_table(rated, {"own": Reading()})  # type: ignore[dict-item]
    rows = {(row[0], row[3]): row for row in table.rows}
    # the limit is 30: of subject 03 all is right, of 04 the two noisiest pass that readers refuse
    assert rows["watched", "own"][1:] == [1, 1, "own", "n/a", "100 %"]
    assert rows["held out", "own"][5] == "60 %"
    assert rows["held out", "IEDD, no network"][5] == "60 %"
    assert rows["trained on", "own"][4:] == ["0.00", "100 % [100, 100]"]
    # of the series trained on four of ten versions are accepted: refusing all is the commoner answer
    assert rows["watched", "refuse all"][5] == "40 %"
    told = " ".join(readers_notes(rated, 0.85))
    assert "2 series of 2 subjects, each read by one reader" in told
    assert "human_validation: readers' picks** of 2 series of 2 subjects" in told
    assert "human_validation: none" in " ".join(readers_notes(rated[:2], 0.85))
    assert "an eta of" not in told


@pytest.fixture
def rated(tmp_path: Path, bids_dataset: Callable[..., Path]) -> tuple[Path, Path]:
    """Three participants' series; one reader saw the first twice, another skipped the last."""
    root = bids_dataset("sub-01_T1w", "sub-02_T1w", "sub-03_T2w")
    store = Store(tmp_path / "ratings" / "ratings.sqlite", create=True)
    pool = make_pool(store, "min_acceptable", list(collect_scans(root).scans), Settings(seed=2))
    gallery = Gallery(root)
    items = {item.content["subject"]: item for item in pool.main}
    answers = {
        "Ann": [("01", "2"), ("02", "0"), ("03", "6"), ("01", "4")],
        "Ben": [("01", "4"), ("02", "1"), ("03", "skip")],
    }
    for name, own in answers.items():
        reader = store.reader(name).id
        for at, (subject, value) in enumerate(own):
            kind = "repeat" if at == 3 else "main"
            shown = gallery.look(items[subject].content)
            store.issue(reader, "min_acceptable", at, Proposal(items[subject], kind, "fixed", 0), shown)
            store.answer(store.trials("min_acceptable", reader)[at], Given(value, f"{name}{at:012d}"))
    store.close()
    return root, tmp_path / "ratings"


def test_picks_of_a_rating_and_of_its_export(rated: tuple[Path, Path], tmp_path: Path) -> None:
    picks = read_picks(rated[1])
    told = {pick.subject: (pick.value, sorted(pick.by_reader)) for pick in picks}
    assert told == {"01": (3.5, [3.0, 4.0]), "02": (0.5, [0.0, 1.0]), "03": (6.0, [6.0])}
    export_ratings(rated[1], tmp_path / "bids")
    again = read_picks(tmp_path / "bids")
    assert fingerprint(again) == fingerprint(picks)
    assert fingerprint([replace(picks[0], value=1.0), *picks[1:]]) != fingerprint(picks)


def test_series_are_made_again_and_measured(rated: tuple[Path, Path]) -> None:
    root, ratings = rated
    picks = read_picks(ratings)
    sides = {"01": "train", "02": "watch", "04": "train"}
    said: list[str] = []
    found = measure(picks, root, Split(sides, dict.fromkeys(sides, "all")), said.append, lambda *_: None)
    assert sorted((one.subject, one.side, one.contrast) for one in found) == [
        ("01", "train", "T1w"), ("02", "watch", "T1w"),
    ]  # fmt: skip
    assert said[0].startswith("1 of 3 rated series")
    assert "100, and one of each participant, are advised" in said[1]
    for one in found:
        versions = Gallery(root).series_floats(one.pick.content)[:, 0]
        assert one.scores.tolist() == np.maximum.accumulate(iedd_scores(versions)).tolist()
        assert one.scores[-1] > one.scores[0] + 1
        assert one.slices.shape == (5, 1, 256, 256)
        assert one.site == "site-all"
        assert one.plane == Gallery(root).look(one.pick.content)["series"]["plane"]


def test_what_cannot_be_used_is_told(rated: tuple[Path, Path]) -> None:
    root, ratings = rated
    picks = read_picks(ratings)
    said: list[str] = []
    # noise of 90 dB and more is too little to be measured
    faint = [replace(one, content={**one.content, "series": {**one.content["series"], "db": [90, 95, 99, 110]}})
             for one in picks]  # fmt: skip
    everybody = Split(dict.fromkeys(("01", "02", "03"), "train"), dict.fromkeys(("01", "02", "03"), "all"))
    with pytest.raises(UsageError, match="None of the 3 rated series"):
        measure(faint, root, everybody, said.append, lambda *_: None)
    assert sum("can't be told from its detail" in line for line in said) == 3
    other = Split(dict.fromkeys(("01", "02"), "watch"), dict.fromkeys(("01", "02"), "all"))
    with pytest.raises(UsageError, match="None of the 3 rated series"):
        measure(picks, root, other, said.append, lambda *_: None)
    (root / "sub-02" / "anat" / "sub-02_T1w.nii.gz").write_bytes(b"")
    first = next(pick for pick in picks if pick.subject == "01")
    odd = replace(first, content={"subject": "01", "series": {}})
    found = measure(
        [odd, *(pick for pick in picks if pick is not first)], root, everybody, said.append, lambda *_: None
    )
    assert [one.subject for one in found] == ["03"]
    assert any(line.startswith("skipped") and "sub-02_T1w" in line for line in said)
    assert any(line.startswith(f"skipped  {first.code}") for line in said)
