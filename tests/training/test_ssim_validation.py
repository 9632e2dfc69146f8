# SPDX-License-Identifier: Apache-2.0
"""The arithmetic behind the validation tables of the SSIM network, on known answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bidsqa.validation.ssim import (
    SliceResult,
    VolumeResult,
    class_accuracy,
    classical_measures,
    fit_baseline,
    interval,
    separation,
    slice_rows,
    volume_rows,
    write_csv,
)


def results(count: int, subjects: int = 5, side: str = "test", noise: float = 0.05, seed: int = 0) -> list[SliceResult]:
    generator = np.random.default_rng(seed)
    truth = generator.uniform(0.3, 1.0, count)
    rows = []
    for number, value in enumerate(truth):
        measures = (value, *generator.normal(size=5))
        rows.append(
            SliceResult(
                side, "site", f"s{number % subjects}", "T1w", "axial", "motion", float(value),
                float(np.clip(value + generator.normal(0, noise), 0, 1)), measures,
            )
        )  # fmt: skip
    return rows


def test_class_accuracy_and_the_largest_class() -> None:
    truth = np.array([0.1, 0.4, 0.5, 0.9])
    assert class_accuracy(truth, truth, 3) == (1.0, 0.5)
    assert class_accuracy(truth, np.full(4, 0.5), 3) == (0.5, 0.5)


def test_separation_is_the_area_under_the_curve() -> None:
    assert separation(np.array([0.9, 0.8]), np.array([0.5, 0.1])) == 1.0
    assert separation(np.array([0.5]), np.array([0.5])) == 0.5
    assert separation(np.array([0.9, 0.3]), np.array([0.5])) == 0.5


def test_the_interval_grows_when_subjects_differ() -> None:
    rows = results(100)
    same = np.random.default_rng(1).normal(0, 1, 100)
    shifted = same + np.array([float(row.subject[1:]) * 3 for row in rows])

    def mean(values: np.ndarray) -> float:  # type: ignore[type-arg]
        return float(values.mean())

    low, high = interval(rows, same, mean)
    wide_low, wide_high = interval(rows, shifted, mean)
    assert low < same.mean() < high
    assert wide_high - wide_low > 5 * (high - low)


def test_the_baseline_finds_what_the_measures_hold() -> None:
    predict = fit_baseline(results(300, seed=2))
    fresh = results(100, seed=3)
    np.testing.assert_allclose(predict(fresh), [row.truth for row in fresh], atol=0.02)


def test_the_slice_table_names_every_group_and_both_baselines() -> None:
    held_out = results(60) + [replace(row, side="watch", contrast="FLAIR") for row in results(30, seed=4)]
    lines = slice_rows(results(80, side="train", seed=5), held_out)
    names = [line[0] for line in lines]
    assert names[0] == "sites not trained on"
    for expected in ("contrast FLAIR", "plane axial", "motion motion", "baseline: constant", "baseline: sharpness"):
        assert any(name.startswith(expected) for name in names), expected
    assert len({len(line) for line in lines}) == 1


def test_the_volume_table_orders_strengths() -> None:
    rows = [
        VolumeResult("test", "a", f"s{number}", "T1w", strength, 1 - strength / 2, 1 - strength / 2 - number / 99, 0.01)
        for number in range(3)
        for strength in (0.0, 0.5, 1.0)
    ]
    lines = volume_rows(rows)
    assert [line[0] for line in lines] == [0.0, 0.5, 1.0]
    assert [line[5] for line in lines] == ["", "1.000", "1.000"]
    assert lines[1][6] == "1.00"
    assert lines[0][7] == "0.00"


def test_measures_are_finite_and_see_blur() -> None:
    from scipy import ndimage

    generator = np.random.default_rng(6)
    image = generator.random((64, 64))
    head = np.ones((64, 64), dtype=bool)
    head[:5] = False
    sharp = classical_measures(image, head)
    soft = classical_measures(ndimage.gaussian_filter(image, 2), head)
    assert np.isfinite(sharp).all()
    assert np.isfinite(classical_measures(np.zeros((64, 64)), head)).all()
    assert soft[3] < sharp[3]


def test_single_results_are_written(tmp_path: Path) -> None:
    write_csv(tmp_path / "x.csv", results(3))
    lines = (tmp_path / "x.csv").read_text().splitlines()
    assert lines[0] == "side,site,subject,contrast,plane,motion,truth,predicted"
    assert len(lines) == 4
    with pytest.raises(IndexError):
        write_csv(tmp_path / "empty.csv", [])
