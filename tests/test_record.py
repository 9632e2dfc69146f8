# SPDX-License-Identifier: Apache-2.0
"""The record: strict JSON in a fixed key order, there and back."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidsqa.record import Record, clean

KEYS = [
    "bids_name",
    "status",
    "verdict",
    "scores",
    "metrics",
    "reasons_missing",
    "image",
    "acquisition",
    "warnings",
    "failure",
    "provenance",
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_keys_come_in_the_documented_order() -> None:
    assert list(json.loads(Record("sub-01_T1w").dumps())) == KEYS


@given(st.dictionaries(st.text(), VALUES, max_size=5))
def test_whatever_is_in_it_is_strict_json_and_stable(values: dict[str, object]) -> None:
    text = Record("sub-01_T1w", image=values).dumps()
    assert Record.loads(text).dumps() == text


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan"), np.float64("inf")])
def test_nothing_infinite_or_undefined_survives(value: float) -> None:
    assert clean({"x": value, "y": [value]}) == {"x": None, "y": [None]}


def test_numbers_keep_seven_digits() -> None:
    values = np.array([1 / 3, 1e-12, 123456.789])
    np.testing.assert_allclose(clean(values), values, rtol=1e-7)
    assert clean(np.float32(0.3)) == 0.3


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"bids_name": 3}', '{"bids_name": "a", "status": "fine"}'])
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Record.loads(text)


def test_keys_of_a_later_version_are_passed_over() -> None:
    assert Record.from_dict({"bids_name": "a", "status": "ok", "later": 1}) == Record("a")


GOOD = {"bids_name": "sub-01_T1w", "status": "ok"}


@pytest.mark.parametrize(
    "change", [{"metrics": []}, {"verdict": "pass"}, {"metrics": dict.fromkeys(map(str, range(3000)), 1.0)}]
)
def test_what_has_the_wrong_shape_is_no_record(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"object|entries"):
        Record.from_dict({**GOOD, **change})


@pytest.mark.parametrize("deep", ["[" * 3000 + "]" * 3000, '{"a":' * 980 + "1" + "}" * 980])
def test_what_is_nested_too_deeply_is_no_record(deep: str) -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        Record.loads(f'{{"bids_name": "sub-01_T1w", "status": "ok", "image": {{"x": {deep}}}}}').to_dict()


def test_huge_numbers_and_half_letters_can_be_written_again() -> None:
    text = '{"bids_name": "sub-01_T1w", "status": "ok", "metrics": {"a": 1%s, "b": NaN}, "warnings": ["x\\ud800"]}'
    record = Record.loads(text % ("0" * 400))
    assert record.to_dict()["metrics"] == {"a": None, "b": None}
    assert record.dumps().encode()
    assert Record.loads(record.dumps()).warnings == ["x?"]


def test_verdict_of_another_kind_is_no_verdict() -> None:
    reasons = [{"level": ["fail"], "text": "a"}, "b", {"level": "fail", "text": "c"}]
    record = Record.from_dict({**GOOD, "verdict": {"decision": {"a": 1}, "reasons": reasons}})
    assert record.verdict == {"reasons": [{"text": "a"}, {"level": "fail", "text": "c"}]}


def test_a_records_file_may_be_anything(tmp_path: Path) -> None:
    pipe, link, huge = tmp_path / "pipe", tmp_path / "link", tmp_path / "huge"
    os.mkfifo(pipe)
    link.symlink_to("/dev/zero")
    with huge.open("wb") as file:
        file.truncate(100_000_000)
    for path in (pipe, link, huge, tmp_path):
        with pytest.raises(OSError, match=r"it is no regular file|it has 100 MB"):
            Record.load(path)
