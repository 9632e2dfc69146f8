# SPDX-License-Identifier: Apache-2.0
"""Joining what ``participants.tsv`` tells to the rows of a study: its columns, and the site it names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bidsqa.bids.participants import ENTITY_NAMES, PREFIX, Participants
from bidsqa.bids.selection import suggestion
from bidsqa.errors import UsageError
from bidsqa.group.rows import Row

# in this order; the letters' case doesn't matter
SITE_COLUMNS = ("site", "site_id", "site_name", "center", "centre", "center_id", "centre_id")
NO_COLUMN = "none"


def join(rows: Iterable[Row], participants: Participants) -> None:
    """Give each row what is known about its participant."""
    for row in rows:
        row.participant = participants.rows.get(row.entities["sub"], {})


def joined_names(columns: Sequence[str], taken: Iterable[str]) -> dict[str, str]:
    """How joined columns are called in a table: as they were, with ``participants_`` before names that are taken."""
    known = {*taken, *ENTITY_NAMES}
    found: dict[str, str] = {}
    for column in columns:
        name = f"{PREFIX}{column}" if column in known else column
        while name in known or name in found.values():
            name = f"{PREFIX}{name}"
        found[column] = name
    return found


def joined_entries(names: Mapping[str, str], participants: Participants) -> dict[str, dict[str, Any]]:
    """The data dictionary of joined columns: the dataset's own entries, with where they come from."""
    found = {}
    for column, name in names.items():
        entry = dict(participants.described.get(column, {}))
        told = str(entry.get("Description", "")).rstrip(".")
        source = f"column {column} of the dataset's participants.tsv"
        found[name] = {**entry, "Description": f"{told} ({source})" if told else f"{source[0].upper()}{source[1:]}"}
    return found


def site_column(participants: Participants, asked: str | None = None) -> str:
    """The column that names the sites; empty where none does.

    Parameters
    ----------
    participants : Participants
    asked : str, optional
        By the user; ``none`` for no column.

    Raises
    ------
    UsageError
        There is no such column.
    """
    if asked is None:
        by_name = {column.casefold(): column for column in reversed(participants.columns)}
        return next((by_name[name] for name in SITE_COLUMNS if name in by_name), "")
    if asked in participants.columns or asked == NO_COLUMN:
        return asked if asked in participants.columns else ""
    if not participants.columns:
        raise UsageError(
            f"There is no participants.tsv to take the column {asked!r} from.",
            "Its copy comes into the output folder when bidsqa runs where the dataset is.",
        )
    raise UsageError(f"participants.tsv has no column {asked!r}.", suggestion(asked, participants.columns))


def name_sites_by(rows: Iterable[Row], column: str) -> None:
    """Name the rows' sites by a column of ``participants.tsv``; where it is missing the scanner still does."""
    for row in rows:
        row.site = row.participant.get(column) or row.site
