# SPDX-License-Identifier: Apache-2.0
"""Verdicts learned from ratings: the arithmetic, the words, and what is refused in the file."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from bidsqa.errors import UsageError
from bidsqa.record import Record
from bidsqa.verdict import decide, load_rules
from bidsqa.verdict.fitted import FURTHEST, fitted_rules

FILE = """
version = "site-1"
[fitted.readers]
intercept = 1.0
review_below = 0.75
fail_below = 0.25
suffixes = ["T1w"]
[fitted.readers.terms."metrics.cjv"]
weight = -2.0
middle = 0.4
spread = 0.1
[fitted.readers.terms."scores.ssim.value"]
weight = 1.0
middle = 0.95
spread = 0.05
"""


def record(cjv: float | None = 0.4, ssim: float = 0.95, suffix: str = "T1w") -> Record:
    return Record(
        bids_name=f"sub-01_{suffix}",
        scores={"ssim": {"value": ssim}, "severity": {"value": 0.1}},
        metrics={"cjv": cjv, "snr_total": 12.0, "inu_range": 0.2, "empty_slices": 0},
        reasons_missing={} if cjv is not None else {"cjv": "no tissue masks"},
        image={"shape": [200, 200, 200], "spacing": [1, 1, 1], "clipped_fraction": 0.0, "nonfinite_voxels": 0,
               "negative_voxels": 0, "anatomy": {"problems": {}}},
    )  # fmt: skip


@pytest.fixture
def thresholds(tmp_path: Path) -> Path:
    path = tmp_path / "site.toml"
    path.write_text(FILE, encoding="utf-8")
    return path


def reason_of(record: Record, thresholds: Path) -> dict | None:
    found = [one for one in decide(record, load_rules(thresholds))["reasons"] if one["rule"] == "fitted.readers"]
    return found[0] if found else None


def test_a_usual_scan_is_accepted(thresholds: Path) -> None:
    assert reason_of(record(), thresholds) is not None  # 1 / (1 + e^-1) = 0.73, just below 0.75
    assert reason_of(record(cjv=0.3), thresholds) is None


def test_chance_is_the_logistic_of_the_sum(thresholds: Path) -> None:
    told = reason_of(record(cjv=0.6, ssim=0.90), thresholds)
    assert told is not None
    assert told["value"] == pytest.approx(1 / (1 + math.exp(-(1.0 - 2.0 * 2 + 1.0 * -1))))
    assert told["level"] == "fail"
    assert "cjv 0.600 (usual 0.400)" in told["text"]
    assert "2 % chance" in told["text"]


def test_of_small_parts_the_largest_is_named(thresholds: Path) -> None:
    told = reason_of(record(cjv=0.405, ssim=0.9485), thresholds)  # log-odds of -0.10 and -0.03
    assert told is not None
    assert told["text"].endswith("; most against it: cjv 0.405 (usual 0.400)")
    bare = reason_of(record(cjv=0.4), thresholds)
    assert bare is not None
    assert "most against it" not in bare["text"], "nothing is"


def test_between_the_limits_is_a_review(thresholds: Path) -> None:
    told = reason_of(record(cjv=0.45), thresholds)
    assert told is not None
    assert told["level"] == "review"
    assert told["threshold"] == 0.75


def test_a_missing_value_never_passes(thresholds: Path) -> None:
    told = reason_of(record(cjv=None), thresholds)
    assert told is not None
    assert told["level"] == "review"
    assert "no tissue masks" in told["text"]


def test_one_absurd_value_counts_no_more_than_five_spreads(thresholds: Path) -> None:
    (rule,) = fitted_rules(load_rules(thresholds).fitted, "T1w")
    assert rule.terms[0].part(1e9) == -2.0 * FURTHEST


def test_other_suffixes_are_left_alone(thresholds: Path) -> None:
    assert reason_of(record(cjv=0.9, suffix="T2w"), thresholds) is None


def test_version_tells_that_the_rules_are_others(thresholds: Path) -> None:
    version = load_rules(thresholds).version
    assert version.startswith("1+site-1.")
    thresholds.write_text(FILE.replace("-2.0", "-2.1"), encoding="utf-8")
    assert load_rules(thresholds).version != version
    assert load_rules().version == "1"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("intercept = 1.0", "", "intercept"),
        ("intercept = 1.0", "intercept = nan", "finite"),
        ("fail_below = 0.25", "fail_below = 0.9", "order"),
        ("spread = 0.1", "spread = 0", "spread"),
        ("weight = -2.0", "wait = -2.0", "exactly"),
        ('"metrics.cjv"', '"nowhere"', "no place"),
        ("review_below", "reviw_below", "review_below"),
        ('suffixes = ["T1w"]', 'suffixes = "T1w"', "list"),
    ],
)
def test_what_means_nothing_is_refused(thresholds: Path, old: str, new: str, told: str) -> None:
    thresholds.write_text(FILE.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        load_rules(thresholds)
    assert told in f"{caught.value} {caught.value.hint}"
