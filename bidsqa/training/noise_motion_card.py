# SPDX-License-Identifier: Apache-2.0
"""The card of the shipped noise and motion network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bidsqa.models.noise_motion_inputs import WINDOW
from bidsqa.models.table import MODELS
from bidsqa.training.export import printed_tables
from bidsqa.training.label_calibration import AUTOMATIC
from bidsqa.training.noise_motion import DRAWN_SHARE, PHANTOM_SHARE, REAL_SHARE, Recipe

TABLES = tuple(
    f"noise_motion_{name}.json" for name in ("ruler", "labels", "thresholds", "unseen", "motion", "tasks", "clean")
)
CARD = """# noise_motion: noise and motion, to be read against image rulers

{says}

* File: `noise_motion.onnx`, version {version}, architecture `{architecture}` (265,330 parameters, float16 storage,
  float32 arithmetic), SHA-256 {sha256}
* Input: slices at native pixels, cut around the head or padded with 0 to {window} x {window}, mean 0, variance 1.
  Outputs: noise D (higher is better, about the head's signal-to-noise ratio in dB), logit of a slice without motion,
  and a map of 8 x 8 for each.
* label_source: simulated. human_validation: none. The label h of each set, which version is still acceptable, is by an
  {automatic}.

## Data
Real scans ({real:.0%} of the slices): public T1w, T2w and FLAIR scans of the sites ljubljana (five of seven subjects,
2D), novosibirsk (stripped), uih and magdeburg. Sites never trained on: amsterdam, utah, boston, fnndsc, martinos;
subjects never trained on: ljubljana04, ljubljana20. Scans drawn from 13 of the 16 head label maps of Billot et al. 2023
(Apache-2.0), {drawn:.0%}; phantom heads, seeds 101 to 104, {phantom:.0%}. "Clean" means as published: some of these
scans have noise of their own, which the labels by Equation 1 don't count.

## Recipe
`python -m bidsqa.training.noise_motion {recipe}`: {steps} steps in {hours:.2f} h on one shared CPU core; AdamW with a
cosine, averaged weights (0.99), seed {seed}; the best of about 25 looks at the watched subjects is kept. Mini-batches
of noise ({noise_slices} slices x 5 versions, root mean squared error) and of motion ({motion_slices} slices x 2,
cross-entropy) take turns; a step touches the trunk and one branch. Noise: complex Gaussian in the k-space of 1 to 12
coils, root of the sum of squares; levels from 9-15 dB (drawn) to 32 dB (the original's label) in equal steps, over the
bright part of the slice. Labels: Equation 1, calibrated with eta = {eta:g} unless the options say otherwise. Motion: 2
to 4 moves within 1 degree and 3 pixels of the pose before, at random times, lines in linear, interleaved or echo-train
order, half of the pairs under noise of 18 to 36 dB. Magnitude images get smooth synthetic sensitivities and phase. Half
of the slices with blanked air keep it; contrast by gamma; quarter turns and mirrors; in a quarter of the noise sets the
outer k-space is filled with zeros. The length is a time budget: a repetition gives a network of the same kind, not the
same bytes. The curve is in `noise_motion_curve.csv`.

## Validation
{validation}

## Limits
* {limits}
* Noise and motion are simulated by the same simulators in training and validation, from processed magnitude images,
  which is optimistic. No scan with rated noise or motion was seen. The paper trained on raw k-space of 9,778 slices of
  635 children, with human labels.
* D compares scans with a ruler; the dB are not a measurement.
* Few sites; T2w and FLAIR from one site in training.
* Not a medical device; no diagnosis.

Licence: Apache-2.0, as the code. Method: {citation}, {source}.
"""


def card(digest: str, facts: Mapping[str, Any], recipe: str, tables: Path) -> str:
    """The card, Markdown.

    Parameters
    ----------
    digest : str
        SHA-256 of the weights.
    facts : Mapping
        Of the checkpoint.
    recipe : str
        Options of the training.
    tables : Path
        Folder of the validation tables.
    """
    row = MODELS["noise_motion"]
    plain = Recipe()
    return CARD.format(
        says=row.says,
        version=row.version,
        architecture=row.architecture,
        sha256=digest,
        window=WINDOW,
        automatic=AUTOMATIC,
        real=REAL_SHARE,
        drawn=DRAWN_SHARE,
        phantom=PHANTOM_SHARE,
        recipe=recipe,
        steps=facts["step"],
        hours=facts["seconds"] / 3600,
        seed=plain.seed,
        noise_slices=plain.noise_slices,
        motion_slices=plain.motion_slices,
        eta=plain.eta,
        validation=printed_tables([tables / name for name in TABLES], digest),
        limits=row.limits,
        citation=row.citation,
        source=row.source,
    )
