# SPDX-License-Identifier: Apache-2.0
"""Ratings that were made elsewhere, as tasks: MRIQC's widget and the form on bidsqa's own pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bidsqa.rating.tasks import TASKS, Task, diagnostic
from bidsqa.report.rating_form import DECISIONS

MRIQC = Task(
    name="mriqc",
    title="Rating of MRIQC's widget",
    question="How good is this scan?",
    values=("1", "2", "3", "4"),
    levels={
        "1": "exclude (below 1.5)",
        "2": "poor (1.5 to 2.5)",
        "3": "acceptable (2.5 to 3.5)",
        "4": "excellent (3.5 and above)",
    },
    measure="interval",
    slots=(),
    advice="",
    minimum=0,
)
PAGE = Task(
    name="page",
    title="Rating on a scan's page",
    question="What is to become of this scan?",
    values=tuple(name for name, _, _ in DECISIONS),
    levels={name: words for name, words, _ in DECISIONS},
    measure="nominal",
    slots=(),
    advice="",
    minimum=0,
)
IMPORTED = {task.name: task for task in (MRIQC, PAGE)}


def described_task(name: str, items: Mapping[str, Any]) -> Task:
    """The task of that name; the items tell how many diagnostic classes there were."""
    if name in IMPORTED:
        return IMPORTED[name]
    if name == "diagnostic":
        return diagnostic(max((item.get("classes", 3) for item in items.values()), default=3))
    return replace(TASKS[name])
