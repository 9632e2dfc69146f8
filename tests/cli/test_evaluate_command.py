# SPDX-License-Identifier: Apache-2.0
"""``bidsqa-train evaluate``: weights judged on the clean scans of a dataset."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bidsqa.cli.train import main
from bidsqa.image import Volume

pytest.importorskip("torch")


class Level:
    """Stands in for a score: higher for noisier scans."""

    def __init__(self, name: str) -> None:
        self.name = name

    def score(self, volume: Volume, slice_fraction: float = 0.6) -> object:
        from types import SimpleNamespace

        spread = float(volume.data[:4].std() / volume.data.mean())
        extra = {"family": "noise" if spread > 0.1 else "none"} if self.name == "severity" else {}
        return SimpleNamespace(value=spread if self.name == "severity" else 1 - spread, uncertainty=0.1, extra=extra)

    def provenance(self) -> dict[str, str]:
        return {"name": self.name, "version": "0", "sha256": "ab" * 32}


@pytest.fixture
def judging(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Scores without networks; the names of what was loaded."""
    loaded: list[str] = []

    def load(name: str, device: str | None = None, weights: Path | None = None) -> Level:
        if device is not None:  # without one it is only looked whether the weights will do
            loaded.append(name if weights is None else f"{name}={weights.name}")
        return Level(name)

    monkeypatch.setattr("bidsqa.models.load", load)
    monkeypatch.setattr("bidsqa.validation.own_dataset.ARTIFACTS", ("noise",))
    return loaded


def test_evaluate_prints_and_writes_tables(
    study: Path, tmp_path: Path, judging: list[str], capsys: pytest.CaptureFixture[str], with_sites: Callable[..., None]
) -> None:
    with_sites({"01": "A", "02": "A", "03": "B", "04": "B", "05": "B"}, "place")
    out = tmp_path / "tables"
    words = ["evaluate", str(study), str(out), "--site-column", "place", "--strengths", "0.3", "1"]
    words += ["--no-paper-protocol"]
    assert main([*words, "--modalities", "T1w", "--device", "cpu"]) == 0
    told = capsys.readouterr()
    assert judging == ["severity", "ssim"]
    assert "judged 15 of 15" in told.err
    assert told.out.count("5 clean scans (T1w) of 5 subjects and 2 sites, and 10 degraded copies") == 1
    for part in (
        "by artifact and strength", "by contrast and artifact", "by contrast, artifact and strength", "by site",
        "of the clean scans", "AUC at 0.3", "beside classical measures", "Which kind of artifact",
    ):  # fmt: skip
        assert part in told.out
    kinds = ("artifacts", "contrasts", "strengths", "sites", "clean")
    assert {path.name for path in out.iterdir()} == {
        "results.csv", "severity.svg", "ssim.svg", "scores_auc.json", "scores_auc.svg", "scores_rank.json",
        *(f"{model}_{kind}.json" for model in ("severity", "ssim") for kind in kinds), "severity_kinds.json",
        *(f"{model}_strengths.csv" for model in ("severity", "ssim")),
    }  # fmt: skip
    assert len((out / "results.csv").read_text().splitlines()) == 16
    # again: nothing is judged twice; other models: another folder
    assert main(words) == 0
    assert "judged" not in capsys.readouterr().err
    assert main([*words, "--models", "ssim"]) == 2
    assert "other models or weights" in capsys.readouterr().err


def test_artifacts_are_chosen_and_the_papers_copies_added(study: Path, tmp_path: Path, judging: list[str]) -> None:
    import csv

    out = tmp_path / "tables"
    words = ["evaluate", str(study), str(out), "--participant-label", "01", "02", "--strengths", "0.5"]
    assert main([*words, "--artifacts", "noise", "motion", "--models", "severity"]) == 0
    with (out / "results.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert {(row["artifact"], row["strength"]) for row in rows if row["subject"] == "01"} == {
        ("none", "0"), ("noise", "0.5"), ("motion", "0.5"), ("noise", "0.9"), ("motion", "0.3"),
    }  # fmt: skip
    assert (out / "scores_protocol.json").is_file()
    # fewer artifacts later: the others stay in the file, and out of the tables
    assert main([*words, "--artifacts", "noise", "--models", "severity", "--no-paper-protocol"]) == 0
    assert "motion" not in (out / "severity_artifacts.json").read_text()
    assert len((out / "results.csv").read_text().splitlines()) == len(rows) + 1


def test_a_scan_that_was_changed_since_is_judged_anew(
    study: Path, tmp_path: Path, judging: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    import csv

    import nibabel
    import numpy as np

    out = tmp_path / "tables"
    words = ["evaluate", str(study), str(out), "--participant-label", "01", "02", "--strengths", "0.5"]
    words += ["--artifacts", "noise", "--models", "severity", "--no-paper-protocol", "--modalities", "T1w"]

    def results() -> dict[tuple[str, str], str]:
        with (out / "results.csv").open(newline="") as handle:
            rows = list(csv.DictReader(handle))
        assert len(rows) == 4
        return {(row["subject"], row["artifact"]): row[next(name for name in row if "abab" in name)] for row in rows}

    assert main(words) == 0
    before = results()
    path = next((study / "sub-01").rglob("*_T1w.nii*"))
    image = nibabel.load(path)
    data = np.asarray(image.dataobj)
    changed = np.where(data > np.median(data), data * 2, data)
    nibabel.save(nibabel.Nifti1Image(changed, image.affine), path)
    capsys.readouterr()
    assert main(words) == 0
    assert "judged 2 of 2" in capsys.readouterr().err
    after = results()
    assert {key for key in before if before[key] != after[key]} == {("01", "none"), ("01", "noise")}


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (["--strengths", "0.5", "much"], "'much'"),
        (["--strengths", "0"], "above 0"),
        (["--strengths", "1.5"], "not above 1"),
        (["--models", "sim"], "'sim'"),
        (["--artifacts", "gibbs"], "'gibbs'"),
        (["--weights", "severity"], "no pair"),
        (["--models", "ssim", "--weights", f"severity={__file__}"], "severity is not among the models to be judged"),
        (["--weights", "severity=nowhere.onnx"], "doesn't exist"),
        (["--participant-label", "01", "--skip-bids-validation", "--omp-nthreads", "1"], "at least 2 subjects"),
    ],
)
def test_evaluate_says_what_is_wrong(
    study: Path, tmp_path: Path, judging: list[str], capsys: pytest.CaptureFixture[str], words: list[str], cause: str
) -> None:
    assert main(["evaluate", str(study), str(tmp_path / "tables"), *words]) == 2
    assert cause in capsys.readouterr().err


def test_weights_choose_the_model_that_is_judged(study: Path, tmp_path: Path, judging: list[str]) -> None:
    from bidsqa.models import MODELS

    (tmp_path / "evaluate.toml").write_text(
        f'weights = ["ssim={MODELS["ssim"].path}"]\nstrengths = ["1"]\nno-paper-protocol = true\n'
    )
    words = ["evaluate", str(study), str(tmp_path / "tables"), "--config-file", str(tmp_path / "evaluate.toml")]
    assert main(words) == 0
    assert judging == ["ssim=ssim.onnx"]
