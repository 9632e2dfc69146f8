# SPDX-License-Identifier: Apache-2.0
"""Measuring a scan: every row of the table that applies, each number or the reason why it is missing."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from bidsqa.anatomy import Anatomy
from bidsqa.errors import NotComputable
from bidsqa.image import Volume, measured_block
from bidsqa.metrics.row import Metric, Value
from bidsqa.metrics.samples import Samples
from bidsqa.metrics.table import METRICS

# a bound may be missed by rounding
TOLERANCE = 1e-6


def measure(volume: Volume, anatomy: Anatomy, suffix: str = "T1w") -> tuple[dict[str, float | None], dict[str, str]]:
    """All metrics of one scan; never raises for a bad scan.

    Parameters
    ----------
    volume : Volume
    anatomy : Anatomy
        On the volume's grid.
    suffix : str
        BIDS suffix; rows of the table that don't apply to it are left out.

    Returns
    -------
    metrics : dict of str to float or None
        Each key of the rows that apply, in the table's order; None where missing, never NaN or infinite.
    reasons_missing : dict of str to str
        For each None, why.
    """
    box = measured_block(volume.data)
    inner = volume.part(box)
    whole = inner.shape == volume.shape
    samples = Samples(volume, anatomy) if whole else Samples(inner, anatomy.part(box), volume.shape)
    metrics: dict[str, float | None] = {}
    reasons: dict[str, str] = {}
    for row in METRICS:
        if suffix not in row.suffixes:
            continue
        for key, value in measure_row(row, samples).items():
            if isinstance(value, NotComputable):
                metrics[key], reasons[key] = None, value.reason
            else:
                metrics[key] = value
    return metrics, reasons


def measure_row(row: Metric, samples: Samples) -> dict[str, Value]:
    """The values of one row, each a finite float inside the row's bounds or the reason why not."""
    try:
        samples.anatomy.require(*row.needs)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            result = row.function(samples)
    except NotComputable as missing:
        return dict.fromkeys(row.keys, missing)
    except (ArithmeticError, ValueError, IndexError, OSError, RuntimeError) as error:
        # a scan nobody thought of costs one number, not the record
        return dict.fromkeys(row.keys, NotComputable(f"the computation failed: {type(error).__name__}: {error}"))
    values: Mapping[str, Value] = result if isinstance(result, Mapping) else {row.name: result}
    return {key: _checked(row, values[key]) for key in row.keys}


def _checked(row: Metric, value: Value) -> Value:
    if isinstance(value, NotComputable):
        return value
    number = float(value)
    if not math.isfinite(number):
        return NotComputable("the result is not a finite number")
    low, high = row.bounds
    if (low is not None and number < low - TOLERANCE) or (high is not None and number > high + TOLERANCE):
        return NotComputable(f"the result {number:.4g} lies outside of what is possible")
    return number


def metric_versions() -> dict[str, int]:
    """Version of each metric's definition by key, for the provenance of a record."""
    return {key: row.version for row in METRICS for key in row.keys}
