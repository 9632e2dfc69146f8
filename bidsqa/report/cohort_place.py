# SPDX-License-Identifier: Apache-2.0
"""The scan's place among the study's scans, told to pages that are there already.

A page is up to 2.5 MB and a study can have thousands, so that the group level doesn't write them anew: each page has,
near its beginning, a block of JSON of fixed length, padded with spaces, that is overwritten in place.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsqa.report.page import data_block

if TYPE_CHECKING:
    from markupsafe import Markup

BLOCK_BYTES = 16_384
HEAD_BYTES = 65_536
OPENING = b'<script type="application/json" id="cohort">'
CLOSING = b"</script>"


def empty_block() -> Markup:
    """The block of a page that no group level has filled: ``null``."""
    from markupsafe import Markup

    return Markup((OPENING + b"null".ljust(BLOCK_BYTES) + CLOSING).decode())


def fill(path: Path, content: Mapping[str, Any] | None) -> bool:
    """Write the scan's place into its page, or take it out again.

    Parameters
    ----------
    path : Path
        A scan's page.
    content : dict or None
        As :func:`bidsqa.group.places.told_to_pages` gives it. What is too long for the block loses first the reasons
        after the first, then values from the end (scores come first), then all reasons.

    Returns
    -------
    bool
        Whether the page holds the content now. False for a file that isn't there, is read-only or a link, has no such
        block, or whose disk is full; such a file is left alone.

    Raises
    ------
    ValueError
        When the content can't be JSON.
    """
    wanted = _fitted(content)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or not status.st_mode & stat.S_IWUSR:
            return False
        head = os.pread(descriptor, HEAD_BYTES, 0)
        start = head.find(OPENING) + len(OPENING)
        end = start + BLOCK_BYTES
        if start < len(OPENING) or head[end : end + len(CLOSING)] != CLOSING or CLOSING in head[start:end]:
            return False
        if head[start:end] == wanted:
            return True
        return os.pwrite(descriptor, wanted, start) == BLOCK_BYTES
    except OSError:
        return False
    finally:
        os.close(descriptor)


def fill_pages(pages: Iterable[tuple[Path, Mapping[str, Any] | None]]) -> int:
    """As :func:`fill` for many pages; how many hold their content now."""
    return sum(fill(path, content) for path, content in pages)


def _fitted(content: Mapping[str, Any] | None) -> bytes:
    """The content as bytes of the block's length."""
    kept = None if content is None else dict(content)
    block = _encoded(kept)
    if kept is None or len(block) <= BLOCK_BYTES:
        return block.ljust(BLOCK_BYTES)
    kept["reasons"] = list(kept.get("reasons", ()))[:1]
    values = list(dict(kept.get("values", {})).items())
    block = _encoded(kept)
    while len(block) > BLOCK_BYTES and values:
        values = values[: len(values) * 3 // 4]
        kept["values"] = dict(values)
        block = _encoded(kept)
    if len(block) > BLOCK_BYTES:
        kept["reasons"] = []
        block = _encoded(kept)
    return (block if len(block) <= BLOCK_BYTES else b"null").ljust(BLOCK_BYTES)


def _encoded(content: Any) -> bytes:
    try:
        return str(data_block(content)).encode()
    except (TypeError, UnicodeEncodeError) as error:
        raise ValueError(f"no JSON: {error}") from error
