# SPDX-License-Identifier: Apache-2.0
"""Judging noise and motion: readings on paper, cases with known noise, tables from made-up scorers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from bidsqa.image import Volume
from bidsqa.simulation.coil_noise import bright_part, snr_db
from bidsqa.training.noise_motion import RULER_LEVELS
from bidsqa.training.pool import Clean
from bidsqa.validation import noise_motion_variants
from bidsqa.validation.noise_motion import judge, variant_readers, write_tables
from bidsqa.validation.noise_motion_cases import (
    MADE,
    REAL,
    SEEN_SITE,
    Case,
    cases_of,
    load_cases,
    plain_snr,
    prepared,
    save_cases,
)
from bidsqa.validation.noise_motion_motion import WholeScan, motion_cells, motion_offset
from bidsqa.validation.noise_motion_tables import (
    COMMAND,
    NETWORK,
    Judged,
    best_cut,
    clear_of_own,
    errors_of,
    read_versions,
)

LEVELS = np.array([*RULER_LEVELS, 33.0])
NOISE = (
    NETWORK,
    "IEDD",
    "plain SNR",
    "meon",
    "noise",
    "snr_plain",
    "iedd_plain",
    "iedd",
    "no_flair",
    "dual",
    "relu_bn",
)
MOVED = (NETWORK, "dual", "motion", "relu_bn", "relu_ln")


def made_up(subject: str, contrast: str, data: str, shift: float, own: float = 40.0) -> Judged:
    """A case whose scorers read all versions too high by a shift (dB)."""
    empty = np.empty(0)
    case = Case(f"{subject}_{contrast}", subject, "x", contrast, data, "3D", own, empty, empty, "linear")
    noise = dict.fromkeys((*NOISE, "relu_ln"), LEVELS + shift)
    return Judged(case, noise, {name: np.array([0.2, 0.9]) for name in MOVED})


@pytest.fixture
def judged() -> list[Judged]:
    return [
        made_up("a", "T1w", REAL, 0.0),
        made_up("b", "T2w", REAL, 3.2),
        made_up("c", "FLAIR", MADE, 0.0, own=20.0),
        made_up("d", "PDw", MADE, -3.2),
    ]


def whole(subject: str, p_still: float, data: str = REAL, contrast: str = "T1w") -> WholeScan:
    """A scan that looks a little more moved when it is."""
    return WholeScan(data, subject, contrast, 28.0, p_still, min(p_still + 0.1, 1.0))


RULERS = {f"{contrast}-3D": dict.fromkeys((*NOISE, "relu_ln"), LEVELS) for contrast in ("T1w", "T2w", "FLAIR", "PDw")}


def test_versions_are_read_by_the_nearest_level() -> None:
    assert read_versions(LEVELS, np.array([0.0, 13.4, 13.6, 99.0])).tolist() == [0, 0, 1, 7]
    assert read_versions(LEVELS, np.array([np.nan]))[0] == 0
    # a scorer that doesn't order the ruler reads all the same
    assert read_versions(LEVELS[::-1], np.array([12.0])).tolist() == [7]


def test_errors_of_known_shifts(judged: list[Judged]) -> None:
    errors = errors_of(judged, RULERS, NETWORK)
    assert errors.mean(axis=1).tolist() == pytest.approx([0, 7 / 8, 0, 7 / 8])
    assert errors_of(judged[:1], RULERS, NETWORK, "T2w-3D").sum() == 0


def test_versions_below_the_own_noise_are_told_apart(judged: list[Judged]) -> None:
    kept = clear_of_own(judged)
    assert kept[0].tolist() == [True] * 7 + [False]
    assert kept[2].tolist() == [True] * 2 + [False] * 6


def test_best_cut_on_paper() -> None:
    assert best_cut(np.array([1.0, 2, 3, 4]), np.array([False, False, True, True])) == 1
    assert best_cut(np.array([1.0, 2, 3, 4]), np.array([True, False, True, True])) == 0.75
    assert best_cut(np.array([1.0, 2]), np.array([False, False])) == 1


def test_motion_of_known_probabilities(judged: list[Judged]) -> None:
    accuracy, auc, found, alarms = motion_cells(judged, NETWORK)
    assert accuracy == "100 [100, 100]"
    assert auc == "1.00 [1.00, 1.00]"
    assert found == "100"
    assert alarms.startswith("0 [0, 49")


def test_the_offset_is_what_few_clean_scans_reach() -> None:
    rng = np.random.default_rng(0)
    clean = [whole(f"{n}", float(1 / (1 + np.exp(-x)))) for n, x in enumerate(rng.normal(0, 1, 400))]
    assert motion_offset(clean) == pytest.approx(1.65, abs=0.15)
    assert motion_offset([*clean, whole("s", 0.999, SEEN_SITE)]) == motion_offset(clean)
    assert motion_offset([*clean[:3], whole("x", 0.999)], "x") == motion_offset(clean[:3])
    assert motion_offset([whole(f"{n}", 0.01) for n in range(5)]) == 0


def test_all_tables(judged: list[Judged], tmp_path: Path) -> None:
    facts = tmp_path / "variants.json"
    facts.write_text(json.dumps({"steps": 10, "seconds": 1, "seed": 3}))
    scans = [whole("a", 0.1), whole("b", 0.7, contrast="T2w")]
    write_tables(judged, RULERS, scans, 0.3, "0123456789abcdef", facts, tmp_path)
    tables = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("noise_motion_*.json")}
    assert set(tables) == {
        f"noise_motion_{name}"
        for name in ("ruler", "alpha", "labels", "thresholds", "unseen", "motion", "tasks", "clean")
    }
    assert all("0123456789ab" in table["note"] for table in tables.values())
    assert {table["command"] for table in tables.values()} == {COMMAND}
    ruler = {row[0]: row for row in tables["noise_motion_ruler"]["rows"]}
    assert ruler[f"{REAL}: T1w"][3] == "0.00"
    assert ruler[f"{REAL}: all"][3].startswith("0.44 [0.00, 0.88]")
    assert "10 steps" in tables["noise_motion_tasks"]["note"]
    shifted = {row[0]: row for row in tables["noise_motion_thresholds"]["rows"]}
    assert float(shifted["network"][1]) >= 50
    motion = {row[0]: row for row in tables["noise_motion_motion"]["rows"]}
    # each is judged by the other alone: 0.7 is above 0.5 and the other, 0.1 isn't; b's 0.8 too, a's 0.2 isn't
    row = motion[f"whole scans, {REAL}"]
    assert row[-1].startswith("50 [")
    assert row[-2] == "50"
    # of the four comparisons of a moved scan with one as it is 0.2 > 0.7 alone fails
    assert row[3].startswith("0.75")


def test_cases_have_the_noise_they_say(t1w: Volume, tmp_path: Path) -> None:
    clean = Clean("sub-1_T1w", "1", "x", "T1w", "test", t1w)
    cases = list(cases_of(clean, REAL, 1))
    assert len(cases) == 3
    case = cases[0]
    assert case.dimension == "3D"
    found = [snr_db(case.versions[-1], version, bright_part(case.versions[-1])) for version in case.versions[:-1]]
    assert found == pytest.approx(list(RULER_LEVELS), abs=0.05)
    assert np.abs(case.pair[1] - case.pair[0]).mean() > 0
    scan = prepared(clean, REAL, 5)
    assert scan.moved.shape == scan.slices.shape
    # every slice is changed, and the outline stays
    apart = np.abs(scan.moved.astype(np.float32) - scan.slices.astype(np.float32)).mean(axis=(1, 2, 3))
    assert ((apart > 1e-3) & (apart < 0.5)).all()
    save_cases(cases, [scan], tmp_path / "cases.npz")
    again, scans = load_cases(tmp_path / "cases.npz")
    assert [one.name for one in again] == [one.name for one in cases]
    assert np.allclose(
        again[0].versions * case.versions.max(), case.versions, rtol=2e-3, atol=1e-3 * case.versions.max()
    )
    assert np.array_equal(scans[0].slices, scan.slices)
    assert np.array_equal(scans[0].moved, scan.moved)
    judged = judge(again, {"mean": lambda images: images.mean(axis=(1, 2))}, {})
    assert judged[0].noise["mean"].shape == (8,)
    assert judged[0].case.versions.size == 0


def test_plain_ratio_falls_with_noise() -> None:
    rows = np.linspace(0, 3, 128)
    image = 100 + 10 * np.sin(rows)[:, None] * np.cos(rows)[None]
    draw = np.random.default_rng(1).standard_normal(image.shape)
    assert plain_snr(image + 5 * draw) == pytest.approx(20 * np.log10(image.mean() / 5), abs=0.5)
    assert np.isnan(plain_snr(np.zeros((32, 32))))


def test_variants_are_trained_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bidsqa.training import noise_motion_batches
    from bidsqa.training.noise_motion_sets import Windows

    monkeypatch.setattr(noise_motion_batches, "MEAN_SETS", 1)
    monkeypatch.setattr(
        noise_motion_variants,
        "VARIANTS",
        {name: noise_motion_variants.VARIANTS[name] for name in ("dual", "motion", "no_flair")},
    )
    rows, columns = np.meshgrid(np.linspace(-1.4, 1.4, 256), np.linspace(-1.4, 1.4, 256), indexing="ij")
    image = np.where(np.hypot(rows, columns) < 1, 0.6 + 0.3 * np.sin(11 * rows) * np.cos(9 * columns), 0)
    windows = Windows(image[None].astype(np.float16), np.ones(1), np.array([["1", "x", "T1w", "axial"]]))
    (tmp_path / "v").mkdir()
    assert noise_motion_variants.train(windows, tmp_path / "v", 0.5, 1) >= 1
    noise, moved = variant_readers(tmp_path / "v")
    assert set(noise) == {"dual", "no_flair", "meon"}
    assert set(moved) == {"dual", "motion"}
    images = np.stack([image, image]).astype(np.float32)
    assert noise["meon"](images).shape == (2,)
    assert ((moved["dual"](images) >= 0) & (moved["dual"](images) <= 1)).all()
