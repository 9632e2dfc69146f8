# SPDX-License-Identifier: Apache-2.0
"""The group level: tables and the page of the study, from the records alone."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bidsqa.cli.progress import count, printable
from bidsqa.errors import UsageError

if TYPE_CHECKING:
    from bidsqa.cli.settings import RunSettings
    from bidsqa.study import GroupResult


def run_study(settings: RunSettings) -> int:
    """Write the group files and tell which page to open; returns the exit code (0, or 1 for unusable records).

    Raises
    ------
    UsageError
        The output folder has no records; the user's rules can't be read.
    """
    _count_records(settings)
    from bidsqa.cli.checks import check_links, make_folder
    from bidsqa.study import run_group
    from bidsqa.verdict import load_rules

    make_folder(settings.output_dir, "output")
    check_links(settings.output_dir)
    if "participant" not in settings.levels:
        from bidsqa.cli.protocol import write_protocol
        from bidsqa.cli.surroundings import start_log

        write_protocol(settings, None, start_log(settings.output_dir, settings.verbose))
    # a run that judged scans as well has told and copied already
    for warning in update_participants(settings) if "participant" not in settings.levels else ():
        print(f"Warning: {printable(warning)}", file=sys.stderr)
    # without rules of the user's own the records' verdicts stand
    result = run_group(
        settings.output_dir,
        load_rules(settings.thresholds) if settings.thresholds else None,
        strict=settings.strict,
        site_column=settings.site_column,
        harmonise=settings.harmonise,
    )
    return tell_group(result)


def tell_group(result: GroupResult) -> int:
    """Tell what the group level wrote and found; gives the exit code."""
    for problem in result.problems:
        print(f"Warning: {printable(problem)}", file=sys.stderr)
    for note in result.notes:
        print(f"Note: {printable(note)}")
    print(f"Group: tables and page of {count(result.scans, 'scan')}.")
    page = next((path for path in result.paths if path.suffix == ".html"), None)
    if page is not None:
        print(f"Open {page}")
    sys.stdout.flush()
    return 1 if result.problems else 0


def update_participants(settings: RunSettings) -> tuple[str, ...]:
    """Bring the output folder's copy of participants.tsv up to date; sentences about what is wrong with the file."""
    from bidsqa.bids.participants import keep_copy

    return keep_copy(settings.bids_dir, settings.output_dir)


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
