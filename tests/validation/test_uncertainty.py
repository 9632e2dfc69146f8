# SPDX-License-Identifier: Apache-2.0
"""The uncertainties of the shipped scores mean something on phantoms; the arithmetic of the table of their coverage."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from bidsqa import models
from bidsqa.image import Volume
from bidsqa.models import Score, Scorer
from bidsqa.simulation import degrade_volume
from bidsqa.training.pool import Clean
from bidsqa.validation import uncertainty
from bidsqa.validation.uncertainty import Copy, repeats_within, spread_of_repeats, table_of, truth_within


@pytest.fixture(scope="module", params=["severity", "ssim"])
def scorer(request: pytest.FixtureRequest) -> Scorer:
    return models.load(request.param)


def lower_half(clean: Volume, degraded: Volume) -> Volume:
    """Degraded below, clean above: what a scan looks like whose subject moved for a while."""
    data = clean.data.copy()
    data[..., : data.shape[2] // 2] = degraded.data[..., : data.shape[2] // 2]
    return Volume.from_array(data, clean.spacing)


def distance(score: Score, name: str) -> float:
    """What the scan itself adds to the uncertainty, on the plain scale: above 1 a severity is 1 + ln of the distance.

    The score's own error, which is the same for every scan, is taken out.
    """
    assert score.uncertainty > score.extra["model_error"] > 0
    own = math.sqrt(score.uncertainty**2 - score.extra["model_error"] ** 2)
    return own * (math.exp(score.value - 1) if name == "severity" and score.value > 1 else 1.0)


@pytest.mark.parametrize("artifact", ["noise", "motion"])
def test_slices_that_disagree_make_a_scan_less_certain(scorer: Scorer, t1w: Volume, artifact: str) -> None:
    name = scorer.provenance()["name"]
    degraded = degrade_volume(t1w, artifact, 0.8, seed=3)[0]
    mixed = distance(scorer.score(lower_half(t1w, degraded)), name)
    assert mixed > 1.1 * distance(scorer.score(t1w), name)
    if artifact == "noise":  # is alike everywhere; what motion does differs from slice to slice anyway
        assert mixed > 1.1 * distance(scorer.score(degraded), name)


def test_noise_drawn_again_is_within_the_uncertainty(scorer: Scorer, t1w: Volume, t2w: Volume) -> None:
    inside = total = 0
    for volume, strength in itertools.product((t1w, t2w), (0.2, 0.6)):
        scores = [scorer.score(degrade_volume(volume, "noise", strength, seed)[0]) for seed in range(4)]
        for first, second in itertools.combinations(scores, 2):
            total += 1
            inside += abs(first.value - second.value) <= 2 * np.hypot(first.uncertainty, second.uncertainty)
    assert inside >= 0.9 * total


def test_a_nearly_sure_score_is_not_claimed_to_be_exact(scorer: Scorer, t1w: Volume) -> None:
    assert 0.001 < scorer.score(t1w).uncertainty < 0.5


def copy(value: float, seed: int, truth: float = math.nan, uncertainty: float = 0.1, scan: str = "a") -> Copy:
    return Copy(scan, scan, "test", "T1w", "motion", 0.5, seed, "ssim", value, uncertainty, truth)


def test_coverage_of_known_copies() -> None:
    copies = [copy(0.5, 1, 0.55), copy(0.7, 2, 0.55), copy(0.9, 3, 0.4), copy(0.2, 1, scan="b")]
    assert truth_within(copies, 1) == (1, 3)
    assert truth_within(copies, 2) == (2, 3)
    # differences 0.2, 0.2, 0.4 against 0.141; the lone copy of the other scan has no partner
    assert repeats_within(copies, 1) == (0, 3)
    assert repeats_within(copies, 2) == (2, 3)
    assert spread_of_repeats(copies) == pytest.approx(0.2)
    assert math.isnan(spread_of_repeats(copies[-1:]))


def test_the_share_of_normal_errors_is_that_of_a_standard_error() -> None:
    rng = np.random.default_rng(0)
    copies = [copy(float(0.5 + 0.1 * rng.normal()), number % 3, 0.5, scan=str(number // 3)) for number in range(3000)]
    for found, expected in ((truth_within(copies, 1), 0.683), (truth_within(copies, 2), 0.954)):
        assert found[0] / found[1] == pytest.approx(expected, abs=0.03)
    for widths, expected in ((1, 0.683), (2, 0.954)):
        inside, total = repeats_within(copies, widths)
        assert total == 3000
        assert inside / total == pytest.approx(expected, abs=0.03)


def test_scans_are_judged_clean_and_again_with_other_seeds(monkeypatch: pytest.MonkeyPatch, t1w: Volume) -> None:
    class Level:
        def score(self, volume: Volume, slice_fraction: float = 0.6) -> Score:
            return Score(float(volume.data.std()), 0.1, "", (), {})

        def provenance(self) -> dict[str, str]:
            return {}

    clean = Clean("sub-a_T1w", "a", "b", "T1w", "test", t1w)
    monkeypatch.setattr("bidsqa.training.pool.real_scans", lambda data, sides: iter([clean]))
    monkeypatch.setattr(uncertainty, "PLAN", (("noise", 0.3), ("motion", 0.3)))
    copies = uncertainty.judge(Path("nowhere"), {"severity": Level(), "ssim": Level()}, seeds=(1, 2))
    assert len(copies) == 2 * (1 + 2 * 2)
    noisy = [row for row in copies if row.artifact == "noise" and row.score == "severity"]
    assert noisy[0].value != noisy[1].value
    truths = {(row.artifact, row.score): row.truth for row in copies}
    assert truths["none", "ssim"] == 1
    assert 0 < truths["motion", "ssim"] < 1
    assert all(math.isnan(truths[key]) for key in (("noise", "ssim"), ("motion", "severity")))
    rows = table_of(copies).rows
    assert [tuple(row[:3]) for row in rows] == [
        (score, what, count)
        for score in ("severity", "ssim")
        for what, count in (("clean", 1), ("motion 0.3", 2), ("noise 0.3", 2))
    ]


def test_the_documentation_quotes_what_the_table_holds() -> None:
    docs = Path(__file__).parents[2] / "docs"
    table = json.loads((docs / "validation_tables" / "uncertainty.json").read_text(encoding="utf-8"))
    assert table["columns"][6:] == [
        "truth within 1 uncertainty", "truth within 2", "two seeds within 1 of their difference", "two seeds within 2",
    ]  # fmt: skip
    shares = {(row[0], row[1]): [cell.split(" %")[0] for cell in row[6:]] for row in table["rows"]}
    text = " ".join((docs / "scores.rst").read_text(encoding="utf-8").split())
    ones, twos = ({shares["ssim", f"motion {level}"][place] for level in (0.3, 0.7)} for place in (0, 1))
    assert (
        f"within one uncertainty of the score in {ones.pop()} % of the copies and within two in {twos.pop()} %" in text
    )
    assert not ones and not twos, "both strengths have the same shares; if they don't, the sentence must tell both"
    low, high = sorted(int(shares["severity", f"motion {level}"][3]) for level in (0.3, 0.7))
    assert f"within two in {low} to {high} % of the pairs" in text
    low, high = sorted(int(shares["severity", f"motion {level}"][2]) for level in (0.3, 0.7))
    assert f"within one uncertainty of their difference in {low} to {high} % of the pairs" in text
    assert {shares[score, "noise 0.3"][3] for score in ("severity", "ssim")} == {"100"}
