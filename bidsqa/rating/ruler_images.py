# SPDX-License-Identifier: Apache-2.0
"""Rulers in a folder: in each folder inside it eight images of one slice, from the worst to the original.

A folder holds either ``versions.npz`` with an array ``versions`` (8, rows, columns), as rulers of bidsqa are kept, or
eight pictures (PNG, TIFF) whose names sort from the worst to the best.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from bidsqa.errors import InputError, UsageError
from bidsqa.rating.tasks import RULER_VERSIONS

ARRAYS, MEMBER = "versions.npz", "versions"
PICTURES = (".png", ".tif", ".tiff")
LARGEST_SIDE = 2048
LARGEST_FILE = 200_000_000

Array = np.ndarray[Any, Any]


class RulerImages:
    """The rulers in a folder.

    Parameters
    ----------
    folder : Path
        Whose folders are rulers.

    Raises
    ------
    UsageError
        There is none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names = sorted(path.name for path in folder.iterdir() if _is_ruler(path)) if folder.is_dir() else []
        if not self.names:
            raise UsageError(
                f"--rulers {folder}: there is no ruler.",
                f"Each ruler is a folder with {ARRAYS}, or with eight pictures from the worst to the best.",
            )

    def read(self, name: str) -> Array:
        """The images of a ruler, float32, shape (8, rows, columns), worst first.

        Raises
        ------
        InputError
            Not eight images of one size, or damaged.
        """
        if name not in self.names:
            raise InputError(f"there is no ruler {name!r}", "check the folder given with --rulers")
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
