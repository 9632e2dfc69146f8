# SPDX-License-Identifier: Apache-2.0
"""The rating form and the schema of its file say the same."""

from __future__ import annotations

import jsonschema
import pytest

from bidsqa.report.rating_form import (
    ARTIFACTS,
    CONFIDENCE,
    DECISIONS,
    rating_form,
    rating_schema,
)

RATING = {
    "kind": "bidsqa rating",
    "schema_version": 1,
    "bids_name": "sub-01_T1w",
    "image_sha256": None,
    "rater": "",
    "decision": "review",
    "artifacts": ["motion"],
    "comment": "",
    "confidence": None,
    "seconds": 12.5,
    "time": "2026-03-01T10:00:00Z",
    "bidsqa": "0.1.0",
    "shown": {"decision": "pass", "rules_version": "1", "group_decision": None},
}


def test_the_schema_takes_what_the_form_offers() -> None:
    schema = rating_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    fields = schema["properties"]
    assert fields["decision"]["enum"] == [name for name, _, _ in DECISIONS]
    assert fields["artifacts"]["items"]["enum"] == [name for name, _, _ in ARTIFACTS]
    assert fields["confidence"]["maximum"] == len(CONFIDENCE) - 1
    assert rating_form()["data"] == schema, "the page judges a file by the schema itself"
    assert set(schema["required"]) == set(fields) == set(RATING)
    jsonschema.validate(RATING, schema)


@pytest.mark.parametrize(
    "change",
    [
        {"decision": "excellent"},
        {"artifacts": ["motion", "motion"]},
        {"artifacts": ["gremlins"]},
        {"confidence": 5},
        {"confidence": 1.5},
        {"schema_version": 2},
        {"more": 1},
        {"shown": {}},
    ],
)
def test_the_schema_refuses(change: dict[str, object]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**RATING, **change}, rating_schema())


def test_every_choice_has_a_key_of_its_own() -> None:
    taken = [key for *_, key in (*DECISIONS, *ARTIFACTS)] + list("cs+-jkpvt")
    assert len(taken) == len(set(taken))
