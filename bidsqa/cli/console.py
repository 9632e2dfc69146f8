# SPDX-License-Identifier: Apache-2.0
"""How every console script of bidsqa ends: exit codes, errors as a sentence and a hint, signals, a reader that left."""

from __future__ import annotations

import errno
import logging
import os
import re
import sys
from collections.abc import Callable

from bidsqa.errors import BidsqaError
from bidsqa.stopping import Stopped, stopping_cleanly

FINE, SOME_FAILED, WRONG_USAGE = 0, 1, 2
STOPPED = 128
AGAIN = "Then give the same command again; what is finished is kept."
DISK_FAULTS = {
    errno.ENOSPC: f"Make room on that disk. {AGAIN}",
    errno.EDQUOT: f"Make room within your quota. {AGAIN}",
    errno.EROFS: "It can't be written; give another folder.",
    errno.EACCES: "Check the permissions.",
    errno.EPERM: "Check the permissions.",
    errno.EIO: f"Look after the disk or the network folder. {AGAIN}",
    errno.ESTALE: f"Look after the network folder. {AGAIN}",
    errno.ETIMEDOUT: f"Look after the network folder. {AGAIN}",
    errno.EISDIR: "There is a folder where a file should be; remove it.",
    errno.EXDEV: "Give a folder on another file system.",
}
_PLAIN_WORD = re.compile(r"[a-z]+[ ,]")
# what users copy from the end of a sentence, with a stop that stands behind it
_COPIED = re.compile(
    r"((^|: |\b(or|with|see) )((bidsqa[\w-]*|pip|git|docker|apptainer|datalad) \S.*|--[a-z].*)"
    r"|--[a-z][\w-]* \S+|\be\.g\. \S*/\S*|\b(?-i:FILE))$",
    re.IGNORECASE,
)
log = logging.getLogger("bidsqa")


def run_command(name: str, act: Callable[[], int], farewell: str = "") -> int:
    """Run what a console script does.

    Parameters
    ----------
    name : str
        Of the script.
    act : callable
        Does it and gives the exit code.
    farewell : str
        What is said when a signal stopped it, after "NAME was stopped".

    Returns
    -------
    int
        What ``act`` gave; 2 after an error of ours or of the file system, told on standard error; 130 or 143 stopped by
        a signal; 0 where the reader of the output has gone (``| head``).
    """
    try:
        with stopping_cleanly():
            return act()
    except BidsqaError as error:
        return complain(error, name)
    except (Stopped, KeyboardInterrupt) as stop:
        number = stop.number if isinstance(stop, Stopped) else 2
        print(f"\n{name} was stopped{farewell}.", file=sys.stderr)
        log.info("stopped by signal %d", number)
        return STOPPED + number
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FINE
    except OSError as error:
        if error.errno not in DISK_FAULTS:
            raise
        log.debug("the file system gave an error", exc_info=error)
        about = f"{error.filename2 or error.filename}: " if error.filename else ""
        return complain(BidsqaError(f"{about}{error.strerror}", DISK_FAULTS[error.errno]), name)


def complain(error: BidsqaError, command: str) -> int:
    """Tell what is wrong and what to do, on standard error; gives the exit code for it."""
    from bidsqa.cli.progress import printable

    if logging.getLogger().handlers:
        log.error("%s", error)
    print(f"{command}: {_sentence(printable(error.cause))}", file=sys.stderr)
    if error.hint:
        print(f"  {_sentence(printable(error.hint))}", file=sys.stderr)
    return WRONG_USAGE


def _sentence(text: str) -> str:
    """The text as a sentence; names of files and labels keep their letters, commands get no full stop at their end."""
    text = text.strip()
    end = "" if text.endswith((".", "?", "!", "}")) or _COPIED.search(text) else "."
    start = text[:1].upper() if _PLAIN_WORD.match(text) else text[:1]
    return f"{start}{text[1:]}{end}" if text else ""
