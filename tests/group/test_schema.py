# SPDX-License-Identifier: Apache-2.0
"""The JSON Schema of a record: shipped as made, and neither too loose nor too tight."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from bidsqa.group.schema import record_schema, shipped_schema
from bidsqa.metrics import METRIC_KEYS
from bidsqa.models import SCORES
from bidsqa.record import Record
from bidsqa.validation.example_records import example_record, failed_record
from bidsqa.verdict import load_rules

RULES = load_rules()
VALIDATOR = jsonschema.Draft202012Validator(record_schema())


def test_the_shipped_file_is_what_the_tables_make() -> None:
    assert shipped_schema() == record_schema(), "run: python -m bidsqa.group.schema"


def test_it_is_a_schema_that_knows_every_metric_and_score() -> None:
    jsonschema.Draft202012Validator.check_schema(record_schema())
    assert set(record_schema()["properties"]["metrics"]["properties"]) == set(METRIC_KEYS)
    scores = set(SCORES)
    assert scores <= set(record_schema()["properties"]["scores"]["properties"])
    assert list(record_schema()["properties"]) == list(Record("x").to_dict())


@pytest.mark.parametrize("damage", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("suffix", ["T1w", "FLAIR"])
def test_records_are_valid(damage: float, suffix: str) -> None:
    VALIDATOR.validate(example_record(f"sub-01_{suffix}", suffix, damage=damage, rules=RULES).to_dict())


def test_failed_records_are_valid() -> None:
    VALIDATOR.validate(failed_record("sub-01_T1w", rules=RULES).to_dict())


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("verdict", "decision", "maybe"),
        ("verdict", "reasons", [{"text": "x"}]),
        ("verdict", "reasons", []),
        ("metrics", "cjv", "high"),
        ("metrics", "cjv", -1.0),
        ("scores", "ssim", {"value": 1.2, "uncertainty": 0, "unit": "", "slices": []}),
        ("scores", "ssim", {"value": 0.9}),
        ("image", "spacing", [1.0, 1.0]),
        ("provenance", "record_schema", "0"),
    ],
)
def test_wrong_records_are_not(part: str, key: str, value: Any) -> None:
    plain = example_record("sub-01_T1w", damage=1.0, rules=RULES).to_dict()
    plain[part][key] = value
    assert not VALIDATOR.is_valid(plain)


def test_a_pass_with_reasons_and_unknown_parts_are_not() -> None:
    plain = example_record("sub-01_T1w", damage=1.0, rules=RULES).to_dict()
    plain["verdict"]["decision"] = "pass"
    assert not VALIDATOR.is_valid(plain)
    plain = example_record("sub-01_T1w", rules=RULES).to_dict()
    assert not VALIDATOR.is_valid({**plain, "more": 1})
    assert not VALIDATOR.is_valid({**plain, "status": "failed"})
