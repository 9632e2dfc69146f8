# SPDX-License-Identifier: Apache-2.0
"""Verdicts: laws that hold for any record, and the words of single reasons."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidsqa.record import Record
from bidsqa.validation.example_records import example_record, failed_record
from bidsqa.verdict import decide, load_rules, suffix_of
from bidsqa.verdict.reasons import digits, plain

RULES = load_rules()
RANK = {"pass": 0, "review": 1, "fail": 2}


def good(suffix: str = "T1w") -> Record:
    return example_record(f"sub-01_{suffix}", suffix, seed=3)


def reasons(record: Record) -> dict[str, dict[str, Any]]:
    return {reason["rule"]: reason for reason in decide(record, RULES)["reasons"]}


@pytest.mark.parametrize("suffix", ["T1w", "T2w", "FLAIR", "PDw"])
def test_a_clean_scan_passes_without_reasons(suffix: str) -> None:
    assert decide(good(suffix), RULES) == {"decision": "pass", "reasons": [], "rules_version": RULES.version}


def test_the_example_of_the_specification() -> None:
    record = good()
    values = [0.40 if 61 <= at <= 78 else 0.66 for at in range(40, 121)]
    record.scores["ssim"] |= {
        "value": 0.58,
        "slices": [{"plane": "axial", "index": [*range(40, 121)], "value": values}],
    }
    verdict = decide(record, RULES)
    assert verdict["decision"] == "fail"
    (reason,) = verdict["reasons"]
    assert reason["text"] == "motion: predicted SSIM 0.58 is below 0.60, axial slices 61-76 worst"
    assert reason["advice"].startswith("consider a re-scan")
    assert (reason["name"], reason["value"], reason["threshold"]) == ("scores.ssim.value", 0.58, 0.60)


@pytest.mark.parametrize(
    ("ssim", "decision"), [(1.0, "pass"), (0.85, "pass"), (0.8499, "review"), (0.60, "review"), (0.5999, "fail")]
)
def test_limits_themselves_are_still_good(ssim: float, decision: str) -> None:
    record = good()
    record.scores["ssim"]["value"] = ssim
    assert decide(record, RULES)["decision"] == decision


@pytest.mark.parametrize("hole", ["ssim", "severity"])
def test_a_missing_score_never_passes(hole: str) -> None:
    record = good()
    del record.scores[hole]
    record.reasons_missing[hole] = "no slice holds enough of the head"
    verdict = decide(record, RULES)
    assert verdict["decision"] == "review"
    assert "no slice holds enough of the head" in verdict["reasons"][0]["text"]


@given(data=st.data())
def test_taking_anything_away_never_makes_a_pass(data: st.DataObject) -> None:
    record = good()
    part = data.draw(st.sampled_from(["scores", "metrics", "image"]))
    holder = getattr(record, part)
    needed = {rule.reads.split(".")[1] for rule in RULES.for_suffix("T1w")} | {
        "shape",
        "spacing",
        "nonfinite_voxels",
        "negative_voxels",
    }
    key = data.draw(st.sampled_from(sorted(needed & set(holder))))
    holder[key] = data.draw(st.sampled_from([None, "text", [], {}, True, float("nan"), float("inf")]))
    assert decide(record, RULES)["decision"] != "pass"


@given(
    ssim=st.floats(0, 1),
    worse=st.floats(0, 1),
    severity=st.floats(0, 10),
    more=st.floats(0, 5),
)
def test_worse_scores_never_give_a_better_verdict(ssim: float, worse: float, severity: float, more: float) -> None:
    record, other = good(), good()
    record.scores["ssim"]["value"], record.scores["severity"]["value"] = ssim, severity
    other.scores["ssim"]["value"], other.scores["severity"]["value"] = ssim * worse, severity + more
    assert RANK[decide(other, RULES)["decision"]] >= RANK[decide(record, RULES)["decision"]]


@given(
    junk=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    ),
    place=st.sampled_from(["ssim", "severity"]),
)
def test_no_content_of_a_score_breaks_the_verdict(junk: Any, place: str) -> None:
    record = good()
    record.scores[place] = junk
    verdict = decide(record, RULES)
    assert verdict["decision"] in RANK
    record.scores[place] = {"value": 0.5, "slices": junk, "families": junk}
    json.dumps(decide(record, RULES), allow_nan=False)


def test_the_verdict_is_a_function_of_the_record_alone() -> None:
    record = example_record("sub-01_T1w", damage=0.6)
    before = copy.deepcopy(record)
    first = decide(record, RULES)
    assert record == before
    record.verdict = {"decision": "pass"}
    assert decide(record, RULES) == first == decide(Record.loads(before.dumps()), RULES)


def test_a_failed_scan_fails_with_its_cause_and_hint() -> None:
    record = failed_record("sub-01_T1w")
    (reason,) = decide(record, RULES)["reasons"]
    assert decide(record, RULES)["decision"] == "fail"
    assert "the stream ended too early" in reason["text"]
    assert reason["advice"] == "copy or convert the scan again"


def test_reasons_come_gravest_first() -> None:
    record = good()
    record.image["clipped_fraction"] = 0.2
    record.scores["ssim"]["value"] = 0.3
    levels = [reason["level"] for reason in decide(record, RULES)["reasons"]]
    assert levels == ["fail", "review"]


def test_the_strongest_family_names_the_cause() -> None:
    record = good()
    record.scores["severity"] |= {"value": 3.0, "families": {"noise": 2.9, "motion": 0.4, "unheard of": 9.0}}
    reason = reasons(record)["severity"]
    assert reason["text"].startswith("noise: severity 3 is above 2")
    assert "averages" in reason["advice"]


def test_slices_are_not_blamed_for_what_they_do_not_show() -> None:
    record = good()  # its slices lie near 0.25
    record.scores["severity"]["value"] = 1.5
    assert reasons(record)["severity"]["text"] == "artifacts: severity 1.5 is above 1"


def test_a_score_outside_its_domain_asks_for_a_look() -> None:
    record = good()
    record.scores["ssim"]["outside_domain"] = []
    assert decide(record, RULES)["decision"] == "pass"
    record.scores["ssim"]["outside_domain"] = ["pixels of 0.20 x 0.20 mm"]
    assert "ssim: pixels of 0.20 x 0.20 mm" in reasons(record)["domain"]["text"]


def test_masks_that_cannot_be_trusted_are_named() -> None:
    record = good()
    record.image["anatomy"]["problems"] = {"brain": "its volume is 300 ml", "air": "the background is zeroed"}
    reason = reasons(record)["masks"]
    assert reason["text"] == "anatomy: brain: its volume is 300 ml"
    record.image["anatomy"]["problems"] = {"air": "the background is zeroed"}
    assert decide(record, RULES)["decision"] == "pass"


def test_a_masks_problem_is_told_once_but_never_hidden() -> None:
    record = good()
    why = "its volume is 300 ml"
    record.image["anatomy"]["problems"] = {"brain": why}
    record.metrics["cjv"], record.reasons_missing["cjv"] = None, why
    assert list(reasons(record)) == ["masks"]
    without = {name: dict(table) for name, table in RULES.tables.items()}
    without["masks"]["review_above"] = 9
    (reason,) = decide(record, type(RULES)("x", without))["reasons"]
    assert "(cjv)" in reason["text"]


def test_tuples_and_lists_are_judged_alike() -> None:
    record = example_record("sub-01_T1w", damage=1.0)
    parts = tuple(
        {**part, "index": tuple(part["index"]), "value": tuple(part["value"])}
        for part in record.scores["ssim"]["slices"]
    )
    other = Record.loads(record.dumps())
    other.scores["ssim"]["slices"] = parts
    assert decide(other, RULES) == decide(record, RULES)
    assert "slices" in reasons(other)["ssim"]["text"]


def test_missing_values_with_one_cause_are_one_reason() -> None:
    record = good()
    for name in ("cjv", "snr_total"):
        record.metrics[name] = None
        record.reasons_missing[name] = "the tissues can't be told apart"
    found = decide(record, RULES)["reasons"]
    assert len(found) == 1
    assert "(cjv)" in found[0]["text"]
    assert "(snr_total)" in found[0]["text"]


@pytest.mark.parametrize(
    ("key", "value", "rule", "level"),
    [
        ("clipped_fraction", 0.05, "clipped", "review"),
        ("nonfinite_voxels", 200_000, "nonfinite", "review"),
        ("negative_voxels", 2_000_000, "negative", "review"),
        ("shape", [176, 240, 40], "coverage", "fail"),
        ("shape", [176, 240, 90], "coverage", "review"),
        ("spacing", [1.0, 1.0, 9.0], "resolution", "review"),
    ],
)
def test_facts_of_the_image(key: str, value: Any, rule: str, level: str) -> None:
    record = good()
    record.image[key] = value
    assert reasons(record)[rule]["level"] == level


def test_shares_are_told_in_per_cent() -> None:
    record = good()
    record.image["clipped_fraction"] = 0.013
    reason = reasons(record)["clipped"]
    told = "the share of bright voxels that are cut off at the highest value is 1.3 %, above 1 %"
    assert reason["text"] == f"clipping: {told}"
    assert (reason["value"], reason["threshold"]) == (0.013, 0.01)
    record.image["clipped_fraction"] = 0.0100001
    assert "is 1.00001 %, above 1 %" in reasons(record)["clipped"]["text"]


def test_hostile_text_stays_text() -> None:
    record = good()
    nasty = "{0.__class__} %s %(x)s {{7*7}} <script>alert(1)</script>"
    record.reasons_missing["cjv"] = nasty
    record.metrics["cjv"] = None
    record.scores["ssim"] |= {"value": 0.2, "slices": [{"plane": nasty, "index": [*range(9)], "value": [*range(9)]}]}
    texts = " ".join(reason["text"] for reason in decide(record, RULES)["reasons"])
    assert texts.count(nasty) == 2


def test_no_rule_is_no_pass() -> None:
    empty = type(RULES)(version="none", tables={})
    assert decide(good(), empty)["decision"] == "review"


@given(value=st.floats(-1e9, 1e9), threshold=st.floats(-1e3, 1e3))
def test_a_value_never_reads_like_its_limit(value: float, threshold: float) -> None:
    shown, limit = digits(value, threshold)
    if f"{value:.10g}" != f"{threshold:.10g}":
        assert float(shown) != threshold or shown != limit


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5965, "0.597"),
        (12.34, "12.3"),
        (1234.5, "1234"),
        (0.00123, "0.00123"),
        (1e-7, "1e-07"),
        (3.0, "3"),
        (-0.4, "-0.400"),
    ],
)
def test_numbers_for_the_eye(value: float, text: str) -> None:
    assert plain(value) == text


def test_the_suffix_is_the_assessed_one() -> None:
    assert suffix_of(Record("sub-01_T2w")) == "T2w"
    assert suffix_of(Record("scan", provenance={"suffix": "T1w"})) == "T1w"
    assert suffix_of(Record("scan", provenance={"suffix": "../x"})) == ""


def test_many_missing_values_are_told_in_few_words() -> None:
    record = example_record("sub-01_T1w")
    for name in ("severity", "ssim"):
        del record.scores[name]
    for name in ("severity", "ssim", "cjv", "snr_total", "inu_range"):
        record.reasons_missing[name] = "the image was not read"
        record.metrics.pop(name, None)
    (entry,) = decide(record, RULES)["reasons"]
    assert "severity, predicted SSIM, the joint variation" in entry["text"]
    assert "and 2 more could not be had: the image was not read" in entry["text"]
    assert entry["name"].count("metrics.") == 3
