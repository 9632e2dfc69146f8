# SPDX-License-Identifier: Apache-2.0
"""The arithmetic behind the validation tables of the SSIM network, on known answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bidsqa.validation.ssim import (
    SliceResult,
    class_accuracy,
    classical_measures,
    fit_baseline,
    named_file,
    network_rows,
    slice_rows,
    weighted_kappa,
)
from bidsqa.validation.ssim_displacement import aligned_ssim, moved, table_of
from bidsqa.validation.ssim_targets import Slice, target_table
from bidsqa.validation.ssim_targets import main as print_targets
from bidsqa.validation.ssim_volumes import (
    OTHER,
    OTHER_STRENGTHS,
    VolumeResult,
    calibrated_error,
    true_similarity,
    volume_rows,
    volume_tables,
    within,
)
from bidsqa.validation.tables import write_rows


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


def test_weighted_kappa_of_known_tables() -> None:
    from sklearn.metrics import cohen_kappa_score

    truth = np.array([0.95, 0.9, 0.7, 0.65, 0.5, 0.3, 0.88, 0.62])
    named = np.array([0.91, 0.7, 0.72, 0.5, 0.55, 0.7, 0.5, 0.9])
    classes = [[0 if value >= 0.85 else 1 if value >= 0.6 else 2 for value in values] for values in (truth, named)]
    assert weighted_kappa(truth, named) == pytest.approx(cohen_kappa_score(*classes, weights="quadratic"))
    assert weighted_kappa(truth, truth) == 1
    assert weighted_kappa(np.full(4, 0.9), np.full(4, 0.95)) == 1
    assert weighted_kappa(truth, np.full(8, 0.9)) == pytest.approx(0)


def test_networks_stand_side_by_side_on_the_same_slices() -> None:
    rows = [replace(row, others=(row.truth, 0.5)) for row in results(50)]
    lines = network_rows(["shipped", "perfect", "constant"], rows)
    assert [line[0] for line in lines] == ["shipped", "perfect", "constant"]
    assert lines[1][4].startswith("0.000")
    assert lines[2][5] == ""
    assert named_file("a=b/c.onnx") == ("a", Path("b/c.onnx"))


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


def volumes(error: float = 0.0, uncertainty: float = 0.01) -> list[VolumeResult]:
    rows = [
        VolumeResult(
            "test", "a", f"s{number}", "T1w", "motion", strength, 1 - strength / 2,
            1 - strength / 2 - number / 99 + error * (-1) ** number, uncertainty,
        )
        for number in range(4)
        for strength in (0.0, 0.5, 1.0)
    ]  # fmt: skip
    return rows + [
        replace(row, artifact=name, strength=strength, score=0.8 - 0.25 * (name == "noise" and strength == 1))
        for row in rows[:3:3]
        for name in OTHER
        for strength in OTHER_STRENGTHS
    ]


def test_the_volume_table_orders_strengths(tmp_path: Path) -> None:
    lines = volume_rows(volumes())
    assert [line[0] for line in lines] == [0.0, 0.5, 1.0]
    assert [line[5] for line in lines] == ["", "1.000", "1.000"]
    assert lines[1][6] == "4 of 4"
    assert lines[0][7] == "0.00"
    tables = volume_tables(volumes(), "abc")
    others = {(row[0], row[1]): row for row in tables["ssim_others"].rows}
    assert list(others) == [(name, strength) for name in OTHER for strength in (0.5, 1.0)]
    assert others["noise", 0.5][-2:] == ["1.00", "0.00"] and others["noise", 1.0][-2:] == ["1.00", "1.00"]
    assert "abc" in tables["ssim_volumes"].note
    write_rows(tmp_path / "v.csv", volumes())
    assert len((tmp_path / "v.csv").read_text().splitlines()) == len(volumes()) + 1


def test_the_error_beyond_the_spread_makes_the_uncertainty_cover_the_truth() -> None:
    rows = volumes(error=0.1, uncertainty=0.02)
    assert within(rows)[0] < 6
    beyond = calibrated_error(rows)
    assert beyond == pytest.approx(0.1, abs=0.02)
    wider = [replace(row, uncertainty=float(np.hypot(row.uncertainty, beyond))) for row in rows]
    assert within(wider) == (12, 12)
    assert calibrated_error(volumes(error=0.0, uncertainty=0.5)) == 0


def test_the_true_similarity_is_one_for_the_same_scan_and_falls_with_motion() -> None:
    from bidsqa.simulation import degrade_volume
    from bidsqa.simulation.phantom import make_phantom

    volume = make_phantom(seed=3, spacing=(3.0, 3.0, 3.0)).image("T1w", seed=3)
    assert true_similarity(volume, volume) == pytest.approx(1, abs=1e-5)
    values = [true_similarity(volume, degrade_volume(volume, "motion", strength, 5)[0]) for strength in (0.2, 0.6, 1.0)]
    assert 1 > values[0] > values[1] > values[2] > 0


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
    write_rows(tmp_path / "x.csv", results(3), ("measures", "others"))
    lines = (tmp_path / "x.csv").read_text().splitlines()
    assert lines[0] == "side,site,subject,contrast,plane,motion,truth,predicted"
    assert len(lines) == 4
    with pytest.raises(IndexError):
        write_rows(tmp_path / "empty.csv", [])


def textured_slice() -> tuple[torch.Tensor, torch.Tensor]:
    """A soft-edged disc with waves in it, and its mask."""
    rows, columns = torch.meshgrid(*[torch.arange(96.0) - 48] * 2, indexing="ij")
    radius = torch.hypot(rows, 1.2 * columns)
    inside = torch.sigmoid((34 - radius) / 1.5)
    image = inside * (1 + 0.3 * torch.sin(rows / 3) * torch.cos(columns / 4))
    return image[None, None], (inside > 0.5)[None, None]


def test_displacement_alone_is_regained_in_full() -> None:
    image, head = textured_slice()
    plain, aligned = aligned_ssim(image, moved(image, (1.6, -0.9, 0.8)), head)
    assert plain < 0.9
    assert aligned > 0.98
    assert aligned_ssim(image, image, head) == (1.0, 1.0)


def test_noise_is_not_regained() -> None:
    image, head = textured_slice()
    noisy = image + 0.1 * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    plain, aligned = aligned_ssim(image, noisy, head)
    assert plain <= aligned < plain + 0.02


def test_displacement_by_strength() -> None:
    measured = np.array([[0.1, 0.9, 0.95], [0.3, 0.8, 0.8], [0.4, 0.7, 0.8], [0.9, 0.5, 0.5]])
    rows = table_of(measured).rows
    assert [row[1] for row in rows] == [1, 2, 1, 4]
    assert rows[1][3] == "0.050 ± 0.050"


def test_targets_stand_beside_what_is_reached() -> None:
    truth = np.linspace(0.3, 1.0, 200)
    perfect = [Slice("s1", float(value), float(value)) for value in truth]
    assert [row[-2:] for row in target_table(perfect, "abc").rows] == [["yes", ""]] * 5
    poor = [Slice("s1", float(value), float(value) + 0.1 * (-1) ** place) for place, value in enumerate(truth)]
    rows = {row[0]: row for row in target_table(poor, "abc").rows}
    assert rows["mean error, magnitude"][2] == "0.000" and rows["mean error, magnitude"][-2] == "yes"
    assert rows["SD of the error"][2] == "0.100" and rows["SD of the error"][-2] == "no"
    assert rows["10 classes right"][-2] == "no" and "largest class" in rows["10 classes right"][-1]


def test_targets_are_of_the_shipped_weights_or_refused(tmp_path: Path) -> None:
    from bidsqa.models.table import MODELS

    rows = results(30) + [replace(row, side="watch", truth=0.0) for row in results(5)]
    write_rows(tmp_path / "ssim.csv", rows, ("measures", "others"))
    words = ["--slices", str(tmp_path / "ssim.csv"), "--out", str(tmp_path / "targets.json")]
    (tmp_path / "ssim.json").write_text('{"note": "Weights 000000000000."}')
    with pytest.raises(ValueError, match="other weights"):
        print_targets(words)
    (tmp_path / "ssim.json").write_text(f'{{"note": "Weights {MODELS["ssim"].sha256[:12]}."}}')
    print_targets(words)
    assert "30 slices" in (tmp_path / "targets.json").read_text()
