# SPDX-License-Identifier: Apache-2.0
"""Train the segmentation network on images painted from label maps (``python -m bidsqa.training.segmentation``)."""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path
from typing import Any

import numpy as np

from bidsqa.models.networks_segmentation import CLASSES, GRID_MM, build
from bidsqa.training.segmentation_data import HELD_OUT, PATCH, HeadMap, class_of_label, draw_sample, load_maps

SEED = 20261121
BATCH = 2


def loss(logits: Any, fractions: Any) -> Any:
    """Cross-entropy against class fractions plus the mean soft Dice loss over the classes present.

    Parameters
    ----------
    logits, fractions : torch.Tensor, shape (B, 5, D, H, W)
        The brain's voxels weigh three times in the cross-entropy, since air would drown them.
    """
    import torch

    logs = torch.log_softmax(logits, dim=1)
    weight = 1 + 2 * fractions[:, 2:].sum(dim=1)
    entropy = (-(fractions * logs).sum(dim=1) * weight).sum() / weight.sum()
    shares = logs.exp()
    overlap = (shares * fractions).sum(dim=(0, 2, 3, 4))
    total = (shares.square() + fractions.square()).sum(dim=(0, 2, 3, 4))
    present = fractions.sum(dim=(0, 2, 3, 4)) > 50
    dice = 1 - 2 * overlap / (total + 1)
    return entropy + dice[present].mean()


def hard_dice(logits: Any, fractions: Any) -> dict[str, float]:
    """Dice of the arg-max classes and of the whole brain, on the 4 mm grid."""
    guess, truth = logits.argmax(dim=1), fractions.argmax(dim=1)
    result = {}
    for index, name in enumerate(CLASSES):
        a, b = guess == index, truth == index
        result[name] = float(2 * (a & b).sum() / max(int(a.sum() + b.sum()), 1))
    a, b = guess >= 2, truth >= 2
    result["brain"] = float(2 * (a & b).sum() / max(int(a.sum() + b.sum()), 1))
    return result


def validate(network: Any, maps: list[HeadMap], classes: np.ndarray[Any, Any], draws: int = 3) -> dict[str, float]:
    """Mean Dice over fixed draws of the held-out maps."""
    import torch

    network.eval()
    rows = []
    with torch.no_grad():
        for number, head in enumerate(maps):
            for draw in range(draws):
                image, fractions = draw_sample(np.random.default_rng([7, number, draw]), head, classes)
                logits = network(torch.from_numpy(image)[None, None])
                rows.append(hard_dice(logits, torch.from_numpy(fractions)[None]))
    network.train()
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def rate(step: int, steps: int, peak: float) -> float:
    """Learning rate: short warm-up, then a cosine to a fiftieth."""
    if step < 50:
        return peak * (step + 1) / 50
    return peak * (0.02 + 0.98 * 0.5 * (1 + float(np.cos(np.pi * min(step / steps, 1.0)))))


def train(labels: Path, folder: Path, minutes: float, steps: int, peak: float = 3e-3, every: int = 150) -> None:
    """Train until the steps or the minutes are used up; checkpoint, curve and averaged weights go to ``folder``.

    Parameters
    ----------
    labels : Path
        Folder with the label maps and ``labels.json``.
    folder : Path
        For ``last.pt`` and ``curve.csv``; an existing checkpoint is taken up again.
    minutes : float
        Wall time at most; the learning rate ends low at whichever bound comes first.
    steps : int
    peak : float
        Learning rate of AdamW.
    every : int
        Steps between validations.
    """
    import torch

    torch.manual_seed(SEED)
    folder.mkdir(parents=True, exist_ok=True)
    classes = class_of_label(labels / "labels.json")
    maps, unseen = load_maps(labels), load_maps(labels, held_out=True)
    network = build()
    average = {name: value.clone() for name, value in network.state_dict().items()}
    optimiser = torch.optim.AdamW(network.parameters(), lr=peak, weight_decay=1e-4)
    first = 0
    if (folder / "last.pt").is_file():
        stored = torch.load(folder / "last.pt", weights_only=True)
        network.load_state_dict(stored["network"])
        optimiser.load_state_dict(stored["optimiser"])
        average, first = stored["average"], stored["step"]
    start, losses = time.monotonic(), []
    step = first
    while True:
        used = (time.monotonic() - start) / 60
        progress = max((step - first) / max(steps - first, 1), used / minutes)
        if progress >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = rate(step, steps, peak) if step < 50 else rate(50 + int(progress * 1000), 1050, peak)
        generator = np.random.default_rng([SEED, step])
        drawn = [draw_sample(generator, maps[int(generator.integers(len(maps)))], classes) for _ in range(BATCH)]
        images = torch.from_numpy(np.stack([image for image, _ in drawn]))[:, None]
        value = loss(network(images), torch.from_numpy(np.stack([fractions for _, fractions in drawn])))
        optimiser.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        losses.append(float(value.detach()))
        keep = min(0.99, (step + 1) / (step + 10))
        for name, tensor in network.state_dict().items():
            average[name].mul_(keep).add_(tensor, alpha=1 - keep)
        step += 1
        if step % every == 0:
            _note(folder, network, average, optimiser, step, losses, unseen, classes)
            losses = []
    _note(folder, network, average, optimiser, step, losses or [float("nan")], unseen, classes)


def _note(
    folder: Path,
    network: Any,
    average: dict[str, Any],
    optimiser: Any,
    step: int,
    losses: list[float],
    unseen: list[HeadMap],
    classes: np.ndarray[Any, Any],
) -> None:
    """Save the state and add a line to the curve, judged with the averaged weights."""
    import torch

    judged = build()
    judged.load_state_dict(average)
    scores = validate(judged, unseen, classes)
    row = {
        "step": step,
        "loss": round(float(np.mean(losses)), 4),
        **{key: round(value, 4) for key, value in scores.items()},
    }
    path = folder / "curve.csv"
    fresh = not path.is_file()
    with open(path, "a", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(row))
        if fresh:
            writer.writeheader()
        writer.writerow(row)
    state = {"network": network.state_dict(), "average": average, "optimiser": optimiser.state_dict(), "step": step}
    torch.save(state, folder / "last.tmp")
    (folder / "last.tmp").replace(folder / "last.pt")


def export(folder: Path, version: str) -> str:
    """Ship the averaged weights of the last checkpoint with their card and curve.

    Parameters
    ----------
    folder : Path
        With ``last.pt`` and ``curve.csv``.
    version : str
        Of the weights.

    Returns
    -------
    str
        SHA-256 of the shipped file.
    """
    import torch

    from bidsqa.models.table import WEIGHTS_FOLDER
    from bidsqa.training.export import half_rounded, ship, to_onnx

    state = torch.load(folder / "last.pt", weights_only=True)
    network = build()
    network.load_state_dict(state["average"])
    settings = {"bidsqa_model": "segmentation", "architecture": "unet", "version": version, "grid_mm": str(GRID_MM)}
    example = {"image": np.zeros((2, 1, 32, 32, 32), dtype=np.float32)}
    axes = {0: "batch", 2: "x", 3: "y", 4: "z"}
    content = to_onnx(half_rounded(network), example, ("logits",), settings, free_axes=axes)
    curve = (folder / "curve.csv").read_text(encoding="utf-8")
    (WEIGHTS_FOLDER / "segmentation_curve.csv").write_text(curve, encoding="utf-8")
    scores = dict(zip(*[line.split(",") for line in (curve.splitlines()[0], curve.splitlines()[-1])], strict=True))
    return ship("segmentation.onnx", content, card(version, int(state["step"]), scores))


def card(version: str, steps: int, scores: dict[str, str]) -> str:
    """The model card, in Markdown."""
    dice = ", ".join(f"{name} {scores[name]}" for name in ("brain", "wm", "gm", "csf"))
    return f"""# segmentation, version {version}

**What it does.** Shares of air, head, CSF, grey and white matter in voxels of {GRID_MM} mm, for T1w, T2w, FLAIR and PDw
scans, whole, cropped, defaced or stripped. It finds the brain and gives the tissues their prior; the tissue maps
come from a mixture model at the resolution of the scan (`bidsqa/anatomy/tissue.py`).

**Network.** 3D U-Net (`bidsqa/models/networks_segmentation.py`), 16, 32, 64 and 64 channels at 4, 8, 16 and 32 mm.

**Data.** Images painted from 13 of 16 label maps of `BBillot/SynthSeg` (Billot et al. 2023, Medical Image Analysis 86,
102789; Apache-2.0). Held out: {", ".join(HELD_OUT)}. No real scan was used.

**Recipe.** `python -m bidsqa.training.segmentation`: random intensity per label (most draws in the order of a real
contrast), shading, texture outside the brain, thick slices, noise, ghosts, gamma, deformation, stripping, defacing,
cropping; cross-entropy and soft Dice; AdamW, cosine rate, averaged weights. Seed {SEED}, {steps} steps of {BATCH}
{" x ".join(map(str, PATCH))} blocks on one CPU core.

**Validation.** Dice of the network alone at {GRID_MM} mm on the held-out maps, with random contrasts and degradation of
the training's kind: {dice}. Whole masks at full resolution: `docs/validation_tables/segmentation.csv`; by step:
`segmentation_curve.csv`.

**Limits.** Trained on adult heads without large lesions, with few steps. Deep grey and thin cortex are blurred at
{GRID_MM} mm. Infants, other species and large resections were not tested. The plausibility checks are there to notice
scans on which it fails.

**Licence.** Apache-2.0.
"""


def main() -> None:
    """Command line of the recipe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=Path, default=Path("../shared/data/labels"))
    parser.add_argument("--folder", type=Path, default=Path("checkpoints/segmentation"))
    parser.add_argument("--minutes", type=float, default=70.0)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--export", metavar="VERSION", help="only ship the last checkpoint under this version")
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    if options.export:
        print(export(options.folder, options.export))
    else:
        train(options.labels, options.folder, options.minutes, options.steps, options.rate)


if __name__ == "__main__":
    main()
