# SPDX-License-Identifier: Apache-2.0
"""``bidsqa-train`` as users mistype it: help, wrong words, config files, missing packages."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bidsqa.cli.train import main
from bidsqa.cli.train_options import ARTIFACTS, TASKS, TRAIN_OPTIONS
from bidsqa.cli.train_parser import command_of, parse

torch = pytest.importorskip("torch")


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
        (["severity", "DATA", "OUT", "--start", "TMP"], "is a folder", "shipped"),
        (["ranking", "DATA", "OUT", "--ratings", "TMP"], "no ratings", "bidsqa-rate"),
        # before the ratings, of which there are none, are read
        (["ranking", "DATA", "OUT", "--ratings", "TMP", "--start", "TMP"], "is a folder", "shipped"),
        (["ranking", "DATA", "OUT", "--ratings", "TMP", "--start", "TMP/none.onnx"], "doesn't exist", "shipped"),
        (["ranking", "DATA", "OUT", "--ratings", "TMP", "--start", "SSIM"], "'ssim'", "bidsqa_model=ranking"),
        (
            ["ranking", "DATA", "OUT", "--ratings", "TMP", "--start", "FREE", "--architecture", "iq_net"],
            "efficientnet_b0_free, not iq_net",
            "other weights",
        ),
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
    places["FREE"] = str(MODELS["ranking"].path)
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
