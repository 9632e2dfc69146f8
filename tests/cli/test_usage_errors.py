# SPDX-License-Identifier: Apache-2.0
"""Wrong usage: one clear sentence, a hint, exit code 2, nothing written."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bidsqa.cli.checks import check_room
from bidsqa.cli.main import main
from bidsqa.errors import UsageError
from bidsqa.models import MODELS

SSIM = MODELS["ssim"].path
Ask = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def ask(empty_scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    def run(*words: object) -> tuple[int, list[str]]:
        places = {"DATA": str(empty_scans), "OUT": str(tmp_path / "out"), "TMP": str(tmp_path)}
        given = [str(word) for word in words]
        for name, place in places.items():
            given = [word.replace(name, place) for word in given]
        before = sorted(os.listdir(empty_scans))
        code = main(given)
        assert sorted(os.listdir(empty_scans)) == before, "the input must stay as it is"
        return code, capsys.readouterr().err.splitlines()

    return run


@pytest.mark.parametrize(
    ("words", "cause", "hint"),
    [
        ([], "missing", "Example"),
        (["DATA"], "OUT_DIR", "folders before the options"),
        (["DATA", "OUT", "partcipant"], "'partcipant'", "'participant'"),
        (["DATA", "OUT", "participant", "--partcipant-label", "1"], "--partcipant-label", "--participant-label"),
        (["DATA", "OUT", "participant", "more"], "'more'", "participant"),
        (["TMP/nowhere", "OUT", "participant"], "doesn't exist", "path"),
        (["DATA/dataset_description.json", "OUT", "participant"], "is a file", "bidsqa-scan"),
        (["TMP", "OUT", "participant"], "not a BIDS dataset", "sub-"),
        (["DATA", "DATA", "participant"], "dataset itself", "derivatives/bidsqa"),
        (["DATA", "DATA/../data/", "participant"], "dataset itself", "derivatives/bidsqa"),
        (["DATA", "DATA/out", "participant"], "inside the dataset", "outside"),
        (["DATA", "DATA/derivatives", "participant"], "inside the dataset", "outside"),
        (["DATA", "DATA/sub-01/anat", "participant"], "inside the dataset", "outside"),
        (["DATA", "OUT", "participant", "-w", "DATA/work"], "work folder", "outside"),
        (["DATA", "OUT", "participant", "--work-dir", "OUT"], "work folder", "another"),
        (["DATA", "OUT", "participant", "--participant-label", "09"], "'09'", "01"),
        (["DATA", "OUT", "participant", "--participant_label", "sub-2"], "'2'", "02"),
        (["DATA", "OUT", "participant", "--session-label", "c"], "session 'c'", "a, b"),
        (["DATA", "OUT", "participant", "--run-label", "9"], "run '9'", "01"),
        (["DATA", "OUT", "participant", "--task-label", "tset"], "task 'tset'", "rest"),
        (["DATA", "OUT", "participant", "--modalities", "T3w"], "'T3w'", "'T1w'"),
        (["DATA", "OUT", "participant", "-m", "PDw"], "No scan fits", "--dry-run"),
        (["DATA", "OUT", "participant", "--models", "severty"], "'severty'", "'severity'"),
        (["DATA", "OUT", "participant", "--weights", "severity"], "no pair", "NAME=FILE"),
        (["DATA", "OUT", "participant", "--weights", "severity=TMP/none.onnx"], "doesn't exist", "path"),
        (
            ["DATA", "OUT", "participant", "--weights", "severity=DATA/dataset_description.json"],
            "neither .onnx",
            "one of these kinds",
        ),
        (["DATA", "OUT", "participant", "--weights", f"severity={SSIM}", "--dry-run"], "of 'ssim'", "severity"),
        (
            ["DATA", "OUT", "participant", "--models", "severity", "--weights", f"ssim={SSIM}", "--dry-run"],
            "not asked for",
            "--models severity ssim",
        ),
        (["DATA", "OUT", "participant", "--participant-label", ""], "names no participant", "variable"),
        (["DATA", "OUT", "participant", "--run-label", ","], "names no run", "variable"),
        (["DATA", "OUT", "participant", "--slice-fraction", "0"], "out of range", "help"),
        (["DATA", "OUT", "participant", "--slice-fraction", "nan"], "out of range", "help"),
        (["DATA", "OUT", "participant", "--slice_fraction", "1.01"], "out of range", "help"),
        (["DATA", "OUT", "participant", "--nprocs", "0"], "out of range", "help"),
        (["DATA", "OUT", "participant", "--omp-nthreads", "two"], "not a whole number", "help"),
        (["DATA", "OUT", "participant", "--mem-gb", "lots"], "'lots'", "1.5G"),
        (["DATA", "OUT", "participant", "--device", "tpu"], "'tpu'", "'cpu'"),
        (["DATA", "OUT", "participant", "--thresholds", "TMP/none.toml"], "can't be read", ""),
        (["DATA", "OUT", "participant", "--config-file", "TMP/none.toml"], "can't be read", "path"),
        (["DATA", "OUT", "participant", "--bids-filter-file", "TMP/none.json"], "can't be read", "path"),
        (["DATA", "OUT", "group"], "no records", "participant level"),
        (["DATA", "OUT", "participant", "--reports-only"], "no records", "participant level"),
        (["TMP/nowhere", "OUT", "participant", "--reports-only"], "doesn't exist", "path"),
        (["DATA", "TMP", "participant"], "holds the dataset", "derivatives/bidsqa"),
        (["DATA", "TMP", "participant", "--force"], "holds the dataset", "derivatives/bidsqa"),
        (["DATA", "OUT", "participant", "--session-label", "post"], "session 'post'", "There is a, b."),
        (["DATA", "OUT", "participant", "--participant-label", "01", "group"], "'group'", "OUT_DIR participant group"),
        (["DATA", "OUT", "-m", "t1w", "participant"], "-m takes all words after it", "OUT_DIR participant -m ..."),
        (["DATA", "OUT", "participant", "--use-plugin", "TMP/none.yml", "--dry-run"], "can't be read", "path"),
    ],
)
def test_says_what_is_wrong_and_what_to_do(
    ask: Ask, fake_run: object, words: list[str], cause: str, hint: str, tmp_path: Path
) -> None:
    code, lines = ask(*words)
    assert code == 2
    assert lines[0].startswith("bidsqa: ")
    assert cause in lines[0]
    assert hint in lines[-1]
    assert len(lines) <= 2
    assert not (tmp_path / "out").exists()


def test_output_of_another_program_is_left_alone(ask: Ask, fake_run: object, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "dataset_description.json").write_text('{"GeneratedBy": [{"Name": "fMRIPrep"}]}')
    code, lines = ask("DATA", "OUT", "participant")
    assert code == 2
    assert "fMRIPrep" in lines[0]
    assert os.listdir(tmp_path / "out") == ["dataset_description.json"]


@pytest.mark.parametrize("names", [["fmriprep/"], ["thesis.docx"], ["sub-01/", "sub-01.html", "logs/"]])
def test_a_folder_with_other_things_is_left_alone(ask: Ask, fake_run: object, tmp_path: Path, names: list[str]) -> None:
    out = tmp_path / "out"
    for name in names:
        (out / name).mkdir(parents=True) if name.endswith("/") else out.mkdir(exist_ok=True) or (out / name).touch()
    before = sorted(os.listdir(out))
    code, lines = ask("DATA", "OUT", "participant", "group")
    assert code == 2
    assert "holds other things" in lines[0]
    assert "--force" in lines[1]
    assert sorted(os.listdir(out)) == before
    assert ask("DATA", "OUT", "participant", "--force")[0] == 0
    assert ask("DATA", "OUT", "participant")[0] == 0, "now it is ours"


@pytest.mark.parametrize("names", [[], [".datalad/", ".gitattributes"], ["slurm-1.out", "run.log"], ["work/"]])
def test_folders_that_are_as_good_as_empty(ask: Ask, fake_run: object, tmp_path: Path, names: list[str]) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in names:
        (out / name).mkdir() if name.endswith("/") else (out / name).touch()
    assert ask("DATA", "OUT", "participant", "-w", out / "work" / "inner")[0] == 0


def test_records_put_together_by_hand_are_ours(tmp_path: Path) -> None:
    (tmp_path / "sub-01" / "anat").mkdir(parents=True)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UsageError):
        check_room(tmp_path, None)
    (tmp_path / "sub-01" / "anat" / "sub-01_desc-qa_T1w.json").touch()
    check_room(tmp_path, None)
    check_room(tmp_path / "none", None)


def test_messages_keep_the_letters_of_names(ask: Ask, empty_scans: Path, tmp_path: Path) -> None:
    (empty_scans / "sub-CTL001" / "anat").mkdir(parents=True)
    _, lines = ask("DATA", "OUT", "participant", "--participant-label", "CTL01")
    assert lines[1] == "  Did you mean 'CTL001'?"
    (tmp_path / "thb.toml").write_text("[rules.ssm]\nfail_below = 0.5\n")
    _, lines = ask("DATA", "OUT", "participant", "--thresholds", tmp_path / "thb.toml")
    assert lines == ["bidsqa: thb.toml: there is no rule 'ssm'.", "  Did you mean 'ssim'?"]
    bad = tmp_path / "out" / "sub-02" / "anat" / "sub-02_desc-qa_T1w.json"
    bad.parent.mkdir(parents=True)
    bad.write_text("{")
    _, lines = ask("DATA", "OUT", "group")
    assert lines[1].startswith("  sub-02/anat/sub-02_desc-qa_T1w.json: not a readable record")


def test_derivatives_folder_of_the_dataset_is_allowed(empty_scans: Path, fake_run: object) -> None:
    assert main([str(empty_scans), str(empty_scans / "derivatives" / "bidsqa"), "participant"]) == 0


def test_a_link_to_the_dataset_is_the_dataset(ask: Ask, empty_scans: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(empty_scans)
    code, lines = ask("DATA", "TMP/link", "participant")
    assert code == 2
    assert "dataset itself" in lines[0]


@pytest.mark.parametrize(
    ("text", "cause", "hint"),
    [
        ("nproc = 2", "'nproc'", "'nprocs'"),
        ("participant-labels = ['01']", "'participant-labels'", "'participant-label'"),
        ("nprocs = 'x'", "whole number", ""),
        ("nprocs = [1, 2]", "nprocs", "one value"),
        ("force = 1", "force", "true or false"),
        ("participant-label = [true]", "participant-label", "list"),
        ("mem-gb = ", "TOML", ""),
        ("config-file = 'a'", "no option", ""),
        ("modalities = ['T9w']", "'T9w'", "'T1w'"),
    ],
)
def test_config_file_is_checked(ask: Ask, tmp_path: Path, text: str, cause: str, hint: str) -> None:
    (tmp_path / "run.toml").write_text(text)
    code, lines = ask("DATA", "OUT", "participant", "--config-file", tmp_path / "run.toml")
    assert code == 2
    assert cause in lines[0]
    assert hint in lines[-1]


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "no plugin"),
        ('{"plugin": "SLRUM"}', "'SLRUM'"),
        ('{"plugin": "multiproc"}', "'multiproc'"),
        ('{"plugin": "SLURM", "plugin_args": 3}', "no table"),
        ('{"plugin": "SGEGraph"}', "doesn't wait"),
        ("plugin: [", "understood"),
        ("!!python/object/apply:os.system ['true']", "understood"),
    ],
)
def test_plugin_file_is_checked(ask: Ask, fake_run: object, tmp_path: Path, text: str, cause: str) -> None:
    (tmp_path / "plugin.yml").write_text(text)
    code, lines = ask("DATA", "OUT", "participant", "--use-plugin", tmp_path / "plugin.yml")
    assert code == 2
    assert cause in lines[0]


def test_device_that_is_not_there(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    code, lines = ask("DATA", "OUT", "participant", "--device", "cuda")
    assert code == 2
    assert "CUDA" in lines[0]


def test_missing_weights_are_told_once(ask: Ask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("bidsqa.models.table.WEIGHTS_FOLDER", tmp_path)
    code, lines = ask("DATA", "OUT", "participant")
    assert code == 2
    assert "severity and ssim and segmentation" in lines[0]


@pytest.mark.parametrize("way", ["flipped", "cut"])
def test_damaged_weights_are_told_once_with_their_checksum(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str
) -> None:
    from bidsqa.models.table import WEIGHTS_FOLDER

    folder = tmp_path / "weights"
    shutil.copytree(WEIGHTS_FOLDER, folder)
    content = bytearray((folder / "segmentation.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "segmentation.onnx").write_bytes(content if way == "flipped" else content[:-1])
    monkeypatch.setattr("bidsqa.models.table.WEIGHTS_FOLDER", folder)
    code, lines = ask("DATA", "OUT", "participant", "--dry-run")
    assert code == 2
    assert "segmentation.onnx" in lines[0]
    assert "damaged or changed" in lines[0]
    assert "SHA-256" in lines[0]
    assert "Install bidsqa again" in lines[1]


@pytest.mark.parametrize(
    ("number", "cause", "hint"),
    [
        (errno.ENOSPC, "No space left on device", "same command again"),
        (errno.EROFS, "Read-only file system", "another folder"),
        (errno.ESTALE, "Stale file handle", "network folder"),
    ],
)
def test_a_disk_that_gives_an_error_is_named(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, number: int, cause: str, hint: str
) -> None:
    def fail(path: Path, data: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr("bidsqa.bids.dataset.write_changed", fail, raising=False)
    monkeypatch.setattr("bidsqa.bids.dataset.write_atomic", fail, raising=False)
    code, lines = ask("DATA", "OUT", "participant")
    assert code == 2
    assert cause in lines[0]
    assert "dataset_description.json" in lines[0] or ".bidsignore" in lines[0]
    assert hint in lines[1]


def test_missing_weights_of_the_masks_have_no_own_file(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    from bidsqa.models import MODELS

    gone = {name: row if row.kind == "score" else replace(row, weights="gone.onnx") for name, row in MODELS.items()}
    monkeypatch.setattr("bidsqa.models.MODELS", gone)
    code, lines = ask("DATA", "OUT", "participant")
    assert code == 2
    assert "no weights for segmentation" in lines[0]
    assert "--weights" not in " ".join(lines)


def test_text_from_outside_cannot_command_the_terminal(ask: Ask, empty_scans: Path) -> None:
    code, lines = ask("DATA", "OUT", "participant", "--participant-label", "\x1b[2J\x07")
    assert code == 2
    assert "\x1b" not in "".join(lines)


def test_empty_dataset_has_nothing_to_do(ask: Ask, tmp_path: Path, fake_run: object) -> None:
    root = tmp_path / "only-func"
    (root / "sub-01" / "func").mkdir(parents=True)
    (root / "dataset_description.json").write_text(json.dumps({"Name": "x", "BIDSVersion": "1.9.0"}))
    code, lines = ask(root, "OUT", "participant")
    assert code == 2
    assert any("no scan to judge" in line for line in lines)
    assert any("func/" in line for line in lines)


@pytest.mark.parametrize("place", ["sub-01", "sub-01/anat", "sub-01/figures", "figures", "logs"])
def test_a_link_that_leads_out_of_the_output_is_refused(ask: Ask, tmp_path: Path, place: str) -> None:
    away = tmp_path / "away"
    (away / "anat").mkdir(parents=True)
    (tmp_path / "out" / place).parent.mkdir(parents=True)
    (tmp_path / "out" / place).symlink_to(away)
    code, told = ask("DATA", "OUT", "participant", "--force")
    assert code == 2
    assert "is a link that leads out of it" in told[0]
    assert "Remove it" in told[1]
    assert sorted(path.name for path in away.rglob("*")) == ["anat"]


def test_the_output_itself_may_be_a_link_and_links_within_stay(fake_run, ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "kept" / "anat").mkdir(parents=True)
    (tmp_path / "out").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "out" / "sub-01").symlink_to("kept")
    assert ask("DATA", "OUT", "participant", "--force")[0] == 0
    assert list((tmp_path / "elsewhere" / "kept" / "anat").glob("*.json"))


def test_a_link_in_a_circle_is_told(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("out")
    code, told = ask("DATA", "OUT", "participant")
    assert code == 2
    assert len(told) == 2


def test_the_nodes_folder_is_private(fake_run, ask: Ask, tmp_path: Path) -> None:
    work = tmp_path / "work"
    assert ask("DATA", "OUT", "participant", "--work-dir", work, "--keep-work")[0] == 0
    assert stat.S_IMODE((work / "bidsqa").stat().st_mode) == 0o700
    # others could have written into it: what is in there is not used
    (work / "bidsqa" / "planted").mkdir()
    (work / "bidsqa").chmod(0o777)
    assert ask("DATA", "OUT", "participant", "--work-dir", work, "--keep-work", "--force")[0] == 0
    assert list((work / "bidsqa").iterdir()) == []
    assert stat.S_IMODE((work / "bidsqa").stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_nodes_folder_of_somebody_else_is_refused(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "work" / "bidsqa").mkdir(parents=True)
    os.chown(tmp_path / "work" / "bidsqa", 12345, 12345)
    code, told = ask("DATA", "OUT", "participant", "--work-dir", "TMP/work")
    assert code == 2
    assert "belongs to somebody else" in told[0]


def test_a_nodes_folder_that_is_a_link_is_refused(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "planted").mkdir()
    (tmp_path / "work" / "bidsqa").symlink_to(tmp_path / "planted")
    code, told = ask("DATA", "OUT", "participant", "--work-dir", "TMP/work")
    assert code == 2
    assert "is a link" in told[0]


def test_a_thresholds_file_without_end_is_refused(ask: Ask) -> None:
    code, told = ask("DATA", "OUT", "participant", "--thresholds", "/dev/zero")
    assert code == 2
    assert "it is no regular file" in told[0]
