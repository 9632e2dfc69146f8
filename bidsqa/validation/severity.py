# SPDX-License-Identifier: Apache-2.0
"""Judge a severity network on sites it was not trained on (``python -m bidsqa.validation.severity``).

Every scan is judged with a calibration made from clean scans of the *other* sites. Two questions are kept apart: are
the copies of one scan in the right order (Spearman within a scan), and are clean scans told from degraded ones of other
heads (AUC across scans)? Classical measures are judged in the same way.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bidsqa.models.severity import FAMILIES, READINGS_OF, SeverityScorer, slice_readings, volume_readings
from bidsqa.validation.severity_cases import JUDGED, Case, build_cases, read_case
from bidsqa.validation.tables import Table

Array = np.ndarray[Any, Any]
STRONG = 0.6
DRAWS = 1000
FAMILY_OF = {
    "noise": "noise",
    "bias": "bias",
    "blur": "blur",
    "anisotropy": "blur",
    "ghosting": "ghosting",
    "motion": "motion",
}
# readings differ in how little of them can be seen: no limit lies closer to the clean median than this
SMALLEST_STEP = {
    "noise": 0.03,
    "motion": 0.03,
    "ghosting": 0.03,
    "blur": 0.06,
    "overall": 0.06,
    "field": 0.25,
    "echo": 0.04,
    "grain": 0.03,
}
# each kind by its own reading, the field and the ghost apart from the network
USED = ("noise", "motion", "ghosting", "blur", "field", "echo", "grain")
UNTRAINED = frozenset({"field", "echo", "grain"})


@dataclass(frozen=True)
class Judged:
    """A case with its raw readings (the network's and the volume's) and the classical measures.

    Parameters
    ----------
    case : Case
    readings : dict of float
    """

    case: Case
    readings: dict[str, float]

    @property
    def real(self) -> bool:
        """A scan, not an image drawn from a label map."""
        return self.case.site != "labels"

    @property
    def clean(self) -> bool:
        """Not degraded."""
        return self.case.artifact == "none"


def judge(folder: Path, scorer: SeverityScorer) -> list[Judged]:
    """Raw readings of every case in a folder."""
    judged = []
    for path in sorted(folder.glob("*.npz")):
        case = read_case(path)
        raw = [slice_readings(output) for output in scorer.outputs(case.prepared)]
        judged.append(Judged(case, volume_readings(raw, case.prepared)))
    return judged


def calibrate(clean: Sequence[Judged], used: Sequence[str] = USED) -> dict[str, Any]:
    """Calibration of a scorer from clean scans.

    Each reading goes to 0 at the median of the clean scans and to 1 at their 95th percentile; the scale then brings the
    95th percentile of the largest reading to 1. What the network reads is calibrated on scans of sites or subjects that
    it was not trained on; what needs no training on all scans. Images drawn from label maps serve neither.

    Parameters
    ----------
    clean : sequence of Judged
    used : sequence of str
        Readings that count.
    """
    real = [row for row in clean if row.real]
    unseen = [row for row in real if row.case.side != "train"]
    centre, limit = {}, {}
    for name in clean[0].readings:
        values = np.array([row.readings[name] for row in (real if name in UNTRAINED else unseen)])
        centre[name] = float(np.median(values))
        limit[name] = float(max(np.percentile(values, 95), centre[name] + SMALLEST_STEP.get(name, 0.05)))
    calibration = {"clean": centre, "limit": limit, "use": list(used), "scale": 1.0}
    calibration["scale"] = max(1.0, float(np.percentile([severity(row.readings, calibration) for row in unseen], 95)))
    return calibration


def severities(readings: dict[str, float], calibration: dict[str, Any]) -> dict[str, float]:
    """Calibrated readings, as :class:`SeverityScorer` has them."""
    result = {}
    for name, value in readings.items():
        span = max(calibration["limit"][name] - calibration["clean"][name], 1e-6) * calibration["scale"]
        result[name] = max(0.0, (value - calibration["clean"][name]) / span)
    return result


def severity(readings: dict[str, float], calibration: dict[str, Any]) -> float:
    """The scan's severity: the largest of the calibrated readings that count."""
    found = severities(readings, calibration)
    return max(found[name] for name in calibration["use"])


@dataclass(frozen=True)
class Found:
    """A case judged with a calibration that its site had no part in.

    Parameters
    ----------
    row : Judged
    value : float
        Severity.
    readings : dict of float
        Calibrated readings.
    """

    row: Judged
    value: float
    readings: dict[str, float]


def left_out(judged: Sequence[Judged], used: Sequence[str] = USED) -> list[Found]:
    """Each case of the test sites, calibrated on clean scans of the other sites."""
    clean = [row for row in judged if row.clean]
    result = []
    for site in sorted({row.case.site for row in judged if row.case.side == "test" and row.real}):
        group = {"boston", "fnndsc"} if site in {"boston", "fnndsc"} else {site}
        calibration = calibrate([row for row in clean if row.case.site not in group], used)
        result += [
            Found(row, severity(row.readings, calibration), severities(row.readings, calibration))
            for row in judged
            if row.case.site == site
        ]
    return result


def area(bad: Array, good: Array) -> float:
    """Area under the ROC curve; ties count half."""
    if not len(bad) or not len(good):
        return float("nan")
    return float((bad[:, None] > good[None]).mean() + 0.5 * (bad[:, None] == good[None]).mean())


def area_interval(
    bad: Sequence[tuple[str, float]], good: Sequence[tuple[str, float]], seed: int = 0
) -> tuple[float, float]:
    """95 % bootstrap interval of the area over subjects."""
    subjects = sorted({name for name, _ in (*bad, *good)})
    drawn = np.random.default_rng(seed).multinomial(len(subjects), [1 / len(subjects)] * len(subjects), size=DRAWS)
    weights, values = [], []
    for part in (bad, good):
        weights.append(drawn[:, [subjects.index(name) for name, _ in part]].astype(float))
        values.append(np.array([value for _, value in part]))
    above = (values[0][:, None] > values[1][None]) + 0.5 * (values[0][:, None] == values[1][None])
    totals = weights[0].sum(axis=1) * weights[1].sum(axis=1)
    areas = ((weights[0] @ above) * weights[1]).sum(axis=1)[totals > 0] / totals[totals > 0]
    low, high = np.percentile(areas, (2.5, 97.5))
    return float(low), float(high)


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's coefficient; 0 for constants."""
    from scipy.stats import spearmanr

    if np.ptp(np.asarray(first)) == 0 or np.ptp(np.asarray(second)) == 0:
        return 0.0
    return float(spearmanr(first, second).statistic)


def summarise(cases: Sequence[tuple[Case, float]], threshold: float | None = None) -> dict[str, Any]:
    """Numbers of one score (higher is worse) over the cases.

    Returns
    -------
    dict
        By artifact: ``auc`` (strengths of 0.6 and more against all clean scans), ``interval``, ``auc_by_strength``,
        ``rho`` (mean within-scan Spearman), ``ordered`` (share of copies at 0.3 and more above their clean scan),
        ``caught`` (share at 0.6 and more above the threshold). ``flagged``: clean scans above it and their number.
    """
    good = [(case.subject, value) for case, value in cases if case.artifact == "none"]
    origin = {case.scan: value for case, value in cases if case.artifact == "none"}
    result: dict[str, Any] = {"artifacts": {}}
    for artifact in sorted({case.artifact for case, _ in cases} - {"none"}, key=JUDGED.index):
        own = [(case, value) for case, value in cases if case.artifact == artifact]
        strong = [(case.subject, value) for case, value in own if case.strength >= STRONG]
        values = np.array([value for _, value in good])
        row: dict[str, Any] = {
            "auc": area(np.array([value for _, value in strong]), values),
            "interval": area_interval(strong, good) if strong else (float("nan"),) * 2,
            "auc_by_strength": {
                strength: area(np.array([value for case, value in own if case.strength == strength]), values)
                for strength in sorted({case.strength for case, _ in own})
            },
            "ordered": float(
                np.mean([float(value > origin[case.scan]) for case, value in own if case.strength >= 0.3] or [np.nan])
            ),
            "rho": float(np.mean([_scan_order(own, origin, scan) for scan in sorted({case.scan for case, _ in own})])),
        }
        if threshold is not None and strong:
            row["caught"] = float(np.mean([value > threshold for _, value in strong]))
        result["artifacts"][artifact] = row
    if threshold is not None:
        result["flagged"] = [int(sum(value > threshold for _, value in good)), len(good)]
    return result


def _scan_order(own: Sequence[tuple[Case, float]], origin: dict[str, float], scan: str) -> float:
    pairs = [(0.0, origin[scan])] + [(case.strength, value) for case, value in own if case.scan == scan]
    return rank_correlation([pair[0] for pair in pairs], [pair[1] for pair in pairs])


def family_share(rows: Sequence[Found], smallest: float = 0.5) -> dict[str, float]:
    """Share of degraded cases (strength 0.5 and more) whose largest family is the right one, by artifact."""
    hits: dict[str, list[bool]] = {}
    for found in rows:
        case = found.row.case
        if found.row.clean or case.strength < smallest:
            continue
        families = {name: max(found.readings.get(reading, 0.0) for reading in READINGS_OF[name]) for name in FAMILIES}
        best = max(families, key=lambda name: families[name])
        hits.setdefault(case.artifact, []).append(best == FAMILY_OF[case.artifact])
    return {name: float(np.mean(values)) for name, values in hits.items()}


def evaluate(judged: Sequence[Judged], used: Sequence[str] = USED) -> dict[str, Any]:
    """All numbers: severity, each reading on its own, and the baselines, on the test sites."""
    rows = left_out(judged, used)
    result: dict[str, Any] = {
        "scores": {"severity": summarise([(found.row.case, found.value) for found in rows], 1.0)},
        "families": family_share(rows),
        "clean": {found.row.case.scan: found.value for found in rows if found.row.clean},
    }
    cases = [found.row for found in rows]
    for name in cases[0].readings:
        result["scores"][f"reading: {name}"] = summarise([(row.case, row.readings[name]) for row in cases])
    for name in cases[0].case.baselines:
        result["scores"][name] = summarise([(row.case, row.case.baselines[name]) for row in cases])
    result["scores"]["constant"] = summarise([(row.case, 0.0) for row in cases])
    return result


def tables(result: dict[str, Any], note: str) -> dict[str, Table]:
    """Tables for docs: areas by score, the severity by strength."""
    artifacts = list(result["scores"]["severity"]["artifacts"])
    rows = []
    for name, summary in result["scores"].items():
        cells = [name]
        for artifact in artifacts:
            part = summary["artifacts"][artifact]
            low, high = part["interval"]
            cells.append(f"{part['auc']:.2f} [{low:.2f}, {high:.2f}]")
        rows.append(cells)
    severity = result["scores"]["severity"]
    detail = []
    for artifact, part in severity["artifacts"].items():
        by_strength = [f"{value:.2f}" for _, value in sorted(part["auc_by_strength"].items())]
        detail.append(
            [
                artifact,
                *by_strength,
                f"{part['rho']:.2f}",
                f"{100 * part['ordered']:.0f} %",
                f"{100 * part['caught']:.0f} %",
                f"{100 * result['families'].get(artifact, float('nan')):.0f} %",
            ]
        )
    strengths = [f"AUC at {strength:g}" for strength in sorted(severity["artifacts"][artifacts[0]]["auc_by_strength"])]
    flagged, clean = severity["flagged"]
    command = "python -m bidsqa.validation.severity --data ../shared/data --out checkpoints/severity"
    return {
        "severity_auc": Table(
            "Clean against degraded scans (strength 0.6 and more) of sites not trained on: AUC [95 % interval]",
            ["score", *artifacts],
            rows,
            note,
            command,
        ),
        "severity_strength": Table(
            "Severity by artifact and strength",
            [
                "artifact",
                *strengths,
                "Spearman within a scan",
                "above its clean scan (>= 0.3)",
                "caught (>= 0.6)",
                "kind right (>= 0.5)",
            ],
            detail,
            f"{note} Clean scans above 1: {flagged} of {clean}.",
            command,
        ),
    }


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
                for measure, value in part.items():
                    if isinstance(value, dict):
                        writer.writerows(
                            [name, artifact, f"auc_{key:g}", f"{number:.4f}"] for key, number in value.items()
                        )
                    elif isinstance(value, tuple):
                        writer.writerows(
                            [name, artifact, f"auc_{end}", f"{number:.4f}"]
                            for end, number in zip(("low", "high"), value, strict=True)
                        )
                    else:
                        writer.writerow([name, artifact, measure, f"{value:.4f}"])
    return list(made.values())


def describe(judged: Sequence[Judged]) -> str:
    """What the numbers rest on, for the note of a table."""
    clean = [row for row in judged if row.clean and row.real and row.case.side == "test"]
    sites = sorted({row.case.site for row in clean})
    degraded = sum(1 for row in judged if not row.clean)
    contrasts = sorted({row.case.contrast for row in clean})
    return (
        f"{len(clean)} clean scans ({', '.join(contrasts)}) and {degraded} degraded copies of {len(sites)} sites "
        f"not trained on ({', '.join(sites)}); blanked air re-applied to the copies; "
        "each site calibrated on clean scans of the others; intervals by bootstrap over subjects."
    )


def main() -> None:
    """Command line."""
    from bidsqa.models.loading import load_network

    parser = argparse.ArgumentParser(description="Judge the severity score on sites not trained on.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder whose cases/ keeps the prepared scans")
    parser.add_argument("--weights", type=Path, help="ONNX file (default: the shipped one)")
    parser.add_argument("--tables", type=Path, help="folder for the tables, e.g. docs/validation_tables")
    given = parser.parse_args()
    build_cases(given.data, given.out / "cases")
    judged = judge(given.out / "cases", SeverityScorer(load_network("severity", weights=given.weights)))
    result = evaluate(judged)
    (given.out / "validation.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    for table in tables(result, describe(judged)).values():
        print(table.text())
    if given.tables:
        write(result, given.tables, describe(judged))


if __name__ == "__main__":
    main()
