# SPDX-License-Identifier: Apache-2.0
"""``--use-plugin``: the file, and whether the plugin can do the work here."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

from bidsqa.bids.selection import suggestion
from bidsqa.errors import UsageError
from bidsqa.plain_files import read_text

PLAIN_PATH = re.compile(r"[\w./+:@%=-]+", re.ASCII)  # Nipype doesn't quote


def read_plugin(path: Path) -> dict[str, Any]:
    """Nipype's plugin and arguments, as far as they can be checked without Nipype.

    Parameters
    ----------
    path : Path
        YAML, JSON or TOML by its extension: ``plugin`` (a name) and ``plugin_args`` (a table).

    Raises
    ------
    UsageError
        It can't be read or says something else.
    """
    example = 'Example (JSON is YAML too): {"plugin": "MultiProc", "plugin_args": {"n_procs": 4}}'
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The plugin file {path} can't be read: {error}.", "Check the path.") from error
    try:
        content = _parse(text, path.suffix)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"The plugin file {path} can't be understood: {error}.", example) from error
    if not isinstance(content, dict) or not isinstance(content.get("plugin"), str):
        raise UsageError(f"The plugin file {path} names no plugin.", example)
    if not isinstance(content.get("plugin_args", {}), dict):
        raise UsageError(f"plugin_args in {path} is no table.", example)
    return content


def hands_over(plugin: dict[str, Any]) -> bool:
    """Whether the plugin gives the work to a batch system."""
    from bidsqa.workflows.plugin_names import BATCH_PLUGINS

    return plugin["plugin"] in BATCH_PLUGINS


def check_plugin(plugin: dict[str, Any], work: Path) -> None:
    """Nipype has this plugin, it waits for its work, and the batch system would take a job.

    Parameters
    ----------
    plugin : dict
        As `read_plugin` gives it.
    work : Path
        The work folder.

    Raises
    ------
    UsageError
    """
    from nipype.pipeline import plugins

    from bidsqa.workflows.plugin_names import NEVER_WAITING

    name = plugin["plugin"]
    known = [one.removesuffix("Plugin") for one in dir(plugins) if one.endswith("Plugin")]
    if name not in known:
        raise UsageError(f"Nipype has no plugin {name!r}.", suggestion(name, known))
    if name in NEVER_WAITING:
        raise UsageError(f"Nipype's plugin {name} doesn't wait for the scans.", f"Take {NEVER_WAITING[name]} instead.")
    if not hands_over(plugin):
        return
    for path in (work, Path(sys.executable)):
        if not PLAIN_PATH.fullmatch(str(path)):
            hint = f"Give a folder without spaces and quotes: --work-dir DIR (now {work})."
            hint = hint if path == work else "Install bidsqa into a folder without spaces and quotes."
            raise UsageError(f"Nipype can't hand over jobs that lie in {path}.", hint)
    if name in ("SLURM", "SLURMGraph"):
        from bidsqa.workflows.batch_system import check_submission

        check_submission(str(plugin.get("plugin_args", {}).get("sbatch_args", "")))


def _parse(text: str, extension: str) -> Any:
    if extension == ".toml":
        return tomllib.loads(text)
    try:
        return json.loads(text)
    except ValueError:
        if extension == ".json":
            raise
    try:
        import yaml  # type: ignore[import-untyped]
    except ImportError:
        raise ValueError("YAML needs the package PyYAML; write JSON or TOML instead") from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error).replace("\n", " ")) from error
