# SPDX-License-Identifier: Apache-2.0
"""``bidsqa BIDS_DIR OUT_DIR {participant,group}``: the command."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bidsqa.errors import BidsqaError, UsageError
from bidsqa.stopping import Stopped, stopping_cleanly

if TYPE_CHECKING:
    from bidsqa.cli.settings import RunSettings

FINE, SOME_FAILED, WRONG_USAGE = 0, 1, 2
_PLAIN_WORD = re.compile(r"[a-z]+[ ,]")
log = logging.getLogger("bidsqa")


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
    try:
        with stopping_cleanly():
            return _start(given)
    except BidsqaError as error:
        return complain(error)
    except (Stopped, KeyboardInterrupt) as stop:
        number = stop.number if isinstance(stop, Stopped) else 2
        print("\nbidsqa was stopped; what is finished is kept, the same command goes on from there.", file=sys.stderr)
        log.info("stopped by signal %d", number)
        # Nipype's pool would wait at exit for workers that are gone
        if arguments is None:
            sys.stdout.flush()
            sys.stderr.flush()
            logging.shutdown()
            os._exit(128 + number)
        return 128 + number
    except BrokenPipeError:
        # the reader of our output has gone (| head)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FINE
    finally:
        if logging.getLogger().handlers:
            from bidsqa.cli.surroundings import stop_log

            stop_log()


def complain(error: BidsqaError, command: str = "bidsqa") -> int:
    """Tell what is wrong and what to do, on standard error; gives the exit code for it."""
    from bidsqa.cli.progress import printable

    if logging.getLogger().handlers:
        log.error("%s", error)
    print(f"{command}: {_sentence(printable(error.cause))}", file=sys.stderr)
    if error.hint:
        print(f"  {_sentence(printable(error.hint))}", file=sys.stderr)
    return WRONG_USAGE


def _sentence(text: str) -> str:
    """The text as a sentence; what begins with the name of a file or a label keeps its letters."""
    text = text.strip()
    end = "" if text.endswith((".", "?", "!", "}", "FILE")) else "."
    start = text[:1].upper() if _PLAIN_WORD.match(text) else text[:1]
    return f"{start}{text[1:]}{end}" if text else ""


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
