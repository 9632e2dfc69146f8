# SPDX-License-Identifier: Apache-2.0
"""When a scan was acquired, from the words of sidecars and ``*_scans.tsv``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

KEY = "AcquisitionDateTime"
PARTS = (KEY, "AcquisitionDate", "AcquisitionTime")
EARLIEST_YEAR = 1800  # BIDS shifts dates before 1925 where they must not be known; years like 1 stand for nothing
MISSING = ("", "n/a")
_DATE = re.compile(r"(\d{4})[-:.]?(\d{2})[-:.]?(\d{2})")
_TIME = re.compile(r"(\d{2}):?(\d{2})(?::?(\d{2}))?(?:\.\d*)?(?:Z|[+-]\d{2}:?\d{2})?")


def settle_date(told: Mapping[str, Any]) -> tuple[str, str]:
    """The date and time of acquisition as one text, and what is wrong with it.

    Parameters
    ----------
    told : mapping
        ``AcquisitionDateTime``, else ``AcquisitionDate`` with or without ``AcquisitionTime``, of any content. A time
        alone says nothing.

    Returns
    -------
    date : str
        ``2021-03-04T10:20:30``, ``2021-03-04`` where no time is known, empty where there is no usable date.
    problem : str
        A sentence where a date is told but is none; else empty.
    """
    whole, day, time = (told.get(key) for key in PARTS)
    found = _text(whole)
    if found in MISSING:
        found = _text(day)
        if found not in MISSING and isinstance(time, str) and _TIME.fullmatch(time.strip()):
            found = f"{found}T{time.strip()}"
    if found in MISSING:
        return "", ""
    settled = as_date(found)
    return settled, "" if settled else f"The acquisition date {found[:40]!r} is no date and was left out."


def as_date(text: str) -> str:
    """A date, or date and time, in ISO 8601 without fractions and time zone; empty where it is none."""
    day, _, time = text.strip().replace("T", " ", 1).partition(" ")
    if not time and re.fullmatch(r"\d{14}(\.\d*)?", day):  # DICOM writes both without a mark between them
        day, time = day[:8], day[8:]
    date, clock = _DATE.fullmatch(day), _TIME.fullmatch(time.strip())
    if not date or (time.strip() and not clock):
        return ""
    numbers = [int(part) for part in (*date.groups(), *((clock.groups() if clock else ()) or ())) if part]
    try:
        found = datetime(*numbers)  # type: ignore[arg-type]
    except ValueError:
        return ""
    if found.year < EARLIEST_YEAR:
        return ""
    return found.isoformat() if clock else found.date().isoformat()


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""
