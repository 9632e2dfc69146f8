# SPDX-License-Identifier: Apache-2.0
"""The tables of options of ``bidsqa-train``; parser, config file and documentation are made from them."""

from __future__ import annotations

from bidsqa.cli.options import FLAG, INTEGER, LIST, NUMBER, PATH, TEXT, Option

# the first word of the command
TASKS = {
    "severity": "train the network that tells how strongly a scan is degraded",
    "ssim": "train the network that predicts the similarity of a scan to its motion-free self",
    "evaluate": "judge weights on the clean scans of a dataset, degraded on purpose",
}
SELECT, LEARN, LENGTH, JUDGE, RUN = (
    "Which scans",
    "What is learned",
    "How long",
    "What is judged",
    "How the work is run",
)
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
MINUTES = 30.0

_SELECTION = (
    Option("participant-label", SELECT, LIST, "participants, with or without sub- (all by default)", metavar="LABEL"),
    Option(
        "modalities",
        SELECT,
        LIST,
        "kinds of images (all of them by default)",
        metavar="SUFFIX",
        choices=("T1w", "T2w", "FLAIR", "PDw"),
        short="m",
    ),
    Option(
        "site-column",
        SELECT,
        TEXT,
        "column of participants.tsv that tells the site (site, where there is one)",
        metavar="COLUMN",
    ),
)
_UNCHECKED = Option(
    "skip-bids-validation",
    SELECT,
    FLAG,
    "take images whose names break BIDS, and a dataset without description",
    default=False,
)
_RUN = (
    Option(
        "device", RUN, TEXT, "where the network runs (%(default)s)", default="auto", choices=("auto", "cpu", "cuda")
    ),
    Option("omp-nthreads", RUN, INTEGER, "threads (all CPUs there are, at most 4)", metavar="N", least=1),
)
_CONFIG = Option(
    "config-file",
    RUN,
    PATH,
    "options from a TOML file, one key = value a line; the command line has the last word",
    metavar="FILE",
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
    _UNCHECKED,
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
    Option("force", RUN, FLAG, "start anew; what an earlier start left in OUT_DIR is removed", default=False),
    _CONFIG,
)

EVALUATE_OPTIONS: tuple[Option, ...] = (
    *_SELECTION,
    _UNCHECKED,
    Option("models", JUDGE, LIST, "models to judge (severity ssim)", metavar="NAME", choices=("severity", "ssim")),
    Option("weights", JUDGE, LIST, "your own weights for a model (the shipped ones)", metavar="NAME=FILE"),
    Option(
        "strengths",
        JUDGE,
        LIST,
        "strengths that each artifact is simulated at, above 0 and up to 1 (0.1 0.3 0.5 0.75 1)",
        metavar="NUMBER",
    ),
    *_RUN,
    _CONFIG,
)

OPTIONS_OF: dict[str, tuple[Option, ...]] = {
    "severity": TRAIN_OPTIONS,
    "ssim": TRAIN_OPTIONS,
    "evaluate": EVALUATE_OPTIONS,
}
