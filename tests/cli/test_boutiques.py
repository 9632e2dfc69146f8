# SPDX-License-Identifier: Apache-2.0
"""The Boutiques descriptor: up to date, valid by Boutiques' own judgement; the parser takes what it builds."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

import bidsqa
from bidsqa.cli.boutiques import descriptor, dumps
from bidsqa.cli.options import OPTIONS
from bidsqa.cli.parser import parse
from bidsqa.errors import UsageError

FILE = Path(bidsqa.__file__).with_name("boutiques.json")


def filled_in(content: dict, values: dict[str, object]) -> str:
    """The command line with these values, as Boutiques' page says it is put together."""
    line = content["command-line"]
    for part in content["inputs"]:
        value = values.get(part["id"])
        if value is None and part["value-key"] == "[OUTPUT_DIR]":
            continue
        flag = part.get("command-line-flag", "")
        words = [] if value in (None, False) else [flag] if value is True else [flag, *map(str, value)]
        line = line.replace(part["value-key"], shlex.join(word for word in words if word))
    return line.partition("; ")[2]


def test_the_file_is_what_the_options_say() -> None:
    assert FILE.read_text(encoding="utf-8") == dumps(), "python -m bidsqa.cli.boutiques > bidsqa/boutiques.json"


def test_boutiques_takes_it_as_a_bids_app() -> None:
    validator = pytest.importorskip("boutiques.validator")
    from boutiques.bids import validate_bids

    content = json.loads(FILE.read_text(encoding="utf-8"))
    assert validator.validate_descriptor(content) == content
    validate_bids(content, valid=True)
    with pytest.raises(validator.DescriptorValidationError):
        validator.validate_descriptor(content | {"command-line": "bidsqa [BIDS_DIR]"})


def test_the_parser_takes_what_is_filled_in() -> None:
    content = descriptor()
    values = {
        "bids_dir": ["data"],
        "output_dir_name": ["out"],
        "analysis_level": ["participant", "group"],
        "participant_label": ["01", "02"],
        "modalities": ["T1w"],
        "slice_fraction": [0.5],
        "nprocs": [2],
        "dry_run": True,
        "verbose": True,
    }
    given = parse(shlex.split(filled_in(content, values))[1:])
    assert given.bids_dir == "data"
    assert given.output_dir == "out"
    assert given.analysis_level == ["participant", "group"]
    assert given.participant_label == ["01", "02"]
    assert (given.slice_fraction, given.nprocs, given.dry_run, given.verbose) == (0.5, 2, True, 1)


def test_every_option_and_its_bounds_are_in_it() -> None:
    parts = {part["id"]: part for part in descriptor()["inputs"]}
    assert {option.key for option in OPTIONS} <= parts.keys()
    for key, part in parts.items():
        if part["type"] != "Number" or "minimum" not in part:
            continue
        flag, value = part["command-line-flag"], part["minimum"]
        words = ["data", "out", "participant", flag, f"{value:g}"]
        if part.get("exclusive-minimum"):
            with pytest.raises(UsageError):
                parse(words)
        else:
            assert getattr(parse(words), key) == value
