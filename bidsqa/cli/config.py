# SPDX-License-Identifier: Apache-2.0
"""Options in a TOML file: reading them, and writing those of a run."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bidsqa.bids.selection import suggestion
from bidsqa.cli.options import COUNT, FLAG, LIST, OPTION_KEYS, Option
from bidsqa.errors import UsageError
from bidsqa.plain_files import read_text

_UNFIT = ("config_file",)


def config_arguments(path: Path, options: Mapping[str, Option] = OPTION_KEYS) -> list[str]:
    """The file's options as words of the command line.

    Parameters
    ----------
    path : Path
        TOML, ``key = value`` lines; keys are the options' names with dashes or underscores.
    options : Mapping of Option
        The command's table by key.

    Returns
    -------
    list of str

    Raises
    ------
    UsageError
        The file can't be read; a key that is no option; a value of the wrong kind.
    """
    try:
        content = tomllib.loads(read_text(path))
    except OSError as error:
        raise UsageError(f"The config file {path} can't be read: {error.strerror}.", "Check the path.") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"The config file {path} is no valid TOML: {error}.", "Write lines like omp-nthreads = 4."
        ) from error
    words: list[str] = []
    for name, value in content.items():
        option = options.get(name.replace("-", "_"))
        if option is None or option.key in _UNFIT:
            known = [known.name for key, known in options.items() if key not in _UNFIT]
            raise UsageError(
                f"The config file {path} has the key {name!r}, which is no option.",
                suggestion(name.replace("_", "-"), known),
            )
        words.extend(_words(option, value, path))
    return words


def _words(option: Option, value: Any, path: Path) -> list[str]:
    def wrong(wanted: str) -> UsageError:
        return UsageError(
            f"The config file {path} sets {option.name} to {json.dumps(value, default=str)}.", f"It takes {wanted}."
        )

    if option.kind == FLAG:
        if not isinstance(value, bool):
            raise wrong("true or false")
        return [f"--{option.name}"] if value else []
    if option.kind == COUNT:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 9:
            raise wrong("a small number")
        return [f"--{option.name}"] * value
    if option.kind == LIST:
        items = value if isinstance(value, list) else [value]
        if not all(isinstance(item, (str, int)) and not isinstance(item, bool) for item in items):
            raise wrong('a list of texts, for example ["01", "02"]')
        return [f"--{option.name}", *map(str, items)] if items else []
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise wrong("one value")
    return [f"--{option.name}={value}"]


def dump_config(values: Mapping[str, Any]) -> str:
    """Options as TOML that ``--config-file`` reads.

    Parameters
    ----------
    values : mapping of str to object
        By option key; None and empty values are left out.
    """
    lines = []
    for key, option in OPTION_KEYS.items():
        value = values.get(key)
        if value is None or value == () or key in _UNFIT or value == option.default:
            continue
        if isinstance(value, (tuple, list)):
            text = "[" + ", ".join(_quoted(str(item)) for item in value) + "]"
        elif isinstance(value, bool):
            text = str(value).lower()
        elif isinstance(value, (int, float)):
            text = repr(value)
        else:
            text = _quoted(str(value))
        lines.append(f"{option.name} = {text}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    # a JSON string is a TOML basic string, but for DEL
    return json.dumps(text).replace("\x7f", "\\u007f")
