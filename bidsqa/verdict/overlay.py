# SPDX-License-Identifier: Apache-2.0
"""Laying a user's tables over the package's, key by key, and naming what a misspelt key may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

Tables = dict[str, Any]


def lay_over(row: Tables, table: Tables) -> None:
    """Change a rule by a user's table of the same name.

    Parameters
    ----------
    row : dict
        The package's; changed in place. Tables in it are exceptions for a suffix.
    table : dict
        The user's. A key of its own also wins over the package's exceptions for a suffix.
    """
    general = {key: value for key, value in table.items() if not isinstance(value, dict)}
    for special in row.values():
        if isinstance(special, dict):
            for key in general:
                special.pop(key, None)
    row.update(general)
    for suffix, special in table.items():
        if isinstance(special, dict):
            row.setdefault(suffix, {}).update(special)


def for_suffix(row: Tables, suffix: str) -> Tables:
    """The keys of a rule as they hold for one suffix."""
    general = {key: value for key, value in row.items() if not isinstance(value, dict)}
    special = row.get(suffix, {})
    return {**general, **special} if isinstance(special, dict) else general


def near(word: str, known: Iterable[str]) -> str:
    """The known word that a misspelt one resembles, as a question; empty where none does."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {close[0]!r}?" if close else ""
