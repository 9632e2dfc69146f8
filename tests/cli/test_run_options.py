# SPDX-License-Identifier: Apache-2.0
"""What each option does, shown on runs whose graphs are replaced by a note of what was asked."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import tomllib
from pathlib import Path

import pytest

from bidsqa.bids import names, write_atomic
from bidsqa.cli.options import OPTIONS
from bidsqa.cli.parser import build_parser, parse
from bidsqa.cli.participant import describe_unsure
from bidsqa.cli.settings import RunSettings
from bidsqa.models import MODELS
from bidsqa.record import Record

ALL = ["sub-01_T1w", "sub-02_ses-a_run-01_T1w", "sub-02_ses-b_task-rest_T2w", "sub-03_ses-a_FLAIR"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], ALL),
        (["--participant-label", "sub-01", "03"], [ALL[0], ALL[3]]),
        (["--participant_label", "01,03"], [ALL[0], ALL[3]]),
        (["--session-label", "ses-a"], [ALL[1], ALL[3]]),
        (["--session_label", "b"], [ALL[2]]),
        (["--run-label", "1"], [ALL[1]]),
        (["--task_label", "rest"], [ALL[2]]),
        (["--modalities", "T2w", "FLAIR"], ALL[2:]),
        (["--modalities", "t2W", "flair"], ALL[2:]),
        (["-m", "T1w", "--session-label", "a"], [ALL[1]]),
    ],
)
def test_selection(run, options: list[str], expected: list[str]) -> None:
    assert run(*options)["scans"] == expected


def test_filter_file_and_database(run, tmp_path: Path) -> None:
    (tmp_path / "filter.json").write_text('{"t1w": {"session": "Query.NONE"}, "t2w": {"task": "Query.NONE"}}')
    asked = run("--bids-filter-file", tmp_path / "filter.json")
    assert asked["scans"] == [ALL[0], ALL[3]]
    assert run("--bids_database_dir", tmp_path / "index", "--force")["scans"] == ALL
    assert (tmp_path / "index" / "layout_index.sqlite").exists()


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_filter_that_fits_nothing_is_told(
    run, tmp_path: Path, capsys: pytest.CaptureFixture[str], dry: list[str]
) -> None:
    (tmp_path / "filter.json").write_text('{"t1w": {"session": "ses-zz"}}')
    run("--bids-filter-file", tmp_path / "filter.json", *dry)
    assert capsys.readouterr().err.count("Warning: The filter t1w, session 'zz', fits no T1w image.") == 1
    run("--bids-filter-file", tmp_path / "filter.json", "-m", "T1w", *dry, code=2)
    assert "session 'zz'" in capsys.readouterr().err


def test_skip_bids_validation(run, empty_scans: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (empty_scans / "sub-01/anat/sub-01_bad-1_T1w.nii.gz").touch()
    (empty_scans / "dataset_description.json").unlink()
    assert run()["scans"] == ALL
    told = capsys.readouterr()
    assert "dataset_description.json" in told.err
    assert "sub-01_bad-1_T1w" in told.out
    assert "sub-01_bad-1_T1w" in run("--skip-bids-validation")["scans"]
    assert "dataset_description.json" not in capsys.readouterr().err


def test_settings_of_the_steps(run, tmp_path: Path) -> None:
    (tmp_path / "own.onnx").write_bytes(MODELS["severity"].path.read_bytes())
    (tmp_path / "rules.toml").write_text("")
    settings = run(
        *["--models", "severity", "--weights", f"severity={tmp_path / 'own.onnx'}", "--slice-fraction", "0.4"],
        *["--thresholds", tmp_path / "rules.toml", "--random-seed", "7", "--device", "cpu"],
        *["--omp-nthreads", "3", "--output-masks"],
    )["settings"]
    assert settings.models == ("severity",)
    assert settings.weights == (("severity", str(tmp_path / "own.onnx")),)
    assert (settings.slice_fraction, settings.random_seed, settings.threads) == (0.4, 7, 3)
    assert settings.thresholds == str(tmp_path / "rules.toml")
    assert settings.device == "cpu"
    assert settings.output_masks
    assert run("--models", "none", "--force")["settings"].models == ()


def test_how_the_work_is_run(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked_slurm: list[str] = []
    monkeypatch.setattr("bidsqa.workflows.batch_system.check_submission", asked_slurm.append)
    (tmp_path / "plugin.toml").write_text('plugin = "SLURM"\n[plugin_args]\nsbatch_args = "--mem=1G"\n')
    asked = run("--nprocs", "3", "--mem-gb", "1500M", "--stop-on-first-crash", "--use-plugin", tmp_path / "plugin.toml")
    assert asked["nprocs"] == 3
    assert asked["mem_gb"] == pytest.approx(1.5)
    assert asked["stop_on_first_crash"]
    assert asked["minutes_a_scan"] == 60, "a scan that hangs ends some time"
    assert asked["apart"], "a killed process must not be the one that tells of it"
    assert run("--scan-minutes", "2.5", "--force")["minutes_a_scan"] == 2.5
    assert asked["plugin"] == {"plugin": "SLURM", "plugin_args": {"sbatch_args": "--mem=1G"}}
    assert asked_slurm == ["--mem=1G"]
    assert asked["work"].parent == tmp_path / "out", "other machines must see it"


def test_defaults_fit_the_machine(run) -> None:
    asked = run()
    assert 1 <= asked["nprocs"] <= len(ALL)
    assert asked["mem_gb"] > 0.1
    assert asked["plugin"] is None
    assert not asked["keep_work"]


def test_resume_does_only_what_is_missing_or_changed(
    run, fake_run, empty_scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_run.failing = {ALL[1]}
    assert run(code=1)["scans"] == ALL
    assert "broken (copy it again)" in capsys.readouterr().err
    fake_run.failing = set()
    assert run()["scans"] == [ALL[1]]
    assert "3 done, 1 failed before" in capsys.readouterr().out
    before = len(fake_run.calls)
    run()
    assert len(fake_run.calls) == before, "nothing is left to do"
    os.utime(empty_scans / "sub-03/ses-a/anat/sub-03_ses-a_FLAIR.nii", (1, 1))
    assert run()["scans"] == [ALL[3]]
    names.record_path(tmp_path / "out", ALL[0]).write_text('{"half": ')
    assert run()["scans"] == [ALL[0]]
    assert run("--slice-fraction", "0.5")["scans"] == ALL
    assert run("--slice-fraction", "0.5", "--force")["scans"] == ALL


def test_a_changed_sidecar_is_noticed(
    run, fake_run, empty_scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All sidecars that apply count, and of them what the record keeps."""
    run()
    done = len(fake_run.calls)
    (empty_scans / "T1w.json").write_text('{"Manufacturer": "One", "PatientName": "x"}')
    assert run()["scans"] == ALL[:2]
    (empty_scans / "sub-02/ses-a/anat/sub-02_ses-a_run-01_T1w.json").write_text('{"Manufacturer": "Two"}')
    run("--dry-run")
    assert "changed: sidecar" in capsys.readouterr().out
    assert run()["scans"] == [ALL[1]]
    (empty_scans / "T1w.json").write_text('{"Manufacturer": "One", "PatientName": "y"}')
    run()
    assert len(fake_run.calls) == done + 2, "what no record keeps changes nothing"
    (empty_scans / "FLAIR.json").write_text("{")
    assert run()["scans"] == [ALL[3]], "the warning is part of the record"
    path = names.record_path(tmp_path / "out", ALL[0])
    old = json.loads(path.read_text())
    del old["provenance"]["input"]["sidecar"]
    path.write_text(json.dumps(old))
    assert run()["scans"] == [ALL[0]], "a record without a digest counts as changed"


def test_content_that_is_not_here(
    run, fake_run, empty_scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    link = empty_scans / "sub-04/anat/sub-04_T1w.nii.gz"
    link.parent.mkdir(parents=True)
    link.symlink_to(empty_scans / "sub-01/anat/sub-01_T1w.nii.gz")
    run()
    done = len(fake_run.calls)
    link.unlink()
    link.symlink_to(tmp_path / "gone")
    run()
    assert len(fake_run.calls) == done, "a record is worth more than a link without content"
    names.record_path(tmp_path / "out", "sub-04_T1w").unlink()
    capsys.readouterr()
    run("--dry-run")
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("sub-04")]
    assert " new; its content is not here" in line
    assert line.endswith(": datalad get sub-04/anat/sub-04_T1w.nii.gz")


def test_dry_run_tells_of_too_little_memory(run, capsys: pytest.CaptureFixture[str]) -> None:
    run("--dry-run", "--mem-gb", "0.001")
    assert "more than the 0.001 GB that may be used" in capsys.readouterr().out
    run("--dry-run", "--mem-gb", "2")
    assert "more than" not in capsys.readouterr().out


def test_dry_run_skips_the_same_with_a_database(
    run, empty_scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (empty_scans / "sub-01" / "func").mkdir()
    (empty_scans / "sub-01" / "anat" / "sub-01_T1map.nii.gz").touch()
    run("--dry-run")
    plain = capsys.readouterr().out
    assert "func/: 1 folder" in plain
    run("--dry-run", "--bids-database-dir", tmp_path / "index")
    assert capsys.readouterr().out == plain


def test_dry_run_tells_and_does_nothing(run, fake_run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("--dry-run")
    told = capsys.readouterr().out
    assert fake_run.calls == []
    assert not (tmp_path / "out").exists()
    assert [name for name in ALL if f"{name} " in told] == ALL
    assert "4 new" in told
    fake_run.failing = {ALL[0]}
    run(code=1)
    run("--dry-run", "--mem-gb", "1", "--nprocs", "9")
    told = capsys.readouterr().out
    assert "3 done, 1 failed before" in told
    assert "1 scan to judge: about 2 s with 1 process, up to 0.5 GB" in told
    run("--dry-run", "--slice-fraction", "0.3")
    assert "changed: settings" in capsys.readouterr().out


def test_what_is_skipped_is_told(run, empty_scans: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = empty_scans / "sub-01" / "anat"
    for name in ("sub-01_T1map", "sub-01_run-2_T1map", "sub-01_part-phase_T1w", "sub-01_acq-\x1b[2J_T1w"):
        (folder / f"{name}.nii.gz").touch()
    run("--dry-run")
    told = capsys.readouterr().out
    assert "anat/*_T1map: 2 images" in told
    assert "part-phase_T1w.nii.gz: a phase image" in told
    assert "\x1b" not in told


def test_masks_get_sidecars(run, tmp_path: Path) -> None:
    run("--output-masks", "-m", "T1w")
    path = tmp_path / "out/sub-01/anat/sub-01_space-T1w_desc-brain_mask.json"
    assert json.loads(path.read_text())["SpatialReference"] == "bids:raw:sub-01/anat/sub-01_T1w.nii.gz"


def test_log_and_options_of_the_run_are_left(run, tmp_path: Path, empty_scans: Path) -> None:
    run("--nprocs", "2", "--participant-label", "02", '0"1\\', code=2)
    run("--nprocs", "2", "--participant-label", "02", "03", "--mem-gb", "2G", "-v", "--notrack")
    (log,) = (tmp_path / "out" / "logs").glob("*.log")
    assert "scan_done sub-03_ses-a_FLAIR" in log.read_text()
    saved = log.with_suffix(".toml")
    assert tomllib.loads(saved.read_text())["participant-label"] == ["02", "03"]
    again = parse([str(empty_scans), "x", "participant", "--config-file", str(saved)])
    options = ["--nprocs", "2", "--participant-label", "02", "03", "--mem-gb", "2G", "-v", "--notrack"]
    direct = parse([str(empty_scans), "x", "participant", *options])
    kept = vars(RunSettings.from_namespace(again)) | {"config_file": None}
    assert kept == vars(RunSettings.from_namespace(direct))


def test_command_line_overrides_the_config_file(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text(
        'nprocs = 2\nmem_gb = 1.5\nparticipant-label = ["01"]\nforce = true\nkeep-work = false\nverbose = 2\n'
    )
    given = parse(["in", "out", "participant", "--nprocs", "5", "--config_file", str(file)])
    settings = RunSettings.from_namespace(given)
    assert (settings.nprocs, settings.mem_gb, settings.participant_label) == (5, "1.5", ("01",))
    assert (settings.force, settings.keep_work, settings.verbose) == (True, False, 2)


def test_reports_only_reads_no_scan(run, fake_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    monkeypatch.setattr("bidsqa.outputs.redraw", lambda out, path, **_: drawn.append(path.name))
    run()
    run("--reports-only", "-m", "T1w")
    assert drawn == ["sub-01_desc-qa_T1w.json", "sub-02_ses-a_run-01_desc-qa_T1w.json"]
    assert len(fake_run.calls) == 1


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--participant-label", "sub-02"], ALL[1:3]),
        (["--session-label", "b"], ALL[2:3]),
        (["--run-label", "1"], ALL[1:2]),
        (["--task-label", "rest"], ALL[2:3]),
        (["-m", "flair", "--dry-run"], []),
    ],
)
def test_reports_only_draws_what_is_asked_for(
    run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options: list[str], expected: list[str]
) -> None:
    drawn: list[str] = []
    monkeypatch.setattr("bidsqa.outputs.redraw", lambda out, path, **_: drawn.append(names.name_of_record(path)))
    run()
    run("--reports-only", *options)
    assert drawn == expected
    run("--reports-only", "--participant-label", "02", "99", code=2)
    told = capsys.readouterr().err
    assert "No record has the participant '99'" in told
    assert "There is 01, 02, 03." in told


@pytest.mark.parametrize("levels", [("participant",), ("participant", "group")])
def test_scans_that_are_not_good_are_named_at_the_end(tmp_path: Path, levels: tuple[str, ...]) -> None:
    decisions = {f"sub-{number:02d}_T1w": "review" for number in range(1, 13)}
    decisions |= {"sub-13_T1w": "fail", "sub-14_T1w": "pass"}
    for name in decisions:
        reason = {"text": "noise: 2 is above 1" if name.startswith("sub-13") else "blur\x1b[2J"}
        record = Record(name, verdict={"decision": decisions[name], "reasons": [reason]})
        write_atomic(names.record_path(tmp_path, name), record.dumps())
    names.record_path(tmp_path, "sub-02_T1w").write_text("{")
    lines = list(describe_unsure(decisions, tmp_path, "group" in levels))
    assert lines[0] == "  fail    sub-13_T1w  noise: 2 is above 1"
    assert lines[1].startswith("  review  sub-01_T1w  blur")
    assert lines[2] == "  review  sub-02_T1w", "a record that can't be read costs its reason only"
    assert "\x1b" not in "".join(lines)
    assert len(lines) == 11
    assert lines[-1].startswith("  and 3 more: ")
    assert ("see group_exclusions.tsv" in lines[-1]) == ("group" in levels)
    assert list(describe_unsure({"sub-14_T1w": "pass"}, tmp_path, False)) == []


def test_write_graph(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("bidsqa.workflows.write_graph", lambda scan, out, work, settings: out / "logs" / "graph.svg")
    run("--write-graph")
    assert "graph.svg" in capsys.readouterr().out


def test_both_levels_at_once(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from bidsqa.study import GroupResult

    asked: list[object] = []

    def group(out: Path, rules: object = None, **options: object) -> GroupResult:
        asked.append(rules)
        return GroupResult([out / "group_T1w.tsv", out / "group.html"], scans=4)

    monkeypatch.setattr("bidsqa.study.run_group", group)
    run(levels=("participant", "group"))
    told = capsys.readouterr().out
    assert asked == [None], "the records' own verdicts stand"
    assert told.rstrip().endswith("group.html")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_stop_cleanly(
    run, fake_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    fake_run.interrupt = lambda: os.kill(os.getpid(), number)
    run(code=code)
    assert os.listdir(tmp_path / "temporary") == []
    assert names.record_path(tmp_path / "out", ALL[0]).exists()
    fake_run.interrupt = None
    assert run()["scans"] == ALL[1:]


def test_every_option_reaches_the_settings() -> None:
    fields = set(vars(RunSettings.from_namespace(parse(["in", "out", "group"]))))
    assert {option.key for option in OPTIONS} <= fields


def test_defaults_of_table_and_settings_agree() -> None:
    parsed = RunSettings.from_namespace(parse(["in", "out", "group"]))
    assert parsed == RunSettings(parsed.bids_dir, parsed.output_dir, ("group",))


def test_every_spelling_is_known() -> None:
    known = build_parser()._option_string_actions
    for option in OPTIONS:
        assert f"--{option.name}" in known
        assert f"--{option.key}" in known
