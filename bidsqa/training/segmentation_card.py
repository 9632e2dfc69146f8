# SPDX-License-Identifier: Apache-2.0
"""Ship the trained segmentation network: ``python -m bidsqa.training.segmentation_card``.

Writes the weights, their checksum, the training curve and the card with the tables that
``python -m bidsqa.validation.segmentation`` wrote last for the same weights.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bidsqa.models.networks_segmentation import ShareNetwork
from bidsqa.models.networks_ssim import count_parameters
from bidsqa.models.table import MODELS
from bidsqa.training.checkpoints import averaged_weights
from bidsqa.training.export import half_rounded, last_row, printed_tables, ship, to_onnx
from bidsqa.training.segmentation import BATCH, CUT, RESERVE, STEPS_A_SCENE
from bidsqa.training.segmentation_scenes import ARTIFACT_SHARES, CROPPED, DEFACED, STRIPPED, ZEROED

TABLES = ("segmentation.json",)
FREE = {0: "batch", 2: "x", 3: "y", 4: "z"}
CARD = """# segmentation: which share of a voxel is what

{says}

* File: `segmentation.onnx`, version {version}, architecture `{architecture}` ({parameters:,} parameters, float16
  storage, float32 arithmetic), SHA-256 {sha256}
* Input: the scan at 2 mm around the brain, divided by a first field and by its median where the average head has its
  brain, at most 4; the average head's shares there; and what a mixture of intensities makes of them
  (`bidsqa/anatomy/atlas.py`). Output: shares of air, head, CSF, grey and white matter, sum 1. The output layer begins
  at zero: an untrained network gives the mixture's shares, which stand beside it in every table.
* Masks: the brain's border is the mixture's, which the network alone draws worse; inside it the tissues' shares are the
  geometric mean of both (settled on the map training_seg_11), and the priors of a mixture model at full resolution.
  The mixture's histogram of what lies around the brain came after the training (settled on the maps 01, 06 and 10).

## Data
13 of the 16 head label maps of Billot et al. 2023 (Apache-2.0); never seen: training_seg_04, training_seg_11,
training_seg_15, the phantom and every real scan. Each scene is drawn anew (`bidsqa/training/segmentation_scenes.py`):
the map mirrored, turned, scaled and bent; a contrast drawn (mostly in the order of T1w, T2w, FLAIR, PDw);
near-isotropic voxels of 0.8-1.6 mm or slices of 2-6 mm; texture, field, blur, noise of 0.5-15 %;
{stripped:.0%} stripped, {defaced:.0%} defaced, {cropped:.0%} in a short field of view, {zeroed:.0%} of the others with
blanked air; {artifacts}. The average head is laid over it as at inference, with the faults it makes.

## Recipe
`python -m bidsqa.training.segmentation --seconds {budget} --seed 1`: {steps} steps of {batch} cut-outs of {cut} voxels
a side in {hours:.2f} h on one shared CPU core, from random weights; a new scene every {every} steps, {reserve} kept.
AdamW 2e-3 with a cosine, weights averaged (0.995). Loss: 2 x cross-entropy of the shares + 1 - soft Dice (brain, CSF,
grey, white). The curve is in `segmentation_curve.csv` (watch_*: twelve scenes of the maps not trained on; first_*: the
mixture alone). No step was chosen by them. The length is a time budget: a repetition gives a network of the same
kind, not the same bytes.

## Validation
{validation}

## Limits
* {limits}
* Truth and training images come from label maps; on real scans the masks were looked at, not measured.
* Not a medical device; no diagnosis.

Licence: Apache-2.0, as the code. Idea of the drawn contrasts: {citation}, {source}.
"""


def exported(network: ShareNetwork, version: str) -> bytes:
    """A network as ONNX for blocks of any size."""
    shape = (2, 1, 16, 16, 16)
    examples = {
        "image": np.ones(shape, dtype=np.float32),
        **{name: np.full((2, 5, 16, 16, 16), 0.2, dtype=np.float32) for name in ("prior", "first")},
    }
    settings = {"bidsqa_model": "segmentation", "architecture": "shares", "version": version}
    return to_onnx(half_rounded(network), examples, network.output_names, settings, free=FREE)


def main(arguments: Sequence[str] | None = None) -> None:
    """Export, checksum, card, curve."""
    parser = argparse.ArgumentParser(prog="python -m bidsqa.training.segmentation_card", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=Path("checkpoints/segmentation"))
    parser.add_argument("--tables", type=Path, default=Path("docs/validation_tables"), help="validation tables")
    parser.add_argument("--budget", type=int, default=4000, help="seconds that the training was given")
    chosen = parser.parse_args(arguments)
    row = MODELS["segmentation"]
    network = ShareNetwork()
    network.load_state_dict(averaged_weights(chosen.checkpoint / "checkpoint.safetensors")[0])
    content = exported(network, row.version)
    digest = hashlib.sha256(content).hexdigest()
    curve = chosen.checkpoint / "curve.csv"
    last = last_row(curve)
    validation = printed_tables([chosen.tables / name for name in TABLES], digest)
    card = CARD.format(
        says=row.says, version=row.version, architecture=row.architecture, parameters=count_parameters(network),
        sha256=digest, steps=int(last["step"]), hours=last["seconds"] / 3600, batch=BATCH, cut=CUT,
        every=STEPS_A_SCENE, reserve=RESERVE, budget=chosen.budget, stripped=STRIPPED, defaced=DEFACED,
        cropped=CROPPED, zeroed=ZEROED, validation=validation, limits=row.limits,
        artifacts=", ".join(f"{share:.0%} with {name}" for name, share in ARTIFACT_SHARES.items() if name),
        citation=row.citation, source=row.source,
    )  # fmt: skip
    ship(row.weights, content, card, curve)
    print(f"{row.weights}: {len(content) / 1e6:.2f} MB, SHA-256 {digest}")


if __name__ == "__main__":
    main()
