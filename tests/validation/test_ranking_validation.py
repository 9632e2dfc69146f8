# SPDX-License-Identifier: Apache-2.0
"""Judging rankers: known answers from made-up rankers, whole scans on paper, learning and denoising in small."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from bidsqa.image import Volume
from bidsqa.models.quality_loss import QualityLoss
from bidsqa.training.ranker import Ranker
from bidsqa.training.ranking import Readers
from bidsqa.training.ranking_corruption import COSTS
from bidsqa.training.ranking_export import exported
from bidsqa.training.ranking_pairs import RankedPairs, SyntheticPairs
from bidsqa.training.ssim_pool import scan_slices
from bidsqa.validation import quality_loss, ranking_learning
from bidsqa.validation.ranking import LARGEST, TRUTH, Judged, ShippedScorer, accuracies, across_table, answers, tables
from bidsqa.validation.ranking_scans import KINDS, STRENGTHS, Row, separation, table_of

MEANING = {"version": "t", "zero": "0", "unit": "1", "tie": "0.5", "label_source": "synthetic"}


def pairs_of(difference: np.ndarray) -> RankedPairs:
    """Pairs without pictures, of five subjects."""
    count = len(difference)
    votes = Readers(7)(difference, np.zeros(count), np.random.default_rng(4))
    empty = torch.zeros(count, 1, 1, 1, dtype=torch.complex64)
    return RankedPairs(
        empty,
        empty,
        empty,
        torch.from_numpy(votes.astype(np.float32)),
        tuple(f"s{number % 5}" for number in range(count)),
        torch.from_numpy(difference.astype(np.float32)),
        torch.zeros(count, 2),
    )


@pytest.fixture
def judged() -> tuple[Judged, Judged]:
    draw = np.random.default_rng(1)
    made = []
    for count in (600, 900):
        difference = draw.normal(0, 2.5, count)
        made.append(Judged(pairs_of(difference), {"knows": difference, "guesses": draw.normal(0, 1, count)}))
    return made[0], made[1]


@pytest.fixture
def iq_net(tmp_path: Path) -> Path:
    torch.manual_seed(11)
    path = tmp_path / "iq.safetensors"
    path.write_bytes(exported(Ranker("iq_net").eval(), "iq_net", MEANING))
    return path


def test_the_likeliest_answer_on_paper() -> None:
    # similar wins between the points where e^(d/2) = nu
    found = answers(np.array([-3.0, -1.0, 0.0, 1.0, 3.0]), 1.0, float(np.exp(0.75)))
    assert found.tolist() == [0, 1, 1, 1, 2]
    assert answers(np.array([0.2]), 1.0, 0.0).tolist() == [2]
    # a scale of 4 makes 3 a small difference
    assert answers(np.array([3.0]), 4.0, float(np.exp(0.75))).tolist() == [1]


def test_who_knows_reaches_the_ceiling_and_who_guesses_stays_at_the_commonest(judged: tuple[Judged, Judged]) -> None:
    shares = {name: float(part[0].mean()) for name, part in accuracies(*judged, 1.0).items()}
    assert shares["knows"] == pytest.approx(shares[TRUTH], abs=0.02)
    assert shares["guesses"] == pytest.approx(shares[LARGEST], abs=0.06)
    assert shares[TRUTH] > shares[LARGEST] + 0.2
    # to noisier readers nobody can agree as much
    noisy = {name: float(part[0].mean()) for name, part in accuracies(*judged, 0.25).items()}
    assert noisy[TRUTH] < shares[TRUTH] - 0.1


def test_tables_hold_each_ranker_once(judged: tuple[Judged, Judged]) -> None:
    made = tables(*judged, "note")
    assert set(made) == {"ranking", "ranking_readers"}
    names = [row[0] for row in made["ranking"].rows]
    assert sorted(names) == sorted(["knows", "guesses", TRUTH, LARGEST])
    assert all(len(row) == 5 for row in made["ranking_readers"].rows)
    assert across_table(*judged, "note").rows == made["ranking"].rows


def test_whole_scans_on_paper() -> None:
    rows = []
    for scan, own in (("a", 0.0), ("b", -2.0)):
        rows.append(Row(scan, scan, "", 0.0, own, {"knows blur": 0.0, "knows nothing": 0.0}))
        # noise costs 1 at .3, 3 at .6; nothing else costs anything
        for kind in KINDS:
            for strength in STRENGTHS:
                cost = {0.3: 1.0, 0.6: 3.0, 1.0: 9.0}[strength] if kind == "noise" else 0.0
                measures = {"knows nothing": 0.0, "knows blur": float(kind == "blur")}
                rows.append(Row(scan, scan, kind, strength, own - cost, measures))
    # against the other head alone: a's -1 lies above b's -2, b's -3 below a's 0
    assert separation(rows, "noise", 0.3)[0] == 0.5
    assert separation(rows, "noise", 0.6)[0] == 1.0
    assert separation(rows, "blur", 0.6, "knows blur")[1].startswith("1.00")
    assert separation(rows, "noise", 0.6, "knows blur")[1].startswith("0.50")
    table = {row[0]: row for row in table_of(rows, "0123456789abcdef").rows}
    assert table["blur"][4].endswith("knows blur")
    assert table["noise"][5].startswith("100 %")
    assert table["noise"][6] == "9.0"
    assert table["blur"][5].startswith("0 %")


def test_shipped_weights_are_judged_as_they_are_read(iq_net: Path) -> None:
    torch.manual_seed(11)
    ranker = Ranker("iq_net").eval()
    images = torch.rand(2, 2, 64, 64)
    scorer = ShippedScorer(iq_net)
    assert scorer.input_names == ("difference",)
    assert torch.allclose(scorer(images), ranker.scorer(images).detach(), rtol=1e-3)


def test_a_site_s_network_starts_from_random_and_from_shipped_weights(
    iq_net: Path, tmp_path: Path, t1w: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking_learning, "SHIPPED", MappingProxyType({"iq_net": iq_net}))
    monkeypatch.setattr(ranking_learning, "BATCH", 4)
    slices = scan_slices(t1w, ("p1", "phantom", "T1w"), 0.5, 3)
    source = SyntheticPairs(slices, np.zeros(256, dtype=np.uint8), Readers(1), costs=ranking_learning.SITE)
    made = ranking_learning.trained(source.draw(1, 6), "iq_net", (6,), 2, tmp_path)
    assert list(made) == [
        "the shipped network, no answers", "6 answers, from random weights", "6 answers, from the shipped weights",
    ]  # fmt: skip
    assert made["the shipped network, no answers"].input_names == ("difference",)
    random, started = (torch.cat([value.flatten() for value in made[name].parameters()]) for name in list(made)[1:])
    shipped = torch.cat([value.flatten() for value in QualityLoss(iq_net).network.parameters()])
    assert not torch.equal(shipped, started)
    assert (shipped - started).abs().mean() < 0.2 * (shipped - random).abs().mean()


def test_denoisers_are_compared_with_the_noise_they_began_with(iq_net: Path) -> None:
    clean = torch.rand(3, 1, 128, 128, generator=torch.Generator().manual_seed(1)) + 0.5
    network = quality_loss.train(clean, torch.nn.functional.mse_loss, steps=2)
    table, made = quality_loss.compare({"MSE": network}, clean, iq_net)
    assert [row[0] for row in table.rows] == ["the noisy image", "trained with MSE"]
    # far above the noise the magnitude's error is that of the real part
    expected = -20 * np.log10(quality_loss.NOISE)
    assert float(table.rows[0][1].split()[0]) == pytest.approx(expected, abs=0.2)
    assert made["trained with MSE"].shape == clean.shape


def test_other_costs_change_what_a_slice_is_worth(t1w: Volume) -> None:
    slices = scan_slices(t1w, ("p1", "phantom", "T1w"), 0.5, 3)
    plain, other = (
        SyntheticPairs(slices, np.zeros(256, dtype=np.uint8), Readers(), costs=costs).draw(5, 6)
        for costs in (COSTS, ranking_learning.SITE)
    )
    assert torch.equal(plain.first, other.first)
    assert not torch.equal(plain.difference, other.difference)
