# SPDX-License-Identifier: Apache-2.0
"""Hostile input of every kind, a bounded number of cases, the same ones each time (benchmarks/fuzz.py tries more)."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import pytest

from bidsqa.errors import InputError, UsageError
from bidsqa.image import load_volume
from bidsqa.validation.fuzz_datasets import DATASET_TARGETS
from bidsqa.validation.fuzz_outputs import OUTPUT_TARGETS
from bidsqa.validation.fuzzing import Target, Violation, check_case, limits, run_target
from bidsqa.validation.hostile_images import swollen_images

# as many as some 4 seconds take
CASES = {
    "images": 400,
    "scans": 8,
    "sidecars": 80,
    "tables": 80,
    "folders": 12,
    "settings": 200,
    "records": 60,
    "studies": 2,
    "mriqc": 80,
    "weights": 40,
}


@pytest.fixture(autouse=True)
def _quiet() -> None:
    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL + 1)


@pytest.mark.slow
@pytest.mark.parametrize("target", [*DATASET_TARGETS, *OUTPUT_TARGETS], ids=lambda target: target.name)
def test_hostile_input_is_refused_or_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: Target) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cases").mkdir()
    tally = run_target(target, tmp_path / "cases", CASES[target.name])
    assert sum(tally.outcomes.values()) >= CASES[target.name] * 0.9
    assert len(tally.outcomes) > 1, "cases of one kind only prove nothing"
    assert os.listdir(tmp_path) == ["cases"], "a case wrote outside its folder"
    assert not os.listdir(tmp_path / "cases")


@pytest.mark.parametrize("what", sorted(swollen_images()))
def test_a_small_file_that_expands_to_hundreds_of_megabytes_costs_nothing(tmp_path: Path, what: str) -> None:
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(swollen_images()[what])
    assert path.stat().st_size < 2_000_000
    start = time.monotonic()
    with limits(5.0, 60.0):
        if what.endswith("behind the image"):
            assert load_volume(path).shape == (10, 9, 8)
        else:
            with pytest.raises(InputError) as caught:
                load_volume(path)
            assert caught.value.hint
    assert time.monotonic() - start < 1.0


def _greedy(case: int, folder: Path) -> str:
    return str(len(bytearray(case)))


def _slow(case: int, folder: Path) -> str:
    time.sleep(case)
    while True:
        pass


def _vague(case: int, folder: Path) -> str:
    raise UsageError("It didn't work.")


def test_the_limits_notice_what_breaks_them(tmp_path: Path) -> None:
    greedy = Target("greedy", "", lambda: None, _greedy, megabytes=100.0)
    assert check_case(greedy, 1000, tmp_path) == "1000"
    with pytest.raises(MemoryError):
        check_case(greedy, 400_000_000, tmp_path)
    with pytest.raises(Violation, match="no end after"):
        check_case(Target("slow", "", lambda: None, _slow, seconds=0.2), 0, tmp_path)
    with pytest.raises(Violation, match="of waiting"):
        check_case(Target("waiting", "", lambda: None, _slow, seconds=0.02), 9, tmp_path)
    with pytest.raises(Violation, match="no clear refusal"):
        check_case(Target("vague", "", lambda: None, _vague), 0, tmp_path)
