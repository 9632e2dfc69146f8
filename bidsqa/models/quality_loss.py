# SPDX-License-Identifier: Apache-2.0
"""A learned measure of image quality as a loss for torch (Tang et al. 2025): IQ-Net's score against a reference."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from bidsqa.errors import UsageError, WeightsError
from bidsqa.models.loading import check_settings, find_model, read_safetensors_header, read_weights
from bidsqa.models.networks_ranking import IQNet
from bidsqa.models.table import WEIGHTS_FOLDER, read_checksums

SMALLEST = 32
SHIPPED = WEIGHTS_FOLDER / "ranking_iq_net.safetensors"


class QualityLoss(nn.Module):
    """How much worse than its reference an image would be ranked; 0 for the reference itself, differentiable.

    The score of IQ-Net, the full-reference network of Tang et al.: a learned, positively homogeneous sum of norms of
    the filtered difference. It belongs to one pair of images of the same object; as a measure of a lone scan it is
    meaningless.

    Parameters
    ----------
    weights : Path, optional
        The ``.safetensors`` of ``bidsqa-train ranking --architecture iq_net``. The shipped ones, taken if none are
        given, learned from synthetic readers: a formula, no person.
    reduction : str
        ``"mean"``, ``"sum"`` or ``"none"`` over the batch.

    Raises
    ------
    UsageError
        Unknown reduction.
    WeightsError
        Weights that are missing, damaged or another network's.

    Examples
    --------
    >>> clean = torch.rand(1, 1, 64, 64)
    >>> float(QualityLoss()(clean, clean)) < 1e-3
    True
    """

    def __init__(self, weights: Path | str | None = None, reduction: str = "mean") -> None:
        super().__init__()
        if reduction not in ("mean", "sum", "none"):
            raise UsageError(f"there is no reduction '{reduction}'", "choose mean, sum or none")
        self.reduction = reduction
        self.network = _read(SHIPPED if weights is None else Path(weights))

    def train(self, mode: bool = True) -> QualityLoss:
        """The network stays as it is: in a model that is being trained its dropout would make the loss random."""
        super().train(mode)
        self.network.eval()
        return self

    def forward(self, image: Tensor, reference: Tensor) -> Tensor:
        """The loss.

        Parameters
        ----------
        image, reference : Tensor, shape (N, 1, H, W), real or complex
            Of the same shape, sides of at least 32 pixels. Both are divided by each reference's largest magnitude.

        Returns
        -------
        Tensor
            A scalar, or shape (N,) without reduction; 0 where both are the same, higher is worse. It is computed in the
            precision of the loss (float32; ``loss.double()``), whatever that of the images and of an autocast is.

        Raises
        ------
        UsageError
            Shapes that don't fit.
        """
        if image.shape != reference.shape or image.dim() != 4 or image.shape[1] != 1 or min(image.shape[2:]) < SMALLEST:
            raise UsageError(
                f"image {tuple(image.shape)} and reference {tuple(reference.shape)} don't fit",
                f"both must have the shape (N, 1, H, W) with sides of at least {SMALLEST} pixels",
            )
        dtype = self.network.input_weight.dtype
        # unsigned whole numbers have no negative differences
        image, reference = (one if one.is_complex() else one.to(dtype) for one in (image, reference))
        scale = reference.abs().amax(dim=(1, 2, 3), keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
        difference = parts((image - reference) / scale).to(dtype)
        # sums of squares leave the range of float16
        with torch.autocast(difference.device.type, enabled=False):
            scores = self.network(difference)[:, 0]
        if self.reduction == "none":
            return scores
        return scores.mean() if self.reduction == "mean" else scores.sum()


def parts(difference: Tensor) -> Tensor:
    """Real and imaginary part of (N, 1, H, W) as channels, (N, 2, H, W)."""
    if difference.is_complex():
        return torch.cat([difference.real, difference.imag], dim=1)
    return torch.cat([difference, torch.zeros_like(difference)], dim=1)


def _read(path: Path) -> IQNet:
    """A frozen IQ-Net in evaluation mode."""
    from safetensors.torch import load as read_tensors

    model = find_model("ranking")
    expected = read_checksums(WEIGHTS_FOLDER).get(path.name, "") if path == SHIPPED else ""
    content = read_weights(path, expected, model)
    if path.suffix != ".safetensors":
        raise WeightsError(f"the weights file {path.name} can't be used as a loss", "give the .safetensors file")
    settings = read_safetensors_header(content, path.name)
    check_settings(settings, path, model)
    if settings.get("architecture") != "iq_net":
        raise WeightsError(
            f"{path.name} holds the architecture {settings.get('architecture')}, not iq_net",
            "give weights that bidsqa-train ranking wrote for iq_net",
        )
    network = IQNet(per_pixel=settings.get("per_pixel", "yes") == "yes")
    network.load_state_dict(read_tensors(content), strict=True)
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return network.eval()
