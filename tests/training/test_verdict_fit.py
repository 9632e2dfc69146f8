# SPDX-License-Identifier: Apache-2.0
"""Verdicts from ratings: readers whose standard is known, from table and ratings to decisions with reasons."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bidsqa.cli.train import main
from bidsqa.errors import UsageError
from bidsqa.record import Record
from bidsqa.training.acceptance import acceptance
from bidsqa.training.verdict_fit import best_penalty, choose, fit_linear, fit_verdict, groups_of, platt
from bidsqa.verdict import decide, load_rules

SCANS = 150


def study(seed: int = 0, scans: int = SCANS) -> tuple[pd.DataFrame, np.ndarray]:
    """A study of three sites whose readers mind noise (snr_total, low is bad) and motion (ssim), and nothing else."""
    chance = np.random.default_rng(seed)
    site = np.array(["A", "B", "C"])[np.arange(scans) % 3]
    snr = chance.normal(12, 2, scans)
    ssim = np.clip(chance.normal(0.9, 0.05, scans), 0, 1)
    logit = 1.0 + 2.0 * (snr - 12) / 2 + 1.5 * (ssim - 0.9) / 0.05
    accepted = (chance.random(scans) < 1 / (1 + np.exp(-logit))).astype(float)
    table = pd.DataFrame(
        {
            "bids_name": [f"sub-{number:03d}_T1w" for number in range(scans)],
            "participant_id": [f"sub-{number:03d}" for number in range(scans)],
            "site": site,
            "status": "ok",
            "ssim": ssim,
            "severity": chance.normal(0.5, 0.1, scans),
            "snr_total": snr,
            "snr_wm": snr + chance.normal(0, 0.01, scans),
            "cjv": chance.normal(0.5, 0.05, scans),
            "fber": np.where(np.arange(scans) % 2, np.nan, 1.0),
        }
    )
    return table, accepted


def test_the_readers_standard_is_found() -> None:
    table, accepted = study()
    fitted = fit_verdict(table, accepted, table["site"].tolist(), table["participant_id"].tolist())
    weights = dict(zip(fitted.model.names, fitted.model.weight, strict=True))
    assert {"ssim"} < set(weights)
    noise = next(name for name in weights if name.startswith("snr"))
    assert weights[noise] == pytest.approx(2.0, abs=0.9)
    assert weights["ssim"] == pytest.approx(1.5, abs=0.8)
    assert not {"snr_total", "snr_wm"} <= set(weights), "two names of the same thing"
    assert "fber" not in weights, "half of the scans have no value"
    area = float(fitted.tables[0].rows[0][1].split()[0])
    assert area > 0.8


def test_nothing_is_found_where_ratings_are_random() -> None:
    table, accepted = study()
    shuffled = np.random.default_rng(3).permutation(accepted)
    with pytest.raises(UsageError, match="No score or metric"):
        fit_verdict(table, shuffled, table["site"].tolist(), table["participant_id"].tolist())


def test_sites_are_left_out_whole_and_subjects_where_there_is_one() -> None:
    table, _ = study()
    sites, subjects = table["site"].tolist(), table["participant_id"].tolist()
    parts, told = groups_of(sites, subjects, 0)
    assert [len({sites[row] for row in part}) for part in parts] == [1, 1, 1]
    assert "3 sites" in told
    parts, told = groups_of(["A"] * SCANS, subjects, 0)
    assert sorted(row for part in parts for row in part) == list(range(SCANS))
    assert "one site" in told


def test_scale_and_unit_of_a_metric_do_not_matter() -> None:
    table, accepted = study()
    values = table[["snr_total", "ssim"]].to_numpy()
    one = fit_linear(values, accepted, ("snr_total", "ssim"), 0.3)
    two = fit_linear(values * [1000, 1] + [5, 0], accepted, ("snr_total", "ssim"), 0.3)
    assert one.weight == pytest.approx(two.weight, rel=1e-3)
    assert one.intercept == pytest.approx(two.intercept, abs=1e-3)


def test_values_that_tell_nothing_are_not_chosen() -> None:
    table, accepted = study()
    names = ("cjv", "snr_total", "severity")
    assert choose(table[list(names)].to_numpy(), accepted, names) == [1]


def test_platt_finds_slope_and_shift() -> None:
    chance = np.random.default_rng(1)
    logits = chance.normal(0, 2, 4000)
    accepted = (chance.random(4000) < 1 / (1 + np.exp(-(0.5 * logits + 0.7)))).astype(float)
    assert platt(logits, accepted) == pytest.approx((0.5, 0.7), abs=0.08)


def test_much_noise_asks_for_a_strong_penalty() -> None:
    chance = np.random.default_rng(2)
    values, accepted = chance.normal(size=(60, 6)), (chance.random(60) < 0.5).astype(float)
    parts = [list(range(start, 60, 3)) for start in range(3)]
    assert best_penalty(values, accepted, tuple("abcdef"), parts) <= 0.1


@pytest.mark.parametrize(("scans", "rejected"), [(20, 10), (60, 3)])
def test_too_little_is_refused(scans: int, rejected: int) -> None:
    table, _ = study(scans=scans)
    accepted = np.ones(scans)
    accepted[:rejected] = 0
    with pytest.raises(UsageError, match="rejected"):
        fit_verdict(table, accepted, table["site"].tolist(), table["participant_id"].tolist())


def _record(row: pd.Series) -> Record:
    return Record(
        bids_name=str(row["bids_name"]),
        scores={name: {"value": float(row[name])} for name in ("ssim", "severity")},
        metrics={name: float(row[name]) for name in ("snr_total", "snr_wm", "cjv")},
    )


def test_from_table_and_ratings_to_decisions_with_reasons(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, accepted = study()
    table.to_csv(tmp_path / "group_T1w.tsv", sep="\t", index=False, na_rep="n/a")
    ratings = table[["bids_name"]].assign(accept=np.where(accepted > 0, "yes", "no"))
    ratings.to_csv(tmp_path / "answers.tsv", sep="\t", index=False)
    out = tmp_path / "readers.toml"
    command = ["verdict", str(tmp_path / "group_T1w.tsv"), str(tmp_path / "answers.tsv"), "--out", str(out)]
    assert main(command) == 0
    assert "Accepted against rejected" in capsys.readouterr().out
    rules = load_rules(out)
    worst, best = table["snr_total"].idxmin(), table.loc[table["ssim"] > 0.9, "snr_total"].idxmax()
    told = [one for one in decide(_record(table.loc[worst]), rules)["reasons"] if one["rule"] == "fitted.readers"]
    assert told
    assert "snr" in told[0]["text"]
    assert not [one for one in decide(_record(table.loc[best]), rules)["reasons"] if one["rule"] == "fitted.readers"]
    assert main(command) == 2
    assert "--force" in capsys.readouterr().err
    assert main([*command, "--force"]) == 0


def test_from_a_store_of_ratings_by_the_task_that_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from bidsqa.rating.store import Proposal, Store
    from bidsqa.rating.tasks import Given

    table, accepted = study()
    table.to_csv(tmp_path / "group_T1w.tsv", sep="\t", index=False, na_rep="n/a")
    store = Store(tmp_path / "ratings" / "ratings.sqlite", create=True)
    reader = store.reader("Ann").id
    answers = {"page": ("fail", "pass"), "likert": ("1", "4")}
    for task, words in answers.items():
        contents = [{"path": f"sub/anat/{name}.nii.gz", "subject": name} for name in table["bids_name"]]
        for place, (item, good) in enumerate(zip(store.add_items(task, contents), accepted, strict=True)):
            store.issue(reader, task, place, Proposal(item, "imported", "fixed", 0), {})
            trial = store.trials(task, reader)[-1]
            store.answer(trial, Given(words[int(good > 0)], f"{task}{place:08d}"))
    store.close()
    command = ["verdict", str(tmp_path / "group_T1w.tsv"), str(tmp_path / "ratings"), "--force"]
    for more, task in (([], "page"), (["--task", "likert"], "likert")):
        assert main([*command, "--out", str(tmp_path / f"{task}.toml"), *more]) == 0
        assert f"{len(table)} of the {len(table)} scans in group_T1w.tsv are rated; answers: {task}." in (
            capsys.readouterr().out
        )
    pages, likert = (load_rules(tmp_path / f"{task}.toml").fitted_for("T1w")[0] for task in answers)
    assert pages.terms == likert.terms
    assert main([*command, "--out", str(tmp_path / "group_T1w.tsv" / "x.toml")]) == 2
    assert "can't be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "told"),
    [("bids_name\tx\nsub-1_T1w\t1\n", "accept"), ("bids_name\taccept\nsub-1_T1w\tmaybe\n", "maybe")],
)
def test_tables_that_tell_nothing_are_refused(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "answers.tsv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=told):
        acceptance(path)


def test_page_ratings_count_each_reader_once(tmp_path: Path) -> None:
    from bidsqa.rating.store import Proposal, Store
    from bidsqa.rating.tasks import Given

    store = Store(tmp_path / "ratings.sqlite", create=True)
    answers = {"Ann": ["pass", "pass", "pass"], "Bob": ["fail"], "Eve": ["review"]}
    for name, values in answers.items():
        reader = store.reader(name).id
        for place, value in enumerate(values):
            item = store.add_items("page", [{"path": "sub-01_T1w", "subject": "01"}])[0]
            store.issue(reader, "page", place, Proposal(item, "imported", "fixed", 0), {})
            store.answer(store.trials("page", reader)[-1], Given(value, f"{name}{place}"))
    store.close()
    shares, task = acceptance(tmp_path)
    assert task == "page"
    assert shares == {"sub-01_T1w": pytest.approx(0.5)}
