# SPDX-License-Identifier: Apache-2.0
"""Opening a NIfTI file by its fixed header alone.

The extensions that may follow the header are never read: nothing here needs them, and a file decides how much memory
reading them takes (a size of its own choice each) and whether they are parsed as XML (CIFTI).
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import nibabel

EXTENSIONS = (".nii", ".nii.gz")
LONGEST_HEADER = 540
# where the image begins: extensions of real files have some kB; in a gzip file everything before must be unpacked
LATEST_START = 64_000_000


def is_nifti(path: Path) -> bool:
    """Whether a file is named as NIfTI files are, in any case."""
    return path.name.lower().endswith(EXTENSIONS)


def open_nifti(path: Path) -> nibabel.Nifti1Image:
    """The header and a proxy of the data, which are not read.

    Parameters
    ----------
    path : Path
        ``.nii`` or ``.nii.gz``.

    Returns
    -------
    nibabel.Nifti1Image or Nifti2Image
        Without extensions.

    Raises
    ------
    nibabel.filebasedimages.ImageFileError
        When this is no NIfTI file.
    OSError, EOFError, ValueError, zlib.error, OverflowError
        When it is damaged.
    """
    import nibabel

    packed = path.name.lower().endswith(".gz")
    with gzip.open(path) if packed else open(path, "rb") as stream:
        start = stream.read(LONGEST_HEADER)
    kind = next((kind for kind in (nibabel.Nifti1Image, nibabel.Nifti2Image) if _begins_as(kind, start)), None)
    if kind is None:
        raise nibabel.filebasedimages.ImageFileError("no NIfTI header")
    try:
        return _image(kind, start, path)
    except (nibabel.spatialimages.HeaderDataError, nibabel.spatialimages.HeaderTypeError, KeyError) as error:
        raise ValueError(str(error)) from error


def _image(kind: Any, start: bytes, path: Path) -> Any:
    header = kind.header_class(start[: kind.header_class.sizeof_hdr])
    at = int(header["vox_offset"])
    if not 0 <= at <= LATEST_START:
        raise ValueError(f"the image would begin at byte {at}")
    proxy = kind.ImageArrayProxy(str(path), header.copy())
    image = kind(proxy, None, header, file_map=kind.filespec_to_file_map(str(path)))
    image._affine = header.get_best_affine()
    return image


def _begins_as(kind: Any, start: bytes) -> bool:
    header = kind.header_class
    return len(start) >= header.sizeof_hdr and bool(header.may_contain_header(start))
