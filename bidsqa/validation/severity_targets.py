# SPDX-License-Identifier: Apache-2.0
"""What the severity was to reach on sites not trained on, beside what it reaches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bidsqa.validation.severity_cases import FAMILY_OF
from bidsqa.validation.severity_contrasts import clean_limits
from bidsqa.validation.tables import Table

AREAS = {"noise": 0.98, "blur": 0.98, "anisotropy": 0.98, "motion": 0.95, "ghosting": 0.90, "bias": 0.85}
RANK, ORDERED, FLAGGED, PEARSON, KIND, LIMIT = 0.90, 0.98, 0.05, 0.92, 0.85, 1.0
PEARSON_WHY = (
    "the score is logarithmic above 1 and follows what is seen, not the simulators' strengths, and ghosts of one "
    "strength spread widely between contrasts; a scale fitted to the strengths would raise it and mean less"
)
# measure, artifact, aim, value, whether smaller is better, what stands in the way
Row = tuple[str, str, float, float, bool, str]


def target_rows(result: Mapping[str, Any]) -> Iterator[Row]:
    """Measure, artifact, aim, value, whether smaller is better, which scans stand in the way.

    Parameters
    ----------
    result : mapping
        From :func:`bidsqa.validation.severity.evaluate`.
    """
    severity = result["scores"]["severity"]
    for artifact, part in severity["artifacts"].items():
        yield from _of_artifact(artifact, part, result["leading"])
    flagged, number = severity["flagged"]
    yield "clean scans above 1", "", FLAGGED, flagged / number, True, _led(result["leading"])
    for contrast, value, highest in clean_limits(result["contrasts"]):
        yield "95th percentile of clean scans", contrast, LIMIT, value, True, highest
    yield "Pearson r, protocol of Hays et al.", "", PEARSON, severity["pearson"]["r"], False, PEARSON_WHY
    right = {kind: (counts[kind], sum(counts.values())) for kind, counts in result["kinds"].items() if kind != "none"}
    hits, total = (sum(column) for column in zip(*right.values(), strict=True))
    yield "kind right at 0.5 and more", "all", KIND, hits / total, False, ""
    for kind in dict.fromkeys(FAMILY_OF.values()):
        if kind in right and right[kind][1]:
            share = right[kind][0] / right[kind][1]
            yield "kind right at 0.5 and more", kind, KIND, share, False, _confused(kind, result["kinds"][kind])


def _of_artifact(artifact: str, part: Mapping[str, Any], leading: Sequence[tuple[str, float, str]]) -> Iterator[Row]:
    scan, value, readings = leading[0]
    highest = f"the clean scan that reads highest: {scan} {value:.2f} ({readings})"
    yield "AUC at 0.6 and more", artifact, AREAS[artifact], part["auc"], False, highest
    lowest, rho = part["rho_lowest"]
    yield "Spearman within a scan", artifact, RANK, part["rho"], False, f"lowest: {lowest} {rho:.2f}"
    share = part["ordered"][0] / part["ordered"][1]
    below = f"copies not above their own scan: {', '.join(part['disordered'])}"
    yield "above its own clean scan at 0.3 and more", artifact, ORDERED, share, False, below


def _led(leading: Sequence[tuple[str, float, str]]) -> str:
    """The flagged clean scans with the readings that lead in them."""
    return "; ".join(f"{scan} {value:.2f}: {readings}" for scan, value, readings in leading if value > 1)


def _confused(kind: str, counts: Mapping[str, int]) -> str:
    wrong = sorted(((count, name) for name, count in counts.items() if name != kind and count), reverse=True)
    return "named " + ", ".join(f"{name} {count}" for count, name in wrong) if wrong else ""


def target_table(result: Mapping[str, Any], note: str, command: str) -> Table:
    """Asked for, reached, and what stands in the way."""
    rows = []
    for measure, artifact, aim, value, smaller, why in target_rows(result):
        met = value <= aim if smaller else value >= aim
        bound = "≤" if smaller else "≥"
        # enough digits to tell a value from an aim that it just misses
        shown = f"{value:.2f}" if met or f"{value:.2f}" != f"{aim:.2f}" else f"{value:.3f}"
        rows.append([measure, artifact, f"{bound} {aim:.2f}", shown, "yes" if met else "no", "" if met else why])
    columns = ["measure", "artifact or contrast", "asked", "reached", "met", "what stands in the way"]
    text = f"{note} What stands in the way: scans with their severity and the readings that alone would give so much."
    return Table("Severity: asked for and reached", columns, rows, text, command)
