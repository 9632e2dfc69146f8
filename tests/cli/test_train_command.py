# SPDX-License-Identifier: Apache-2.0
"""``bidsqa-train``: from a BIDS dataset to weights that ``bidsqa`` takes; what is wrong is said in a sentence."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bidsqa.bids import collect_scans
from bidsqa.cli.gentle_stop import GentleStop
from bidsqa.cli.train import main
from bidsqa.cli.train_options import ARTIFACTS, TASKS, TRAIN_OPTIONS
from bidsqa.cli.train_parser import command_of, parse
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


# ---------------------------------------------------------------- help


def test_help_tells_tasks_and_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from bidsqa.cli.train import main\n"
        "try: main(['severity', '--help'] if len(sys.argv) > 1 else ['--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('torch', 'numpy', 'onnxruntime', 'pandas') if name in sys.modules], file=sys.stderr)"
    )
    answers = [
        subprocess.run([sys.executable, "-P", "-c", code, *more], capture_output=True, text=True, check=True)
        for more in ((), ("own",))
    ]
    assert all(answer.stderr.strip() == "[]" for answer in answers)
    assert all(task in answers[0].stdout for task in TASKS)
    assert all(f"--{option.name}" in answers[1].stdout for option in TRAIN_OPTIONS)


def test_the_artifacts_are_those_that_are_trained_on() -> None:
    from bidsqa.training.severity_batches import MIX

    assert tuple(MIX) == ARTIFACTS


# ---------------------------------------------------------------- wrong usage


@pytest.mark.parametrize(
    ("words", "cause", "hint"),
    [
        ([], "missing", "Example"),
        (["severty", "DATA", "OUT"], "severty", "severity"),
        (["severity", "DATA"], "OUT_DIR", "folders before the options"),
        (["severity", "TMP/nowhere", "OUT"], "doesn't exist", "path"),
        (["severity", "TMP", "OUT"], "not a BIDS dataset", "sub-"),
        (["severity", "DATA", "DATA/own"], "inside the dataset", "outside"),
        (["severity", "DATA", "OUT", "--minutes", "1", "--steps", "3"], "both", "one of them"),
        (["severity", "DATA", "OUT", "--minutes", "0"], "out of range", "help"),
        (["severity", "DATA", "OUT", "--batch", "3"], "out of range", "help"),
        (["severity", "DATA", "OUT", "--rate", "0"], "out of range", "help"),
        (["severity", "DATA", "OUT", "--seed", "-1"], "out of range", "help"),
        (["severity", "DATA", "OUT", "--patience", "-1"], "out of range", "help"),
        (["severity", "DATA", "OUT", "--device", "cuda"], "CUDA", "--device cpu"),
        (["severity", "DATA", "OUT", "--precision", "float16"], "float16 needs CUDA", "bfloat16"),
        (["severity", "DATA", "OUT", "--log", "tensorboard"], "not installed", "csv"),
        (
            ["severity", "DATA", "OUT", "--participant-label", "01", "02", "03"],
            "4 subjects; there are 3",
            "Add subjects",
        ),
        (["severity", "DATA", "OUT", "--modalities", "FLAIR"], "no structural scan that fits", "FLAIR"),
        (["severity", "DATA", "OUT", "-m", "T3w"], "'T3w'", "'T1w'"),
        (["severity", "DATA", "OUT", "--hold-out-site", "A"], "names no sites", "--site-column"),
        (["severity", "DATA", "OUT", "--site-column", "scanner"], "can't be read", "Leave it away"),
        (["severity", "DATA", "OUT", "--artifacts", "moton"], "moton", "motion"),
        (["severity", "DATA", "OUT", "--artifacts", "spike", "wrap"], "No part of the score", "noise"),
        (["ssim", "DATA", "OUT", "--artifacts", "motion"], "for the severity", "motion"),
        (["ssim", "DATA", "OUT", "--ratings", "TMP"], "is for noise_motion", "ranking"),
        (["noise_motion", "DATA", "OUT", "--eta", "0.5"], "by your readers' answers", "--ratings RATINGS"),
        (["noise_motion", "DATA", "OUT", "--ratings", "TMP/none"], "no ratings", "bidsqa-rate"),
        (["noise_motion", "DATA", "OUT", "--ratings", "TMP", "--eta", "1.5"], "out of range", "help"),
        (["severity", "DATA", "OUT", "--start", "TMP/none.onnx"], "doesn't exist", "shipped"),
        (["severity", "DATA", "OUT", "--start", "DATA/README"], "no .onnx file", "bidsqa-train"),
        (["severity", "DATA", "OUT", "--start", "SSIM"], "'ssim'", "bidsqa_model=severity"),
        (["severity", "DATA", "OUT", "--config-file", "TMP/none.toml"], "can't be read", "path"),
        (["severity", "DATA", "OUT", "--force", "--omp-nthreads", "0"], "out of range", "help"),
        (["severity", "DATA", "OUT", "--skip-bids-validation", "more"], "'more'", ""),
    ],
)
def test_wrong_usage_is_one_sentence_and_a_hint(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    words: list[str], cause: str, hint: str,
) -> None:  # fmt: skip
    from bidsqa.models import MODELS

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    places = {"DATA": str(study), "OUT": str(tmp_path / "out"), "TMP": str(tmp_path), "SSIM": str(MODELS["ssim"].path)}
    given = []
    for word in words:
        for name, place in places.items():
            word = place + word.removeprefix(name) if word.startswith(name) else word
        given.append(word)
    assert main(given) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("bidsqa-train: ")
    assert cause in lines[0]
    assert hint in lines[-1]
    assert len(lines) <= 2
    assert not (tmp_path / "out").exists()


def test_sites_that_are_not_there(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], with_sites: Callable[..., None]
) -> None:
    with_sites({"01": "A", "02": "Berlin", "03": "A"})
    assert main(["severity", str(study), str(tmp_path / "out"), "--hold-out-site", "Berln"]) == 2
    assert "Did you mean 'Berlin'?" in capsys.readouterr().err
    assert main(["severity", str(study), str(tmp_path / "out"), "--site-column", "sit"]) == 2
    assert "Did you mean 'site'?" in capsys.readouterr().err
    assert main(["severity", str(study), str(tmp_path / "out"), "--hold-out-site", "A"]) == 2
    assert "at least 4 subjects beside the site 'A'; there are 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "cause", "hint"),
    [
        ("minuts = 2", "'minuts'", "'minutes'"),
        ("steps = 'x'", "whole number", ""),
        ("force = 1", "force", "true or false"),
        ("strengths = [0.5]", "'strengths'", ""),
        ("config-file = 'a'", "no option", ""),
        ("steps = ", "TOML", ""),
    ],
)
def test_config_files_that_are_wrong(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, cause: str, hint: str
) -> None:
    (tmp_path / "own.toml").write_text(text)
    assert main(["severity", str(study), str(tmp_path / "out"), "--config-file", str(tmp_path / "own.toml")]) == 2
    error = capsys.readouterr().err
    assert cause in error
    assert hint in error


def test_the_command_line_overrides_the_config_file(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('steps = 9\nseed = 4\nartifacts = ["noise"]\nhold-out-site = "none"\n')
    asked = parse(["severity", "a", "b", "--config-file", str(tmp_path / "own.toml"), "--seed", "5"])
    assert (asked.options["steps"], asked.options["seed"]) == (9, 5)
    assert asked.options["artifacts"] == ("noise",)
    assert asked.options["minutes"] is None
    assert command_of(asked) == (
        "bidsqa-train severity BIDS_DIR OUT_DIR --hold-out-site none --artifacts noise --seed 5 --steps 9"
    )


def test_missing_packages_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], study: Path
) -> None:
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnx" else real(name))
    assert main(["severity", str(study), str(study.parent / "out")]) == 2
    error = capsys.readouterr().err
    assert "not installed: onnx." in error
    assert "bidsqa[training]" in error


# ---------------------------------------------------------------- training


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
