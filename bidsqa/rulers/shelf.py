# SPDX-License-Identifier: Apache-2.0
"""The rulers at hand: those that ship with bidsqa, and a site's own in a folder of rulers."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from bidsqa.errors import InputError
from bidsqa.rulers.folder import FACTS, read_ruler
from bidsqa.rulers.ruler import Ruler

SHIPPED_FOLDER = Path(__file__).parent / "shipped"
MOST_RULERS = 200


@lru_cache(maxsize=1)
def shipped_rulers() -> tuple[Ruler, ...]:
    """The rulers that ship with bidsqa, by name."""
    folders = sorted(path.parent for path in SHIPPED_FOLDER.glob(f"*/{FACTS}"))
    return tuple(read_ruler(folder, shipped=True) for folder in folders)


def own_rulers(shelf: Path) -> tuple[Ruler, ...]:
    """The rulers in the folders below a folder, by name; the folder may also be a ruler itself.

    Parameters
    ----------
    shelf : Path
        Hidden folders in it, and those without ``ruler.json``, count for nothing.

    Raises
    ------
    InputError
        When it isn't there or holds no ruler, one of its rulers can't be used, or two have one name.
    """
    folders = ruler_folders(shelf)
    rulers: dict[str, Ruler] = {}
    for folder in folders:
        ruler = read_ruler(folder)
        if ruler.name in rulers:
            raise InputError(f"Two rulers in {shelf} have the name {ruler.name}.", "Take one of them away.")
        rulers[ruler.name] = ruler
    return tuple(rulers[name] for name in sorted(rulers))


def ruler_folders(shelf: Path) -> list[Path]:
    """The folders that :func:`own_rulers` reads, in order."""
    hint = "Build one into it: bidsqa-ruler build SCAN OUT"
    if not shelf.is_dir():
        raise InputError(f"The folder of rulers {shelf} doesn't exist.", "Check the path.")
    if os.path.lexists(shelf / FACTS):
        return [shelf]
    try:
        with os.scandir(shelf) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())
    except OSError as error:
        raise InputError(
            f"The folder of rulers {shelf} can't be read: {error.strerror}.", "Check its permissions."
        ) from error
    folders = [shelf / name for name in names if os.path.lexists(shelf / name / FACTS)]
    if not folders:
        raise InputError(f"The folder {shelf} holds no ruler.", hint)
    if len(folders) > MOST_RULERS:
        raise InputError(f"The folder {shelf} holds {len(folders)} rulers, more than {MOST_RULERS}.", "Use fewer.")
    return folders


def rulers_at_hand(shelf: Path | None = None) -> tuple[Ruler, ...]:
    """A site's own rulers, then the shipped ones; an own one takes the place of a shipped one of the same name."""
    own = own_rulers(shelf) if shelf is not None else ()
    names = {ruler.name for ruler in own}
    return (*own, *(ruler for ruler in shipped_rulers() if ruler.name not in names))
