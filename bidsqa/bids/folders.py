# SPDX-License-Identifier: Apache-2.0
"""List the anatomical images below the participants' folders, as far as asked for."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bidsqa.bids.scan import EXTENSIONS, LONGEST_NAME, split_name
from bidsqa.bids.selection import suggestion
from bidsqa.errors import UsageError

Notes = list[tuple[str, str]]
DATATYPE = "anat"


@dataclass(frozen=True)
class Found:
    """One image file with a name that could be parsed.

    Parameters
    ----------
    path : Path
        Absolute.
    relative : str
        Below the dataset's root.
    entities : dict of str to str
        BIDS key to label, in the name's order.
    suffix, extension : str
    """

    path: Path
    relative: str
    entities: dict[str, str]
    suffix: str
    extension: str

    @property
    def stem(self) -> str:
        """File name without extension."""
        return self.path.name.removesuffix(self.extension)


def participant_folders(root: Path, labels: Sequence[str] = ()) -> tuple[list[Path], Notes]:
    """The folders of the participants asked for, all of them by default.

    Parameters
    ----------
    root : Path
        The dataset.
    labels : sequence of str
        Without ``sub-``.

    Returns
    -------
    folders : list of Path
    notes : list of (str, str)
        Folders that were passed over, and why.

    Raises
    ------
    UsageError
        A label has no folder.
    """
    chosen = [f"sub-{label}" for label in labels]
    names = [name for name in chosen if _is_label(name) and (root / name).is_dir()]
    if len(names) < len(chosen):
        missing = [name for name in chosen if name not in names]
        known = [name.removeprefix("sub-") for name in _folders(root, "sub-")]
        some = ", ".join(repr(name.removeprefix("sub-")) for name in missing[:5])
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        plural = "s" if len(missing) > 1 else ""
        raise UsageError(
            f"The dataset has no participant{plural} {some}{more}.",
            suggestion(missing[0].removeprefix("sub-"), known),
        )
    names = names or _folders(root, "sub-")
    notes = [(name, "the label has characters other than letters and digits") for name in names if not _is_label(name)]
    return [root / name for name in names if _is_label(name)], notes


def find_images(root: Path, participants: Iterable[Path]) -> tuple[list[Found], Notes]:
    """Images in ``anat`` folders of participants and their sessions; other kinds of data are noted, one line each."""
    found: list[Found] = []
    notes: Notes = []
    places, others = data_folders(participants)
    for place in places:
        try:
            _list_images(root, place, found, notes)
        except OSError as error:
            notes.append((place.relative_to(root).as_posix(), f"the folder can't be read ({error.strerror})"))
    return found, notes + others


def data_folders(participants: Iterable[Path]) -> tuple[list[Path], Notes]:
    """The ``anat`` folders of participants and their sessions; other kinds of data are noted, one line each."""
    places: list[Path] = []
    notes: Notes = []
    other: Counter[str] = Counter()
    for participant in participants:
        try:
            for place in (participant, *(participant / name for name in _folders(participant, "ses-"))):
                for kind in _folders(place):
                    if kind == DATATYPE:
                        places.append(place / kind)
                    elif not kind.startswith("ses-"):
                        other[kind] += 1
        except OSError as error:
            notes.append((participant.name, f"a folder can't be read ({error.strerror})"))
    for kind, count in sorted(other.items()):
        folders = "1 folder" if count == 1 else f"{count} folders"
        notes.append((f"{kind}/", f"{folders}; this version judges anatomical images only"))
    return places, notes


def parse_image(root: Path, path: Path) -> Found | str:
    """One image below `root`, or why it can't be taken, in words."""
    # a link that leads nowhere is a scan without content (DataLad); a pipe or a device never is
    if not path.is_file() and (path.exists() or not path.is_symlink()):
        return "no regular file"
    try:
        entities, suffix, extension = split_name(path.name)
    except ValueError as error:
        return str(error)
    if len(path.name) - len(extension) > LONGEST_NAME:
        return f"the name has more than {LONGEST_NAME} letters, too many for those of its results"
    relative = path.relative_to(root)
    for key, name in (("sub", relative.parts[0]), ("ses", relative.parts[1])):
        label = name.removeprefix(f"{key}-") if name.startswith(f"{key}-") else None
        if entities.get(key) != label:
            return f"the name and the folder disagree about {key}-"
    return Found(path, relative.as_posix(), entities, suffix, extension)


def _list_images(root: Path, folder: Path, found: list[Found], notes: Notes) -> None:
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if is_image(entry.name))
    for name in names:
        path = folder / name
        image = parse_image(root, path)
        if isinstance(image, str):
            notes.append((path.relative_to(root).as_posix(), image))
        else:
            found.append(image)


def is_image(name: str) -> bool:
    """Whether a file's name is that of an image; hidden files are none."""
    return name.endswith(EXTENSIONS) and not name.startswith(".")


def _is_label(name: str) -> bool:
    try:
        return set(split_name(f"{name}_x")[0]) == {"sub"} and "_" not in name
    except ValueError:
        return False


def _folders(place: Path, start: str = "") -> list[str]:
    with os.scandir(place) as entries:
        return sorted(
            entry.name
            for entry in entries
            if entry.name.startswith(start) and not entry.name.startswith(".") and is_folder(entry)
        )


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder or a link to one; a link in a circle, or into what can't be read, is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False
