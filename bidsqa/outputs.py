# SPDX-License-Identifier: Apache-2.0
"""What an output folder already holds of a scan, and writing it: state, masks, pages redrawn."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import bidsqa
from bidsqa.bids import acquisition, names
from bidsqa.bids.writing import write_atomic
from bidsqa.plain_files import read_bytes
from bidsqa.record import SCHEMA_VERSION, Record
from bidsqa.settings import sidecar_digest

if TYPE_CHECKING:
    from bidsqa.anatomy import Anatomy
    from bidsqa.bids import Scan
    from bidsqa.image import Volume
    from bidsqa.settings import Settings

MASK_COMPRESSION = 4
LARGEST_PICTURE = 20_000_000  # bytes


def pending(scan: Scan, out: Path, settings: Settings) -> str:
    """What is to be done with a scan.

    Returns
    -------
    str
        ``done`` when nothing is; else ``new``, ``failed before``, or ``changed: `` and what differs: the input (size
        or time), the sidecars (what they give to the record; one without a digest of it counts as different), the
        version of bidsqa, or the settings that change numbers. A link whose content was dropped differs in nothing.
    """
    path = names.record_path(out, scan)
    if not path.exists():
        return "new"
    try:
        record = Record.load(path)
    except (OSError, ValueError):
        return "changed: the record is damaged"
    if record.status == "failed":
        return "failed before"
    provenance = record.provenance
    if (provenance.get("bidsqa"), provenance.get("record_schema")) != (bidsqa.__version__, SCHEMA_VERSION):
        return "changed: version"
    known = provenance.get("input")
    known = known if isinstance(known, dict) else {}
    if not _same_input(scan, known):
        return "changed: input"
    if known.get("sidecar") != sidecar_digest(acquisition(scan.sidecar), scan.warnings):
        return "changed: sidecar"
    if provenance.get("settings") != settings.changing_numbers():
        return "changed: settings"
    masks = [names.mask_path(out, scan, kind) for kind in ("brain", "dseg")] if settings.output_masks else []
    if not all(wanted.exists() for wanted in (names.page_path(out, scan), *masks)):
        return "changed: outputs missing"
    return "done"


def content_absent(path: Path) -> bool:
    """Whether the scan is a link without content, as DataLad and git-annex leave them."""
    return path.is_symlink() and not path.exists()


def _same_input(scan: Scan, known: dict[str, object]) -> bool:
    try:
        status = Path(scan.path).stat()
    except OSError:
        return content_absent(Path(scan.path))
    return (known.get("size"), known.get("mtime")) == (status.st_size, int(status.st_mtime))


def redraw(out: Path, record_path: Path, saliency: bool = True) -> Path:
    """Draw a scan's page again from its record and figures, without the image.

    Parameters
    ----------
    out : Path
        The output folder.
    record_path : Path
        One of its records.
    saliency : bool
        With the maps of where the networks look, where they were drawn.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    ValueError
        When the file is not a record, or names no BIDS scan.
    """
    from bidsqa import report

    record = Record.load(record_path)
    if record.bids_name != names.name_of_record(record_path):
        raise ValueError(f"the record is of another scan, {record.bids_name[:80]}")
    found = names.figure_paths(out, record.bids_name).items()
    figures = {
        name: content
        for name, path in found
        if (content := _picture(path)) and (saliency or not name.startswith(report.LOCAL_MAP))
    }
    page = names.page_path(out, record.bids_name)
    write_atomic(page, report.render_scan(record, figures))
    return page


def _picture(path: Path) -> bytes:
    try:
        return read_bytes(path, LARGEST_PICTURE)
    except OSError:
        return b""


def write_masks(source: str, volume: Volume, anatomy: Anatomy, paths: dict[str, Path]) -> None:
    """Write the brain mask and the segmentation on the scan's own grid and axes.

    Parameters
    ----------
    source : str
        The scan's file, for its grid.
    volume : Volume
    anatomy : Anatomy
    paths : dict of str to Path
        ``brain`` (``*_desc-brain_mask.nii.gz``) and ``dseg`` (1 grey, 2 white, 3 CSF).
    """
    import nibabel
    from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation, ornt_transform

    from bidsqa.image import usable_affine
    from bidsqa.image.nifti import open_nifti

    original = open_nifti(Path(source))
    stored = usable_affine(original, [])
    back = ornt_transform(io_orientation(volume.affine), io_orientation(stored))
    affine = volume.affine @ inv_ornt_aff(back, volume.shape)
    for kind, values in (("brain", anatomy.brain), ("dseg", anatomy.dseg)):
        image = nibabel.Nifti1Image(apply_orientation(np.asarray(values, dtype=np.uint8), back), affine)
        image.header.set_xyzt_units("mm")
        stream = io.BytesIO()
        with gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=MASK_COMPRESSION, mtime=0) as packed:
            packed.write(image.to_bytes())
        write_atomic(paths[kind], stream.getvalue())
