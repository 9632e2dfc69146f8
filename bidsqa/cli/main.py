# SPDX-License-Identifier: Apache-2.0
"""``bidsqa BIDS_DIR OUT_DIR {participant,group}``: the command."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bidsqa.cli.console import FINE, STOPPED, run_command
from bidsqa.errors import UsageError

if TYPE_CHECKING:
    from bidsqa.cli.settings import RunSettings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments : sequence of str, optional
        The process's by default, without the program's name.

    Returns
    -------
    int
        0 all fine, 1 some scans failed, 2 wrong usage or nothing to do, 130 or 143 stopped by a signal.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    farewell = "; what is finished is kept, the same command goes on from there"
    try:
        code = run_command("bidsqa", lambda: _start(given), farewell)
        if code > STOPPED and arguments is None:
            # Nipype's pool would wait at exit for workers that are gone
            sys.stdout.flush()
            sys.stderr.flush()
            logging.shutdown()
            os._exit(code)
        return code
    finally:
        if logging.getLogger().handlers:
            from bidsqa.cli.surroundings import stop_log

            stop_log()


def _start(given: list[str]) -> int:
    from bidsqa.cli.parser import parse

    if not given:
        raise UsageError("Folders and level are missing.", "Example: bidsqa BIDS_DIR OUT_DIR participant group")
    parsed = parse(given)
    from bidsqa.cli.settings import RunSettings

    return _run(RunSettings.from_namespace(parsed))


def _run(settings: RunSettings) -> int:
    from bidsqa.cli import checks

    warnings = []
    if "participant" in settings.levels:
        strict = not (settings.skip_bids_validation or settings.reports_only)
        warnings = checks.check_input(settings.bids_dir, strict=strict)
    checks.check_folders(settings.bids_dir, settings.output_dir, settings.work_dir)
    if not settings.force:
        checks.check_room(settings.output_dir, settings.work_dir)
    code = FINE
    if "participant" in settings.levels:
        from bidsqa.cli.participant import run_participants

        code = run_participants(settings, warnings)
    if "group" in settings.levels and not settings.dry_run:
        from bidsqa.cli.study import run_study

        code = max(code, run_study(settings))
    elif settings.dry_run and settings.levels == ("group",):
        from bidsqa.cli.study import describe_study

        describe_study(settings)
    return code


if __name__ == "__main__":
    sys.exit(main())
