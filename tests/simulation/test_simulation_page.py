# SPDX-License-Identifier: Apache-2.0
"""What docs/simulation.rst prints is what comes out."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

pytest.importorskip("torch")

PAGE = Path(__file__).resolve().parents[2] / "docs" / "simulation.rst"


def test_examples_of_the_page_print_what_it_says() -> None:
    result = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert result.attempted > 20
    assert result.failed == 0
