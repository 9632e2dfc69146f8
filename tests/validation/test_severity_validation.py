# SPDX-License-Identifier: Apache-2.0
"""The validation's arithmetic: areas, calibration without the judged site, tables."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bidsqa.models.severity import Prepared
from bidsqa.validation.severity import (
    USED,
    Judged,
    area,
    area_interval,
    calibrate,
    describe,
    evaluate,
    family_share,
    left_out,
    severity,
    tables,
    write,
)

pytest.importorskip("torch")

from bidsqa.validation.severity_cases import Case

READINGS = ("overall", "noise", "motion", "ghosting", "bias", "blur", "field", "echo", "grain")
OF = {"noise": "noise", "motion": "motion", "blur": "blur", "ghosting": "echo", "bias": "field"}


def judged(scan: str, site: str, artifact: str, strength: float, level: float, side: str = "test") -> Judged:
    readings = dict.fromkeys(READINGS, 0.05 + 0.01 * level)
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
                rows += [judged(scan, site, artifact, strength, number) for strength in (0.1, 0.3, 0.5, 0.75, 1.0)]
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


def test_calibration_brings_clean_scans_to_one_at_most() -> None:
    clean = [row for row in study() if row.clean]
    calibration = calibrate(clean)
    worst = [severity(row.readings, calibration) for row in clean if row.real]
    assert np.percentile(worst, 95) <= 1 + 1e-9
    assert set(calibration["use"]) == set(USED)
    assert all(calibration["limit"][name] > calibration["clean"][name] for name in READINGS)


def test_a_site_is_never_calibrated_on_itself() -> None:
    rows = study()
    strange = [row for row in rows if row.case.site != "utah"] + [judged("scan0", "utah", "none", 0.0, 500)]
    found = {each.row.case.scan: each.value for each in left_out(strange) if each.row.clean}
    assert found["scan0"] > 10
    # boston and fnndsc are one institution
    alone = {each.row.case.scan for each in left_out(rows) if each.row.clean}
    assert alone == {"scan0", "scan1", "scan2", "scan3"}


def test_perfect_readings_give_perfect_numbers(tmp_path: Path) -> None:
    rows = study()
    result = evaluate(rows)
    found = result["scores"]["severity"]
    assert all(part["auc"] == 1 for part in found["artifacts"].values())
    assert all(part["rho"] > 0.99 and part["ordered"] == 1 for part in found["artifacts"].values())
    assert found["flagged"] == [0, 4]
    assert result["scores"]["constant"]["artifacts"]["noise"]["auc"] == 0.5
    assert all(share == 1 for share in family_share(left_out(rows)).values())
    shown = write(result, tmp_path, describe(rows))
    assert {path.name for path in tmp_path.iterdir()} == {"severity_auc.json", "severity_strength.json", "severity.csv"}
    assert len(shown) == 2 and "noise" in shown[0].text()
    assert tables(result, "note")["severity_auc"].note == "note"
    json.dumps(result)
