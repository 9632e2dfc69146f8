# SPDX-License-Identifier: Apache-2.0
"""What was measured before, under other circumstances, to stand beside the severity: as quoted, not measured anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bidsqa.validation.separation import plain
from bidsqa.validation.tables import Table

ARTIFACTS = ("noise", "blur", "motion", "ghosting", "bias")
NAN = float("nan")
SCANS = "11 clean scans of these sites and of training sites, 110 copies at strengths of 0.6 and more"
# score, circumstances, area by ARTIFACTS
QUOTED = (
    ("entropy focus criterion", f"{SCANS}; artifacts left in blanked air", (0.99, 0.63, 0.67, 0.68, 0.37)),
    ("entropy focus criterion", f"{SCANS}; air blanked again", (0.63, 0.63, 0.63, 0.57, 0.37)),
    ("edge strength, lower is worse", f"{SCANS}; air blanked again", (0.11, 0.83, 0.75, 0.39, 0.52)),
    ("network of Hays et al., as published", "six scans; air blanked again", (0.59, 0.50, 0.50, 0.54, 0.49)),
    (
        "network of Hays et al., trained by us",
        "80 steps of 12 slices, far too few, as a slice costs twenty times that of ours; scans of the first row here, "
        "strengths 0.75 and 1, every other slice",
        (1.00, 0.97, 0.87, 0.76, 0.61),
    ),
    ("first trial of our network", "25 minutes of training on two cores; 16 scans", (1.00, 0.95, 0.93, 0.77, 0.77)),
    ("polynomial of the field, untrained", "the 16 scans of the first trial", (NAN, NAN, NAN, NAN, 0.91)),
)


def before_table(result: Mapping[str, Any], note: str, command: str) -> Table:
    """The severity and the measures beside it, then what was measured before.

    Parameters
    ----------
    result : mapping
        From :func:`bidsqa.validation.severity.evaluate`.
    note, command : str
    """
    rows = []
    for name in ("severity", "efc", "edge strength (negated)", "field range"):
        areas = result["scores"].get(name, {}).get("artifacts", {})
        if areas:
            shown = [plain(areas[artifact]["auc"]) if artifact in areas else "" for artifact in ARTIFACTS]
            rows.append([name, "measured here", *shown])
    rows += [[name, where, *map(plain, areas)] for name, where, areas in QUOTED]
    text = (
        f"{note} Rows that are not measured here are quoted as they were written down, from other scans, copies and "
        "versions: they tell where the work began, and can't be compared digit by digit."
    )
    return Table("Severity beside what was measured before: AUC", ["score", "on", *ARTIFACTS], rows, text, command)
