# SPDX-License-Identifier: Apache-2.0
"""The group level: tables and the page of the study, from the records alone."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bidsqa.cli.progress import count
from bidsqa.errors import UsageError

if TYPE_CHECKING:
    from bidsqa.cli.settings import RunSettings


def run_study(settings: RunSettings) -> None:
    """Write the group files and tell which page to open.

    Raises
    ------
    UsageError
        The output folder has no records; the user's rules can't be read.
    """
    _count_records(settings)
    from bidsqa.cli.checks import make_folder
    from bidsqa.study import run_group
    from bidsqa.verdict import load_rules

    make_folder(settings.output_dir, "output")
    # without a thresholds file the records' own verdicts stand
    rules = load_rules(settings.thresholds) if settings.thresholds else None
    result = run_group(settings.output_dir, rules)
    for problem in result.problems:
        print(f"Left out: {problem}", file=sys.stderr)
    print(f"Group: {count(len(result.paths), 'file')} from {count(result.scans, 'record')}.")
    print(f"Open {result.paths[-1]}")
    sys.stdout.flush()


def describe_study(settings: RunSettings) -> None:
    """What the group level would do (``--dry-run``)."""
    print(f"{count(_count_records(settings), 'record')} would go into the tables and the page of the study.")


def _count_records(settings: RunSettings) -> int:
    from bidsqa.bids.names import record_paths

    found = len(record_paths(settings.output_dir))
    if not found:
        raise UsageError(
            f"The output folder {settings.output_dir} has no records yet.", "Run the participant level first."
        )
    return found
