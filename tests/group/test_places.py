# SPDX-License-Identifier: Apache-2.0
"""Each scan's place among the others: counts known on paper, ties, what must not change them."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from bidsqa.group.places import places, ranks, told_to_pages
from bidsqa.group.rows import Row
from bidsqa.validation.example_records import example_record

KEY = "snr_total"


def row(at: int, value: float | None, suffix: str = "T1w", site: str = "A", status: str = "ok") -> Row:
    return Row(
        name=f"sub-{at:02d}_{suffix}",
        suffix=suffix,
        entities={"sub": f"{at:02d}"},
        status=status,
        decision="pass",
        reasons=[],
        values={KEY: value},
        background="",
        scanner=(),
        versions={"rules": "3"},
        site=site,
    )


def test_ranks_known_on_paper() -> None:
    nan = math.nan
    values = np.array([[5.0, 1.0], [2.0, 1.0], [2.0, nan], [9.0, 1.0], [nan, nan]])
    below, equal, count = ranks(values)
    assert below[:, 0].tolist() == [2, 0, 0, 3, 0]
    assert equal[:, 0].tolist() == [0, 1, 1, 0, 0]
    assert equal[:, 1].tolist() == [2, 2, 0, 2, 0]
    assert count.tolist() == [4, 3]


def test_ranks_agree_with_scipys_middle_ranks() -> None:
    from scipy.stats import rankdata

    values = np.random.default_rng(0).integers(0, 30, (101, 3)).astype(float)
    below, equal, _ = ranks(values)
    assert np.array_equal(below + equal / 2 + 1, rankdata(values, axis=0))


def test_places_depend_on_order_only() -> None:
    rng = np.random.default_rng(1)
    values = [float(value) for value in rng.normal(size=30)]
    rows = [row(at, value) for at, value in enumerate(values)]
    usual = places(rows)
    stretched = places([row(at, math.exp(3 * value) + 7) for at, value in enumerate(values)])
    assert stretched == usual, "a rising transform changes no place"
    order = rng.permutation(30)
    assert [usual[at] for at in order] == places([rows[at] for at in order])
    upside_down = places([row(at, -value) for at, value in enumerate(values)])
    for up, down in zip(usual, upside_down, strict=True):
        assert up[KEY][0] + down[KEY][0] == 29


def test_only_comparable_scans_count() -> None:
    rows = [row(at, float(at)) for at in range(5)]
    rows += [row(9, 99.0, suffix="T2w"), row(10, 100.0, status="failed"), row(11, None), row(12, math.nan)]
    found = places(rows)
    assert [entry[KEY] for entry in found[:5]] == [[at, 0, 5] for at in range(5)]
    assert found[5:] == [{}, {}, {}, {}], "alone in its suffix, failed, or without a value"


@pytest.mark.parametrize(("small", "told"), [(7, False), (8, True)])
def test_a_site_counts_from_eight_scans_on(small: int, told: bool) -> None:
    rows = [row(at, float(at), site="A") for at in range(20)]
    rows += [row(40 + at, 5.5 + at, site="B") for at in range(small)]
    found = places(rows)
    assert found[0][KEY] == [0, 0, 20 + small, 0, 0, 20]
    assert found[20][KEY] == [6, 0, 20 + small, *([0, 0, 8] if told else [])]


def test_a_lone_site_isnt_told_twice() -> None:
    assert places([row(at, float(at)) for at in range(12)])[3] == {KEY: [3, 0, 12]}
    # all who have the value are at one site
    rows = [row(at, float(at)) for at in range(12)] + [row(50 + at, None, site="B") for at in range(9)]
    assert places(rows)[3] == {KEY: [3, 0, 12]}


def test_scores_come_first_and_words_are_no_values() -> None:
    from bidsqa.group.rows import row_of

    rows = [row_of(example_record(f"sub-{at}_T1w", seed=at)) for at in range(9)]
    rows[0].values["severity_family"] = "noise"
    found = places(rows)[0]
    assert list(found)[:2] == ["severity", "ssim"]
    assert not [key for key in found if "uncertainty" in key or "family" in key]


def test_what_a_page_is_told_is_short_json() -> None:
    rows = [row(at, float(at)) for at in range(3)]
    rows[1].outliers = [KEY]
    rows[1].reasons = [{"text": "x" * 5000}, {}]
    told = told_to_pages(rows)[1]
    assert told["outliers"] == [KEY]
    assert told["values"] == {KEY: [1, 0, 3]}
    assert told["rules"] == "3"
    assert len(json.dumps(told)) < 1000
