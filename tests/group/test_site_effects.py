# SPDX-License-Identifier: Apache-2.0
"""Site effects: variance shares with known answers, shifts, and what too few scans tell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bidsqa.group import Row
from bidsqa.group.site_effects import between_share, site_effects, winsorised
from bidsqa.record import Record
from bidsqa.study import run_group

Rows = Callable[..., list[Row]]


def anova_icc(groups: list[np.ndarray]) -> float:
    """ICC(1) of equal groups by the textbook (Shrout & Fleiss 1979)."""
    values = np.array(groups)
    count, size = values.shape
    between = size * values.mean(1).var(ddof=1)
    within = ((values - values.mean(1, keepdims=True)) ** 2).sum() / (count * (size - 1))
    return float((between - within) / (between + (size - 1) * within))


def test_equal_groups_give_the_textbooks_icc() -> None:
    dice = np.random.default_rng(1)
    groups = [dice.normal(shift, 1, 12) for shift in (0, 1, 2, 3)]
    share = between_share(groups)
    assert share is not None
    assert share.value == pytest.approx(anova_icc(groups))
    assert 0 <= share.low < share.value < share.high <= 1


def test_shares_of_unequal_sites_are_right_on_average_and_covered() -> None:
    dice = np.random.default_rng(2)
    sizes = (6, 10, 20, 40, 80, 15, 25, 9)
    shares = []
    for _ in range(400):
        found = between_share([dice.normal(dice.normal(0, 1), 1, size) for size in sizes])
        assert found is not None
        shares.append(found)
    assert np.mean([share.value for share in shares]) == pytest.approx(0.5, abs=0.06)
    assert np.mean([share.low <= 0.5 <= share.high for share in shares]) == pytest.approx(0.95, abs=0.04)


def test_no_difference_is_no_share() -> None:
    dice = np.random.default_rng(3)
    shares = [between_share([dice.normal(size=30) for _ in range(5)]) for _ in range(100)]
    assert np.mean([share.value for share in shares if share]) < 0.05


def test_few_scans_and_constants_tell_nothing() -> None:
    assert between_share([np.arange(4.0), np.arange(50.0)]) is None
    assert between_share([np.ones(9), np.ones(9)]) is None
    certain = between_share([np.ones(9), np.zeros(9)])
    assert certain is not None
    assert certain.value == 1.0


def test_one_broken_scan_does_not_rule_the_variance() -> None:
    values = np.append(np.random.default_rng(4).normal(size=50), 1e6)
    assert winsorised(values).max() < 10
    assert (np.argsort(winsorised(values)[:-1]) == np.argsort(values[:-1])).all()


def shifted(rows: list[Row]) -> list[Row]:
    """Two sites, the second with a higher cjv."""
    for at, row in enumerate(rows):
        row.site = "B" if at % 2 else "A"
        row.values["cjv"] = 0.4 + 0.01 * ((at * 7) % 10) + (0.2 if at % 2 else 0.0)
    return rows


def test_shift_and_difference(cohort_rows: Rows) -> None:
    effects = {(row.value, row.site): row for row in site_effects(shifted(cohort_rows(40)))}
    low, high = effects["cjv", "A"], effects["cjv", "B"]
    assert low.scans == high.scans == 20
    assert high.median - low.median == pytest.approx(0.2, abs=0.02)
    assert high.difference == pytest.approx(-low.difference, abs=0.03)
    assert low.shift is not None
    assert high.shift is not None
    assert high.shift > 1 > -1 > low.shift
    assert high.share is not None
    assert high.share.value > 0.9
    assert high.z is None, "two sites can't tell which is odd"


def test_a_site_among_sites(cohort_rows: Rows) -> None:
    rows = cohort_rows(60)
    for at, row in enumerate(rows):
        row.site = "ABCDEF"[at % 6]
        row.values["cjv"] = 0.4 + 0.02 * (at % 6 == 1) + (1.0 if at % 6 == 5 else 0.0)
    z = {row.site: row.z for row in site_effects(rows) if row.value == "cjv"}
    assert z["F"] is not None
    assert z["F"] > 10
    assert z["A"] == 0


def test_tables(
    cohort_records: Callable[..., list[Record]],
    write: Callable[..., None],
    table: Callable[..., list[dict[str, str]]],
    tmp_path: Path,
) -> None:
    def change(at: int, record: Record) -> None:
        if at % 2:
            record.acquisition["InstitutionName"] = "North"
            record.metrics["cjv"] = (record.metrics["cjv"] or 0.0) + 0.4

    write(tmp_path, *cohort_records(24, change))
    run_group(tmp_path)
    rows = [row for row in table(tmp_path / "group_site_effects.tsv") if row["value"] == "cjv"]
    assert [row["site"] for row in rows] == ["North, Siemens Prisma 3 T", "Siemens Prisma 3 T"]
    assert float(rows[0]["between_share"]) > 0.8
    assert float(rows[0]["between_share_low"]) < float(rows[0]["between_share"])
    sites = {row["site"]: row for row in table(tmp_path / "group_sites.tsv")}
    assert float(sites["North, Siemens Prisma 3 T"]["cjv_shift"]) > 2
    assert sites["Siemens Prisma 3 T"]["cjv_shift"] == rows[1]["shift"][: len(sites["Siemens Prisma 3 T"]["cjv_shift"])]
