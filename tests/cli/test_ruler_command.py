# SPDX-License-Identifier: Apache-2.0
"""``bidsqa-ruler``: build, view, set, list and check, and what is said when something is wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bidsqa.cli import ruler as command
from bidsqa.rating import read_ratings
from bidsqa.rating.export import export_ratings
from bidsqa.rating.items import Settings, make_pool
from bidsqa.rating.pictures import Gallery
from bidsqa.rating.ruler_images import RulerImages
from bidsqa.rating.ruler_thresholds import consensus_on
from bidsqa.rating.store import Proposal, Store
from bidsqa.rating.tasks import Given
from bidsqa.rulers import Kind, Ruler, Threshold, read_ruler, write_ruler
from bidsqa.rulers.ruler import PERSON
from bidsqa.simulation.phantom import Phantom


class Grain:
    """Stands in for the network: how much neighbouring pixels differ."""

    sign = -20.0

    def score_images(self, slices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rough = np.abs(slices[:, 0, 1:, 1:] - slices[:, 0, :-1, :-1])
        grain = np.array([np.median(one[one > 0]) for one in rough])
        return self.sign * np.log10(grain), np.zeros(len(slices))

    def provenance(self) -> dict[str, str]:
        return {"name": "noise_motion", "version": "test", "sha256": ""}


@pytest.fixture(autouse=True)
def network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_scorer", Grain)


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory, phantom: Phantom) -> Path:
    path = tmp_path_factory.mktemp("scans") / "sub-01_T2w.nii.gz"
    phantom.to_nifti(phantom.image("T2w", seed=1, noise=0.01)).to_filename(path)
    path.with_name("sub-01_T2w.json").write_text(json.dumps({"MagneticFieldStrength": 1.5}))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A ruler in a folder of rulers."""
    rng = np.random.default_rng(0)
    images = [rng.normal(100, 60 - 8 * version, (40, 48)).clip(1) for version in range(8)]
    ruler = Ruler("our-T1w", np.stack(images).astype(np.uint8), Kind("T1w", "3D", 3.0), Threshold(3.0))
    write_ruler(ruler, tmp_path / "rulers" / "our-T1w")
    return tmp_path / "rulers" / "our-T1w"


def test_build_and_set(scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "our rulers" / "ours"
    assert command.main(["build", str(scan), str(out), "--worst", "10", "--seed", "3"]) == 0
    said = capsys.readouterr().out
    assert "Ruler ours: axial slice" in said
    assert "no human" in said
    assert f"bidsqa-ruler view '{out}'" in said
    ruler = read_ruler(out)
    assert (ruler.kind.suffix, ruler.kind.dimension, ruler.kind.field_strength) == ("T2w", "3D", 1.5)
    assert ruler.snr_db[0] == 10.0
    assert ruler.provenance["seed"] == 3
    assert ruler.provenance["source"] == "sub-01_T2w.nii.gz"
    assert command.main(["set", str(out), "4.5", "--by", "AB"]) == 0
    said = capsys.readouterr().out
    assert "accepted from 4.5" in said
    assert f"--rulers '{out.parent}'" in said
    found = read_ruler(out).threshold
    assert (found.value, found.source, found.set_by) == (4.5, PERSON, "AB")
    assert len(found.set_on) == 10


def test_build_from_measured_kspace(scan: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image = np.zeros((64, 64))
    image[12:52, 16:48] = 1
    kspace = np.fft.fftshift(np.fft.fft2(image, norm="ortho"))[None] * np.exp(1j * rng.uniform(0, 6, (4, 1, 1)))
    noise = rng.standard_normal((2, *kspace.shape))
    np.save(tmp_path / "k.npy", kspace + 0.004 * (noise[0] + 1j * noise[1]))
    out = tmp_path / "raw"
    assert (
        command.main(
            ["build", str(scan), str(out), "--kspace", str(tmp_path / "k.npy"), "--worst", "3", "--best", "24"]
        )
        == 0
    )
    assert read_ruler(out).versions.shape == (8, 64, 64)
    assert read_ruler(out).provenance["k-space"] == "measured"


def test_a_ruler_that_the_network_cannot_read_is_not_written(
    scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Grain, "sign", 20.0)
    assert command.main(["build", str(scan), str(tmp_path / "out")]) == 2
    assert "no better than the ones before them" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_view(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command.main(["view", str(folder)]) == 0
    assert "our-T1w-ruler.html" in capsys.readouterr().out
    assert f"bidsqa-ruler set {folder} 3" in (tmp_path / "our-T1w-ruler.html").read_text()
    assert command.main(["view", str(folder), "--out", str(tmp_path / "new" / "page.html")]) == 0
    assert (tmp_path / "new" / "page.html").is_file()


def test_list(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["list"]) == 0
    shipped = capsys.readouterr().out.splitlines()
    assert shipped[0].split()[:2] == ["NAME", "KIND"]
    names = [line.split()[0] for line in shipped[1:]]
    assert names == ["FLAIR-2D", "FLAIR-3D", "PDw-2D", "PDw-3D", "T1w-2D", "T1w-3D", "T2w-2D", "T2w-3D"]
    assert all("automatic rule, no human" in line for line in shipped[1:])
    command.main(["set", str(folder), "5", "--by", "AB"])
    capsys.readouterr()
    assert command.main(["list", "--rulers", str(folder.parent)]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["our-T1w", "T1w", "3D", "brain", "3", "T", "5", "AB"]


def test_check(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["check", str(folder)]) == 0
    assert "orders all versions" in capsys.readouterr().out
    monkeypatch.setattr(Grain, "sign", 20.0)
    assert command.main(["check", str(folder)]) == 1
    assert "no better than" in capsys.readouterr().out
    with (folder / "versions.npz").open("ab") as stream:
        stream.write(b"\0")
    assert command.main(["check", str(folder)]) == 1
    assert "the checksum differs" in capsys.readouterr().out
    assert command.main(["check", str(folder / "nowhere")]) == 2


def test_a_shipped_ruler_is_set_in_a_copy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["set", "T1w-3D", "4.5"]) == 2
    assert "--into my-rulers" in capsys.readouterr().err
    assert command.main(["set", "T1w-3D", "4.5", "--into", str(tmp_path / "mine")]) == 0
    found = read_ruler(tmp_path / "mine" / "T1w-3D")
    assert found.threshold.value == 4.5
    assert found.threshold.by_person
    assert command.main(["set", "T1w-3D", "5", "--into", str(tmp_path / "mine")]) == 2
    assert "there already" in capsys.readouterr().err


def rated(path: Path, answers: dict[str, dict[str, list[str]]], rulers: RulerImages) -> Path:
    """A rating in which readers (first key) answered on rulers (second key), each so often."""
    store = Store(path / "ratings.sqlite", create=True)
    gallery = Gallery(path, rulers)
    pool = make_pool(store, "ruler_threshold", (), Settings(), rulers.suffixes)
    items = {item.content["series"]["ruler"]: item for item in pool.main}
    for reader, own in answers.items():
        for at, (name, value) in enumerate((name, value) for name, values in own.items() for value in values):
            shown = gallery.look(items[name].content)
            store.issue(
                store.reader(reader).id, "ruler_threshold", at, Proposal(items[name], "main", "fixed", 0), shown
            )
            trial = store.trials("ruler_threshold", store.reader(reader).id)[at]
            store.answer(trial, Given(value, f"{reader}{at:012d}"))
    store.close()
    return path


def test_what_readers_agree_on(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = {
        "Ann": {"our-T1w": ["4", "5"]},
        "Ben": {"our-T1w": ["skip", "3.5"]},
        "Cat": {"our-T1w": ["5.5"]},
        "Dan": {"our-T1w": ["skip"]},
    }
    ratings = rated(tmp_path / "ratings", answers, RulerImages(folder.parent))
    assert command.main(["set", str(folder), "--from-ratings", str(ratings), "--by", "the group"]) == 0
    assert "4.5, median of 3 readers, from 3.5 to 5.5; 4 answers" in capsys.readouterr().out
    found = read_ruler(folder).threshold
    assert (found.value, found.source) == (4.5, PERSON)
    assert found.set_by == "the group: median of 3 readers, from 3.5 to 5.5"
    assert found.set_on == str(read_ratings(ratings)["time"].max())[:10]
    exported = tmp_path / "bids"
    export_ratings(ratings, exported)
    command.main(["set", str(folder), "0"])
    assert command.main(["set", str(folder), "--from-ratings", str(exported)]) == 0
    assert read_ruler(folder).threshold.value == 4.5


def test_between_two_half_steps_readers_get_the_stricter_one(folder: Path, tmp_path: Path) -> None:
    ratings = rated(
        tmp_path / "ratings", {"Ann": {"our-T1w": ["4"]}, "Ben": {"our-T1w": ["4.5"]}}, RulerImages(folder.parent)
    )
    found = consensus_on(read_ruler(folder), ratings)
    assert (found.value, found.low, found.high, found.words()) == (4.5, 4.0, 4.5, "median of 2 readers, from 4 to 4.5")


def test_readers_on_a_shipped_ruler(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # of a ruler that was shown, but skipped, nothing is known
    ratings = rated(tmp_path / "ratings", {"Ann": {"T1w-3D": ["3"], "T2w-3D": ["skip"]}}, RulerImages())
    assert command.main(["set", "T1w-3D", "--from-ratings", str(ratings)]) == 2
    said = capsys.readouterr()
    assert f"bidsqa-ruler set T1w-3D --from-ratings {ratings} --into my-rulers" in said.err
    into = ["--into", str(tmp_path / "mine")]
    assert command.main(["set", "T1w-3D", "--from-ratings", str(ratings), *into]) == 0
    assert "two readers or more are advised" in capsys.readouterr().out
    copied = read_ruler(tmp_path / "mine" / "T1w-3D").threshold
    assert (copied.value, copied.set_by) == (3.0, "1 reader")
    assert command.main(["set", "T2w-3D", "--from-ratings", str(ratings), *into]) == 2
    assert "no answer on the ruler T2w-3D, only on T1w-3D" in capsys.readouterr().err


def test_answers_on_other_images_or_none_are_told(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ratings = rated(tmp_path / "ratings", {"Ann": {"our-T1w": ["3"]}}, RulerImages(folder.parent))
    ruler = read_ruler(folder)
    write_ruler(replace(ruler, versions=ruler.versions[:, ::-1]), folder)
    assert command.main(["set", str(folder), "--from-ratings", str(ratings)]) == 2
    assert "other images" in capsys.readouterr().err
    empty = rated(tmp_path / "empty", {}, RulerImages())
    assert command.main(["set", str(folder), "--from-ratings", str(empty)]) == 2
    assert "holds no answer on the threshold of a ruler" in capsys.readouterr().err
    assert command.main(["set", str(folder), "--from-ratings", str(tmp_path / "nowhere")]) == 2
    assert "There are no ratings" in capsys.readouterr().err
    assert read_ruler(folder).threshold == ruler.threshold


def saved(folder: Path, tmp_path: Path, **other: Any) -> Path:
    """A file as the page saves it."""
    ruler = read_ruler(folder)
    choice = {
        "kind": "bidsqa-ruler-threshold",
        "version": 1,
        "ruler": ruler.name,
        "sha256": ruler.sha256,
        "threshold": 5.5,
        "set_by": "CD",
        "set_on": "2026-01-31",
    }
    (tmp_path / "choice.json").write_text(json.dumps(choice | other))
    return tmp_path / "choice.json"


def test_the_file_of_the_page(folder: Path, tmp_path: Path) -> None:
    assert command.main(["set", str(folder), "--from", str(saved(folder, tmp_path))]) == 0
    assert read_ruler(folder).threshold == Threshold(5.5, PERSON, "CD", "2026-01-31")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"sha256": "0" * 64}, "another ruler"),
        ({"kind": "something"}, "holds no threshold"),
        ({"version": 2}, "holds no threshold"),
        ({"threshold": "much"}, "'much' is no threshold"),
        ({"threshold": 4.2}, "'4.2' is no threshold"),
        ({"threshold": None}, "'None' is no threshold"),
        ({"threshold": [4]}, "is no threshold"),
        ({"threshold": 1e999}, "is no threshold"),
    ],
    ids=str,
)
def test_other_files(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], other: dict[str, Any], words: str
) -> None:
    assert command.main(["set", str(folder), "--from", str(saved(folder, tmp_path, **other))]) == 2
    assert words in capsys.readouterr().err
    assert read_ruler(folder).threshold.value == 3.0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["set", "{folder}"], "Give a threshold"),
        (["set", "{folder}", "4.2"], "'4.2' is no threshold"),
        (["set", "{folder}", "-1"], "-1"),
        (["set", "{folder}", "much"], "THRESHOLD"),
        (["set", "{folder}", "4", "--from", "x.json"], "Give a threshold"),
        (["set", "{folder}", "4", "--from-ratings", "x"], "Give a threshold"),
        (["set", "{folder}", "--from", "nowhere.json"], "can't be read"),
        (["view", "T3w"], "There is no ruler 'T3w'"),
        (["view", "{tmp}"], "holds no ruler"),
        (["list", "--rulers", "{tmp}/nowhere"], "doesn't exist"),
        (["build", "{tmp}/nothing.nii", "{tmp}/out"], "doesn't exist"),
        (["build", "{scan}", "{tmp}"], "isn't empty"),
        (["build", "{scan}", "{tmp}/a b c"], "can't have the name"),
        (["build", "{scan}", "{tmp}/out", "--slice", "900"], "no axial slice 900"),
        (["build", "{tmp}", "{tmp}/out"], "is a folder"),
        (["build", "{scan}", "{tmp}/out", "--worst", "50"], "can't reach"),
        (["build", "{scan}", "{tmp}/out", "--coils", "0"], "with 0 coils"),
        (["build", "{scan}", "{tmp}/out", "--seed", "-1"], "with the seed -1"),
        (["build", "{scan}", "{tmp}/out", "--seed", "9999999999999999"], "with the seed 9999999999999999"),
        (["build", "{scan}", "{tmp}/out", "--kspace", "{scan}"], "can't be read"),
        ([], "What to do is missing"),
        (["paint"], "paint"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_errors_are_a_sentence_and_a_hint(
    folder: Path, scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    (tmp_path / "other").mkdir()
    filled = [word.format(folder=folder, tmp=tmp_path, scan=scan) for word in words]
    assert command.main(filled) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("bidsqa-ruler: ")
    assert told in said[0]
    assert "Traceback" not in " ".join(said)
    assert not (tmp_path / "out").exists()
