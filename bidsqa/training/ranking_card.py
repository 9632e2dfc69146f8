# SPDX-License-Identifier: Apache-2.0
"""Ship the trained ranking networks: ``python -m bidsqa.training.ranking_card --checkpoints checkpoints``.

Writes the reference-free EfficientNet-B0 for the main job and IQ-Net for the loss, their checksums, training curves and
cards, whose validation tables are those that were written last for the same weights.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from bidsqa.models.loading import load_network
from bidsqa.models.networks_ranking import ARCHITECTURES
from bidsqa.models.networks_ssim import count_parameters
from bidsqa.models.table import MODELS
from bidsqa.training.export import last_row, printed_tables, ship
from bidsqa.training.pool import learned_from
from bidsqa.training.ranker import Ranker
from bidsqa.training.ranking import ACROSS, CUT, CUT_SHARES, FREE, RATES, READERS, TASTE, TAU, Readers, Recipe
from bidsqa.training.ranking_corruption import MOST_BLUR_PX, MOST_LINES, MOST_NOISE, MOST_POINTS, MOST_SHIFT_PX
from bidsqa.training.ranking_export import exported, meaning_of, ranker_of
from bidsqa.training.ranking_pairs import SyntheticPairs
from bidsqa.training.ranking_start import SHIPPED
from bidsqa.training.segmentation_data import class_of_label
from bidsqa.training.ssim_pool import real_slices

LOSS = "iq_net"
CALIBRATED, CALIBRATION_SEED = 400, 17
TABLES = (
    "ranking.json",
    "ranking_across.json",
    "ranking_readers.json",
    "ranking_scans.json",
    *(f"ranking_learning_{name}.json" for name in SHIPPED),
    "quality_loss.json",
)
USES = {
    FREE: "a scan alone, in the main job (`--models severity ssim ranking`); where a site's own training starts",
    LOSS: "`bidsqa.models.quality_loss.QualityLoss()`, an image against its reference; where a site's own training "
    "with `--architecture iq_net` starts",
}
# what else there is to tell of a training
MORE = {
    FREE: f"Of the pairs {ACROSS:.0%} are of two slices, mostly of two heads. The budget was 5,700 s at first and was\n"
    "raised at step 1,457, where the rate in the curve rises, because the core had been shared by many.",
    LOSS: "Pairs are two versions of one slice.",
}
WHOLE = {
    FREE: "On whole scans of sites not trained on it tells noise, blur, motion\n  and coarse voxels from clean scans "
    "(table); shading and ghosts, which it was not taught, hardly. A scan is read\n  against typical clean ones, and "
    "clean scans of other sites lie about one unit below these.",
    LOSS: "Its score is a sum of norms: it sees how large a difference is and where in\n  frequency, not what it is.",
}
CARD = """# {stem}: which of two images a reader would call better

{says}

* File: `{file}`, version {version}, architecture `{architecture}` ({parameters:,} parameters), SHA-256 {sha256}
* For: {use}
* **label_source: synthetic. human_validation: none.** No person has ranked anything. Three synthetic readers ranked
  each pair from the parameters of the simulation (which they know and the network doesn't), with an uncertainty and
  tastes of their own; the network learned to guess their answers from the images.

## Data
Real scans: public T1w, T2w and FLAIR scans of the sites ljubljana (five of seven subjects, 2D), novosibirsk (stripped),
uih and magdeburg; 13 of the 16 head label maps of Billot et al. 2023 (Apache-2.0), painted in two dimensions and drawn
as whole scans; phantom heads, seeds 101 to 104. Sites never trained on: amsterdam, utah, boston, fnndsc, martinos;
subjects never trained on: ljubljana04, ljubljana20. "Clean" means as published.

## Recipe
`python -m bidsqa.training.ranking --architecture {architecture} --seconds {budget:.0f}` (seed {seed}): from random
weights, {steps} steps of {batch} pairs in {hours:.2f} h on a shared CPU core; cut-outs of {cut} pixels in the first
{cut_share:.0%} of the time; AdamW with a cosine, highest rate {rate:g}, weights averaged (0.99). Loss: the
cross-entropy of the classifier and that of Davidson's model, whose chances don't saturate.
{more}
Each clean slice is spoiled twice after
Tang et al.: blur (to {blur:g} pixels), dropped lines (to {lines:.0%}) or points (to {points:.0%}) of k-space outside
the centre, noise (to {noise:g} steps of 0.8 %), one jump of the head (to {shift} pixels), each with a chance of one
half, such that both are about alike in SSIM. Utility: a sum of the kinds, noise by its loss in dB. Readers: uncertainty
1, ties within {tau:g}, a taste with SD {taste:g} a pair. The length is a time budget: a repetition gives a network of
the same kind, not the same bytes. Curve: `{curve}` (watch_*: pairs of the subjects never trained on).

What the raw score means (zero {zero}, unit {unit}, tie {tie}) was found on {calibrated} {pairs} of the two
watched subjects, which count as seen for that (`learned_from`).

## Validation
{validation}

## Limits
* It repeats the opinion of a formula on simulated damage. Your readers may weigh noise, blur and motion otherwise:
  `bidsqa-train ranking` goes on from these weights with their answers.
* This network had {hours:.2f} h of a shared core. {whole}
* {limits}
* Not a medical device; no diagnosis.

Licence: Apache-2.0, as the code. Method: {citation}, {source}.
"""


def weights_of(ranker: Ranker, architecture: str, data: Path) -> bytes:
    """The file, with what its numbers mean."""
    classes = class_of_label(data / "labels" / "labels.json")
    # a study compares scans, a loss the versions of one
    across = 1.0 if architecture == FREE else 0.0
    watched = SyntheticPairs(real_slices(data, ("watch",), 20), classes, Readers(), augment=False, across=across)
    pairs = watched.draw(CALIBRATION_SEED, CALIBRATED)
    meaning = meaning_of(ranker.scorer, pairs, pairs.votes.numpy().astype(float), "synthetic")
    return exported(
        ranker,
        architecture,
        {"version": MODELS["ranking"].version, **meaning, **learned_from(data, ("train", "watch"))},
    )


def ship_one(architecture: str, checkpoints: Path, data: Path, tables: Path, card_alone: bool = False) -> str:
    """Weights, card, checksum and curve of one architecture; the weights' SHA-256.

    Parameters
    ----------
    architecture : str
    checkpoints, data, tables : Path
    card_alone : bool
        The weights that ship already stay; only the card is written anew.
    """
    row = MODELS["ranking"]
    path = SHIPPED[architecture]
    curve = path.with_name(f"{path.stem}_curve.csv")
    if not card_alone:
        folder = checkpoints / f"ranking_{architecture}"
        path.write_bytes(weights_of(ranker_of(folder / "checkpoint.safetensors", architecture), architecture, data))
        shutil.copyfile(folder / "curve.csv", curve)
    content = path.read_bytes()
    meaning = load_network("ranking", weights=path).settings
    digest = hashlib.sha256(content).hexdigest()
    last = last_row(curve)
    text = CARD.format(
        stem=path.stem,
        says=row.says,
        file=path.name,
        version=meaning["version"],
        architecture=architecture,
        parameters=count_parameters(ARCHITECTURES[architecture]()),
        sha256=digest,
        use=USES[architecture],
        budget=last["seconds"],
        seed=Recipe.seed,
        more=MORE[architecture],
        whole=WHOLE[architecture],
        steps=int(last["step"]),
        batch=Recipe.batch,
        hours=last["seconds"] / 3600,
        cut=CUT,
        cut_share=CUT_SHARES[architecture],
        rate=RATES[architecture],
        blur=MOST_BLUR_PX,
        lines=MOST_LINES,
        points=MOST_POINTS,
        noise=MOST_NOISE,
        shift=MOST_SHIFT_PX,
        readers=READERS,
        tau=TAU,
        taste=TASTE,
        curve=curve.name,
        calibrated=CALIBRATED,
        pairs="pairs of two slices" if architecture == FREE else "pairs",
        validation=printed_tables([tables / name for name in TABLES], digest),
        limits=row.limits,
        citation=row.citation,
        source=row.source,
        **{key: meaning[key] for key in ("zero", "unit", "tie")},
    )
    return ship(path.name, content, text)


def main(arguments: Sequence[str] | None = None) -> None:
    """Ship both networks."""
    parser = argparse.ArgumentParser(description="Ship the ranking networks.")
    parser.add_argument("--checkpoints", type=Path, default=Path("checkpoints"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with scans/ and labels/")
    parser.add_argument("--tables", type=Path, default=Path("docs/validation_tables"), help="validation tables")
    parser.add_argument("--architectures", nargs="+", choices=(FREE, LOSS), default=[FREE, LOSS])
    parser.add_argument("--card-alone", action="store_true", help="write the cards of the shipped weights anew")
    chosen = parser.parse_args(arguments)
    for architecture in chosen.architectures:
        print(architecture, ship_one(architecture, chosen.checkpoints, chosen.data, chosen.tables, chosen.card_alone))


if __name__ == "__main__":
    main()
