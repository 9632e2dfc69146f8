# SPDX-License-Identifier: Apache-2.0
"""Which scans are asked for: labels, suffixes and the user's BIDS filter file."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bidsqa.bids.scan import ENTITIES, JUDGED_SUFFIXES
from bidsqa.errors import UsageError
from bidsqa.plain_files import read_text

# fMRIPrep's tokens, and how PyBIDS prints them
_TOKEN = re.compile(r"<?Query\.(?P<name>[A-Za-z]+)(?:: \d+>)?")
_TOKENS = {"NONE": "NONE", "ANY": "REQUIRED", "REQUIRED": "REQUIRED", "OPTIONAL": "OPTIONAL"}
_PLAIN_TOKENS = {"*": "REQUIRED"}
ENTITY_KEYS = {name: key for key, name in ENTITIES.items()}
FILTERABLE = (*ENTITIES.values(), "suffix", "extension", "datatype")


@dataclass(frozen=True)
class Token:
    """A word of the filter file about the presence of an entity.

    Parameters
    ----------
    name : str
        ``NONE`` (must be absent), ``REQUIRED`` (must be there, any label) or ``OPTIONAL``.
    """

    name: str


@dataclass(frozen=True)
class Selection:
    """What the user asked for; empty means everything.

    Parameters
    ----------
    participants, sessions, runs, tasks : tuple of str
        Labels without ``sub-``, ``ses-``...; runs match as numbers (``1`` finds ``run-01``).
    suffixes : tuple of str
        Of `JUDGED_SUFFIXES`.
    filters : dict
        Suffix to PyBIDS entity name to the values wanted (see `load_filters`).
    strict_names : bool
        Skip images whose names break BIDS (the order of entities, unknown entities).
    """

    participants: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = JUDGED_SUFFIXES
    filters: dict[str, dict[str, list[Any]]] = field(default_factory=dict)
    strict_names: bool = True


def bare_labels(values: Iterable[str], key: str) -> tuple[str, ...]:
    """Labels without their key, without doubles, in the order given: ``sub-01 02,03`` -> ``01 02 03``."""
    parts = (part.strip() for value in values for part in value.split(","))
    return tuple(dict.fromkeys(part.removeprefix(f"{key}-") for part in parts if part))


def suggestion(word: str, known: Iterable[str]) -> str:
    """The sentence ``Did you mean 'severity'?`` or the list of what there is (at most 12).

    Names are compared in any case and shown as they are written.
    """
    names = sorted(known)
    folded = {name.casefold(): name for name in names}
    close = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {folded[close[0]]!r}?"
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return f"There is {', '.join(names[:12])}{more}." if names else "There is none."


def load_filters(path: Path) -> dict[str, dict[str, list[Any]]]:
    """Read a BIDS filter file as fMRIPrep and MRIQC know it.

    Parameters
    ----------
    path : Path
        JSON: ``{"t1w": {"session": "1", "acquisition": "Query.NONE"}, ...}``. Keys are suffixes in any case;
        those of other kinds of data (``bold``) are passed over. A value is a label, a number, a list of these,
        ``null`` or ``"Query.NONE"`` (must be absent), ``"*"`` or ``"Query.ANY"`` (any label), ``"Query.OPTIONAL"``.
        Labels may carry their key (``"ses-1"``).

    Returns
    -------
    dict
        Suffix -> PyBIDS entity name -> list of labels and `Token`.

    Raises
    ------
    UsageError
        The file can't be read, or asks for something that doesn't exist.
    """
    try:
        asked = json.loads(read_text(path))
    except OSError as error:
        raise UsageError(f"The BIDS filter file {path} can't be read: {error.strerror}.", "Check the path.") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"The BIDS filter file {path} is no valid JSON: {error}.", 'Example: {"t1w": {"session": "1"}}.'
        ) from error
    if not isinstance(asked, dict) or not all(isinstance(wanted, dict) for wanted in asked.values()):
        raise UsageError(
            f"The BIDS filter file {path} must hold one object for each suffix.", 'Example: {"t1w": {"session": "1"}}.'
        )
    suffixes = {suffix.lower(): suffix for suffix in JUDGED_SUFFIXES}
    return {
        suffixes[key.lower()]: _entity_filters(wanted, path, key)
        for key, wanted in asked.items()
        if key.lower() in suffixes
    }


def _entity_filters(wanted: dict[str, Any], path: Path, key: str) -> dict[str, list[Any]]:
    filters = {}
    for name, value in wanted.items():
        entity = ENTITIES.get(name, name)  # "ses" is as good as "session"
        if entity not in FILTERABLE:
            raise UsageError(
                f"The BIDS filter file {path} asks for {name!r} under {key!r}, which is no BIDS entity.",
                suggestion(name, FILTERABLE),
            )
        filters[entity] = [_value(item, path, entity) for item in (value if isinstance(value, list) else [value])]
    return filters


def _value(item: Any, path: Path, entity: str) -> Any:
    if item is None:
        return Token("NONE")
    if isinstance(item, bool) or not isinstance(item, (str, int)):
        raise UsageError(f"The BIDS filter file {path} has the value {item!r}.", "Use labels, numbers or lists.")
    if isinstance(item, str) and item in _PLAIN_TOKENS:
        return Token(_PLAIN_TOKENS[item])
    match = _TOKEN.fullmatch(item) if isinstance(item, str) else None
    if match is None:
        return item.removeprefix(f"{ENTITY_KEYS.get(entity, entity)}-") if isinstance(item, str) else item
    if match["name"].upper() not in _TOKENS:
        raise UsageError(
            f"The BIDS filter file {path} has the unknown word {item!r}.",
            "There is Query.NONE, Query.ANY (= Query.REQUIRED) and Query.OPTIONAL.",
        )
    return Token(_TOKENS[match["name"].upper()])
