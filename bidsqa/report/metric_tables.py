# SPDX-License-Identifier: Apache-2.0
"""The metrics of a record in groups, with what the metric table says about each."""

from __future__ import annotations

from typing import Any

from bidsqa.metrics import METRICS
from bidsqa.record import Record
from bidsqa.verdict.reading import number
from bidsqa.verdict.reasons import plain

BETTER = {"higher": "higher is better", "lower": "lower is better", "none": ""}


def metric_groups(record: Record) -> list[dict[str, Any]]:
    """Groups of metrics, in the table's order.

    Returns
    -------
    list of dict
        ``{title, missing, rows: [{key, value, unit, better, says, why, formula, source, mriqc}]}``; a group is the
        module that the metric's function lives in. Metrics of the record that the table doesn't know come last.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    known = set()
    for metric in METRICS:
        for key, says in metric.keys.items():
            known.add(key)
            if key not in record.metrics and key not in record.reasons_missing:
                continue
            title = str(metric.function.__module__).rpartition(".")[2].replace("_", " ")
            row = _row(key, record) | {
                "unit": metric.unit_of(key),
                "better": BETTER.get(metric.direction, ""),
                "says": says,
                "formula": metric.formula,
                "source": metric.source,
                "mriqc": "" if metric.mriqc == "same" else metric.mriqc,
            }
            groups.setdefault(title, []).append(row)
    empty = {"unit": "", "better": "", "says": "", "formula": "", "source": "", "mriqc": ""}
    others = [_row(key, record) | empty for key in record.metrics if key not in known]
    if others:
        groups["others"] = others
    return [
        {"title": title, "rows": rows, "missing": sum(row["value"] is None for row in rows)}
        for title, rows in groups.items()
    ]


def _row(key: str, record: Record) -> dict[str, Any]:
    value = number(record.metrics.get(key))
    return {
        "key": key,
        "value": plain(value, 4) if value is not None else None,
        "why": str(record.reasons_missing.get(key, "no reason was recorded")),
    }
