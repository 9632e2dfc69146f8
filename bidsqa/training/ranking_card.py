# SPDX-License-Identifier: Apache-2.0
"""Ship the ranking networks: ``python -m bidsqa.training.ranking_card --checkpoints checkpoints``.

Writes the reference-free network (ONNX, for the main job), IQ-Net (safetensors, for the loss), checksums, curves and
cards. What a score means (its zero, its unit, how readily scans are called similar) is fitted on the training's side.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bidsqa.models.networks_ranking import ARCHITECTURES
from bidsqa.models.networks_ssim import count_parameters
from bidsqa.models.preference import fit_preference
from bidsqa.models.quality_loss import SHIPPED
from bidsqa.models.ranking import LABELS_KEY, TIE_KEY, UNIT_KEY, ZERO_KEY
from bidsqa.models.ssim_inputs import WINDOW
from bidsqa.models.table import MODELS
from bidsqa.training.checkpoints import averaged_weights
from bidsqa.training.export import half_rounded, last_row, printed_tables, ship, to_onnx, to_safetensors
from bidsqa.training.pool import learned_from
from bidsqa.training.ranking import NEW_SHARE, TASTE, TAU, Ranker, Readers, Recipe
from bidsqa.training.ranking_pairs import RankedPairs, SyntheticPairs, inputs_of
from bidsqa.training.segmentation_data import class_of_label
from bidsqa.training.ssim_pool import load_parts

Array = np.ndarray[Any, Any]
FREE, LOSS = "efficientnet_b0_free", "iq_net"
CALIBRATION_PAIRS = 240
TABLES = ("ranking.json", "ranking_readers.json")
CARD = """# {name}: {title}

{says}

* File: `{file}`, version {version}, architecture `{architecture}` ({parameters:,} parameters), SHA-256 {sha256}
* Input: {inputs}
* **label_source: synthetic.** {readers} synthetic readers a pair, who know the parameters of the simulation and nothing
  of the image: similar within ±{tau}, persistent taste of SD {taste}, noise of a reading beside it so that both
  together have SD 1 (`bidsqa.rating.synthetic_reader`). **human_validation: none.** These are not the networks of
  the paper and nothing here is a radiologist's opinion; `bidsqa-train ranking` learns your readers'.

## Data
{slices} clean slices: public T1w, T2w and FLAIR scans of the sites that the other networks were trained on, label
windows and scans drawn from public label maps, and phantoms. Never trained on: the sites amsterdam, boston, fnndsc,
martinos, utah; the subjects ljubljana04, ljubljana20; three label maps. Each slice twice: blur (SD to 1.5 pixels), lost
lines (to 30 %) or points (to 20 %) of k-space, complex noise, one jump (to 20 pixels), each with a chance of one half;
the second version is drawn until its SSIM is within 0.09 of the first's (12 tries).

## Recipe
`python -m bidsqa.training.ranking --architecture {architecture} --steps {steps}`, seed {seed}; {batch} pairs a step,
{new} of them new; AdamW, one cycle; cross-entropy to the shares of votes. {hours:.1f} h on one shared CPU core; curve
in `{curve}`.

## Validation
{validation}

## Limits
* {limits}
* The synthetic readers' taste is a guess: what a reader minds more, noise or blur, is what your own ratings decide.
* Real scans have artifacts that the simulation doesn't know.

## Licence and source
Weights: Apache-2.0, as bidsqa. Method: {citation} ({source}).
"""


def ranker_of(checkpoint: Path, architecture: str) -> Ranker:
    """The averaged network of a checkpoint, in evaluation mode."""
    network = Ranker(architecture)
    network.load_state_dict(averaged_weights(checkpoint)[0])
    return network.eval()


@torch.no_grad()
def raw_scores(network: torch.nn.Module, pairs: RankedPairs, batch: int = 16) -> tuple[Array, Array]:
    """Raw scores of both images of each pair, shape (N,) each; lower is better."""
    reference = network.input_names == ("difference",)
    found = []
    for start in range(0, len(pairs), batch):
        part = inputs_of(pairs.some(range(start, min(start + batch, len(pairs)))), reference)
        found.append(torch.stack([network(image)[:, 0] for image in (part.first, part.second)]))
    first, second = torch.cat(found, dim=1).double().numpy()
    return first, second


def meaning(network: torch.nn.Module, pairs: RankedPairs) -> dict[str, str]:
    """Metadata: the raw score of clean slices (median), raw score per unit of utility, readiness for "similar"."""
    first, second = raw_scores(network, pairs)
    unit, tie = fit_preference(second - first, pairs.votes.numpy().astype(np.float64))
    clean = RankedPairs(
        pairs.reference, pairs.reference, pairs.reference, pairs.votes, pairs.subject, pairs.difference, pairs.ssim
    )
    zero = float(np.median(raw_scores(network, clean)[0]))
    return {ZERO_KEY: f"{zero:.6g}", UNIT_KEY: f"{unit:.6g}", TIE_KEY: f"{tie:.6g}"}


def exported(network: Any, architecture: str, version: str, more: Mapping[str, str]) -> bytes:
    """A reference-free scoring network as ONNX."""
    settings = {"bidsqa_model": "ranking", "architecture": architecture, "version": version, **more}
    example = {"slices": np.zeros((2, 1, WINDOW, WINDOW), dtype=np.float32)}
    return to_onnx(half_rounded(network), example, network.output_names, settings)


def main(arguments: Sequence[str] | None = None) -> None:
    """Export, calibrate, check sums, cards, curves."""
    parser = argparse.ArgumentParser(prog="python -m bidsqa.training.ranking_card", description="Ship the networks.")
    parser.add_argument("--checkpoints", type=Path, default=Path("checkpoints"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with scans/ and labels/")
    parser.add_argument("--tables", type=Path, default=Path("docs/validation_tables"), help="validation tables")
    chosen = parser.parse_args(arguments)
    slices = load_parts(chosen.checkpoints / "ranking_pool.npz")
    classes = class_of_label(chosen.data / "labels" / "labels.json")
    pairs = SyntheticPairs(slices, classes, Readers(), augment=False).draw(77, CALIBRATION_PAIRS)
    for architecture in (FREE, LOSS):
        _ship(chosen, architecture, pairs, sum(len(part.images) for part in slices))


def _ship(chosen: argparse.Namespace, architecture: str, pairs: RankedPairs, slices: int) -> None:
    row, folder = MODELS["ranking"], chosen.checkpoints / f"ranking_{architecture}"
    network = ranker_of(folder / "checkpoint.safetensors", architecture).scorer
    more = {LABELS_KEY: "synthetic", **learned_from(chosen.data)}
    if architecture == FREE:
        more |= meaning(half_rounded(network), pairs)
        file, content = row.weights, exported(network, architecture, row.version, more)
        inputs = f"slices at 1 mm in windows of {WINDOW} x {WINDOW} pixels, the head's 99th percentile at 1."
        title, says, limits = row.title, row.says, row.limits
    else:
        settings = {"bidsqa_model": "ranking", "architecture": architecture, "version": row.version, "per_pixel": "yes"}
        file, content = SHIPPED, to_safetensors(network, {**settings, **more})
        inputs = "complex difference to a reference, divided by the reference's largest magnitude."
        title, says = "rank-based quality against a reference", "How much worse than its reference an image is ranked."
        limits = (
            "It needs a reference of the same object: a loss and a measure for reconstructions, never for a lone scan."
        )
    curve = folder / "curve.csv"
    last, digest = last_row(curve), hashlib.sha256(content).hexdigest()
    card = CARD.format(
        name=Path(file).stem, title=title, says=says, file=file, version=row.version, architecture=architecture,
        parameters=count_parameters(ARCHITECTURES[architecture]()), sha256=digest, inputs=inputs, tau=TAU,
        readers=Recipe.readers, taste=TASTE, slices=slices, steps=int(last["step"]), seed=Recipe.seed,
        batch=Recipe.batch,
        new=max(2, round(NEW_SHARE * Recipe.batch)), hours=last["seconds"] / 3600, curve=f"{Path(file).stem}_curve.csv",
        validation=printed_tables([chosen.tables / name for name in TABLES], digest), limits=limits,
        citation=row.citation, source=row.source,
    )  # fmt: skip
    ship(file, content, card, curve)
    print(f"{file}: {len(content) / 1e6:.2f} MB, SHA-256 {digest}")


if __name__ == "__main__":
    main()
