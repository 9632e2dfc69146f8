# SPDX-License-Identifier: Apache-2.0
"""The rulers that readers are asked about: those that ship with bidsqa, or those in a folder.

Each folder inside it is a ruler, eight images of one slice from the worst to the original: a ruler of bidsqa
(``ruler.json`` and ``versions.npz``), ``versions.npz`` alone with an array ``versions`` (8, rows, columns), or eight
pictures (PNG, TIFF) whose names sort from the worst to the best.
"""

from __future__ import annotations

import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from bidsqa.bids import Scan, acquisition
from bidsqa.errors import InputError, UsageError
from bidsqa.image import read_spacing
from bidsqa.rating.tasks import RULER_VERSIONS
from bidsqa.rulers import Ruler, kind_of_scan, match_ruler, read_ruler, shipped_rulers
from bidsqa.settings import RULER_FACTS

ARRAYS, MEMBER = "versions.npz", "versions"
PICTURES = (".png", ".tif", ".tiff")
LARGEST_SIDE = 2048
LARGEST_FILE = 200_000_000

Array = np.ndarray[Any, Any]


class RulerImages:
    """Rulers by name.

    Parameters
    ----------
    folder : Path, optional
        Whose folders are rulers, or a ruler of bidsqa's itself; those that ship with bidsqa if not given.
    suffixes : collection of str
        Only the shipped rulers of these kinds of images; all of them where it is empty.

    Attributes
    ----------
    suffixes : dict of str
        BIDS suffix by name, in the order of the names; empty where the ruler doesn't tell.

    Raises
    ------
    UsageError
        There is none.
    InputError
        A ruler of bidsqa's can't be used.
    """

    def __init__(self, folder: Path | None = None, suffixes: Collection[str] = ()) -> None:
        self.folder, self._known = folder, _known(folder, suffixes)
        names = set(self._known)
        if folder is not None and folder.is_dir():
            names |= {path.name for path in folder.iterdir() if _is_ruler(path)}
        self.suffixes = {name: self._known[name].kind.suffix if name in self._known else "" for name in sorted(names)}
        if not names and folder is not None:
            raise UsageError(
                f"--rulers {folder}: there is no ruler.",
                f"Each ruler is a folder with {ARRAYS}, or with eight pictures from the worst to the best.",
            )

    @property
    def names(self) -> list[str]:
        """In order."""
        return list(self.suffixes)

    def nearest(self, scan: Scan) -> list[str]:
        """Rulers that a scan may be read against: the one that the main job takes, else those that tell no kind.

        Parameters
        ----------
        scan : Scan
            Its sidecar and the voxels of its header tell its kind; where the header can't be read, its suffix alone.
        """
        try:
            spacing = read_spacing(scan.path)
        except InputError:  # told when its picture is made
            return [name for name, suffix in self.suffixes.items() if suffix in ("", scan.suffix)]
        match = match_ruler(kind_of_scan(scan.suffix, acquisition(scan.sidecar), spacing), list(self._known.values()))
        return [name for name in self.suffixes if self._known.get(name) is (match and match.ruler)]

    def sha256(self, name: str) -> str:
        """Checksum that ``ruler.json`` knows a ruler's images by; empty for a ruler without that file."""
        return self._known[name].sha256 if name in self._known else ""

    def read(self, name: str) -> Array:
        """The images of a ruler, float32, shape (8, rows, columns), worst first.

        Raises
        ------
        InputError
            Not eight images of one size, or damaged.
        """
        if name not in self.suffixes:
            raise InputError(f"there is no ruler {name!r}", "check the folder given with --rulers")
        if name in self._known:
            return self._known[name].versions.astype(np.float32)
        assert self.folder is not None
        place = self.folder / name
        try:
            images = _from_array(place / ARRAYS) if (place / ARRAYS).is_file() else _from_pictures(place)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"the ruler {name} can't be read: {error}", "make it again") from error
        if images.ndim != 3 or len(images) != RULER_VERSIONS or max(images.shape[1:]) > LARGEST_SIDE:
            raise InputError(
                f"the ruler {name} has the shape {images.shape}, not {RULER_VERSIONS} images", "make it again"
            )
        return images


def _known(folder: Path | None, suffixes: Collection[str]) -> dict[str, Ruler]:
    """The rulers of bidsqa's own form, by the name of their folder."""
    if folder is None:
        return {one.name: one for one in shipped_rulers() if not suffixes or one.kind.suffix in suffixes}
    if not folder.is_dir():
        return {}
    if (folder / RULER_FACTS).is_file():
        return {folder.name: read_ruler(folder)}
    return {path.name: read_ruler(path) for path in sorted(folder.iterdir()) if (path / RULER_FACTS).is_file()}


def _is_ruler(path: Path) -> bool:
    return path.is_dir() and ((path / ARRAYS).is_file() or len(_pictures(path)) == RULER_VERSIONS)


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES and path.stem != "ruler")


def _from_array(path: Path) -> Array:
    if path.stat().st_size > LARGEST_FILE:
        raise ValueError("the file is too large")
    with np.load(path, allow_pickle=False) as archive:
        return np.ascontiguousarray(archive[MEMBER], dtype=np.float32)


def _from_pictures(folder: Path) -> Array:
    from PIL import Image

    layers = []
    for path in _pictures(folder):
        with Image.open(path) as picture:
            layers.append(np.asarray(picture.convert("F"), dtype=np.float32))
    return np.stack(layers)
