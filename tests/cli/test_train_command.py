# SPDX-License-Identifier: Apache-2.0
"""``bidsqa-train``: from a BIDS dataset to weights that ``bidsqa`` takes; what is wrong is said in a sentence."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from bidsqa.bids import collect_scans
from bidsqa.cli.gentle_stop import GentleStop
from bidsqa.cli.train import main
from bidsqa.cli.train_progress import TrainingProgress
from bidsqa.image import Volume
from bidsqa.models import load_network
from bidsqa.rating.items import Settings, make_pool
from bidsqa.rating.pictures import Gallery
from bidsqa.rating.store import Proposal, Store
from bidsqa.rating.tasks import Given

torch = pytest.importorskip("torch")
QUICK = ("--steps", "3", "--batch", "4", "--omp-nthreads", "1", "--device", "cpu")
FEW = ("--artifacts", "noise", "bias")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few watched and few shown slices."""
    monkeypatch.setattr("bidsqa.training.severity.WATCH_BATCHES", 1)
    monkeypatch.setattr("bidsqa.training.own_severity.SHOWN_SLICES", 3)
    monkeypatch.setattr("bidsqa.training.own_severity.OwnSeverity.per_plane", 3)
    monkeypatch.setattr("bidsqa.training.own_ssim.OwnSsim.per_plane", 3)
    monkeypatch.setattr("bidsqa.training.own_ssim.WATCHED", 4)
    monkeypatch.setattr("bidsqa.training.own_ssim.ROUNDS", 1)
    monkeypatch.setattr("bidsqa.training.own_noise_motion.OwnNoiseMotion.per_plane", 3)
    for name, value in (("JUDGED_SETS", 2), ("JUDGED_PAIRS", 2)):
        monkeypatch.setattr(f"bidsqa.training.own_noise_motion.{name}", value)
    for name, value in (("WATCHED_SETS", 2), ("WATCHED_PAIRS", 10)):
        monkeypatch.setattr(f"bidsqa.training.noise_motion.{name}", value)


def rate_series(root: Path, ratings: Path, answers: dict[str, dict[str, dict[str, str]]]) -> None:
    """Answers by task, reader and subject, as the app would keep them."""
    scans = list(collect_scans(root).scans)
    store = Store(ratings / "ratings.sqlite", create=True)
    gallery = Gallery(root)
    for task, own in answers.items():
        items = {item.content["subject"]: item for item in make_pool(store, task, scans, Settings()).main}
        for name, given in own.items():
            reader = store.reader(name).id
            for at, (subject, value) in enumerate(given.items()):
                item = items[subject]
                store.issue(reader, task, at, Proposal(item, "main", "fixed", 0), gallery.look(item.content))
                store.answer(store.trials(task, reader)[at], Given(value, f"{name}{task}{at:012d}"))
    store.close()


def test_severity_from_scans_to_weights(
    study: Path,
    tmp_path: Path,
    quick: None,
    capsys: pytest.CaptureFixture[str],
    t1w: Volume,
    with_sites: Callable[..., None],
) -> None:
    from bidsqa import models

    out = tmp_path / "own"
    with_sites({"01": "A", "02": "A", "03": "A", "04": "A", "05": "B"})
    words = ["severity", str(study), str(out), *QUICK, *FEW, "--seed", "7"]
    assert main(words) == 0
    told = capsys.readouterr()
    assert "Held out with the site B: sub-05." in told.out
    assert f"--weights severity={out / 'severity.onnx'}" in told.out
    assert "step 3 of 3" in told.err
    assert "watched" in told.err
    assert sorted(path.name for path in out.iterdir()) == ["curve.csv", "severity.md", "severity.onnx", "training"]
    # images of heads don't stay
    assert sorted(path.name for path in (out / "training").iterdir()) == [
        "checkpoint.safetensors", "recipe.json", "scans.json",
    ]  # fmt: skip
    scorer = models.load("severity", weights=out / "severity.onnx")
    assert scorer.provenance()["version"].startswith("own-")
    score = scorer.score(t1w)
    assert score.value >= 0
    card = (out / "severity.md").read_text()
    watched = next(line for line in told.out.splitlines() if line.startswith("Watched"))
    assert watched.split(": ")[1].rstrip(".") in card
    for part in (
        "## Data", "## Recipe", "## Curve", "## Validation", "## Limits", "## Licence", "Phantom heads", "sub-05",
        "Held out with their site, B", "--artifacts bias noise", "Seed 7", "CPU, float32", "Start: shipped",
        "Not trained on, and not part of the score: motion, ghosting, blur", "start: AUC", "trained: AUC",
    ):  # fmt: skip
        assert part in card.replace("--artifacts noise bias", "--artifacts bias noise"), part
    assert str(tmp_path) not in card
    # the scans that it learned from say nothing about it
    weights = f"severity={out / 'severity.onnx'}"
    assert main(["evaluate", str(study), str(tmp_path / "tables"), "--weights", weights]) == 2
    assert "left out  sub-01_T1w: the weights learned from it" in capsys.readouterr().err
    # again: nothing to do; another recipe: refused; longer: goes on
    capsys.readouterr()
    assert main(words) == 0
    assert "Nothing left to do" in capsys.readouterr().out
    assert main([*words[:-1], "8"]) == 2
    assert "another --seed: 7, not 8" in capsys.readouterr().err
    assert main([*words, "--rate", "1e-4"]) == 2
    assert main([*words, "--hold-out-site", "none"]) == 2
    words[words.index("--steps") + 1] = "4"
    assert main(words) == 0
    rows = (out / "curve.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", "0", "1", "2", "3", "4"]


def test_ssim_from_scans_to_weights(study: Path, tmp_path: Path, quick: None, t1w: Volume) -> None:
    from bidsqa import models

    out = tmp_path / "own"
    assert main(["ssim", str(study), str(out), *QUICK, "--patience", "0"]) == 0
    assert 0 <= models.load("ssim", weights=out / "ssim.onnx").score(t1w).value <= 1
    card = (out / "ssim.md").read_text()
    for part in ("trained: error", "start: error", "Watched subjects: score of their clean scans", "r  "):
        assert part in card, part


@pytest.mark.slow
def test_noise_motion_from_scans_to_weights(study: Path, tmp_path: Path, quick: None, t1w: Volume) -> None:
    from bidsqa import models

    out = tmp_path / "own"
    assert main(["noise_motion", str(study), str(out), *QUICK, "--patience", "0"]) == 0
    assert models.load("noise_motion", weights=out / "noise_motion.onnx").score(t1w).value > 0
    card = (out / "noise_motion.md").read_text()
    for part in ("start", "own", "ruler error", "Watched subjects: their clean scans"):
        assert part in card, part


@pytest.mark.slow
def test_noise_by_what_readers_accept(
    study: Path, tmp_path: Path, quick: None, capsys: pytest.CaptureFixture[str]
) -> None:
    out, ratings = tmp_path / "own", tmp_path / "ratings"
    command = ["noise_motion", str(study), str(out), "--ratings", str(ratings), *QUICK, "--patience", "0"]
    rate_series(study, ratings, {"likert": {"Ann": {"01": "3"}}})
    assert main(command) == 2
    assert "holds no answer on the worst version that is still acceptable" in capsys.readouterr().err
    assert not out.exists()
    picks = {f"{number:02d}": str(2 + number % 3) for number in range(1, 6)}
    rate_series(study, ratings, {"min_acceptable": {"Ann": picks, "Ben": picks | {"01": "skip"}}})
    assert main(command) == 0
    assert "--models severity ssim noise_motion --weights noise_motion=" in capsys.readouterr().out
    weights = load_network("noise_motion", weights=out / "noise_motion.onnx")
    assert weights.settings["label_source"] == "readers"
    card = " ".join((out / "noise_motion.md").read_text(encoding="utf-8").split())
    for part in (
        "**label_source: readers.**", "eta = 0.85", "4 series of 4 subjects, each read by up to 2 readers",
        "**human_validation: readers' picks** of 1 series of 1 subject", "What your readers still accept",
        "IEDD, no network", "--ratings RATINGS",
    ):  # fmt: skip
        assert part in card, part
    # with other answers, or none, it would be another training
    assert main([word for word in command if word not in ("--ratings", str(ratings))]) == 2
    assert "other ratings" in capsys.readouterr().err
    assert main([*command, "--eta", "0.5"]) == 2
    assert "another --eta: 0.85, not 0.5" in capsys.readouterr().err


@pytest.mark.slow
def test_random_weights_are_a_start_too(study: Path, tmp_path: Path, quick: None) -> None:
    out = tmp_path / "own"
    assert main(["severity", str(study), str(out), *QUICK, *FEW, "--start", "none", "--precision", "bfloat16"]) == 0
    card = (out / "severity.md").read_text()
    assert "start: AUC" not in card
    assert "CPU, bfloat16" in card
    assert "rate 0.0025" in card
    # own weights are a start as good as any
    again = tmp_path / "again"
    assert main(["severity", str(study), str(again), *QUICK, *FEW, "--start", str(out / "severity.onnx")]) == 0
    assert "--start severity.onnx" in (again / "severity.md").read_text()


def test_a_signal_keeps_what_was_learned(
    study: Path, tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stopped and started again: the same weights as in one go."""
    plain = TrainingProgress.step

    def interrupted(number: int) -> Callable[..., None]:
        def step(self: TrainingProgress, event: object) -> None:
            plain(self, event)  # type: ignore[arg-type]
            if event.step == 1:  # type: ignore[attr-defined]
                os.kill(os.getpid(), number)

        return step

    words = [str(study), str(tmp_path / "parts"), *QUICK, *FEW]
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        monkeypatch.setattr(TrainingProgress, "step", interrupted(number))
        assert main(["severity", *words, *(["--force"] if code == 143 else [])]) == code
        error = capsys.readouterr().err
        assert "Stopping after this step" in error
        assert "the same command goes on" in error
        assert not (tmp_path / "parts" / "severity.onnx").exists()
        assert (tmp_path / "parts" / "training" / "checkpoint.safetensors").exists()
    monkeypatch.setattr(TrainingProgress, "step", plain)
    assert main(["severity", *words]) == 0
    assert "reading scan 1 of 4" not in capsys.readouterr().err.split("Judging")[0], "the slices were kept"
    words[1] = str(tmp_path / "whole")
    assert main(["severity", *words]) == 0
    first, second = ((tmp_path / name / "severity.onnx").read_bytes() for name in ("parts", "whole"))
    assert first == second


def test_a_second_signal_stops_at_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        with GentleStop() as stop:
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop()
            os.kill(os.getpid(), signal.SIGTERM)
            assert not heard, "a process and its group are both told"
            monkeypatch.setattr("bidsqa.cli.gentle_stop.REPEAT_SECONDS", -1.0)
            os.kill(os.getpid(), signal.SIGTERM)
            assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_unreadable_scans_are_passed_over_and_told(
    study: Path, tmp_path: Path, quick: None, capsys: pytest.CaptureFixture[str]
) -> None:
    from bidsqa.training.own_scans import split_subjects

    split = split_subjects([path.name.removeprefix("sub-") for path in sorted(study.glob("sub-*"))], {}, 0)
    bad = split.subjects("train")[0]
    (study / f"sub-{bad}" / "anat" / f"sub-{bad}_T1w.nii.gz").write_bytes(b"no image")
    assert main(["severity", str(study), str(tmp_path / "own"), *QUICK, *FEW]) == 0
    error = capsys.readouterr().err
    assert error.count(f"skipped  sub-{bad}_T1w") >= 1
    assert f"- sub-{bad}_T1w: " in (tmp_path / "own" / "severity.md").read_text()
    # one more, and too few are left
    worse = split.subjects("train")[1]
    (study / f"sub-{worse}" / "anat" / f"sub-{worse}_T1w.nii.gz").write_bytes(b"no image")
    assert main(["severity", str(study), str(tmp_path / "other"), *QUICK, *FEW]) == 2
    assert "at least 4 subjects; there are 3" in capsys.readouterr().err
    # nothing to watch
    watched = split.subjects("watch")[0]
    (study / f"sub-{watched}" / "anat" / f"sub-{watched}_T1w.nii.gz").write_bytes(b"no image")
    assert main(["severity", str(study), str(tmp_path / "third"), *QUICK, *FEW]) == 2
    assert "to be watched can be used" in capsys.readouterr().err


def test_files_of_another_origin_are_left_alone(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "own"
    out.mkdir()
    (out / "severity.onnx").write_bytes(b"mine")
    assert main(["severity", str(study), str(out), *QUICK]) == 2
    assert "holds severity.onnx" in capsys.readouterr().err
    assert (out / "severity.onnx").read_bytes() == b"mine"
    (out / "training").mkdir()
    (out / "training" / "recipe.json").write_text("{}")
    assert main(["severity", str(study), str(out), *QUICK]) == 2
    assert "--force" in capsys.readouterr().err


def test_another_models_folder_is_refused(
    study: Path, tmp_path: Path, quick: None, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "own"
    (out / "training").mkdir(parents=True)
    recipe = {
        "model": "ssim", "start": "shipped", "seed": 0, "batch": 4, "rate": 4e-4, "precision": "auto", "artifacts": [],
        "held_out": "", "sides": {}, "data": "",
    }  # fmt: skip
    (out / "training" / "recipe.json").write_text(json.dumps({"recipe": recipe, "finished": {}}))
    assert main(["severity", str(study), str(out), *QUICK]) == 2
    assert "another model: ssim, not severity" in capsys.readouterr().err


@pytest.mark.slow
def test_the_main_job_takes_the_weights(study: Path, tmp_path: Path, quick: None) -> None:
    from bidsqa.cli.main import main as bidsqa

    assert main(["severity", str(study), str(tmp_path / "own"), *QUICK, *FEW]) == 0
    weights = tmp_path / "own" / "severity.onnx"
    words = ["participant", "--participant-label", "01", "--models", "severity", "--weights", f"severity={weights}"]
    assert bidsqa([str(study), str(tmp_path / "out"), *words, "--nprocs", "1"]) == 0
    record = json.loads(next((tmp_path / "out").rglob("*_desc-qa_T1w.json")).read_text())
    assert record["status"] == "ok"
    assert isinstance(record["scores"]["severity"]["value"], float)
    models = json.dumps(record["provenance"]["models"])
    assert "own-" in models
