# SPDX-License-Identifier: Apache-2.0
"""Validate the severity score on sites it was not trained on: ``python -m bidsqa.validation.severity``.

Two questions are kept apart: are the copies of one scan in the right order (Spearman within a scan), and are clean
scans told from degraded ones of other heads (AUC across scans)? Classical measures and the published network, trained
on the same data, are judged in the same way, and Hays et al.'s own protocol stands beside.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bidsqa.models.severity import SeverityScorer
from bidsqa.validation import separation
from bidsqa.validation.paper_protocol import paper_protocol, protocol_table
from bidsqa.validation.separation import Scored, percent, plain, ranged
from bidsqa.validation.severity_before import before_table
from bidsqa.validation.severity_cases import STRENGTHS, build_cases, build_contrasts
from bidsqa.validation.severity_contrasts import by_contrast, contrast_table
from bidsqa.validation.severity_judging import (
    Found,
    Judged,
    beyond,
    clean_left_out,
    judge,
    kinds_of,
    left_out,
    model_error,
)
from bidsqa.validation.severity_kinds import count_kinds, kinds_table
from bidsqa.validation.severity_targets import target_table
from bidsqa.validation.tables import Table

COMMAND = "python -m bidsqa.validation.severity --data ../shared/data --out checkpoints/severity"


def summarise(cases: Scored, threshold: float | None = None) -> dict[str, Any]:
    """Numbers of one score over the graded strengths (:func:`bidsqa.validation.separation.summarise`), and ``pearson``.

    Copies made for the paper's protocol alone enter only that.
    """
    graded = [(case, value) for case, value in cases if case.artifact == "none" or case.strength in STRENGTHS]
    return {**separation.summarise(graded, threshold), "pearson": paper_protocol(cases)}


def confusion(rows: Sequence[Found]) -> dict[str, dict[str, int]]:
    """How often each kind is named, by true kind: clean scans and copies at 0.5 and more."""
    return count_kinds((found.row.case.artifact, found.row.case.strength, found.kind) for found in rows)


def evaluate(rows: Sequence[Found], clean: Sequence[Found] = (), further: Sequence[Found] = ()) -> dict[str, Any]:
    """All numbers: severity, each reading on its own, and the baselines, on the test sites.

    Parameters
    ----------
    rows : sequence of Found
        From :func:`bidsqa.validation.severity_judging.left_out`.
    clean : sequence of Found
        From :func:`bidsqa.validation.severity_judging.clean_left_out`.
    further : sequence of Found
        Cases that enter the table by contrast alone.

    Raises
    ------
    ValueError
        Cases that lack a baseline which others have.
    """
    result: dict[str, Any] = {
        "scores": {"severity": summarise([(found.row.case, found.value) for found in rows], 1.0)},
        "kinds": confusion(rows),
        "clean": [
            (found.row.case.scan, found.row.case.contrast, "scan" if found.row.case.real else "drawn", found.value)
            for found in clean or [found for found in rows if found.row.clean]
        ],
        "leading": [
            (found.row.case.scan, found.value, found.leading)
            for found in sorted((found for found in rows if found.row.clean), key=lambda found: -found.value)
        ],
        "contrasts": by_contrast([*(found for found in rows if _graded(found)), *further]),
    }
    cases = [found.row for found in rows]
    if all(row.plain is not None for row in cases):
        result["scores"]["published network"] = summarise([(row.case, row.plain or 0.0) for row in cases])
    for name in (name for name in cases[0].readings if not name.endswith("_presence")):
        result["scores"][f"reading: {name}"] = summarise([(row.case, row.readings[name]) for row in cases])
    for name in cases[0].case.baselines:
        if not all(name in row.case.baselines for row in cases):
            raise ValueError(f"not all cases have the baseline {name}: they must be prepared anew")
        result["scores"][name] = summarise([(row.case, row.case.baselines[name]) for row in cases])
    result["scores"]["constant"] = summarise([(row.case, 0.0) for row in cases])
    return result


def _graded(found: Found) -> bool:
    """Clean, or a copy that was not made for the paper's protocol alone."""
    return found.row.clean or found.row.case.strength in STRENGTHS


def tables(result: dict[str, Any], note: str) -> dict[str, Table]:
    """Tables for docs: areas by score, the severity by strength and contrast, kinds, the paper's protocol."""
    return {
        "severity_targets": target_table(result, note, COMMAND),
        "severity_auc": _areas(result, note),
        "severity_before": before_table(result, note, COMMAND),
        "severity_strength": _by_strength(result, note),
        "severity_contrasts": contrast_table(result["contrasts"], note, COMMAND),
        "severity_clean": _clean(result, note),
        "severity_kinds": kinds_table(result["kinds"], note, COMMAND),
        "severity_protocol": protocol_table(
            {name: part["pearson"] for name, part in result["scores"].items()}, note, COMMAND
        ),
    }


def _areas(result: dict[str, Any], note: str) -> Table:
    artifacts = list(result["scores"]["severity"]["artifacts"])
    rows = []
    for name, summary in result["scores"].items():
        cells = [name]
        for artifact in artifacts:
            part = summary["artifacts"][artifact]
            cells.append(ranged(part["auc"], part["interval"]))
        rows.append(cells)
    title = "Clean against degraded scans (strength 0.6 and more) of sites not trained on: AUC [95 % interval]"
    return Table(title, ["score", *artifacts], rows, note, COMMAND)


def _by_strength(result: dict[str, Any], note: str) -> Table:
    severity = result["scores"]["severity"]
    rows = []
    for artifact, part in severity["artifacts"].items():
        rows.append(
            [
                artifact,
                *(plain(value) for _, value in sorted(part["auc_by_strength"].items())),
                ", ".join(f"{name} {plain(value)}" for name, value in part["auc_by_contrast"].items()),
                ranged(part["rho"], part["rho_interval"]),
                percent(part["ordered"]),
                percent(part["caught"]),
            ]
        )
    strengths = sorted(next(iter(severity["artifacts"].values()))["auc_by_strength"])
    columns = [
        "artifact",
        *(f"AUC at {strength:g}" for strength in strengths),
        "AUC by contrast (>= 0.6)",
        "Spearman within a scan",
        "above its clean scan (>= 0.3)",
        "above 1 (>= 0.6)",
    ]
    flagged = (
        f"Clean scans above 1: {severity['flagged'][0]} of {severity['flagged'][1]}, {percent(severity['flagged'])}."
    )
    return Table("Severity by artifact and strength", columns, rows, f"{note} {flagged}", COMMAND)


def _clean(result: dict[str, Any], note: str) -> Table:
    rows = []
    groups = sorted({(kind, contrast) for _, contrast, kind, _ in result["clean"]}, reverse=True)
    for kind, contrast in groups:
        values = np.array([value for _, other, sort, value in result["clean"] if (sort, other) == (kind, contrast)])
        above = (int((values > 1).sum()), len(values))
        rows.append(
            [
                contrast if kind == "scan" else f"{contrast}, drawn from label maps",
                len(values),
                f"{np.median(values):.2f}",
                f"{values.max():.2f}",
                percent(above),
            ]
        )
    told = (
        f"{note.partition('. ')[0]}. Scans of sites and subjects that the network was not trained on, each calibrated "
        "without its own site (without its own subject where other subjects of the site were trained on); drawn scans "
        "served neither."
    )
    columns = ["contrast", "clean scans", "median severity", "largest", "above 1"]
    return Table("Severity of clean scans by contrast", columns, rows, told, COMMAND)


def write(result: dict[str, Any], folder: Path, note: str) -> list[Table]:
    """Write tables (JSON) and a CSV with every number; returns the tables."""
    made = tables(result, note)
    for name, table in made.items():
        table.write(folder / f"{name}.json")
    with (folder / "severity.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["score", "artifact", "measure", "value"])
        for name, summary in result["scores"].items():
            for artifact, part in summary["artifacts"].items():
                writer.writerows([name, artifact, *cells] for cells in _flat(part))
    return list(made.values())


def draw(result: dict[str, Any], rows: Sequence[Found], folder: Path) -> None:
    """The plots that stand beside the tables."""
    from bidsqa.validation.plots import areas_by_strength, dose_response

    graded = [row for row in rows if row.row.clean or row.row.case.strength in STRENGTHS]
    dose_response([(row.row.case, row.value) for row in graded], folder / "severity_strength.svg", "severity", 1.0)
    areas_by_strength(result, folder / "severity_auc.svg")


def _flat(part: dict[str, Any]) -> list[tuple[str, str]]:
    lines = []
    for measure, value in part.items():
        if measure in ("rho_lowest", "disordered"):  # names of scans
            continue
        if isinstance(value, dict):
            lines += [(f"{measure}_{key}", f"{number:.4f}") for key, number in value.items()]
        elif isinstance(value, tuple):
            lines += [(f"{measure}_{place}", f"{number:.4f}") for place, number in enumerate(value)]
        else:
            lines.append((measure, f"{value:.4f}"))
    return lines


def watched(judged: Sequence[Judged]) -> list[Judged]:
    """Clean scans and copies of the subjects that were watched in training, for the table by contrast."""
    return [row for row in judged if row.case.side == "watch"]


def describe(judged: Sequence[Judged], digest: str, published: SeverityScorer | None = None) -> str:
    """What the numbers rest on, for the note of a table: the weights by their SHA-256 first.

    With how long the published network was trained, if it was judged.
    """
    clean = [row for row in judged if row.clean and row.case.tested]
    sites = sorted({row.case.site for row in clean})
    degraded = sum(1 for row in judged if row.case.tested and not row.clean)
    contrasts = sorted({row.case.contrast for row in clean})
    return (
        f"Weights {digest[:12]}. {len(clean)} clean scans ({', '.join(contrasts)}) and {degraded} degraded copies of "
        f"{len(sites)} sites not trained on ({', '.join(sites)}); blanked air re-applied to the copies; "
        "each site calibrated on clean scans of the others; AUC: copies against clean scans of other subjects; "
        "intervals by bootstrap over subjects."
    ) + (f" Published network: {published.provenance()['version']}, every other slice judged." if published else "")


def main() -> None:
    """Command line."""
    from bidsqa.models.loading import load_network

    parser = argparse.ArgumentParser(description="Judge the severity score on sites not trained on.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--out", type=Path, required=True, help="folder whose cases/ and contrasts/ keep the prepared scans"
    )
    parser.add_argument("--weights", type=Path, help="ONNX file (default: the shipped one)")
    parser.add_argument("--published", type=Path, help="weights of the published network, to be judged beside")
    parser.add_argument("--tables", type=Path, help="folder for the tables, e.g. docs/validation_tables")
    given = parser.parse_args()
    build_cases(given.data, given.out / "cases")
    build_contrasts(given.data, given.out / "contrasts")
    published = SeverityScorer(load_network("severity", weights=given.published)) if given.published else None
    scorer = SeverityScorer(load_network("severity", weights=given.weights))
    judged = judge(given.out / "cases", scorer, published)
    rows = left_out(judged, kinds=kinds_of(judged))
    further = [*watched(judged), *judge(given.out / "contrasts", scorer)]
    result = evaluate(rows, clean_left_out(judged), beyond(further, judged))
    (given.out / "validation.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    note = describe(judged, scorer.provenance()["sha256"], published)
    for table in tables(result, note).values():
        print(table.text())
    print(f"error between scans, development subjects: {model_error(judged):.4f}")
    if given.tables:
        write(result, given.tables, note)
        draw(result, rows, given.tables)


if __name__ == "__main__":
    main()
