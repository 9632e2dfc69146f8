# SPDX-License-Identifier: Apache-2.0
"""Harmonised metrics: site shifts and scales go, the order within a site stays, decisions don't change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bidsqa.group import Row
from bidsqa.group.cohort import judge_cohort
from bidsqa.group.harmonise import COLUMN, harmonised, site_parameters
from bidsqa.record import Record
from bidsqa.study import run_group
from bidsqa.verdict import load_rules

METRICS = ("cjv", "cnr", "snr_total", "efc", "fber")
SITES = {"A": (0.0, 1.0, 30), "B": (1.5, 2.0, 50), "C": (-1.0, 0.5, 20), "small": (9.0, 1.0, 6)}


@pytest.fixture
def rows(cohort_rows: Callable[..., list[Row]]) -> list[Row]:
    """Simulated sites with known shifts and scales in five metrics."""
    made = cohort_rows(sum(count for _, _, count in SITES.values()))
    dice = np.random.default_rng(5)
    sites = [site for site, (_, _, count) in SITES.items() for _ in range(count)]
    for row, site in zip(made, sites, strict=True):
        shift, scale, _ = SITES[site]
        row.site = site
        row.values = {key: 10.0 + shift + scale * float(dice.normal()) for key in METRICS}
    return made


def of(rows: list[Row], values: list[float | None], site: str) -> np.ndarray:
    return np.array([value for row, value in zip(rows, values, strict=True) if row.site == site], dtype=float)


def test_shift_and_scale_go(rows: list[Row]) -> None:
    found = harmonised(rows)
    assert set(found) == {f"{key}{COLUMN}" for key in METRICS}
    for key in METRICS:
        before = [float(row.values[key]) for row in rows]
        spread = float(np.std(of(rows, list(before), "A")))
        means = [of(rows, found[f"{key}{COLUMN}"], site).mean() for site in "ABC"]
        assert np.ptp([of(rows, list(before), site).mean() for site in "ABC"]) > 1.5 * spread
        # the prior leaves in what may be chance: the standard error of the larger site's mean is 0.28
        assert np.ptp(means) < 0.56
        deviations = [of(rows, found[f"{key}{COLUMN}"], site).std() for site in "ABC"]
        assert max(deviations) / min(deviations) < 1.4


def test_order_within_a_site_stays(rows: list[Row]) -> None:
    found = harmonised(rows)
    for key in METRICS:
        for site in "ABC":
            before = of(rows, [float(row.values[key]) for row in rows], site)
            assert (np.argsort(before) == np.argsort(of(rows, found[f"{key}{COLUMN}"], site))).all()


def test_small_sites_missing_values_and_failures_are_left_out(rows: list[Row]) -> None:
    rows[0].values["cjv"] = None
    rows[1].status = "failed"
    found = harmonised(rows)[f"cjv{COLUMN}"]
    assert found[:2] == [None, None]
    assert found[2] is not None
    assert found[-6:] == [None] * 6


def test_one_site_or_constants_give_nothing(rows: list[Row]) -> None:
    assert harmonised([row for row in rows if row.site == "A"]) == {}
    for row in rows:
        row.values["cjv"] = 3.0
    assert f"cjv{COLUMN}" not in harmonised(rows)


def test_the_prior_pulls_small_sites_more() -> None:
    dice = np.random.default_rng(6)

    def shift_of_the_odd_one(count: int) -> float:
        values = {str(at): dice.normal(0.1 * at, 1, count) for at in range(8)}
        values["odd"] = dice.normal(size=count)
        values["odd"] += 3 - values["odd"].mean()
        return site_parameters(values)["odd"][0]

    few, many = shift_of_the_odd_one(5), shift_of_the_odd_one(500)
    assert few < many < 3
    assert many > 2.95


def test_the_parameters_solve_the_published_equations() -> None:
    dice = np.random.default_rng(7)
    values = {str(at): dice.normal(at / 3, 1 + at / 5, 20) for at in range(6)}
    means = np.array([own.mean() for own in values.values()])
    variances = np.array([own.var(ddof=1) for own in values.values()])
    typical, spread = variances.mean(), variances.var(ddof=1)
    shape, rate = 2 + typical**2 / spread, typical + typical**3 / spread
    for key, (shift, scale) in site_parameters(values).items():
        own, variance = values[key], scale**2
        expected = (20 * means.var(ddof=1) * own.mean() + variance * means.mean()) / (20 * means.var(ddof=1) + variance)
        assert shift == pytest.approx(expected, abs=1e-5)
        assert variance == pytest.approx((rate + ((own - shift) ** 2).sum() / 2) / (10 + shape - 1), abs=1e-5)


def test_the_option_adds_columns_and_decides_nothing(
    cohort_records: Callable[..., list[Record]],
    write: Callable[..., None],
    table: Callable[..., list[dict[str, str]]],
    tmp_path: Path,
) -> None:
    def change(at: int, record: Record) -> None:
        record.acquisition["InstitutionName"] = "North" if at % 2 else "South"

    write(tmp_path, *cohort_records(24, change))
    run_group(tmp_path)
    plain = table(tmp_path / "group_T1w.tsv")
    run_group(tmp_path, harmonise=True)
    rows = table(tmp_path / "group_T1w.tsv")
    further = set(rows[0]) - set(plain[0])
    assert f"cjv{COLUMN}" in further
    assert all(name.endswith(COLUMN) for name in further)
    assert not any(name.startswith("size_") for name in further)
    assert [{key: row[key] for key in plain[0]} for row in rows] == plain
    run_group(tmp_path)
    assert set(table(tmp_path / "group_T1w.tsv")[0]) == set(plain[0])


def test_judging_ignores_them(rows: list[Row]) -> None:
    judge_cohort(rows, load_rules())
    before = [row.decision for row in rows]
    for row in rows:
        row.harmonised = {f"cjv{COLUMN}": 1e9}
    judge_cohort(rows, load_rules())
    assert [row.decision for row in rows] == before
