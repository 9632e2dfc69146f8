# SPDX-License-Identifier: Apache-2.0
"""The record: strict JSON in a fixed key order, there and back."""

from __future__ import annotations

import json
import math

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
