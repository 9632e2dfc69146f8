# SPDX-License-Identifier: Apache-2.0
"""The table of options of ``bidsqa-rate``; parser and documentation are made from it."""

from __future__ import annotations

from bidsqa.cli.options import FLAG, INTEGER, LIST, NUMBER, OPTIONS, OTHER, PATH, SELECT, TEXT, Option

# as bidsqa.rating.tasks.TASKS and bidsqa.rating.items.ARTIFACTS, which take longer to import than the help may
TASKS = ("pairwise", "min_acceptable", "ruler_threshold", "ruler_score", "diagnostic", "likert")
ARTIFACTS = ("coil_noise", "motion", "blur", "ghosting", "undersampling")
RULER_TASKS = ("ruler_threshold", "ruler_score")
PLANES = ("sagittal", "coronal", "axial")
ASK, SHOW, WHO = "What is asked", "What is shown", "Who rates, and how"

_SHARED = {option.name: option for option in OPTIONS}

RATE_OPTIONS: tuple[Option, ...] = (
    Option("tasks", ASK, LIST, "what readers are asked (pairwise); several make a menu", metavar="TASK", choices=TASKS),
    Option("goal", ASK, INTEGER, "items that a reader shall rate in each task (pairs: 400; else all)", metavar="N",
           least=1),
    Option("classes", ASK, INTEGER, "diagnostic classes, 2 or 3 (%(default)s)", 3, metavar="N", least=2, most=3),
    Option(
        "artifact-list",
        ASK,
        PATH,
        "file with the artifacts that can be marked beside 1 to 5, one a line, instead of the list of the scan's page",
        metavar="FILE",
    ),
    Option("practice", ASK, INTEGER, "items at the beginning that don't count (%(default)s)", 3, metavar="N", least=0),
    _SHARED["participant-label"],
    _SHARED["modalities"],
    _SHARED["skip-bids-validation"],
    Option("unit", SHOW, TEXT, "a slice, or a stack of slices to page through (%(default)s)", "slice",
           choices=("slice", "volume")),
    Option("plane", SHOW, TEXT, "plane of the slices (that of the acquisition; axial where near-isotropic)",
           choices=PLANES),
    Option("per-scan", SHOW, INTEGER, "slices or stacks from each scan (%(default)s)", 1, metavar="N", least=1,
           most=50),
    Option("versions", SHOW, INTEGER, "degraded versions of each slice that are paired (%(default)s)", 6, metavar="N",
           least=2, most=20),
    Option("artifacts", SHOW, LIST, f"what versions are degraded with ({' '.join(ARTIFACTS)})", metavar="NAME"),
    Option("degraded", SHOW, NUMBER, "share of the single images that are degraded on purpose (%(default)s)", 0.0,
           metavar="SHARE", least=0, most=1),
    Option("reference", SHOW, FLAG, "show the image as acquired beside each pair"),
    Option("radiological", SHOW, FLAG, "the patient's left at the right of axial and coronal slices (at the left)"),
    Option("rulers", SHOW, PATH, "folder of rulers, each a folder with eight images (those that ship with bidsqa)",
           metavar="DIR"),
    Option("rulers-from-scans", SHOW, FLAG, "make the rulers from the scans instead"),
    Option("raters", WHO, LIST, "names of the readers: each gets an address of their own (whoever opens the one "
           "address tells their name)", metavar="NAME"),
    Option("port", WHO, INTEGER, "fixed port, e.g. for SSH forwarding (a free one)", metavar="N", least=1, most=65535),
    Option("seed", WHO, INTEGER, "of all chance (%(default)s)", 0, metavar="N", least=0),
)  # fmt: skip
GROUPS = (ASK, SELECT, SHOW, WHO, OTHER)
