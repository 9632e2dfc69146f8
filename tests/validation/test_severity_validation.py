# SPDX-License-Identifier: Apache-2.0
"""The validation's arithmetic: areas, calibration without the judged site, tables."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from bidsqa.models.severity_inputs import Prepared
from bidsqa.models.severity_scale import KINDS
from bidsqa.validation.separation import separation, separation_interval, summarise
from bidsqa.validation.severity import confusion, describe, draw, evaluate, paper_protocol, tables, write
from bidsqa.validation.severity_cases import PAPER, STRENGTHS, Case, is_current, read_case
from bidsqa.validation.severity_contrasts import DEVELOPED, DRAWN, TESTED, by_contrast, clean_limits, contrast_table
from bidsqa.validation.severity_judging import (
    USED,
    VISIBLE,
    Judged,
    beyond,
    calibrate,
    clean_left_out,
    kinds_of,
    left_out,
    model_error,
    visible_steps,
)
from bidsqa.validation.severity_kinds import fit_kinds
from bidsqa.validation.severity_targets import target_table
from bidsqa.validation.statistics import (
    area,
    area_interval,
    bootstrap,
    prediction_limit,
    rank_correlation,
    share_interval,
)

READINGS = ("overall", "noise", "motion", "ghosting", "bias", "blur", "field", "echo", "grain")
OF = {"noise": "noise", "motion": "motion", "blur": "blur", "ghosting": "echo", "bias": "field"}


def judged(scan: str, site: str, artifact: str, strength: float, level: float, side: str = "test") -> Judged:
    readings = dict.fromkeys(READINGS, 0.05 + 0.002 * level)
    if artifact != "none":
        readings[OF[artifact]] += strength
        readings["overall"] += strength
    case = Case(
        scan, scan, site, "T1w", side, artifact, strength, strength / 2, Prepared((), {}), {"efc": strength + level}
    )
    return Judged(case, readings)


def study() -> list[Judged]:
    rows = []
    for number, site in enumerate(("utah", "amsterdam", "boston", "fnndsc", "labels")):
        scan = f"scan{number}"
        rows.append(judged(scan, site, "none", 0.0, number))
        if site != "labels":
            for artifact in OF:
                rows += [judged(scan, site, artifact, strength, number) for strength in STRENGTHS]
            rows += [
                judged(scan, site, artifact, strength, number)
                for artifact, strength in PAPER.items()
                if strength not in STRENGTHS and artifact in OF
            ]
    return rows


def test_area_of_known_cases() -> None:
    assert area(np.array([2.0, 3.0]), np.array([0.0, 1.0])) == 1
    assert area(np.array([0.0, 1.0]), np.array([0.0, 1.0])) == 0.5
    assert area(np.array([0.0]), np.array([1.0])) == 0
    assert np.isnan(area(np.array([]), np.array([1.0])))


def test_interval_holds_the_area() -> None:
    rng = np.random.default_rng(0)
    good = [(f"s{n}", float(rng.normal())) for n in range(12)]
    bad = [(f"s{n}", float(rng.normal(1))) for n in range(12)]
    low, high = area_interval(bad, good)
    middle = area(np.array([value for _, value in bad]), np.array([value for _, value in good]))
    assert low <= middle <= high <= 1
    assert high - low > 0.1


def test_intervals_hold_their_estimate_and_shrink_with_numbers() -> None:
    for count, total in ((0, 7), (1, 7), (7, 7), (50, 100)):
        low, high = share_interval(count, total)
        assert 0 <= low <= count / total <= high <= 1
    # published example: Wilson's interval of 0 of 10 ends at z² / (n + z²)
    assert share_interval(0, 10)[1] == pytest.approx(3.8415 / 13.8415, abs=1e-3)
    assert np.diff(share_interval(5, 10))[0] > np.diff(share_interval(50, 100))[0]
    values = np.arange(40.0)
    low, high = bootstrap([f"s{number // 4}" for number in range(40)], lambda rows: float(values[rows].mean()))
    assert low < values.mean() < high


def test_prediction_limit_covers_the_next_value_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    hits = [rng.normal() <= prediction_limit(rng.normal(size=12)) for _ in range(3000)]
    assert np.mean(hits) == pytest.approx(0.95, abs=0.012)
    values = np.array([0.2, 0.4, 0.5, 0.9])
    assert prediction_limit(3 * values) == pytest.approx(3 * prediction_limit(values))
    assert prediction_limit(np.array([0.2, 0.7])) == 0.7


def test_rank_correlation_of_known_orders() -> None:
    assert rank_correlation([0, 1, 2], [5, 6, 7]) == pytest.approx(1)
    assert rank_correlation([0, 1, 2], [7, 6, 5]) == pytest.approx(-1)
    assert rank_correlation([0, 1, 2], [1, 1, 1]) == 0


def test_calibration_brings_clean_scans_below_one() -> None:
    clean = [row for row in study() if row.clean]
    scale = calibrate(clean)
    worst = [float(scale.joined(row.readings)) for row in clean if row.case.real]
    assert np.percentile(worst, 95) <= 1 + 1e-9
    assert scale.use == USED
    assert all(scale.limit[name] > scale.clean[name] for name in READINGS)


def test_what_cannot_be_seen_makes_no_scan_suspect() -> None:
    own = [
        judged(f"watch{number}", "ljubljana", artifact, strength, number, "watch")
        for number in range(3)
        for artifact, strength in (("none", 0.0), *((name, VISIBLE) for name in OF))
    ]
    steps = visible_steps([*study(), *own])
    for kind, reading in OF.items():
        assert steps[reading] == pytest.approx(VISIBLE), kind
    assert steps["overall"] == pytest.approx(VISIBLE)
    assert visible_steps(study()) == {}
    clean = [row for row in study() if row.clean]
    narrow, wide = calibrate(clean), calibrate(clean, steps=steps)
    assert wide.limit["noise"] - wide.clean["noise"] == pytest.approx(VISIBLE)
    assert narrow.limit["noise"] - narrow.clean["noise"] < 0.1


def test_a_site_is_never_calibrated_on_itself() -> None:
    rows = study()
    strange = [row for row in rows if row.case.site != "utah"] + [judged("scan0", "utah", "none", 0.0, 500)]
    found = {each.row.case.scan: each.value for each in left_out(strange) if each.row.clean}
    assert found["scan0"] > 1 + np.log(5)
    # boston and fnndsc are one institution
    alone = {each.row.case.scan for each in left_out(rows) if each.row.clean}
    assert alone == {"scan0", "scan1", "scan2", "scan3"}


def test_clean_scans_are_judged_without_their_own_site_or_subject() -> None:
    rows = [*study(), judged("watch1", "ljubljana", "none", 0.0, 2, "watch")]
    found = {each.row.case.scan: each for each in clean_left_out(rows)}
    assert set(found) == {f"scan{number}" for number in range(5)} | {"watch1"}
    assert (
        found["scan0"].value == {each.row.case.scan: each.value for each in left_out(rows) if each.row.clean}["scan0"]
    )
    trained = judged("known", "uih", "none", 0.0, 1, "train")
    assert "known" not in {each.row.case.scan for each in clean_left_out([*rows, trained])}


def test_kinds_are_learned_on_the_development_scans_alone() -> None:
    rows = study()
    assert kinds_of(rows) is None
    own = [
        judged(f"watch{number}", "ljubljana", artifact, strength, number, "watch")
        for number in range(3)
        for artifact, strength in (("none", 0.0), *((name, level) for name in OF for level in (0.35, 0.6, 0.9)))
    ]
    kinds = kinds_of(own + rows)
    assert kinds is not None
    assert kinds == kinds_of(own + [row for row in rows if row.clean or row.case.strength < 0.5])
    counts = confusion(left_out(own + rows, kinds=kinds))
    for kind in KINDS:
        assert counts[kind][kind] == sum(counts[kind].values()) > 0


def test_kinds_of_two_classes_and_missing_ones() -> None:
    places = [{"noise": 0.0}, {"noise": 0.2}, {"noise": 3.0}, {"noise": 2.5}]
    kinds = fit_kinds(places, ["none", "none", "noise", "noise"], [0, 0, 1, 1], ("noise",))
    low, high = kinds.probabilities({"noise": 0.0}), kinds.probabilities({"noise": 3.0})
    assert low["none"] > 0.5 > low["noise"]
    assert high["noise"] > 0.5 > high["none"]
    assert low["blur"] < 1e-6


def test_perfect_readings_give_perfect_numbers(tmp_path: Path) -> None:
    rows = study()
    found = left_out(rows)
    result = evaluate(found)
    severity = result["scores"]["severity"]
    assert all(part["auc"] == 1 for part in severity["artifacts"].values())
    assert all(part["rho"] > 0.99 and len(set(part["ordered"])) == 1 for part in severity["artifacts"].values())
    assert severity["flagged"] == (0, 4)
    assert result["scores"]["constant"]["artifacts"]["noise"]["auc"] == 0.5
    assert severity["artifacts"]["noise"]["auc_by_contrast"] == {"T1w": 1.0}
    draw(result, found, tmp_path / "plots")
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {"severity_strength.svg", "severity_auc.svg"}
    shown = write(result, tmp_path, describe(rows, "0123456789abcdef"))
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {
        "severity_auc.json", "severity_strength.json", "severity_clean.json", "severity_kinds.json",
        "severity_protocol.json", "severity_targets.json", "severity_before.json", "severity_contrasts.json",
        "severity.csv",
    }  # fmt: skip
    assert len(shown) == 8
    assert all(table.note.startswith("Weights 0123456789ab. ") for table in shown)
    assert "noise" in shown[0].text()
    assert tables(result, "note")["severity_auc"].note == "note"
    json.dumps(result)


def test_copies_stand_against_other_heads_only() -> None:
    rows = [
        (judged("scan0", "utah", "none", 0.0, 0).case, 0.9),
        (judged("scan1", "amsterdam", "none", 0.0, 0).case, 0.1),
        (judged("scan0", "utah", "noise", 0.6, 0).case, 0.8),
    ]
    bad, good = rows[2:], rows[:2]
    assert separation(bad, good) == 1, "0.8 is below its own clean scan, which doesn't count"
    assert np.isnan(separation(bad, good[:1]))
    assert np.isnan(separation([], good))
    assert separation_interval(bad, good) == (1, 1)
    part = summarise(rows)["artifacts"]["noise"]
    assert part["auc"] == 1 and part["ordered"] == (0, 1)
    assert part["disordered"] == ["scan0"] and part["rho_lowest"] == ("scan0", pytest.approx(-1))


def test_a_flagged_clean_scan_is_told_with_its_leading_readings() -> None:
    strange = [row for row in study() if row.case.scan != "scan0" or not row.clean]
    noisy = judged("scan0", "utah", "none", 0.0, 0)
    noisy.readings["field"] = 5.0
    result = evaluate(left_out([*strange, noisy]))
    assert result["leading"][0][0] == "scan0"
    assert result["leading"][0][2].startswith("field ")
    rows = {row[0]: row for row in target_table(result, "", "").rows}
    assert rows["clean scans above 1"][-2] == "no"
    assert rows["clean scans above 1"][-1].startswith("scan0 ") and ": field " in rows["clean scans above 1"][-1]
    assert rows["95th percentile of clean scans"][1] == "T1w (4 scans)"


def test_contrasts_stand_apart_by_source() -> None:
    rows = study()
    watch = [judged("watch1", "ljubljana", name, level, 1, "watch") for name, level in (("none", 0.0), ("noise", 0.9))]
    drawn = [replace(row, case=replace(row.case, contrast="PDw")) for row in rows if not row.case.real]
    found = [*left_out(rows), *beyond([*watch, *drawn], rows)]
    groups = {(group["source"], group["contrast"]): group for group in by_contrast(found)}
    assert set(groups) == {(TESTED, "T1w"), (DEVELOPED, "T1w"), (DRAWN, "PDw")}
    assert len(groups[TESTED, "T1w"]["clean"]) == 4
    own = groups[DEVELOPED, "T1w"]
    assert own["areas"]["noise"] == 1 and np.isnan(own["areas"]["blur"]) and own["caught"] == (1, 1)
    limits = list(clean_limits(list(groups.values())))
    assert [name for name, _, _ in limits] == ["PDw (1 drawn)", "T1w (5 scans)"]
    assert limits[1][2].startswith("highest: scan3 "), "it reads highest of all"
    table = contrast_table(list(groups.values()), "note.", "command")
    assert table.rows[1][:3] == [DEVELOPED, "T1w", 1] and "" in table.rows[1]


def test_the_error_between_scans_is_what_their_standard_errors_leave() -> None:
    def scans(errors: float, spread: float) -> list[Judged]:
        # what the scale is made from
        rows = [judged(f"other{number}", f"place{number}", "none", 0.0, 20 * number, "watch") for number in range(10)]
        for number, subject in enumerate(("ljubljana04", "ljubljana20", "uih01", "magdeburg01")):
            row = judged(subject, f"site{number}", "none", 0.0, 0, "watch")
            row.readings["noise"] = 0.3 + spread * number
            rows.append(replace(row, errors=dict.fromkeys(READINGS, errors)))
        return rows

    assert model_error(scans(0.0, 0.0)) == 0
    assert model_error(scans(0.0, 0.3)) > model_error(scans(0.0, 0.1)) > 0
    assert model_error(scans(0.05, 0.1)) < model_error(scans(0.0, 0.1))
    tested = [judged("utah01", "utah", "none", 0.0, 400)]
    assert model_error([*scans(0.0, 0.1), *tested]) == model_error(scans(0.0, 0.1))


def test_cases_without_a_baseline_are_refused(tmp_path: Path) -> None:
    rows = left_out(study())
    rows[3].row.case.baselines.clear()
    with pytest.raises(ValueError, match="not all cases have the baseline efc"):
        evaluate(rows)
    facts = {"scan": "a", "baselines": {"efc": 1.0}, "axes": []}
    path = tmp_path / "a_none_0.npz"
    np.savez(path, facts=np.array(json.dumps(facts)))
    assert not is_current(path)
    with pytest.raises(ValueError, match=r"lacks the baselines .*tenengrad"):
        read_case(path)


def test_the_papers_protocol_takes_one_severity_a_kind() -> None:
    cases = [(row.case, row.case.strength) for row in study()]
    found = paper_protocol(cases)
    assert found["r"] == pytest.approx(1)
    assert set(found["means"]) == {"none", *(name for name in PAPER if name in OF)}
    assert all(spread == 0 for _, spread in found["means"].values())
    assert np.isnan(paper_protocol(cases[:1])["r"])
