# SPDX-License-Identifier: Apache-2.0
"""The tables of options of ``bidsqa-train``; parser, config file and documentation are made from them."""

from __future__ import annotations

from dataclasses import replace

from bidsqa.cli.options import FLAG, INTEGER, LIST, NUMBER, OPTIONS, RUN, SELECT, TEXT, Option

# the first word of the command
TASKS = {
    "severity": "train the network that tells how strongly a scan is degraded",
    "ssim": "train the network that predicts the similarity of a scan to its motion-free self",
    "evaluate": "judge weights on the clean scans of a dataset, degraded on purpose",
}
LEARN, LENGTH, JUDGE = "What is learned", "How long", "What is judged"
# as in bidsqa.training.severity_batches.MIX, which can't be imported without torch
ARTIFACTS = (
    "anisotropy",
    "blur",
    "gibbs",
    "bias",
    "motion",
    "ghosting",
    "undersampling",
    "wrap",
    "spike",
    "noise",
)
# as bidsqa.validation.severity_cases.JUDGED
JUDGED = ("motion", "noise", "blur", "ghosting", "bias", "anisotropy")
MINUTES = 30.0

_SHARED = {option.name: option for option in OPTIONS}
_SELECTION = (
    _SHARED["participant-label"],
    _SHARED["modalities"],
    Option(
        "site-column",
        SELECT,
        TEXT,
        "column of participants.tsv that tells the site (site, where there is one)",
        metavar="COLUMN",
    ),
)
_RUN = (
    _SHARED["device"],
    replace(_SHARED["omp-nthreads"], help="threads (all CPUs there are, at most 4)", default=None),
)

TRAIN_OPTIONS: tuple[Option, ...] = (
    *_SELECTION,
    Option(
        "hold-out-site",
        SELECT,
        TEXT,
        "site that is neither trained on nor watched, for the card's last tables; none: no site (where the dataset "
        "names several: the largest one that has at most a third of the subjects)",
        metavar="SITE",
    ),
    _SHARED["skip-bids-validation"],
    Option(
        "start",
        LEARN,
        TEXT,
        "weights to go on from: shipped, none (random ones) or the path of an .onnx file (%(default)s)",
        default="shipped",
        metavar="WEIGHTS",
    ),
    Option(
        "artifacts",
        LEARN,
        LIST,
        "severity: the artifacts to learn (all); with fewer the score leaves out the kinds that are missing",
        metavar="NAME",
        choices=ARTIFACTS,
    ),
    Option("batch", LEARN, INTEGER, "clean slices a step (severity 14, ssim 16)", metavar="N", least=4),
    Option(
        "rate",
        LEARN,
        NUMBER,
        "highest learning rate (severity 5e-4, ssim 4e-4; from random weights 2.5e-3 and 2e-3)",
        metavar="NUMBER",
        least=0.0,
        most=1.0,
        above=True,
    ),
    Option(
        "seed", LEARN, INTEGER, "seed of the split and of the training (%(default)s)", default=0, metavar="N", least=0
    ),
    Option(
        "minutes",
        LENGTH,
        NUMBER,
        "length by time, reading and judging excluded (30)",
        metavar="N",
        least=0.0,
        above=True,
    ),
    Option("steps", LENGTH, INTEGER, "length by steps instead: the same numbers on each start", metavar="N", least=1),
    Option(
        "patience",
        LENGTH,
        INTEGER,
        "end after so many looks at the watched subjects without improvement, of about 25; 0: never (%(default)s)",
        default=8,
        metavar="N",
        least=0,
    ),
    *_RUN,
    Option(
        "precision",
        RUN,
        TEXT,
        "arithmetic of the network; auto: float32 on a CPU, mixed precision on CUDA; bfloat16 works on both, float16 "
        "on CUDA (%(default)s)",
        default="auto",
        choices=("auto", "float32", "bfloat16", "float16"),
    ),
    Option(
        "log",
        RUN,
        TEXT,
        "the curve is always in curve.csv; tensorboard: also for TensorBoard, which must be installed (%(default)s)",
        default="csv",
        choices=("csv", "tensorboard"),
    ),
    replace(_SHARED["force"], help="start anew; what an earlier start left in OUT_DIR is removed"),
    _SHARED["config-file"],
)

EVALUATE_OPTIONS: tuple[Option, ...] = (
    *_SELECTION,
    _SHARED["skip-bids-validation"],
    Option("models", JUDGE, LIST, "models to judge (severity ssim)", metavar="NAME", choices=("severity", "ssim")),
    replace(_SHARED["weights"], group=JUDGE),
    Option(
        "artifacts",
        JUDGE,
        LIST,
        "artifacts that are simulated (motion noise blur ghosting bias anisotropy)",
        metavar="NAME",
        choices=JUDGED,
    ),
    Option(
        "strengths",
        JUDGE,
        LIST,
        "strengths that each artifact is simulated at, above 0 and up to 1 (0.1 0.3 0.5 0.6 0.75 1)",
        metavar="NUMBER",
    ),
    Option(
        "no-paper-protocol",
        JUDGE,
        FLAG,
        "leave out the further copies (up to three a scan) that the protocol of Hays et al. wants",
        default=False,
    ),
    *_RUN,
    _SHARED["config-file"],
)

OPTIONS_OF: dict[str, tuple[Option, ...]] = {
    "severity": TRAIN_OPTIONS,
    "ssim": TRAIN_OPTIONS,
    "evaluate": EVALUATE_OPTIONS,
}
