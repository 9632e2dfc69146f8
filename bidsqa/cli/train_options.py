# SPDX-License-Identifier: Apache-2.0
"""The tables of options of ``bidsqa-train``; parser, config file and documentation are made from them."""

from __future__ import annotations

from dataclasses import replace

from bidsqa.cli.options import FLAG, INTEGER, LIST, NUMBER, OPTIONS, PATH, RUN, SELECT, TEXT, Option

# the first word of the command
TASKS = {
    "severity": "train the network that tells how strongly a scan is degraded",
    "ssim": "train the network that predicts the similarity of a scan to its motion-free self",
    "noise_motion": "train the network that tells noise, to be read against rulers, and motion",
    "ranking": "train a network that ranks as your readers do, on the pairs they compared in bidsqa-rate",
    "diagnostic": "train a network that names the diagnostic class as your readers do in bidsqa-rate",
    "verdict": "fit what your readers accept, as a file for bidsqa --thresholds",
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
        "column of participants.tsv that tells the site, or none (site or the like, where there is one)",
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
    Option(
        "ratings",
        LEARN,
        PATH,
        "noise_motion: your readers' answers to min_acceptable, RATINGS of bidsqa-rate or an export of it; labels of "
        "noise are calibrated by what they accept",
        metavar="RATINGS",
    ),
    Option(
        "eta",
        LEARN,
        NUMBER,
        "with --ratings: how far the calibration goes, 0 not at all, 1 whatever is just accepted gets one label (0.85)",
        metavar="NUMBER",
        least=0.0,
        most=1.0,
    ),
    Option(
        "batch",
        LEARN,
        INTEGER,
        "clean slices a step (severity 14, ssim 16), or versions of slices (noise_motion 10)",
        metavar="N",
        least=4,
    ),
    Option(
        "rate",
        LEARN,
        NUMBER,
        "highest learning rate (severity 5e-4, ssim 4e-4, noise_motion 3e-4; from random weights 2.5e-3, 2e-3, 1.5e-3)",
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

# tasks of the rating app (and of imported ratings) that tell whether a scan is accepted
ACCEPTING = ("page", "mriqc", "diagnostic", "likert")
# as in bidsqa.training.rated_training.RATED, which can't be imported without torch
ARCHITECTURES = {
    "ranking": ("efficientnet_b0_free", "iq_net", "efficientnet_b0"),
    "diagnostic": ("convnet", "resnet10"),
}
ABOUT_ARCHITECTURES = {
    "ranking": "efficientnet_b0_free judges a scan alone, for the main job; iq_net and efficientnet_b0 compare with a "
    "reference, iq_net also as a loss in Python",
    "diagnostic": "convnet is that of Ma et al.; resnet10 is larger",
}


def _start_option(task: str, option: Option) -> tuple[Option, ...]:
    if task != "ranking":
        return ()
    return (
        replace(
            option,
            help="weights to go on from: shipped (they learned from synthetic readers), none (random ones) or the path "
            "of a file that bidsqa-train wrote (shipped, where weights of the architecture ship)",
            default=None,
        ),
    )


def rated_options(task: str) -> tuple[Option, ...]:
    """Options of a training on ratings."""
    train = {option.name: option for option in TRAIN_OPTIONS}
    names = ARCHITECTURES[task]
    return (
        Option("ratings", LEARN, PATH, "your readers' answers: RATINGS of bidsqa-rate, or an export of it (needed)",
               metavar="RATINGS"),
        Option("architecture", LEARN, TEXT, f"{ABOUT_ARCHITECTURES[task]} (%(default)s)", names[0], choices=names),
        *_start_option(task, train["start"]),
        replace(train["batch"], help=f"{'pairs' if task == 'ranking' else 'slices'} a step (%(default)s)",
                default=16 if task == "ranking" else 8),
        replace(train["rate"], help="highest learning rate (1e-3, iq_net 3e-3; from weights a third of that)"),
        replace(train["seed"], help="seed of the folds and of the training (%(default)s)"),
        replace(train["minutes"], help="length by time, all folds together, reading excluded (30)"),
        replace(train["steps"], help="length by steps instead, all folds together: the same numbers on each start"),
        *_RUN,
        train["precision"],
        train["force"],
        _SHARED["skip-bids-validation"],
        _SHARED["config-file"],
    )  # fmt: skip


VERDICT_OPTIONS: tuple[Option, ...] = (
    Option("out", LEARN, PATH, "the file to write (%(default)s)", default="readers.toml", metavar="FILE"),
    Option("task", LEARN, TEXT, "answers that count (those there are, in this order)", choices=ACCEPTING),
    replace(next(option for option in TRAIN_OPTIONS if option.name == "seed"), help="seed of the folds (%(default)s)"),
    replace(_SHARED["force"], help="replace the file where it exists"),
    _SHARED["config-file"],
)

OPTIONS_OF: dict[str, tuple[Option, ...]] = {
    "severity": TRAIN_OPTIONS,
    "ssim": TRAIN_OPTIONS,
    "noise_motion": TRAIN_OPTIONS,
    "ranking": rated_options("ranking"),
    "diagnostic": rated_options("diagnostic"),
    "verdict": VERDICT_OPTIONS,
    "evaluate": EVALUATE_OPTIONS,
}
# the two places after the task, with what they are
DATASET = ("BIDS_DIR", "the dataset, good scans only; it is only read")
RATED_DATASET = ("BIDS_DIR", "the dataset that was rated; it is only read")
PLACES_OF: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {
    **dict.fromkeys(
        ("severity", "ssim", "noise_motion"), (DATASET, ("OUT_DIR", "for the weights, their card and the curve"))
    ),
    **dict.fromkeys(ARCHITECTURES, (RATED_DATASET, ("OUT_DIR", "for the weights and their card"))),
    "verdict": (
        ("GROUP_TSV", "group_<suffix>.tsv of the rated scans, which bidsqa's group level wrote"),
        ("RATINGS", "RATINGS of bidsqa-rate or an export, or a table with the columns bids_name and accept"),
    ),
    "evaluate": (DATASET, ("OUT_DIR", "for tables and plots")),
}
