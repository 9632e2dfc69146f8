# SPDX-License-Identifier: Apache-2.0
"""A scan's place on its ruler in the study's tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bidsqa.bids import names
from bidsqa.group.cohort import judge_cohort
from bidsqa.group.dictionaries import dictionary, known_columns
from bidsqa.group.places import places
from bidsqa.group.rows import Row, row_of
from bidsqa.group.site_effects import site_effects
from bidsqa.group.sites import distances, site_rows
from bidsqa.models import SCORE_VALUES, SCORES
from bidsqa.record import Record
from bidsqa.settings import RULER_MODEL
from bidsqa.study import run_group
from bidsqa.validation.example_records import example_record
from bidsqa.verdict import Rules, decide, load_rules


def placed(**other: Any) -> Record:
    record = example_record("sub-01_T1w", seed=1)
    ruler = {"name": "T1w-3D", "why": ["T1w"], "sha256": "ab" * 32, "levels": [1.0], "version_score": 3, "place": 3.2}
    ruler |= {"threshold": 4.5, "threshold_set_by": "a person", "passes": False, "outside": None}
    record.scores["noise_motion"] = {
        "value": 3.2,
        "uncertainty": 0.2,
        "slices": [],
        "raw": 21.6,
        "ruler": ruler | other,
    }
    return record


def test_columns() -> None:
    values = row_of(placed()).values
    told = {key.removeprefix("noise_motion"): value for key, value in values.items() if key.startswith("noise_motion")}
    assert told == {
        "": 3.2,
        "_uncertainty": 0.2,
        "_raw": 21.6,
        "_ruler_name": "T1w-3D",
        "_ruler_sha256": "ab" * 32,
        "_ruler_version_score": 3.0,
        "_ruler_place": 3.2,
        "_ruler_threshold": 4.5,
        "_ruler_threshold_set_by": "a person",
        "_ruler_passes": "no",
    }
    assert row_of(placed(passes=True)).values["noise_motion_ruler_passes"] == "yes"
    columns = [key for key in values if key.startswith("noise_motion")]
    assert set(columns) <= known_columns()
    assert all(len(entry["Description"]) > 15 for entry in dictionary(columns).values())


def test_a_ruler_that_changed_under_its_name_makes_scans_incomparable() -> None:
    before, after, other = (row_of(placed(**about)).versions for about in ({}, {"threshold": 5.0}, {"name": "T1w-2D"}))
    assert before["the ruler T1w-3D"] == "abababababab with threshold 4.5"
    assert after["the ruler T1w-3D"] != before["the ruler T1w-3D"]
    assert set(other) & set(before) == set(before) - {"the ruler T1w-3D"}


@pytest.mark.parametrize("score", [None, [], {"ruler": []}, {"ruler": None}, {"ruler": {"name": [1], "threshold": {}}}])
def test_a_score_of_any_shape_breaks_no_row(score: Any) -> None:
    record = placed()
    record.scores["noise_motion"] = score
    assert row_of(record).values["severity"] is not None


def write(out: Path, *records: Record) -> None:
    for record in records:
        path = names.record_path(out, record.bids_name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(record.dumps(), encoding="utf-8")


def test_a_study_without_rulers_has_no_trace_of_them(tmp_path: Path) -> None:
    rules = load_rules()
    write(tmp_path, *(example_record(f"sub-{at:02d}_T1w", seed=at, rules=rules) for at in range(3)))
    run_group(tmp_path)
    for path in tmp_path.glob("group*"):
        assert RULER_MODEL not in path.read_text(encoding="utf-8"), path.name


def test_the_standard_is_a_limit_of_the_study(tmp_path: Path) -> None:
    rules = load_rules()
    records = [placed() for _ in range(3)]
    for at, record in enumerate(records):
        record.bids_name = f"sub-{at:02d}_T1w"
        record.verdict = decide(record, rules)
    write(tmp_path, *records)
    run_group(tmp_path)
    assert '"limits":[[4.5,"accepts from",""]]' in (tmp_path / "group.html").read_text(encoding="utf-8")
    table = (tmp_path / "group_sites.tsv").read_text(encoding="utf-8").splitlines()
    assert dict(zip(table[0].split("\t"), table[1].split("\t"), strict=True))["noise_motion_median"] == "3.2"
    records[0].scores[RULER_MODEL]["ruler"]["threshold"] = 5.0
    write(tmp_path, records[0])
    run_group(tmp_path)
    assert '"accepts from"' not in (tmp_path / "group.html").read_text(encoding="utf-8")


def test_the_probability_of_motion_is_compared_as_the_scores_are(tmp_path: Path) -> None:
    rules = load_rules()
    records = [placed() for _ in range(6)]
    for at, record in enumerate(records):
        record.bids_name = f"sub-{at:02d}_T1w"
        record.scores[RULER_MODEL] |= {"p_motion": 0.1 if at else 0.9, "cause": "noise"}
        record.verdict = decide(record, rules)
    write(tmp_path, *records)
    run_group(tmp_path)
    page = (tmp_path / "group.html").read_text(encoding="utf-8")
    block = page.split('<script type="application/json" id="data">')[1].split("</script>")[0]
    values = {value["key"]: value for value in json.loads(block)["values"]}
    motion = values["noise_motion_p_motion"]
    assert sorted(motion["numbers"]) == [0.1] * 5 + [0.9]
    assert (motion["title"], motion["score"], motion["chief"], motion["bad"]) == ("Motion (probability)", True, True, 1)
    assert motion["limits"] == [[0.5, "review above", ""]]
    assert list(values).index("noise_motion_p_motion") == list(values).index("noise_motion") + 1
    assert {path.stem for path in tmp_path.glob("figures/group_*")} >= {
        "group_noise_motion", "group_noise_motion_p_motion",
    }  # fmt: skip
    table = (tmp_path / "group_sites.tsv").read_text(encoding="utf-8").splitlines()
    told = dict(zip(table[0].split("\t"), table[1].split("\t"), strict=True))
    assert told["noise_motion_p_motion_median"] == "0.1"
    words = json.loads((tmp_path / "group_sites.json").read_text(encoding="utf-8"))
    assert words["noise_motion_p_motion_median"]["Description"].startswith("Median of noise_motion_p_motion")
    effects = (tmp_path / "group_site_effects.tsv").read_text(encoding="utf-8")
    assert "\tnoise_motion_p_motion\t" in effects


def placed_rows(count: int, **other: Any) -> list[Row]:
    """Rows of one site that were read on a ruler."""
    rows = []
    for at in range(count):
        record = placed(**other)
        record.bids_name = f"sub-{other.get('name', 'T1w-3D')[-2:]}{at:02d}_T1w"
        record.scores[RULER_MODEL] |= {"p_motion": 0.02 + 0.001 * at}
        rows.append(row_of(record))
    return rows


def own_rules(folder: Path, values: str) -> Rules:
    (folder / "mine.toml").write_text(f"[cohort.outlier]\nvalues = [{values}]\n", encoding="utf-8")
    return load_rules(folder / "mine.toml")


def test_places_on_other_rulers_are_no_outliers_and_have_no_median(tmp_path: Path) -> None:
    thick = placed_rows(5, name="T1w-2D", sha256="cd" * 32)
    for row in thick:
        row.values["noise_motion"] = 0.5
    rows = [*placed_rows(12), *thick]
    rules = own_rules(tmp_path, '"noise_motion"')
    judge_cohort(rows, rules)
    assert not any(row.outliers for row in rows)
    assert max(distances(rows)) < 6
    (entry,) = site_rows(rows)
    assert entry["noise_motion_median"] is None
    assert entry["noise_motion_p_motion_median"] == 0.024
    assert not [effect for effect in site_effects(rows) if effect.value == "noise_motion"]
    assert [effect for effect in site_effects(rows[:12]) if effect.value == "noise_motion"]
    told = places(rows)
    assert (told[0]["noise_motion"], told[-1]["noise_motion"]) == ([0, 11, 12], [0, 4, 5])
    rows[3].values["noise_motion"] = 0.5
    judge_cohort(rows, rules)
    assert [row.name for row in rows if row.outliers] == [rows[3].name]
    assert "the median of 12 T1w scans" in rows[3].reasons[-1]["text"]


def test_the_probability_of_motion_may_be_an_outlier(tmp_path: Path) -> None:
    rows = placed_rows(12)
    rows[4].values["noise_motion_p_motion"] = 0.45
    judge_cohort(rows, load_rules())
    assert not rows[4].outliers, "only where it is asked for"
    judge_cohort(rows, own_rules(tmp_path, '"noise_motion_p_motion"'))
    assert rows[4].outliers == ["noise_motion_p_motion"]
    (entry,) = [entry for entry in rows[4].reasons if entry["rule"] == "cohort.outlier"]
    assert entry["name"] == "scores.noise_motion.p_motion"
    assert "Motion (probability) 0.450 is far above 0.0265" in entry["text"]
    assert not any(row.outliers for row in rows[:4] + rows[5:])


def test_what_is_compared_reads_as_the_rules_do() -> None:
    """Every value of a score has a column of the tables and, but for the scores, words among the score's parts."""
    known = known_columns()
    for key, value in SCORE_VALUES.items():
        assert key in known
        model, part = value.reads.split(".")[1:]
        assert key == (model if part == "value" else f"{model}_{part}")
        assert part == "value" or part in SCORES[model].parts
        assert value.direction in ("higher is better", "lower is better")
