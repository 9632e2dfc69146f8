# SPDX-License-Identifier: Apache-2.0
"""Training pairs of the SSIM network: the label means what it says, and nothing but motion gives a pair away."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from bidsqa.training import ssim_pairs
from bidsqa.training.ssim_pairs import MOTION_KINDS, labelled, make_pairs, pick

SIDE = 96


def disc(generator: torch.Generator, count: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Textured discs with a dark rim, and their mask."""
    axis = torch.linspace(-1, 1, SIDE)
    radius = torch.hypot(axis[:, None], axis[None])
    texture = ssim_pairs.gaussian(torch.randn((count, 1, SIDE, SIDE), generator=generator), 1.5)
    head = (radius < 0.7).expand(count, 1, SIDE, SIDE)
    return (0.6 + 0.8 * texture.clamp(-0.5, 0.5)) * head, head.clone()


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_label_is_gaussian_ssim_over_the_dilated_head(generator: torch.Generator) -> None:
    clean, head = disc(generator)
    moved = torch.roll(clean, 2, 2)
    score, target, weight = labelled(clean, moved, head)
    inside = clean[head]
    span = float(torch.quantile(inside, 0.995) - torch.quantile(inside, 0.005))
    _, reference = structural_similarity(
        clean[0, 0].numpy(), moved[0, 0].numpy(), data_range=span, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, full=True,
    )  # fmt: skip
    near = ssim_pairs.dilated(head, 2)[0, 0].numpy() > 0
    assert float(score) == pytest.approx(float(reference[near].mean()), abs=0.01)
    assert target.shape == weight.shape == (1, 1, SIDE // 8, SIDE // 8)
    # the blocks, weighted by their share of the mask, are the score again
    share = torch.nn.functional.avg_pool2d(ssim_pairs.dilated(head, 2), 8)
    assert float((target * share).sum() / share.sum()) == pytest.approx(float(score), abs=0.01)


def test_a_slice_is_one_with_itself_and_scale_counts_for_both_alike(generator: torch.Generator) -> None:
    clean, head = disc(generator, 2)
    score, target, weight = labelled(clean, clean, head)
    torch.testing.assert_close(score, torch.ones_like(score))
    assert float(target[weight > 0].min()) == pytest.approx(1, abs=1e-4)
    moved = torch.roll(clean, 1, 3)
    larger = labelled(7 * clean, 7 * moved, head)[0]
    torch.testing.assert_close(larger, labelled(clean, moved, head)[0], rtol=1e-3, atol=1e-3)


def test_more_in_house_motion_is_less_similar(generator: torch.Generator) -> None:
    clean, head = disc(generator)
    scores = []
    for degrees in (0.03, 0.3, 1.0, 5.0):
        parameters = {"degrees": torch.tensor([degrees]), "axis": torch.tensor([0]), "seed": torch.tensor([5])}
        scores.append(float(labelled(clean, ssim_pairs.apply_iid(clean, parameters), head)[0]))
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0.99
    assert scores[-1] < 0.9


def test_in_house_motion_covers_its_range(generator: torch.Generator) -> None:
    drawn = ssim_pairs.sample_iid(generator, torch.tensor([0.0, 0.5, 1.0]))["degrees"]
    torch.testing.assert_close(drawn, torch.tensor([0.03, math.sqrt(0.03 * 5), 5.0]))


def test_clean_slices_take_the_same_way_and_score_one(generator: torch.Generator) -> None:
    clean, head = disc(generator, 3)
    pairs = make_pairs(clean, head, clean == 0, seed=1, kinds=("none",) * 3)
    assert float(pairs.score.min()) > 0.9999
    assert pairs.degraded.dtype == torch.float32
    # not bitwise the input: the way through k-space leaves its rounding, as it does for degraded slices
    assert not torch.equal(pairs.degraded, clean)


def test_air_that_was_zero_stays_zero_in_degraded_slices(generator: torch.Generator) -> None:
    clean, head = disc(generator, 4)
    pairs = make_pairs(clean, head, clean == 0, seed=2, kinds=("motion",) * 4, plain=True)
    assert float(pairs.degraded[clean == 0].abs().max()) == 0
    assert float(pairs.score.max()) < 1


def test_every_degraded_slice_is_on_its_own_heads_scale(generator: torch.Generator) -> None:
    clean, head = disc(generator, 4)
    pairs = make_pairs(5000 * clean, head, clean == 0, seed=3, plain=True)
    for image, mask in zip(pairs.degraded, head, strict=True):
        assert float(torch.quantile(image[mask], 0.99)) == pytest.approx(1, abs=0.05)


def test_pairs_repeat_by_seed(generator: torch.Generator) -> None:
    clean, head = disc(generator, 3)
    first, second = (make_pairs(clean, head, clean == 0, seed=4) for _ in range(2))
    torch.testing.assert_close(first.degraded, second.degraded, rtol=0, atol=0)
    assert first.kind == second.kind
    assert not torch.equal(first.degraded, make_pairs(clean, head, clean == 0, seed=5).degraded)


def test_strengths_and_kinds_cover_what_they_should(generator: torch.Generator) -> None:
    strength = ssim_pairs.draw_strength(generator, 4000)
    assert 0.04 <= float(strength.min()) < 0.06
    assert 0.95 < float(strength.max()) <= 1
    assert len(MOTION_KINDS) == len(ssim_pairs.KIND_SHARES)
    assert sum(ssim_pairs.KIND_SHARES) == pytest.approx(1)


def test_contrast_changes_keep_the_maximum_and_the_order() -> None:
    ramp = torch.linspace(0, 4, 500).reshape(1, -1)
    for seed in range(40):
        changed = ssim_pairs.change_contrast(ramp, torch.Generator().manual_seed(seed))
        assert float(changed.max()) == pytest.approx(4, rel=1e-3)
        assert bool((changed.diff() >= -1e-5).all())
        assert float(changed.min()) >= -1e-5


def test_painting_gives_a_head_on_scale() -> None:
    labels = np.zeros((SIDE, SIDE), dtype=np.uint8)
    labels[20:80, 20:80] = 3
    labels[30:70, 30:70] = 2
    image = ssim_pairs.paint(labels, np.zeros(256, dtype=np.uint8), np.random.default_rng(0))
    assert image.shape == labels.shape
    assert bool(torch.isfinite(image).all())
    assert float(image[5, 5]) == 0
    assert 0.5 < float(image.max()) < 2


def test_noise_is_the_same_in_both(generator: torch.Generator) -> None:
    clean, head = disc(generator, 6)
    first, second = ssim_pairs.add_noise([clean, clean.clone()], head, generator)
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert not torch.equal(first, clean)


def test_cut_outs_hold_head_and_their_blocks_stay_in_place(generator: torch.Generator) -> None:
    clean, head = disc(generator, 2)
    pairs = make_pairs(clean, head, clean == 0, seed=6, plain=True)
    cut = pick(pairs, [0, 1, 1], generator, window=48)
    assert cut.degraded.shape == (3, 1, 48, 48)
    assert cut.target.shape == cut.head.shape == (3, 1, 6, 6)
    assert float(cut.head.mean()) > 0.1
    expected = (cut.target * cut.head).sum(dim=(1, 2, 3)) / cut.head.sum(dim=(1, 2, 3))
    torch.testing.assert_close(cut.score[:, 0], expected)
    # head blocks are where the image is: flips and cuts moved both
    bright = torch.nn.functional.avg_pool2d((cut.degraded > 0.05).float(), 8)
    assert float((bright - cut.head).abs().mean()) < 0.15
    whole = pick(pairs, [0], generator, window=None)
    torch.testing.assert_close(whole.score, pairs.score[:1])


def test_dilation_is_a_square() -> None:
    mask = torch.zeros(1, 9, 9)
    mask[0, 4, 4] = 1
    assert float(ssim_pairs.dilated(mask, 2).sum()) == 25
