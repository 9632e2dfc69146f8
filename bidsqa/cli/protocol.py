# SPDX-License-Identifier: Apache-2.0
"""What a run leaves in the logs so that it can be repeated: options, files that were given, versions, checksums."""

from __future__ import annotations

import hashlib
import logging
import platform
import shlex
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bidsqa
from bidsqa.cli.progress import printable
from bidsqa.plain_files import read_bytes

if TYPE_CHECKING:
    from bidsqa.cli.settings import RunSettings
    from bidsqa.settings import Settings

# small files that the user gave and may change after the run
GIVEN = ("thresholds", "bids_filter_file", "use_plugin")
log = logging.getLogger("bidsqa")


def write_protocol(settings: RunSettings, chosen: Settings | None, logfile: Path) -> Path:
    """Write a config file that repeats the run, with copies of the files that were given, and tell the log.

    Parameters
    ----------
    settings : RunSettings
    chosen : Settings, optional
        What the scans' steps are told, where scans are judged.
    logfile : Path
        The others get its name with other endings.

    Returns
    -------
    Path
        The config file. Its head tells the command that repeats the run and what the first run was made with.
    """
    from bidsqa.bids.writing import write_atomic
    from bidsqa.cli.config import dump_config

    copied = _copy_given(settings, logfile)
    config = logfile.with_suffix(".toml")
    options = dump_config(copied.option_values())
    facts = [*_facts(chosen), *(f"{key}: {_origin(settings, copied, key)}" for key in GIVEN if getattr(settings, key))]
    repeat = [
        "bidsqa",
        str(settings.bids_dir),
        str(settings.output_dir),
        *settings.levels,
        "--config-file",
        str(config),
    ]
    head = [*facts, f"to repeat the run: {shlex.join(repeat)}"]
    write_atomic(config, "".join(f"# {printable(fact)}\n" for fact in head) + "\n" + options)
    log.info("dataset %s; output %s", settings.bids_dir, settings.output_dir)
    for fact in head:
        log.info("%s", printable(fact))
    log.info("options: %s", "; ".join(line for line in options.split("\n") if line) or "none")
    return config


def _copy_given(settings: RunSettings, logfile: Path) -> RunSettings:
    """Copies of the small files beside the log; the settings with their paths."""
    from bidsqa.bids.writing import write_atomic

    copies: dict[str, Any] = {}
    for key in GIVEN:
        path = getattr(settings, key)
        if path is not None:
            copies[key] = logfile.with_name(f"{logfile.stem}-{key.replace('_', '-')}{path.suffix}")
            write_atomic(copies[key], read_bytes(path))
    return replace(settings, **copies)


def _facts(chosen: Settings | None) -> list[str]:
    """Versions and checksums, one sentence each."""
    from bidsqa.models import MODELS
    from bidsqa.provenance import software

    moment = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    system = f"{platform.system()} {platform.machine()}"
    found = [f"bidsqa {bidsqa.__version__}, {moment}, Python {platform.python_version()}, {system}"]
    found.append("with " + ", ".join(f"{name} {version}" for name, version in software().items()))
    if chosen is None:
        return found
    own = dict(chosen.weights)
    for name, row in MODELS.items():
        if name in own:
            content = hashlib.sha256(Path(own[name]).read_bytes()).hexdigest()
            found.append(f"weights of {name}: {own[name]}, sha256 {content}")
        elif name in chosen.models or row.kind == "internal":
            found.append(f"weights of {name}: version {row.version}, sha256 {row.sha256}")
    return found


def _origin(settings: RunSettings, copied: RunSettings, key: str) -> str:
    copy = getattr(copied, key)
    return f"{getattr(settings, key)}, sha256 {hashlib.sha256(copy.read_bytes()).hexdigest()}, copied to {copy.name}"
