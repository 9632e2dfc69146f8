# SPDX-License-Identifier: Apache-2.0
"""Simulated grades: who gives them, what is known of them, and the tables about networks that learned them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bidsqa.image import rough_head
from bidsqa.models import load
from bidsqa.models.diagnostic import softmax
from bidsqa.simulation.phantom import make_phantom
from bidsqa.training import diagnostic_grades
from bidsqa.training.diagnostic_grades import (
    KINDS,
    Panel,
    Picture,
    draw_recipe,
    fewer_classes,
    kept,
    pictures,
    simulate,
    spoiled,
)
from bidsqa.training.pool import Clean
from bidsqa.validation import diagnostic_networks
from bidsqa.validation.diagnostic import accuracy_table, agreement
from bidsqa.validation.diagnostic_tables import (
    CEILING,
    COMMONEST,
    Judged,
    Trained,
    classes_table,
    confusion,
    groups_table,
    learning_table,
    merged,
    roc_of,
)
from bidsqa.validation.plots import roc_curves
from bidsqa.validation.statistics import area


def clean(count: int = 3) -> list[Picture]:
    rows, columns = np.mgrid[:80, :64]
    disc = (np.hypot(rows - 40, columns - 32) < 28).astype(np.float32)
    stripes = 100 + 20 * np.sin(rows / 3).astype(np.float32)
    return [Picture(f"s{number}", disc * stripes, (1.0, 1.2)) for number in range(count)]


def judged(count: int = 300, seed: int = 1) -> tuple[Judged, np.ndarray]:
    """Slices of ten subjects of known utility."""
    utilities = np.random.default_rng(seed).uniform(-8, 0, count)
    panel = Panel(seed)
    names = ("amsterdam01", "training_seg_04", "phantom901")
    subjects = tuple(f"{names[number % 3]}{number % 10}" for number in range(count))
    return Judged(panel.votes(utilities), panel.chances(utilities), np.array([0.3, 0.4, 0.3]), subjects), utilities


def number(cell: str) -> float:
    return float(cell.split(" ")[0])


def test_votes_come_as_often_as_the_chances_say() -> None:
    for value in (-6.0, -4.0, -2.2, -0.8):
        panel = Panel(3)
        votes = panel.votes(np.full(4000, value))
        assert (votes.sum(axis=1) == 3).all()
        share = votes.sum(axis=0) / votes.sum()
        assert np.abs(share - panel.chances(np.array([value]))[0]).max() < 0.015
        assert panel.chances(np.array([value])).sum() == pytest.approx(1)


def test_a_strict_reader_gives_worse_classes() -> None:
    utilities = np.linspace(-7, 0, 400)
    strict, mild = (Panel(1, strictness=(offset,)).votes(utilities) @ np.arange(3) for offset in (-1.0, 1.0))
    assert strict.mean() < mild.mean() - 0.3


def test_recipes_hold_what_is_asked_and_motion_most_often() -> None:
    chance = np.random.default_rng(1)
    recipes = [draw_recipe(chance) for _ in range(2000)]
    names = [artifact["name"] for recipe in recipes for artifact in recipe]
    assert set(names) == set(KINDS)
    assert max(KINDS, key=names.count) == "motion"
    assert np.mean([not recipe for recipe in recipes]) == pytest.approx(0.15, abs=0.03)
    assert all(0 < artifact["strength"] <= 1 for recipe in recipes for artifact in recipe)


def test_slices_without_a_recipe_stay_as_they_are_and_artifacts_add_up() -> None:
    (picture,) = clean(1)
    assert np.array_equal(spoiled(picture, [], 1), picture.plane)
    noise, blur = {"name": "noise", "strength": 0.5}, {"name": "blur", "strength": 0.8}
    one, both = spoiled(picture, [noise], 1), spoiled(picture, [blur, noise], 1)
    assert np.abs(one - picture.plane).mean() > 1
    assert np.abs(both - one).mean() > 0.1


def test_blanked_air_tells_nothing() -> None:
    """A network could tell spoiled slices by noise or ghosts in air that real scanners set to 0."""
    (picture,) = clean(1)
    air = picture.plane == 0
    for name in KINDS:
        assert (spoiled(picture, [{"name": name, "strength": 1.0}], 1)[air] == 0).all(), name
    dim = replace(picture, plane=picture.plane + 1)
    assert spoiled(dim, [{"name": "noise", "strength": 1.0}], 1)[air].std() > 1, "air that was acquired is spoiled too"


def test_the_same_seed_gives_the_same_grades_and_subjects_count_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, again = (simulate(clean(), 12, 5, Panel(5)) for _ in range(2))
    assert torch.equal(first.graded.image, again.graded.image)
    assert torch.equal(first.graded.votes, again.graded.votes)
    assert sorted(first.graded.subject) == sorted(["s0", "s1", "s2"] * 4)
    assert first.graded.image.shape == (12, 1, 512, 512)
    stored = kept(tmp_path / "side.npz", lambda: first)
    read = kept(tmp_path / "side.npz", lambda: pytest.fail("made again"))
    for one in (stored, read):
        assert torch.equal(one.graded.image, first.graded.image)
        assert one.graded.subject == first.graded.subject
        assert np.array_equal(one.utility, first.utility)
    # what was stopped while it was written is made again

    def half(path: Path, **_: object) -> None:
        path.write_bytes(b"PK")
        raise KeyboardInterrupt

    with monkeypatch.context() as stopping:
        stopping.setattr(np, "savez", half)
        with pytest.raises(KeyboardInterrupt):
            kept(tmp_path / "other.npz", lambda: first)
    assert kept(tmp_path / "other.npz", lambda: again) is again
    assert first.some([1, 3]).utility.tolist() == first.utility[[1, 3]].tolist()


def test_two_classes_join_all_that_is_better_than_the_worst() -> None:
    found = fewer_classes(simulate(clean(), 6, 5, Panel(5)).graded)
    three = simulate(clean(), 6, 5, Panel(5)).graded
    assert torch.equal(found.votes[:, 0], three.votes[:, 0])
    assert torch.equal(found.votes.sum(dim=1), three.votes.sum(dim=1))


def test_slices_are_cut_as_the_scorer_sees_them() -> None:
    volume = make_phantom(seed=3, spacing=(2.0, 2.0, 4.0)).image("T1w", seed=1)
    found = pictures([Clean("a", "a", "x", "T1w", "test", volume)])
    shapes = {(picture.plane.shape, picture.pixel) for picture in found}
    assert (volume.shape[1::-1], (2.0, 2.0)) in shapes
    assert len(found) <= 36


def test_whoever_knows_the_simulation_is_the_best_and_well_calibrated() -> None:
    known, utilities = judged(700)
    # utilities seen through noise, as a middling network would
    seen = utilities + np.random.default_rng(9).normal(0, 1.5, len(utilities))
    logits = np.log(np.maximum(Panel(1).chances(seen), 1e-6))
    table = classes_table(known, {"convnet_3": Trained(logits, 1.0, 7)}, 3, "note")
    rows = {row[0]: row for row in table.rows}
    assert number(rows[CEILING][1]) > number(rows["ConvNet, 3 classes"][1]) > number(rows[COMMONEST][1])
    assert number(rows[CEILING][3]) > number(rows["ConvNet, 3 classes"][3])
    assert number(rows[COMMONEST][2]) == pytest.approx(1 / 3, abs=0.01)
    assert number(rows[COMMONEST][3]) == 0.5
    assert number(rows[CEILING][4]) < 0.04
    assert number(rows["ConvNet, 3 classes"][4]) > 0.05
    assert rows["ConvNet, 3 classes"][-1] == 7


def test_two_classes_are_judged_with_networks_of_three() -> None:
    known, _ = judged()
    right = np.log(merged(known.best) + 1e-9)
    found = {"convnet_2": Trained(right, 1.0, 1), "convnet_3": Trained(np.log(known.best + 1e-9), 1.0, 1)}
    rows = classes_table(known, found, 2, "").rows
    assert [row[1:6] for row in rows[:2]] == [rows[2][1:6]] * 2
    assert [row[0] for row in classes_table(known, found, 3, "").rows] == ["ConvNet, 3 classes", CEILING, COMMONEST]


def test_the_temperature_changes_no_accuracy_but_the_calibration() -> None:
    known, _ = judged(400)
    sharp = 4 * np.log(known.best + 1e-9)
    (cold, *_), (warm, *_) = (
        classes_table(known, {"convnet_3": Trained(sharp, value, 1)}, 3, "").rows for value in (1.0, 4.0)
    )
    assert cold[1:3] == warm[1:3]
    assert cold[4] == cold[5] == warm[4]
    assert number(warm[5]) < number(warm[4]) - 0.05


def test_confusion_groups_and_learning_count_every_slice() -> None:
    known, _ = judged()
    network = Trained(np.log(known.best + 1e-9), 1.0, 3)
    counts = confusion(known, network, "convnet_3", "").rows
    assert sum(sum(row[1:4]) for row in counts) == len(known.votes)
    groups = groups_table(known, network, "convnet_3", "").rows
    assert sum(row[2] for row in groups) == len(known.votes)
    assert all(number(row[3]) == number(row[6]) for row in groups), "the network is the best possible here"
    (row,) = learning_table(known, {50: network}, {50: 9}, "convnet_3").rows
    assert row[:2] == [50, 9]
    assert row[2:5] == agreement(softmax(network.logits), known.votes, known.subject)


def test_the_card_of_a_training_says_the_same() -> None:
    known, _ = judged()
    chances = known.best
    (row, common) = accuracy_table(chances, known.votes, known.subject).rows
    assert row[1:] == agreement(chances, known.votes, known.subject)
    truth = known.votes.argmax(axis=1)
    assert number(common[1]) == pytest.approx(np.bincount(truth).max() / len(truth), abs=0.01)


def test_roc_curves_show_their_areas(tmp_path: Path) -> None:
    known, _ = judged()
    found = roc_of(known, {"convnet_3": Trained(np.log(known.best + 1e-9), 2.0, 1)})
    roc_curves(found, tmp_path / "roc.svg", "bad ones")
    roc_curves(found, tmp_path / "again.svg", "bad ones")
    assert (tmp_path / "roc.svg").read_bytes() == (tmp_path / "again.svg").read_bytes()
    assert f"{CEILING}: {area(*found[CEILING]):.2f}" in (tmp_path / "roc.svg").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_whole_study_runs_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks of one step: nothing is learned, everything is written."""

    def phantoms(data: Path, side: str) -> Iterable[Clean]:
        return diagnostic_grades._phantoms(diagnostic_grades.PHANTOMS[side][:2], side)

    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "scans_table.tsv").write_text("file\tparticipant_id\tsite\tsuffix\n", encoding="utf-8")
    monkeypatch.setattr(diagnostic_networks, "SIDES", {"train": (8, 1), "watch": (6, 2), "test": (12, 3)})
    monkeypatch.setattr(diagnostic_networks, "clean_scans", phantoms)
    monkeypatch.setattr(diagnostic_networks, "TITLES", {"convnet_3": "ConvNet, 3 classes"})
    command = ["--data", str(tmp_path), "--checkpoints", str(tmp_path / "kept"), "--tables", str(tmp_path / "tables")]
    command += ["--minutes", "0.0001", "--rated", "4"]
    diagnostic_networks.main(command)
    written = {path.name: path.read_bytes() for path in (tmp_path / "tables").iterdir()}
    assert len(written) == 6
    assert "12 slices of 2 subjects" in json.loads(written["diagnostic_networks.json"])["note"]
    diagnostic_networks.main(command)
    assert written == {path.name: path.read_bytes() for path in (tmp_path / "tables").iterdir()}
    volume = make_phantom(seed=3, spacing=(4.0, 4.0, 4.0)).image("T1w", seed=1)
    (weights,) = (tmp_path / "kept").glob("convnet_3-*/diagnostic.onnx")
    scorer = load("diagnostic", weights=weights)
    score = scorer.score(volume)
    assert score.extra["label_source"] == "synthetic"
    maps = scorer.local_maps(volume, rough_head(volume), score)
    assert [one.plane for one in maps] == [part.plane for part in score.slices]
    assert all(0 <= np.nanmin(one.grid) <= np.nanmax(one.grid) <= 1 for one in maps)
