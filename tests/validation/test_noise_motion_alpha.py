# SPDX-License-Identifier: Apache-2.0
"""Alpha of made and read versions: known answers, laws, and the table of made-up scorers."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from bidsqa.training.noise_motion import RULER_LEVELS
from bidsqa.validation.noise_motion_alpha import Alpha, alpha_of, alpha_table
from bidsqa.validation.noise_motion_cases import MADE, REAL, SEEN_SITE, Case
from bidsqa.validation.noise_motion_tables import NETWORK, Judged

LEVELS = np.array([*RULER_LEVELS, 33.0])
RULERS = {f"{contrast}-3D": dict.fromkeys((NETWORK, "IEDD", "plain SNR"), LEVELS) for contrast in ("T1w", "T2w")}


def by_pairs(true: np.ndarray, read: np.ndarray) -> float:
    """Interval alpha of two raters from its definition: 1 - squared distance within units over that of all pairs."""
    pooled = np.concatenate([true, read]).astype(float)
    observed = np.mean((true - read) ** 2.0)
    expected = np.mean([(a - b) ** 2 for a, b in itertools.permutations(pooled, 2)])
    return 1 - observed / expected


def test_alpha_is_that_of_its_definition() -> None:
    rng = np.random.default_rng(0)
    true = np.tile(np.arange(8), 5)
    read = np.clip(true + rng.integers(-2, 3, true.size), 0, 7)
    subjects = np.repeat(list("abcde"), 8).tolist()
    found = alpha_of(true, read, subjects, "interval")
    assert found.value == pytest.approx(by_pairs(true, read))
    assert found.low < found.value < found.high <= 1
    assert alpha_of(true, true, subjects, "ordinal").value == pytest.approx(1)
    # a constant step costs the interval alpha of raters, unlike a correlation
    assert alpha_of(true, np.minimum(true + 3, 7), subjects, "interval").value < 0.7
    assert alpha_of(true, 7 - true, subjects, "ordinal").value < 0


def test_what_is_not_defined_is_told() -> None:
    same = np.full(4, 3)
    assert alpha_of(same, same, list("aabb"), "interval") == Alpha(None, None, None)
    assert Alpha(None, None, None).cell() == "n/a"
    alone = alpha_of(np.arange(8), np.arange(8), ["a"] * 8, "interval")
    assert (alone.value, alone.low) == (pytest.approx(1), None)
    assert alone.cell() == "1.00"


def made_up(subject: str, contrast: str, data: str, own: float = 40.0) -> Judged:
    """A case that the network reads right, IEDD backwards, and plain SNR a version too high."""
    empty = np.empty(0)
    case = Case(f"{subject}_{contrast}", subject, "x", contrast, data, "3D", own, empty, empty, "linear")
    return Judged(case, {NETWORK: LEVELS, "IEDD": LEVELS[::-1], "plain SNR": LEVELS + 3}, {})


def test_the_table_of_made_up_readings(tmp_path: Path) -> None:
    judged = [
        made_up("a", "T1w", REAL, own=20.0),
        made_up("b", "T2w", REAL),
        made_up("c", "T1w", MADE),
        made_up("d", "T1w", SEEN_SITE),
    ]
    table = alpha_table(judged, RULERS, "Weights 0123.")
    assert list(table.columns[3:]) == [
        f"{name}: {measure}" for name in ("network", "IEDD", "SNR") for measure in ("interval", "ordinal")
    ]
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows[f"{REAL}: all"][:4] == [2, 2, "1.00 [1.00, 1.00]", "1.00 [1.00, 1.00]"]
    assert rows[f"{REAL}: T1w"][:3] == [1, 1, "1.00"]
    right, wrong, high = (float(rows[f"{REAL}: all"][at].split()[0]) for at in (2, 4, 6))
    assert wrong < 0 < high < right
    read = np.minimum(np.arange(8) + 1, 7)
    assert high == pytest.approx(by_pairs(np.tile(np.arange(8), 2), np.tile(read, 2)), abs=0.005)
    last = table.rows[-1]
    # of subject a only 12 and 15 dB lie 3 dB above its own noise; the original, noise-free by count, of nobody
    assert last[0].startswith("not trained on, added noise 3 dB above the own (67 %)")
    assert last[1:3] == [3, 3]
    table.write(tmp_path / "alpha.json")
    assert json.loads((tmp_path / "alpha.json").read_text())["note"].endswith("Weights 0123.")
