# SPDX-License-Identifier: Apache-2.0
"""Losses of the severity networks: Hays et al. with the right signs, and the compact network's."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

RANK_SHARE = 0.8


def hays_loss(anchor: Tensor, positive: Tensor, negative: Tensor, margin: Tensor, pull: float = 1.0) -> Tensor:
    """Triplet loss of Hays et al. 2025, Eq. 1 and 2, with the signs that make degraded slices score higher.

    mean[max(0, A + m - N) + max(0, P + m - N)] + pull · mean[A² + P²]

    Parameters
    ----------
    anchor, positive, negative : tensor, shape (B,)
        Scores of a clean slice, of another clean slice, and of the degraded first slice.
    margin : tensor, shape (B,)
        Severity of the artifact.
    pull : float
        Weight that keeps clean slices at 0.
    """
    apart = (anchor + margin - negative).clamp(min=0) + (positive + margin - negative).clamp(min=0)
    return apart.mean() + pull * (anchor.square() + positive.square()).mean()


def ordered_loss(lower: Tensor, higher: Tensor, step: Tensor) -> Tensor:
    """The same slice and artifact at two strengths: mean max(0, lower + step - higher)."""
    return (lower + step - higher).clamp(min=0).mean()


def ranking_loss(predicted: Tensor, true: Tensor, smallest: float = 0.02) -> Tensor:
    """All pairs: the worse one must score higher by 0.8 of the true difference."""
    gap = true[:, None] - true[None]
    wanted = gap > smallest
    short = (RANK_SHARE * gap - (predicted[:, None] - predicted[None])).clamp(min=0)
    return (short * wanted).sum() / wanted.sum().clamp(min=1)


def compact_loss(output: Tensor, damage: Tensor, strength: Tensor, clean: int) -> dict[str, Tensor]:
    """Parts of the compact network's loss, already weighted.

    Parameters
    ----------
    output : tensor, shape (N, 12)
        Damage, NRMSE, five strengths, five presence logits.
    damage : tensor, shape (N, 2)
    strength : tensor, shape (N, 5)
    clean : int
        The first elements are clean.
    """
    harm, level, logit = output[:, :2], output[:, 2:7], output[:, 7:]
    present = (strength > 0).float()
    # a barely visible artifact is neither present nor absent
    sure = ((strength == 0) | (strength > 0.1)).float()
    presence = functional.binary_cross_entropy_with_logits(logit, present, reduction="none") * sure
    return {
        "harm": 4 * functional.smooth_l1_loss(harm, damage, beta=0.1),
        "rank": 2 * ranking_loss(harm.sum(dim=1), damage.sum(dim=1)),
        "anchor": 0.6 * harm[:clean].abs().mean() + 0.2 * level[:clean].abs().mean(),
        "presence": presence.mean(),
        # squared, not absolute: most strengths are 0, and the median of such targets would be 0 everywhere
        "strength": 8 * functional.mse_loss(level, strength),
    }
