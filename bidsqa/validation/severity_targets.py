# SPDX-License-Identifier: Apache-2.0
"""What the severity was to reach on sites not trained on, beside what it reaches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bidsqa.validation.severity_cases import FAMILY_OF
from bidsqa.validation.tables import Table

AREAS = {"noise": 0.98, "blur": 0.98, "anisotropy": 0.98, "motion": 0.95, "ghosting": 0.90, "bias": 0.85}
RANK, ORDERED, FLAGGED, PEARSON, KIND = 0.90, 0.98, 0.05, 0.92, 0.85
# what stands in the way, and what would lift it
WHY = {
    "area": "a clean scan with noise of its own (boston01) lies among the weaker copies of others; more sites",
    "rank": "a simulated field can cancel the scan's own",
    "ordered": "copies of noisy or shaded scans can lie below them; cleaner originals, more training",
    "flagged": "seven clean scans tell shares in steps of 14 %; the one flagged is noisy, as its air shows; more sites",
    "pearson": "the score is logarithmic above 1 and follows what is seen, not the simulators' strengths, and ghosts "
    "of one strength spread widely between contrasts; a scale fitted to the strengths would raise it and mean less",
    "kind": "motion can read as blur, and a faint field as none; more training, in 3D",
}


def target_rows(result: Mapping[str, Any]) -> Iterator[tuple[str, str, float, float, bool, str]]:
    """Measure, artifact, aim, value, whether smaller is better, key of ``WHY``.

    Parameters
    ----------
    result : mapping
        From :func:`bidsqa.validation.severity.evaluate`.
    """
    severity = result["scores"]["severity"]
    for artifact, part in severity["artifacts"].items():
        yield "AUC at 0.6 and more", artifact, AREAS[artifact], part["auc"], False, "area"
        yield "Spearman within a scan", artifact, RANK, part["rho"], False, "rank"
        share = part["ordered"][0] / part["ordered"][1]
        yield "above its own clean scan at 0.3 and more", artifact, ORDERED, share, False, "ordered"
    flagged, number = severity["flagged"]
    yield "clean scans above 1", "", FLAGGED, flagged / number, True, "flagged"
    yield "Pearson r, protocol of Hays et al.", "", PEARSON, severity["pearson"]["r"], False, "pearson"
    right = {kind: (counts[kind], sum(counts.values())) for kind, counts in result["kinds"].items() if kind != "none"}
    hits, total = (sum(column) for column in zip(*right.values(), strict=True))
    yield "kind right at 0.5 and more", "all", KIND, hits / total, False, "kind"
    for kind in dict.fromkeys(FAMILY_OF.values()):
        if kind in right:
            yield "kind right at 0.5 and more", kind, KIND, right[kind][0] / right[kind][1], False, "kind"


def target_table(result: Mapping[str, Any], note: str, command: str) -> Table:
    """Asked for, reached, and why not."""
    rows = []
    for measure, artifact, aim, value, smaller, why in target_rows(result):
        met = value <= aim if smaller else value >= aim
        bound = "≤" if smaller else "≥"
        # enough digits to tell a value from an aim that it just misses
        shown = f"{value:.2f}" if met or f"{value:.2f}" != f"{aim:.2f}" else f"{value:.3f}"
        rows.append([measure, artifact, f"{bound} {aim:.2f}", shown, "yes" if met else "no", "" if met else WHY[why]])
    columns = ["measure", "artifact", "asked", "reached", "met", "what stands in the way"]
    return Table("Severity: asked for and reached", columns, rows, note, command)
