# SPDX-License-Identifier: Apache-2.0
"""IQ-Net as a loss: small denoisers trained with MSE, SSIM and IQ-Net, compared on a head not trained on.

``python -m bidsqa.validation.quality_loss``: heads are phantoms, noise is complex. It is also the example of
how to use :class:`bidsqa.models.quality_loss.QualityLoss`.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bidsqa.models.quality_loss import SHIPPED, QualityLoss
from bidsqa.simulation.visible_damage import ssim_map
from bidsqa.training.export import SHOWN_DIGITS
from bidsqa.training.ssim_pool import Slices, phantom_slices
from bidsqa.validation.statistics import bootstrap
from bidsqa.validation.tables import Table

Array = np.ndarray[Any, Any]
COMMAND = "python -m bidsqa.validation.quality_loss"
TRAINED, JUDGED = (201, 202, 203, 204), (301, 302)
NOISE = 0.08
STEPS, BATCH, PATCH, RATE = 400, 8, 96, 2e-3
CHANNELS, LAYERS = 24, 5
Loss = Callable[[Tensor, Tensor], Tensor]


class Denoiser(nn.Module):
    """A residual convolutional network (after Zhang et al. 2017, doi 10.1109/TIP.2017.2662206), small on purpose."""

    def __init__(self) -> None:
        super().__init__()
        widths = [1, *[CHANNELS] * (LAYERS - 1), 1]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, noisy: Tensor) -> Tensor:
        """(N, 1, H, W) to the same shape."""
        denoised: Tensor = noisy - self.layers(noisy)
        return denoised


def ssim_loss(image: Tensor, reference: Tensor) -> Tensor:
    """1 - SSIM, mean over the image; the range of each reference is 1."""
    wide = torch.ones(len(image), device=image.device)
    return 1 - ssim_map(reference, image, wide).mean()


def losses(weights: Path) -> dict[str, Loss]:
    """The three losses by name; IQ-Net with these weights."""
    return {"MSE": nn.functional.mse_loss, "SSIM": ssim_loss, "IQ-Net": QualityLoss(weights)}


def noisy(clean: Tensor, generator: torch.Generator) -> Tensor:
    """Magnitude of the image with complex Gaussian noise of 8 % of the head's 99th percentile."""
    noise = torch.randn((2, *clean.shape), generator=generator) * NOISE
    return torch.hypot(clean + noise[0], noise[1])


def images_of(parts: Sequence[Slices]) -> Tensor:
    """All slices of phantoms, shape (N, 1, 224, 224)."""
    return torch.from_numpy(np.concatenate([part.images for part in parts]).astype(np.float32))[:, None]


def train(clean: Tensor, loss: Loss, steps: int = STEPS, seed: int = 0) -> Denoiser:
    """A denoiser trained with a loss on random patches."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    network = Denoiser()
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        rows = torch.randint(len(clean), (BATCH,), generator=generator)
        corner = torch.randint(clean.shape[-1] - PATCH, (2,), generator=generator).tolist()
        patch = clean[rows, :, corner[0] : corner[0] + PATCH, corner[1] : corner[1] + PATCH]
        optimiser.zero_grad()
        loss(network(noisy(patch, generator)), patch).backward()
        optimiser.step()
        schedule.step()
    return network.eval()


def measures(images: Tensor, clean: Tensor, score: QualityLoss) -> dict[str, Array]:
    """PSNR (dB, peak 1), SSIM and IQ-Net's score of each image, shape (N,)."""
    error = (images - clean).square().mean(dim=(1, 2, 3)).clamp(min=1e-12)
    similar = ssim_map(clean, images, torch.ones(len(images))).mean(dim=(1, 2, 3))
    return {
        "PSNR": (-10 * error.log10()).numpy(),
        "SSIM": similar.numpy(),
        "IQ-Net": score(images, clean).numpy(),
    }


@torch.no_grad()
def compare(
    networks: Mapping[str, nn.Module], clean: Tensor, weights: Path, seed: int = 9
) -> tuple[Table, dict[str, Tensor]]:
    """The table, and the images by who made them."""
    start = noisy(clean, torch.Generator().manual_seed(seed))
    made = {"the noisy image": start, **{f"trained with {name}": network(start) for name, network in networks.items()}}
    score = QualityLoss(weights, reduction="none")
    names = [str(number) for number in range(len(clean))]
    rows = []
    for name, images in made.items():
        cells = []
        for key, values in measures(images, clean, score).items():
            low, high = bootstrap(names, lambda rows, values=values: float(values[rows].mean()))  # type: ignore[misc]
            digits = 1 if key == "PSNR" else 3
            cells.append(f"{values.mean():.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]")
        rows.append([name, *cells])
    note = (
        f"{len(clean)} slices of {len(JUDGED)} phantoms not trained on, complex noise of {NOISE:.0%} of the head's "
        f"99th percentile; networks of {LAYERS} layers, {STEPS} steps of {BATCH} patches, one seed. Intervals by "
        "bootstrap over slices. IQ-Net's score: lower is better. Weights "
        f"{hashlib.sha256(weights.read_bytes()).hexdigest()[:SHOWN_DIGITS]}."
    )
    columns = ["image", "PSNR (dB)", "SSIM", "IQ-Net's score"]
    return Table("A denoiser trained with three losses", columns, rows, note, COMMAND), made


def draw(made: Mapping[str, Tensor], clean: Tensor, path: Path, row: int = 0) -> None:
    """One slice by each denoiser, with a cut-out, as a picture."""
    from matplotlib.figure import Figure

    shown = {"clean": clean, **made}
    figure = Figure(figsize=(2.4 * len(shown), 5.0), layout="constrained")
    axes = figure.subplots(2, len(shown))
    for column, (name, images) in enumerate(shown.items()):
        picture = images[row, 0].numpy()
        for place, part in enumerate((picture, picture[80:144, 80:144])):
            axes[place, column].imshow(part, cmap="gray", vmin=0, vmax=1.1)
            axes[place, column].set_axis_off()
        axes[0, column].set_title(name, fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90, pil_kwargs={"quality": 80})


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, compare, print, draw."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="Denoisers trained with MSE, SSIM and IQ-Net.")
    parser.add_argument("--weights", type=Path, default=SHIPPED, help="of bidsqa-train ranking --architecture iq_net")
    parser.add_argument("--tables", type=Path, default=Path("docs/validation_tables"))
    parser.add_argument("--steps", type=int, default=STEPS)
    chosen = parser.parse_args(arguments)
    clean = images_of(phantom_slices(TRAINED))
    networks = {name: train(clean, loss, chosen.steps) for name, loss in losses(chosen.weights).items()}
    judged = images_of(phantom_slices(JUDGED))
    table, made = compare(networks, judged, chosen.weights)
    table.write(chosen.tables / "quality_loss.json")
    print(table.text())
    draw(made, judged, chosen.tables / "quality_loss.webp", len(judged) // 4)


if __name__ == "__main__":
    main()
