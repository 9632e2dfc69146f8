# SPDX-License-Identifier: Apache-2.0
"""Reading a scan from a file or a NIfTI image, with every check that can tell a scan from something else."""

from __future__ import annotations

import hashlib
import math
import os
import shlex
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsqa.errors import InputError
from bidsqa.image.intensity import clipped_fraction
from bidsqa.image.nifti import is_nifti, open_nifti
from bidsqa.image.volume import FloatArray, ImageFacts, Volume

if TYPE_CHECKING:
    import nibabel

MINIMUM_AXIS = 8
MAXIMUM_VOXELS = 700_000_000
SPACING_RANGE_MM = (0.05, 20.0)
GZIP_MAXIMUM_RATIO = 1040
GZIPPED, FOREIGN_PACKING = (".gz", ".mgz"), (".bz2", ".zst", ".xz", ".zip")
# what libraries raise on a file that is not what it says
DAMAGE = (OSError, EOFError, ValueError, zlib.error, OverflowError, struct.error)
MAXIMUM_VALUE = 1e30
FEW_LEVELS = 8

Array = np.ndarray[Any, Any]


def load_volume(source: str | os.PathLike[str] | nibabel.spatialimages.SpatialImage) -> Volume:
    """Read, check and conform one scan.

    The axes are permuted and flipped to RAS+ (never resampled); values become float32 after the header's scaling;
    non-finite values become 0.

    Parameters
    ----------
    source : path or nibabel image
        A NIfTI file (.nii, .nii.gz), any other file that nibabel reads as one volume, or an image in memory.

    Returns
    -------
    Volume

    Raises
    ------
    InputError
        When this can't be a scan: missing content, damaged file, not three-dimensional, colour or complex values,
        an axis under 8 voxels, voxel edges outside 0.05-20 mm, more than 700 million voxels, constant values.
    """
    image = _open(Path(source)) if isinstance(source, (str, os.PathLike)) else source
    _check_kind(image)
    warnings: list[str] = []
    affine = usable_affine(image, warnings)
    stored, slope, intercept = _stored_values(image)
    digest = hashlib.sha256(np.ascontiguousarray(stored.T).data).hexdigest()
    dtype = str(stored.dtype)
    data, nonfinite = _scaled(stored, slope, intercept)
    if nonfinite:
        if nonfinite > 0.5 * data.size:
            raise InputError(
                f"{100 * nonfinite / data.size:.0f} % of the voxels are not finite numbers",
                "the file was probably damaged by a conversion; convert the scan again",
            )
        warnings.append(f"{nonfinite} voxels were not finite numbers and were set to 0")
    data, affine, orientation, oblique = _to_ras(data, affine)
    return _volume(data, affine, dtype, (slope, intercept), orientation, oblique, nonfinite, digest, warnings)


def read_spacing(path: Path) -> tuple[float, float, float]:
    """Voxel edges of a scan in RAS+ order, from its header alone.

    Raises
    ------
    InputError
        As :func:`load_volume`, as far as the header tells.
    """
    image = _open(path)
    _check_kind(image)
    affine = usable_affine(image, [])
    edges = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    across = _orientation(affine)[:, 0].astype(int)
    first, second, third = (float(edges[list(across).index(axis)]) for axis in range(3))
    return first, second, third


def _volume(
    data: FloatArray,
    affine: Array,
    dtype: str,
    scaling: tuple[float, float],
    orientation: str,
    oblique: float,
    nonfinite: int,
    digest: str,
    warnings: list[str],
) -> Volume:
    """Check the values and note the facts."""
    lowest, highest = float(data.min()), float(data.max())
    if lowest == highest:
        what = "zero" if lowest == 0 else f"the same value ({lowest:g})"
        raise InputError(f"every voxel is {what}", "there is no image in this file; check the export from the scanner")
    negative = int(np.count_nonzero(data < 0))
    if negative:
        warnings.append(
            f"{negative} voxels ({100 * negative / data.size:.2g} %) are negative; a magnitude image has none"
        )
    if np.unique(data.ravel()[:: max(1, data.size // 200_000)]).size <= FEW_LEVELS:
        warnings.append("the image has only a few intensity levels and looks like a mask or a label map")
    spacing = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    facts = ImageFacts(
        shape=(data.shape[0], data.shape[1], data.shape[2]),
        spacing=(float(spacing[0]), float(spacing[1]), float(spacing[2])),
        orientation=orientation,
        dtype=dtype,
        slope=scaling[0],
        intercept=scaling[1],
        oblique_degrees=oblique,
        minimum=lowest,
        maximum=highest,
        nonfinite_voxels=nonfinite,
        negative_voxels=negative,
        zero_fraction=float(np.count_nonzero(data == 0) / data.size),
        clipped_fraction=clipped_fraction(data),
        sha256=digest,
        warnings=tuple(warnings),
    )
    return Volume(data=data, affine=affine, facts=facts)


def _open(path: Path) -> Any:
    """Open a file, or say in one sentence why it can't be opened."""
    import nibabel

    name = path.name
    if path.is_symlink() and not path.exists():
        raise InputError(
            f"the content of {name} is not here (a link whose target is missing)",
            f"in a DataLad or git-annex dataset, fetch it first, in the dataset's folder: {fetch_command(path)}",
        )
    if not path.is_file():
        raise InputError(f"{name} is not a file", "check the path")
    try:
        size = path.stat().st_size
        with open(path, "rb") as stream:
            stream.read(1)
    except OSError as error:
        raise InputError(f"{name} can't be read: {error.strerror}", "check the permissions of the file") from error
    if size == 0:
        raise InputError(f"{name} is empty (0 bytes)", "copy or convert the scan again")
    if path.suffix.lower() in FOREIGN_PACKING:
        raise InputError(f"{name} is packed in another way than gzip", "unpack it first")
    try:
        image = open_nifti(path) if is_nifti(path) else _open_foreign(path)
    except nibabel.filebasedimages.ImageFileError as error:
        raise InputError(f"{name} is not a NIfTI image", "convert the scan to NIfTI, e.g. with dcm2niix") from error
    except DAMAGE as error:
        raise InputError(f"{name} is damaged ({_first_line(error)})", "copy or convert the scan again") from error
    except MemoryError as error:
        raise InputError(f"{name} does not fit into memory", "run on a machine with more memory") from error
    _check_size(image, path, size)
    return image


def _open_foreign(path: Path) -> Any:
    """An image of another format, with any fault of its file as ValueError."""
    import nibabel

    try:
        return nibabel.load(path)
    except (nibabel.filebasedimages.ImageFileError, *DAMAGE, MemoryError):
        raise
    except Exception as error:  # each reader has faults of its own
        raise ValueError(str(error)) from error


def fetch_command(path: Path) -> str:
    """The command that fetches the content of a link in a DataLad dataset, for the dataset's own folder.

    Parameters
    ----------
    path : Path
        The link. Its dataset is the folder above that has a ``dataset_description.json``, else ``.datalad``, else
        ``.git``; without any of these the file's name has to do.
    """
    place = Path(os.path.abspath(path))
    for mark in ("dataset_description.json", ".datalad", ".git"):
        root = next((folder for folder in place.parents if os.path.lexists(folder / mark)), None)
        if root is not None:
            return f"datalad get {shlex.quote(place.relative_to(root).as_posix())}"
    return f"datalad get {shlex.quote(place.name)}"


def _check_size(image: Any, path: Path, size: int) -> None:
    """Refuse a header that promises more than the file can hold, before anything is allocated."""
    shape = tuple(int(edge) for edge in image.shape)
    voxels = math.prod(shape)
    promised = voxels * int(image.get_data_dtype().itemsize)
    held = size * GZIP_MAXIMUM_RATIO if path.suffix.lower() in GZIPPED else size
    if any(edge < 0 for edge in shape) or promised > held:
        raise InputError(
            f"the header of {path.name} promises {'x'.join(map(str, shape))} voxels, more than the file can hold",
            "the file is damaged or cut off; copy or convert the scan again",
        )
    if voxels > MAXIMUM_VOXELS:
        raise InputError(
            f"{path.name} has {voxels / 1e6:.0f} million voxels; at most {MAXIMUM_VOXELS / 1e6:.0f} million are read",
            "crop the scan or reduce its resolution",
        )


def _check_kind(image: Any) -> None:
    """Refuse what is not one volume of plain numbers."""
    dtype = image.get_data_dtype()
    if dtype.fields is not None:
        raise InputError("this is a colour (RGB) image", "assess the scan itself, not a screenshot or a colour map")
    if dtype.kind == "c":
        raise InputError("this image holds complex numbers", "assess the magnitude image (part-mag)")
    if dtype.kind not in "iufb":
        raise InputError(f"values of type {dtype} can't be read", "convert the scan to int16 or float32")
    shape = [int(edge) for edge in image.shape]
    while len(shape) > 3 and shape[-1] == 1:
        shape.pop()
    if len(shape) != 3:
        kind = "is a single slice or less" if len(shape) < 3 else f"has {shape[3]} volumes"
        raise InputError(
            f"a 3D scan was expected, this image {kind} ({'x'.join(map(str, shape))})",
            "anatomical scans have one volume; split a series or take its mean",
        )
    if min(shape) < MINIMUM_AXIS:
        raise InputError(
            f"an axis has only {min(shape)} {'voxel' if min(shape) == 1 else 'voxels'} ({'x'.join(map(str, shape))})",
            f"at least {MINIMUM_AXIS} along each axis are needed to judge a head scan; is this a localiser?",
        )


def usable_affine(image: Any, warnings: list[str]) -> Array:
    """The scan's affine with plausible voxel edges, or one made from the voxel sizes alone.

    Parameters
    ----------
    image : nibabel image
    warnings : list of str
        What was amiss is added.

    Returns
    -------
    ndarray of float64, shape (4, 4)
        mm.

    Raises
    ------
    InputError
        If the voxel sizes are implausible.
    """
    affine = np.array(image.affine if image.affine is not None else np.eye(4), dtype=np.float64)
    header = image.header
    coded = not hasattr(header, "get_sform") or bool(int(header["sform_code"]) or int(header["qform_code"]))
    if not coded:
        warnings.append("the header gives no orientation (sform and qform codes are 0); left and right may be swapped")
    linear = affine[:3, :3]
    if not np.isfinite(affine).all() or abs(np.linalg.det(linear)) < 1e-12:
        warnings.append("the orientation matrix is unusable and was replaced by the voxel sizes alone")
        edges = np.asarray(header.get_zooms()[:3], dtype=np.float64)
        affine = np.diag([*edges, 1.0])
    edges = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    low, high = SPACING_RANGE_MM
    if not np.isfinite(edges).all() or edges.min() < low or edges.max() > high:
        raise InputError(
            f"the voxel size {' x '.join(f'{edge:g}' for edge in edges)} mm is implausible",
            f"voxel edges between {low:g} and {high:g} mm are expected; check the header's units",
        )
    return affine


def _stored_values(image: Any) -> tuple[Array, float, float]:
    """The values as stored (3D), and the scaling that belongs to them."""
    proxy = image.dataobj
    try:
        if hasattr(proxy, "get_unscaled"):
            stored = np.asarray(proxy.get_unscaled())
            slope, intercept = float(proxy.slope), float(proxy.inter)
        else:
            stored, slope, intercept = np.asarray(proxy), 1.0, 0.0
    except DAMAGE as error:
        raise InputError(
            f"the image data are damaged or cut off ({_first_line(error)})", "copy or convert the scan again"
        ) from error
    except MemoryError as error:
        raise InputError("the image does not fit into memory", "run on a machine with more memory") from error
    if not (math.isfinite(slope) and math.isfinite(intercept)) or slope == 0:
        slope, intercept = 1.0, 0.0
    while stored.ndim > 3:
        stored = stored[..., 0]
    return stored, slope, intercept


def _scaled(stored: Array, slope: float, intercept: float) -> tuple[FloatArray, int]:
    """Values in float32 and the number of non-finite ones, which become 0."""
    with np.errstate(over="ignore", invalid="ignore"):
        if stored.dtype.kind == "f" and stored.dtype.itemsize > 4:
            data = (stored * slope + intercept if (slope, intercept) != (1.0, 0.0) else stored).astype(np.float32)
        else:
            data = stored.astype(np.float32)
            if (slope, intercept) != (1.0, 0.0):
                data *= np.float32(slope)
                data += np.float32(intercept)
    if stored.dtype.kind != "f" and abs(slope) < MAXIMUM_VALUE:
        return data, 0
    bad = ~(np.abs(data) < MAXIMUM_VALUE)
    count = int(np.count_nonzero(bad))
    if count:
        data[bad] = 0
    return data, count


def _to_ras(data: FloatArray, affine: Array) -> tuple[FloatArray, Array, str, float]:
    """Permute and flip the axes to RAS+; also the stored axis codes and the obliqueness in degrees."""
    from nibabel.orientations import aff2axcodes, apply_orientation, inv_ornt_aff

    directions = affine[:3, :3] / np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    oblique = float(np.degrees(np.arccos(np.clip(np.abs(directions).max(axis=0).min(), 0, 1))))
    orientation = _orientation(affine)
    codes = "".join(str(code) for code in aff2axcodes(affine))
    turned = np.ascontiguousarray(apply_orientation(data, orientation))
    return turned, affine @ inv_ornt_aff(orientation, data.shape), codes, oblique


def _orientation(affine: Array) -> Array:
    """For each stored axis the axis of RAS+ that it runs along, and its direction."""
    from nibabel.orientations import io_orientation

    orientation = io_orientation(affine)
    if np.isnan(orientation).any():
        raise InputError("the orientation of the axes can't be told from the header", "repair the header's sform")
    return orientation


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return text[0][:120] if text else type(error).__name__
