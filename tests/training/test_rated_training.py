# SPDX-License-Identifier: Apache-2.0
"""From a site's ratings to weights, as a user types it; the readers are synthetic."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from safetensors.torch import load as read_tensors

from bidsqa.bids import collect_scans
from bidsqa.cli.train import main
from bidsqa.errors import UsageError
from bidsqa.image import Volume
from bidsqa.models import load
from bidsqa.models.quality_loss import QualityLoss
from bidsqa.rating.items import Settings, make_pool
from bidsqa.rating.pictures import Gallery
from bidsqa.rating.session import Session
from bidsqa.rating.store import Store
from bidsqa.rating.synthetic_reader import SyntheticReader, utility
from bidsqa.rating.tasks import Given
from bidsqa.training.rated_diagnostic import class_weights, graded
from bidsqa.training.rated_model import folds
from bidsqa.training.rated_pairs import rated_pairs, windows_of

SUBJECTS = 5
QUIET: dict[str, Callable[..., None]] = {"skipped": lambda *_: None, "reading": lambda *_: None}


def _value(task: str, versions: list[list[dict[str, object]]], sides: list[int], person: SyntheticReader) -> str:
    worth = [0.0 if side < 0 else utility(versions[side]) for side in sides]
    if task == "pairwise":
        return {1: "left", 0: "similar", -1: "right"}[int(person.compare(*worth)[0])]
    return str(int(np.searchsorted((-3.0, -1.0), worth[0])))


@pytest.fixture
def rated(tmp_path: Path, bids_dataset: Callable[..., Path]) -> tuple[Path, Path]:
    """A dataset of five participants and the ratings of two synthetic readers."""
    root = bids_dataset(*(f"sub-{number:02d}_T1w" for number in range(SUBJECTS)))
    settings = Settings(tasks=("pairwise", "diagnostic"), versions=3, degraded=0.8, practice=0, goal=12)
    store = Store(tmp_path / "ratings" / "ratings.sqlite", create=True)
    scans = list(collect_scans(root).scans)
    pools = {task: make_pool(store, task, scans, settings) for task in settings.tasks}
    session = Session(store, Gallery(root), pools, settings, lambda line: None)
    for number, name in enumerate(("Ann", "Bob")):
        reader, person = store.reader(name).id, SyntheticReader(number, tau=0.25)
        for task in settings.tasks:
            while (trial := session.open_trial(reader, task)) is not None:
                versions = store.item(trial.item).content["versions"]
                sides = [side for side in (trial.left_item, trial.right_item) if side is not None]
                given = Given(_value(task, versions, sides, person), secrets.token_hex(16), supersedes=trial.answer)
                session.answer(reader, task, trial.code, given)
    session.close()
    store.close()
    return root, tmp_path / "ratings"


def test_pairs_of_a_rating_hold_votes_and_pictures(rated: tuple[Path, Path]) -> None:
    root, ratings = rated
    pairs = rated_pairs(ratings, root, **QUIET)
    assert pairs.votes.sum(dim=1).max() >= 2
    assert set(pairs.subject) == {f"{number:02d}" for number in range(SUBJECTS)}
    assert pairs.first.shape[1:] == (1, 224, 224)
    clean = pairs.reference.abs()
    assert clean[clean > 0.1].quantile(0.99) == pytest.approx(1, abs=0.15)
    assert (pairs.ssim < 1 + 1e-6).all()
    assert pairs.ssim.min() < 0.99


def test_votes_agree_with_the_utilities_they_were_made_from(rated: tuple[Path, Path]) -> None:
    from bidsqa.rating import read_items, read_ratings
    from bidsqa.training.rated_pairs import count_votes

    items = read_items(rated[1])
    apart, balance = [], []
    for name, votes in count_votes(read_ratings(rated[1], "pairwise")).items():
        code, first, second = name.rsplit(":", 2)
        worth = [0.0 if int(at) < 0 else utility(items[code]["versions"][int(at)]) for at in (first, second)]
        apart.append(worth[0] - worth[1])
        balance.append(votes[2] - votes[0])
    assert np.corrcoef(apart, balance)[0, 1] > 0.5


def test_windows_are_at_1_mm_around_the_head() -> None:
    clean = np.zeros((60, 40), dtype=np.float32)
    clean[10:40, 5:25] = 7.0
    window, (other,) = windows_of(clean, (0.5 * clean,), (3.0, 4.0))
    rows, columns = (np.flatnonzero((window > 0.5).any(axis=axis)) for axis in (1, 0))
    assert len(rows) == pytest.approx(30 * 3, abs=3)
    assert len(columns) == pytest.approx(20 * 4, abs=4)
    assert abs((rows[0] + rows[-1]) / 2 - 111.5) < 3
    assert np.median(window[window > 0.5]) == pytest.approx(1, abs=0.05)
    assert np.allclose(other, 0.5 * window, atol=1e-5)


def test_iq_net_learns_from_ratings_and_serves_as_a_loss(rated: tuple[Path, Path], tmp_path: Path) -> None:
    root, ratings = rated
    out = tmp_path / "own"
    command = ["ranking", str(root), str(out), "--ratings", str(ratings), "--architecture", "iq_net", "--steps", "12"]
    command += ["--batch", "4", "--omp-nthreads", "1"]
    assert main(command) == 0
    card = (out / "ranking.md").read_text(encoding="utf-8")
    assert "label_source: readers" in card
    assert "Agreement with your readers" in card
    assert str(tmp_path) not in card
    clean = torch.rand(1, 1, 64, 64)
    loss = QualityLoss(out / "ranking.safetensors", reduction="none")
    assert loss(clean, clean).abs().item() < 1e-4
    assert loss(clean + 0.2, clean) != loss(clean + 0.1, clean)
    before = read_tensors((out / "ranking.safetensors").read_bytes())
    assert main(command) == 0  # from its checkpoints: nothing is trained again
    after = read_tensors((out / "ranking.safetensors").read_bytes())
    assert all(torch.equal(after[name], value) for name, value in before.items())
    # a subject that is judged may be one that these weights learned from, unlike the shipped ones
    command[command.index(str(out))], command[command.index("--steps") + 1] = str(tmp_path / "further"), "6"
    assert main([*command, "--start", str(out / "ranking.safetensors")]) == 0
    assert "had learned from readers already" not in card
    assert "had learned from readers already" in (tmp_path / "further" / "ranking.md").read_text(encoding="utf-8")


def test_another_recipe_does_not_go_on_from_this_one(
    rated: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, ratings = rated
    kept = tmp_path / "own" / "training" / "rated.json"
    kept.parent.mkdir(parents=True)
    kept.write_text(json.dumps({"seed": 7}), encoding="utf-8")
    command = ["ranking", str(root), str(tmp_path / "own"), "--ratings", str(ratings), "--steps", "6"]
    assert main(command) == 2
    assert "--force" in capsys.readouterr().err


@pytest.mark.slow
def test_free_network_learns_from_ratings_and_scores_scans(
    rated: tuple[Path, Path], tmp_path: Path, t1w: Volume
) -> None:
    root, ratings = rated
    out = tmp_path / "own"
    command = ["ranking", str(root), str(out), "--ratings", str(ratings), "--steps", "6", "--batch", "4"]
    assert main([*command, "--omp-nthreads", "1"]) == 0
    score = load("ranking", weights=out / "ranking.onnx").score(t1w)
    assert np.isfinite(score.value)
    assert score.extra["label_source"] == "readers"
    assert 0 < score.extra["p_better_than_clean"] < 1


@pytest.mark.slow
def test_diagnostic_network_learns_from_ratings_and_scores_scans(
    rated: tuple[Path, Path], tmp_path: Path, t1w: Volume
) -> None:
    root, ratings = rated
    out = tmp_path / "own"
    command = ["diagnostic", str(root), str(out), "--ratings", str(ratings), "--steps", "6", "--batch", "4"]
    assert main([*command, "--omp-nthreads", "1"]) == 0
    assert "Confusion" in (out / "diagnostic.md").read_text(encoding="utf-8")
    score = load("diagnostic", weights=out / "diagnostic.onnx").score(t1w)
    assert 0 <= score.value <= 2
    assert sum(score.extra["probabilities"].values()) == pytest.approx(1)


def test_several_readers_make_soft_labels(rated: tuple[Path, Path]) -> None:
    root, ratings = rated
    examples = graded(ratings, root, **QUIET)
    assert (examples.votes.sum(dim=1) == 2).all()
    assert examples.image.shape[1:] == (1, 512, 512)
    assert examples.image.max() <= 1


def test_rare_classes_weigh_more() -> None:
    votes = torch.tensor([[1.0, 0, 0]] * 518 + [[0, 1.0, 0]] * 1220 + [[0, 0, 1.0]] * 372)
    assert class_weights(votes).tolist() == pytest.approx([1.358, 0.577, 1.891], abs=1e-3)
    assert class_weights(votes[:, :2][:1738]).tolist() == pytest.approx([1738 / 2 / 518, 1738 / 2 / 1220], abs=1e-3)


def test_a_subject_is_in_one_fold_only() -> None:
    subjects = [f"s{number % 7}" for number in range(50)]
    parts = folds(subjects, seed=1)
    assert sorted(row for part in parts for row in part) == list(range(50))
    owners = [{subjects[row] for row in part} for part in parts]
    assert sum(map(len, owners)) == 7
    assert folds(subjects, seed=1) == parts


def test_too_few_subjects_are_refused() -> None:
    with pytest.raises(UsageError, match="5 subjects"):
        folds(["a", "b", "c"], seed=0)


@pytest.mark.parametrize(
    ("more", "told"),
    [([], "--ratings"), (["--ratings", "nowhere"], "bidsqa-rate")],
    ids=["none", "missing"],
)
def test_missing_ratings_are_told(
    bids_dataset: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], told: str
) -> None:
    root = bids_dataset("sub-01_T1w")
    assert main(["diagnostic", str(root), str(tmp_path / "own"), *more]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "own").exists()


def test_scans_that_are_gone_are_named(rated: tuple[Path, Path]) -> None:
    root, ratings = rated
    shutil.rmtree(root / "sub-03")
    told: list[str] = []
    pairs = rated_pairs(ratings, root, lambda name, why: told.append(name), lambda *_: None)
    assert "03" not in pairs.subject
    assert any("sub-03" in name for name in told)


@pytest.mark.parametrize("read", [rated_pairs, graded])
def test_a_scan_that_was_changed_since_is_no_longer_what_was_rated(
    rated: tuple[Path, Path], read: Callable[..., Any]
) -> None:
    root, ratings = rated
    scan = next((root / "sub-03").rglob("*.nii.gz"))
    image = nib.load(scan)
    nib.Nifti1Image(np.flip(np.asanyarray(image.dataobj), 0).copy(), image.affine).to_filename(scan)
    told: dict[str, str] = {}
    examples = read(ratings, root, told.__setitem__, lambda *_: None)
    assert set(examples.subject) == {"00", "01", "02", "04"}
    assert [why for name, why in told.items() if "sub-03" in name]
    assert all("others than those that were rated" in why for why in told.values())
