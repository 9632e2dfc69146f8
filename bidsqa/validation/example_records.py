# SPDX-License-Identifier: Apache-2.0
"""Records as a run writes them, made up: for tests of pages and tables and for the benchmark of the group level."""

from __future__ import annotations

import math
import random
from typing import Any

from bidsqa.metrics import METRICS
from bidsqa.record import SCHEMA_VERSION, Record, clean
from bidsqa.verdict import Rules, decide

TYPICAL = {
    "cjv": 0.45,
    "empty_slices": 0.0,
    "cnr": 3.2,
    "snr_total": 9.0,
    "efc": 0.6,
    "fber": 300.0,
    "inu_range": 0.25,
    "qi_1": 0.0,
    "qi_2": 0.003,
}
SCANNERS = (("Siemens", "Prisma", 3.0), ("GE", "Discovery MR750", 3.0), ("Philips", "Ingenia", 1.5))


def example_record(
    bids_name: str, suffix: str = "T1w", seed: int = 0, *, damage: float = 0.0, rules: Rules | None = None
) -> Record:
    """A complete record with plausible numbers.

    Parameters
    ----------
    bids_name : str
    suffix : str
    seed : int
    damage : float
        0 for a clean scan, 1 for one that must fail.
    rules : Rules, optional
        Judge the record by these.
    """
    dice = random.Random(seed)
    scores = {
        "severity": _score(dice, 0.25 + 2.6 * damage, 0.05, (0.0, math.inf)),
        "ssim": _score(dice, 0.95 - 0.5 * damage, 0.015, (0.0, 1.0)),
    }
    maker, model, field = SCANNERS[seed % len(SCANNERS)]
    record = Record(
        bids_name=bids_name,
        scores=scores,
        metrics=_metrics(dice, suffix, damage),
        image={
            "shape": [176, 240, 256],
            "spacing": [1.0, 1.0, 1.0],
            "orientation": "LAS",
            "dtype": "int16",
            "slope": 1.0,
            "intercept": 0.0,
            "oblique_degrees": 3.2,
            "minimum": 0.0,
            "maximum": 1480.0,
            "nonfinite_voxels": 0,
            "negative_voxels": 0,
            "zero_fraction": 0.02,
            "clipped_fraction": 0.0,
            "background": "natural",
            "anatomy": {"facts": {"brain_ml": 1400.0 + dice.gauss(0, 90)}, "problems": {}},
        },
        acquisition={"Manufacturer": maker, "ManufacturersModelName": model, "MagneticFieldStrength": field},
        provenance={
            "bidsqa": "0.1.0",
            "record_schema": SCHEMA_VERSION,
            "suffix": suffix,
            "models": {name: {"name": name, "version": "1", "sha256": "0" * 64} for name in scores},
            "settings": {"models": sorted(scores), "slice_fraction": 0.6, "thresholds": None, "random_seed": 0},
            "input": {"path": f"{bids_name}.nii.gz", "size": 9_000_000, "mtime": 1_700_000_000, "sha256": "1" * 64},
            "software": {"numpy": "2.4.0"},
            "platform": {"system": "Linux", "machine": "x86_64", "python": "3.11.0"},
            "seconds": {"conform": 0.9, "severity": 1.1, "ssim": 0.9, "anatomy": 2.4, "metrics": 1.8},
            "peak_mb": {"conform": 300.0, "anatomy": 900.0},
        },
    )
    record = Record.from_dict(clean(record.to_dict()))
    if rules is not None:
        record.verdict = decide(record, rules)
    return record


def failed_record(bids_name: str, suffix: str = "T1w", rules: Rules | None = None) -> Record:
    """The record of a scan whose file is damaged."""
    record = Record(
        bids_name=bids_name,
        status="failed",
        failure={
            "step": "conform",
            "cause": f"{bids_name}.nii.gz is damaged (the stream ended too early)",
            "hint": "copy or convert the scan again",
            "crashfile": None,
        },
        provenance={"bidsqa": "0.1.0", "record_schema": SCHEMA_VERSION, "suffix": suffix},
    )
    if rules is not None:
        record.verdict = decide(record, rules)
    return record


def _score(dice: random.Random, centre: float, spread: float, bounds: tuple[float, float]) -> dict[str, Any]:
    """A score of 3 x 24 slices around a value."""
    planes: list[dict[str, Any]] = []
    for plane, first, step in (("axial", 52, 5), ("coronal", 48, 6), ("sagittal", 36, 4)):
        values = [
            min(max(centre + spread * math.sin(at / 4) + dice.gauss(0, spread), bounds[0]), bounds[1])
            for at in range(24)
        ]
        planes.append({"plane": plane, "index": [first + step * at for at in range(24)], "value": values})
    every = sorted(value for part in planes for value in part["value"])
    value = sum(every) / len(every)
    return {
        "value": value,
        "uncertainty": spread / 4,
        "unit": "",
        "slices": planes,
        "median": every[len(every) // 2],
        "p10": every[len(every) // 10],
    }


def _metrics(dice: random.Random, suffix: str, damage: float) -> dict[str, float | None]:
    """Every metric of the table that applies, within its bounds."""
    found: dict[str, float | None] = {}
    for row in METRICS:
        if suffix not in row.suffixes:
            continue
        low, high = row.bounds
        for key in row.keys:
            typical = TYPICAL.get(key, 0.5)
            worse = {"higher": 1 / (1 + 3 * damage), "lower": 1 + 1.5 * damage}.get(row.direction, 1.0)
            value = typical * worse * math.exp(dice.gauss(0, 0.08))
            value = max(value, low) if low is not None else value
            found[key] = min(value, high) if high is not None else value
    return found
