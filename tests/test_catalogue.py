# SPDX-License-Identifier: Apache-2.0
"""The four tables are complete: each row is documented, tested, and has its files."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest

from bidsqa.cli.options import OPTIONS
from bidsqa.cli.rate_options import RATE_OPTIONS
from bidsqa.cli.train_options import EVALUATE_OPTIONS, TRAIN_OPTIONS
from bidsqa.metrics import METRIC_KEYS, METRICS
from bidsqa.models import MODELS
from bidsqa.models.table import WEIGHTS_FOLDER, read_checksums
from bidsqa.simulation import ARTIFACTS

ROOT = Path(__file__).resolve().parents[1]
DOI_OR_WORDS = re.compile(r"\w{3}")


@cache
def documentation() -> ModuleType:
    """The extension that makes the documentation's pages from the tables."""
    specification = importlib.util.spec_from_file_location("docs_tables", ROOT / "docs" / "_ext" / "tables.py")
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@cache
def code_in(folder: str) -> str:
    """All test code of one folder of tests/."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests" / folder).rglob("*.py")))


def quoted(name: str, text: str) -> bool:
    """Whether the name stands in the code as a string of its own, an attribute or a call."""
    return re.search(rf"""["'.]{re.escape(name)}(?![A-Za-z0-9_])""", text) is not None


# ---------------------------------------------------------------- metrics


@pytest.mark.parametrize("row", METRICS, ids=lambda row: row.name)
def test_metric_is_described(row) -> None:
    assert row.keys
    assert all(len(says) > 15 for says in row.keys.values()), "say in plain words what the number tells"
    assert row.direction in ("higher", "lower", "none")
    assert DOI_OR_WORDS.search(row.source)
    assert DOI_OR_WORDS.search(row.formula)
    low, high = row.bounds
    assert low is None or high is None or low < high
    assert row.version >= 1
    assert row.suffixes
    page = documentation().metrics()
    assert f"_metric-{row.name}:" in page
    assert all(f"- ``{key}``: " in page for key in row.keys)


@pytest.mark.parametrize("row", METRICS, ids=lambda row: row.name)
def test_metric_has_a_test(row) -> None:
    code = code_in("metrics")
    named = [name for name in (row.name, row.function.__name__, *row.keys) if quoted(name, code)]
    assert named, f"no test in tests/metrics names {row.name} or one of its keys"


def test_metric_keys_are_unique() -> None:
    keys = [key for row in METRICS for key in row.keys]
    assert len(keys) == len(set(keys))
    assert set(METRIC_KEYS) == set(keys)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", key) for key in keys)


# ---------------------------------------------------------------- models


# the last is that of the loss, no model of the main job
SHIPPED = [*(row.weights for row in MODELS.values() if row.weights), "ranking_iq_net.safetensors"]


@pytest.mark.parametrize("name", SHIPPED)
def test_model_files(name: str) -> None:
    weights = WEIGHTS_FOLDER / name
    assert weights.is_file(), "weights ship with the package"
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == read_checksums(WEIGHTS_FOLDER)[name]
    text = weights.with_suffix(".md").read_text(encoding="utf-8").lower()
    for subject in ("data", "seed", "validation", "limit", "licen"):
        assert subject in text, f"the card of {name} says nothing about '{subject}'"


def test_models_without_weights_learn_from_readers() -> None:
    from bidsqa.cli.train_options import ARCHITECTURES

    assert {name for name, row in MODELS.items() if not row.weights} <= set(ARCHITECTURES)


def test_every_weights_file_has_a_row() -> None:
    assert {path.name for path in WEIGHTS_FOLDER.iterdir() if path.suffix in (".onnx", ".safetensors")} == set(SHIPPED)
    assert set(read_checksums(WEIGHTS_FOLDER)) == set(SHIPPED)


@pytest.mark.parametrize("row", MODELS.values(), ids=lambda row: row.name)
def test_model_is_described_and_tested(row) -> None:
    assert len(row.says) > 15
    assert row.source
    assert row.citation
    page = documentation().models()
    assert f"_model-{row.name}:" in page
    assert documentation().escape(row.says) in page
    assert quoted(row.name, code_in("models") + code_in("anatomy")), f"no test names the model {row.name}"


@pytest.mark.parametrize("row", [row for row in MODELS.values() if row.kind == "score"], ids=lambda row: row.name)
def test_readings_cover_the_range(row) -> None:
    edges = sorted((reading.low, reading.high) for reading in row.readings)
    assert edges[0][0] == row.bounds[0]
    assert edges[-1][1] == row.bounds[1]
    assert all(left[1] == right[0] for left, right in pairwise(edges))


# ---------------------------------------------------------------- artifacts


@pytest.mark.parametrize("name", ARTIFACTS)
def test_artifact_is_described(name: str) -> None:
    row = ARTIFACTS[name]
    assert row.name == name
    assert DOI_OR_WORDS.search(row.source)
    assert DOI_OR_WORDS.search(row.strength_meaning)
    assert f"* - ``{name}``" in documentation().artifacts()


@pytest.mark.parametrize("name", ARTIFACTS)
def test_artifact_has_a_test_of_its_own(name: str) -> None:
    code = code_in("simulation")
    called = re.search(rf"\b{ARTIFACTS[name].act.__name__}\(", code)
    assert called or quoted(name, code), f"no test in tests/simulation names {name} or calls its function"


# ---------------------------------------------------------------- options


@pytest.mark.parametrize("row", OPTIONS, ids=lambda row: row.name)
def test_option_is_described_and_tested(row) -> None:
    assert len(row.help) > 10
    page = documentation().options()
    assert re.search(rf"``--{row.name}( .+)?``\n", page)
    code = code_in("cli") + code_in("bids") + code_in("workflows")
    names = [rf"--{row.name}(?![\w-])", rf"--{row.key}(?!\w)", *([rf'"-{row.short}+"'] if row.short else [])]
    assert any(re.search(name, code) for name in names), f"no test gives --{row.name}"


@pytest.mark.parametrize(
    ("page", "row"),
    [
        *(("train_options", row) for row in TRAIN_OPTIONS),
        *(("evaluate_options", row) for row in EVALUATE_OPTIONS),
        *(("rate_options", row) for row in RATE_OPTIONS),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_training_option_is_described_and_tested(page: str, row) -> None:
    assert len(row.help) > 10
    assert re.search(rf"``--{row.name}( .+)?``\n", documentation().SOURCES[page]())
    modules = {
        "train_options": "test_train_*.py",
        "evaluate_options": "test_evaluate_*.py",
        "rate_options": "test_rate_*.py",
    }[page]
    code = "".join(file.read_text(encoding="utf-8") for file in sorted((ROOT / "tests" / "cli").glob(modules)))
    assert re.search(rf"--{row.name}(?![\w-])", code), f"no test of {modules} gives --{row.name}"
