# SPDX-License-Identifier: Apache-2.0
"""The process's surroundings: work folder, caches, log file."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bidsqa.cli.checks import make_folder
from bidsqa.errors import UsageError

# engines give it to every container, but small: it serves --dry-run, which must not write elsewhere
SHARED_MEMORY = Path("/dev/shm")
NODES = "bidsqa"  # the name of the graph that workflows/ makes
LOCK = ".bidsqa-lock"
CACHES = {"TEMPLATEFLOW_HOME": "templateflow", "MPLCONFIGDIR": "matplotlib", "XDG_CACHE_HOME": "cache"}


@contextlib.contextmanager
def work_folder(asked: Path | None, keep: bool, spare: Path | None = None, *, shared: bool = False) -> Iterator[Path]:
    """The folder for intermediate files.

    The user's own, which stays; by default one in the system's temporary folder, which is removed at the end whatever
    happens, unless it is to be kept: results, logs and crash files lie in the output folder, and finished
    scans are known by their records, so nothing in it is ever needed again.

    Parameters
    ----------
    asked : Path or None
        The user's.
    keep : bool
        Leave it.
    spare : Path or None
        Where it is made, hidden, if the system has no temporary folder that can be written.
    shared : bool
        Other machines work in it: it is made there in any case.

    Raises
    ------
    UsageError
        It can't be written.
    """
    if asked is not None:
        make_folder(asked, "work")
        with _ours_alone(asked, keep) as place:
            _make_private(place)
            yield place
            if not keep:
                for name in (NODES, *CACHES.values()):
                    with contextlib.suppress(OSError):
                        (place / name).rmdir()  # only where nothing was put in
        return
    made = _make_hidden(spare) if shared and spare is not None else _make_temporary(spare)
    try:
        yield made
    finally:
        if not keep:
            _remove(made)


@contextlib.contextmanager
def _ours_alone(work: Path, keep: bool) -> Iterator[Path]:
    """The user's work folder, or one in it where another run is at work there: it may have the same scans in hand."""
    lock = work / LOCK
    held = _lock(lock)
    if held is not None:
        try:
            yield work
        finally:
            with contextlib.suppress(OSError):
                lock.unlink()
            os.close(held)
        return
    place = Path(tempfile.mkdtemp(prefix="run-", dir=work))
    try:
        yield place
    finally:
        if not keep:
            _remove(place)


def _remove(folder: Path) -> None:
    """Remove a work folder; libraries that look for their caches later on must not make it anew."""
    shutil.rmtree(folder, ignore_errors=True)
    for variable, name in CACHES.items():
        if os.environ.get(variable) == str(folder / name):
            del os.environ[variable]


def _lock(path: Path) -> int | None:
    """An open file that no other process can lock, until this one ends; None where another has it."""
    import fcntl

    while True:
        held = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(held)
            return None
        except OSError:
            return held  # a file system without locks: as if nobody were there
        try:
            if os.path.samestat(os.fstat(held), os.stat(path)):
                return held
        except FileNotFoundError:
            pass
        os.close(held)  # whoever had it before removed it in between


def _make_private(work: Path) -> None:
    """The folder of Nipype's nodes, which nobody else may write to.

    Nipype keeps its nodes' inputs and results as pickles and loads those that it finds: whoever could put a file there
    could have any program run.

    Raises
    ------
    UsageError
        There is one that belongs to somebody else.
    """
    place = work / NODES
    try:
        with tempfile.TemporaryDirectory(prefix=".bidsqa-", dir=work) as probe:
            own = os.stat(probe).st_uid  # a network disk may name another owner than this process's
        with contextlib.suppress(FileExistsError):
            place.mkdir(mode=0o700)
        facts = place.lstat()
        if stat.S_ISDIR(facts.st_mode) and facts.st_uid == own:
            if facts.st_mode & 0o022:  # left by a version that didn't care: others may have written into it
                shutil.rmtree(place)
                place.mkdir(mode=0o700)
            place.chmod(0o700)
            return
    except OSError as error:
        raise UsageError(
            f"The work folder {work} can't be written: {error.strerror}.", "Give another folder."
        ) from error
    raise UsageError(
        f"{place} is a link, or belongs to somebody else, who could have any program run from there.",
        "Give a work folder of your own.",
    )


def _make_hidden(place: Path) -> Path:
    make_folder(place, "output")
    return Path(tempfile.mkdtemp(prefix=".bidsqa-work-", dir=place))


def _make_temporary(spare: Path | None) -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix="bidsqa-"))
    except OSError as error:
        for place in (spare, SHARED_MEMORY):
            with contextlib.suppress(OSError, UsageError):
                if place is not None and place != SHARED_MEMORY:
                    make_folder(place, "output")
                if place is not None:
                    return Path(tempfile.mkdtemp(prefix=".bidsqa-work-", dir=place))
        hint = "Give one: --work-dir DIR, or set the variable TMPDIR."
        raise UsageError(f"No temporary folder can be written: {error}.", hint) from error


def prepare_environment(work: Path) -> None:
    """Variables for libraries that otherwise write into HOME or want a log-in name.

    What the user has set stays. Must run before Nipype, TemplateFlow or matplotlib is imported.

    Parameters
    ----------
    work : Path
        Caches go below it. A TemplateFlow home that is already there is used, wherever other caches go.
    """
    usual = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "templateflow")
    if not os.environ.get("TEMPLATEFLOW_HOME") and os.path.isdir(usual):
        os.environ["TEMPLATEFLOW_HOME"] = usual
    try:
        tempfile.gettempdir()
    except OSError:  # a read-only container: libraries and worker processes ask for one all the same
        os.environ["TMPDIR"] = str(work)
    for variable, name in CACHES.items():
        if not os.environ.get(variable):
            os.environ[variable] = str(work / name)
    if not os.environ.get("LOGNAME"):
        import getpass

        try:
            os.environ["LOGNAME"] = getpass.getuser()
        except (KeyError, OSError):
            os.environ["LOGNAME"] = f"uid{os.getuid()}"


def start_log(out: Path, verbose: int) -> Path:
    """Write everything that is logged to a file of this run, and to the terminal as far as asked for.

    Parameters
    ----------
    out : Path
        The log goes to ``logs/bidsqa-<time>-<process>.log`` below it.
    verbose : int
        1: information on the terminal; 2: everything.

    Returns
    -------
    Path
        The log file.
    """
    path = out / "logs" / f"bidsqa-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.log"
    make_folder(path.parent, "log")
    file = logging.FileHandler(path, encoding="utf-8", errors="replace")
    file.setLevel(logging.DEBUG if verbose > 1 else logging.INFO)
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.raiseExceptions = False  # a log that can't be written, on a full disk, is no reason for tracebacks
    root = logging.getLogger()
    root.setLevel(file.level)
    root.addHandler(file)
    if verbose:
        terminal = logging.StreamHandler(sys.stderr)
        terminal.setLevel(logging.DEBUG if verbose > 1 else logging.INFO)
        terminal.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        root.addHandler(terminal)
    logging.captureWarnings(True)
    return path


def stop_log() -> None:
    """Close the log file (several runs may happen in one process)."""
    logging.captureWarnings(False)
    root = logging.getLogger()
    for handler in [
        handler for handler in root.handlers if type(handler) in (logging.FileHandler, logging.StreamHandler)
    ]:
        root.removeHandler(handler)
        handler.close()
