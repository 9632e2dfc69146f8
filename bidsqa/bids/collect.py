# SPDX-License-Identifier: Apache-2.0
"""Find the scans of a BIDS dataset, reading only the folders of the participants asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bidsqa.bids.choosing import check_labels, choose
from bidsqa.bids.folders import Found, find_images, participant_folders
from bidsqa.bids.scan import EXTENSIONS, JUDGED_SUFFIXES, Scan, name_problem
from bidsqa.bids.selection import Selection
from bidsqa.bids.sidecar import Sidecars


@dataclass(frozen=True)
class Collection:
    """What was found.

    Parameters
    ----------
    scans : tuple of Scan
        To be judged, sorted by path.
    skipped : tuple of (str, str)
        What is not judged (a path below the root, or a kind of file) and why, in words.
    warnings : tuple of str
        Sentences about what in the selection fits nothing.
    """

    scans: tuple[Scan, ...]
    skipped: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...] = ()


def collect_scans(root: Path, selection: Selection | None = None, database: Path | None = None) -> Collection:
    """The scans of a dataset that a selection asks for.

    The folders of the participants asked for are listed, names are parsed strictly, PyBIDS answers the query.
    The cost depends on the number of these participants, not on the size of the dataset.

    Parameters
    ----------
    root : Path
        The dataset.
    selection : Selection, optional
        Everything by default.
    database : Path, optional
        Folder of a PyBIDS index: used where it exists, else made for the whole dataset. The index of another program
        (fMRIPrep's ``--bids-database-dir``) serves as well; it doesn't notice later changes of the dataset.

    Returns
    -------
    Collection

    Raises
    ------
    UsageError
        A label that the dataset doesn't have; an index of another dataset.
    """
    from bidsqa.bids import index

    root = Path(root).absolute()
    asked = selection or Selection()
    folders, skipped = participant_folders(root, asked.participants)
    layout = None
    if database is None:
        found, notes = find_images(root, folders)
    else:
        layout = index.open_database(root, Path(database))
        found, notes = index.images_of(layout, root, folders)
    skipped += notes
    judgeable = _judgeable(found, asked.strict_names, skipped)
    check_labels(judgeable, asked)
    wanted, filter_warnings = choose(judgeable, asked, layout)
    sidecars = Sidecars(root)
    scans = []
    for image in judgeable:
        if str(image.path) in wanted:
            metadata, warnings = sidecars.read(image.path.parent, image.entities, image.suffix)
            scans.append(Scan(image.path, root, image.entities, image.suffix, metadata, warnings))
    return Collection(tuple(scans), tuple(skipped), tuple(filter_warnings))


def _judgeable(found: Iterable[Found], strict: bool, skipped: list[tuple[str, str]]) -> list[Found]:
    """Images that this version can judge; the others are noted, one line a kind."""
    kept: dict[str, Found] = {}
    kinds: Counter[str] = Counter()
    for image in sorted(
        found, key=lambda image: (image.relative.removesuffix(image.extension), image.extension != EXTENSIONS[0])
    ):
        if image.suffix not in JUDGED_SUFFIXES:
            kinds[image.suffix] += 1
            continue
        part = image.entities.get("part", "mag")
        problem = name_problem(image.entities) if strict else None
        if part != "mag":
            skipped.append((image.relative, f"a {part} image, only magnitude images are judged"))
        elif problem:
            skipped.append((image.relative, problem + " (--skip-bids-validation takes it all the same)"))
        elif "desc" in image.entities:
            skipped.append((image.relative, "a derivative (desc-), not a scan"))
        elif image.stem in kept:
            skipped.append((image.relative, f"same name as {kept[image.stem].relative}"))
        else:
            kept[image.stem] = image
    judged = ", ".join(JUDGED_SUFFIXES)
    for suffix, count in sorted(kinds.items()):
        images = "1 image" if count == 1 else f"{count} images"
        skipped.append((f"anat/*_{suffix}", f"{images}; this version judges {judged}"))
    return list(kept.values())
