# SPDX-License-Identifier: Apache-2.0
"""A BIDS dataset of scans as no user should meet them, to see that each costs only itself.

Used by the tests and by ``benchmarks/bad_input.py``, which prints the table of docs/reliability.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
HOSTILE = ("<script>alert(1)</script>", "{{7*7}}", "%s%n%d", "../../etc/passwd", '"><img src=x onerror=alert(1)>')


@dataclass(frozen=True)
class BadScan:
    """One kind of bad input.

    Parameters
    ----------
    label : str
        Subject label in the dataset.
    what : str
        In words.
    status : str
        What its record must say: ``failed`` or ``ok``.
    write : callable
        ``write(path, head, affine)`` writes the file; ``path`` ends in ``.nii.gz``.
    sidecar : bytes or None
        Content of its JSON file.
    """

    label: str
    what: str
    status: str
    write: Callable[[Path, Array, Array], None]
    sidecar: bytes | None = None


def _save(path: Path, data: Array, affine: Array) -> None:
    import nibabel

    nibabel.Nifti1Image(data, affine).to_filename(path)


def _values(change: Callable[[Array], Array]) -> Callable[[Path, Array, Array], None]:
    def write(path: Path, head: Array, affine: Array) -> None:
        _save(path, change(head), affine)

    return write


def _affine(change: Callable[[Array], Array]) -> Callable[[Path, Array, Array], None]:
    def write(path: Path, head: Array, affine: Array) -> None:
        _save(path, head, change(affine))

    return write


def _bytes(change: Callable[[bytes], bytes]) -> Callable[[Path, Array, Array], None]:
    def write(path: Path, head: Array, affine: Array) -> None:
        _save(path, head, affine)
        path.write_bytes(change(path.read_bytes()))

    return write


def _header(*changes: tuple[int, bytes]) -> Callable[[Path, Array, Array], None]:
    """Bytes put into the header at these offsets (nifti1.h)."""

    def change(raw: bytes) -> bytes:
        plain = bytearray(gzip.decompress(raw))
        for offset, new in changes:
            plain[offset : offset + len(new)] = new
        return gzip.compress(bytes(plain), 1)

    return _bytes(change)


def _planted(*values: float) -> Callable[[Array], Array]:
    def change(head: Array) -> Array:
        changed = head.astype(np.float32)
        changed[: len(values), 0, 0] = values
        return changed

    return change


def _standardised(head: Array) -> Array:
    return ((head - head.mean()) / head.std()).astype(np.float32)


def _colour(head: Array) -> Array:
    colours = np.zeros(head.shape, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    colours["R"] = np.clip(head, 0, 255).astype("u1")
    return colours


def _universe(path: Path, head: Array, affine: Array) -> None:
    import nibabel

    header = nibabel.Nifti1Header()
    header.set_data_dtype("int16")
    header["dim"] = [3, 30000, 30000, 30000, 1, 1, 1, 1]
    header["vox_offset"] = 352
    path.write_bytes(gzip.compress(header.binaryblock + b"\0" * 1000))


def _no_sform(path: Path, head: Array, affine: Array) -> None:
    import nibabel

    image = nibabel.Nifti1Image(head, None)
    image.header.set_zooms(tuple(np.sqrt((affine[:3, :3] ** 2).sum(axis=0))))
    image.header["sform_code"] = image.header["qform_code"] = 0
    image.to_filename(path)


def _scaled(path: Path, head: Array, affine: Array) -> None:
    import nibabel

    image = nibabel.Nifti1Image(head.astype(np.float64) * 3.7e-4, affine)
    image.set_data_dtype(np.int16)  # the writer then stores slope and intercept
    image.to_filename(path)


def _broken_link(path: Path, head: Array, affine: Array) -> None:
    path.symlink_to(path.parent / ".git" / "annex" / "objects" / "gone.nii.gz")


def _unreadable(path: Path, head: Array, affine: Array) -> None:
    _save(path, head, affine)
    path.chmod(0)


def _oblique(affine: Array) -> Array:
    angle = np.radians(25)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return turn @ affine


def _edges(millimetres: float) -> Callable[[Array], Array]:
    return lambda affine: affine @ np.diag([*millimetres / np.sqrt((affine[:3, :3] ** 2).sum(axis=0)), 1.0])


def _flip(affine: Array) -> Array:
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def _dtype(name: str) -> Callable[[Array], Array]:
    return lambda head: np.clip(head, 0, np.iinfo(name).max if name[0] in "iu" else None).astype(name)


HOSTILE_SIDECAR = json.dumps(
    {
        "Manufacturer": HOSTILE[0],
        "ManufacturersModelName": HOSTILE[1],
        "ProtocolName": HOSTILE[2],
        "SeriesDescription": HOSTILE[3],
        "InstitutionName": HOSTILE[4],
        "RepetitionTime": HOSTILE[1],
        "EchoTime": [HOSTILE[0]],
        "MagneticFieldStrength": {HOSTILE[0]: HOSTILE[1]},
        **{text: text for text in HOSTILE},
    }
).encode()

CODES, SLOPE, DESCRIPTION, MATRIX, MAGIC = 252, 112, 148, 280, 344  # offsets of qform_code, sform_code ... in nifti1.h

BAD_SCANS: tuple[BadScan, ...] = (
    BadScan("truncated", "gzip cut in the middle", "failed", _bytes(lambda raw: raw[: len(raw) // 2])),
    BadScan("notgzip", "no gzip, no NIfTI", "failed", _bytes(lambda raw: b"plain text " * 50)),
    BadScan("magic", "gzip of something else", "failed", _bytes(lambda raw: gzip.compress(b"no image " * 99))),
    BadScan("badmagic", "a NIfTI header with a wrong magic number", "failed", _header((MAGIC, b"xx9\0"))),
    BadScan("empty", "0 bytes", "failed", _bytes(lambda raw: b"")),
    BadScan("zeros", "every voxel 0", "failed", _values(np.zeros_like)),
    BadScan("constant", "every voxel the same", "failed", _values(lambda head: np.full_like(head, 42))),
    BadScan("nan", "every voxel NaN", "failed", _values(lambda head: np.full(head.shape, np.nan, "float32"))),
    BadScan("somenan", "a few NaN and infinite voxels", "ok", _values(_planted(np.nan, np.inf, -np.inf))),
    BadScan("negative", "a few negative voxels", "ok", _values(_planted(-50.0, -3.0))),
    BadScan("standardised", "most voxels negative (mean 0, SD 1)", "ok", _values(_standardised)),
    BadScan("slice", "a single slice (2D)", "failed", _values(lambda head: head[:, :, head.shape[2] // 2])),
    BadScan("series", "four volumes (4D)", "failed", _values(lambda head: np.stack([head] * 4, axis=-1))),
    BadScan("colour", "RGB values", "failed", _values(_colour)),
    BadScan("singleton", "one axis of length 1", "failed", _values(lambda head: head[:, :, 60:61])),
    BadScan("universe", "a header claiming 30000 x 30000 x 30000", "failed", _universe),
    BadScan("hugevoxels", "voxels of 500 mm", "failed", _affine(_edges(500.0))),
    BadScan("tinyvoxels", "voxels of 2 micrometres", "failed", _affine(_edges(0.002))),
    BadScan("oblique", "axes turned by 25 degrees", "ok", _affine(_oblique)),
    BadScan("flipped", "axes stored as LPS", "ok", _affine(_flip)),
    BadScan("nosform", "no sform, no qform", "ok", _no_sform),
    BadScan("nomatrix", "an sform of zeros", "ok", _header((CODES, b"\0\0\1\0"), (MATRIX, bytes(48)))),
    BadScan("uint8", "8-bit values", "ok", _values(lambda head: (head * (250.0 / head.max())).astype("uint8"))),
    BadScan("uint16", "unsigned 16-bit values", "ok", _values(_dtype("uint16"))),
    BadScan("int32", "32-bit values", "ok", _values(_dtype("int32"))),
    BadScan("float32", "32-bit floating point", "ok", _values(_dtype("float32"))),
    BadScan("float64", "64-bit floating point", "ok", _values(_dtype("float64"))),
    BadScan("slope", "stored slope and intercept", "ok", _scaled),
    BadScan("badslope", "a stored slope of NaN", "ok", _header((SLOPE, np.float32(np.nan).tobytes()))),
    BadScan("brokenjson", "a sidecar that is no JSON", "ok", _values(lambda head: head), b'{"EchoTime": 0.003,'),
    BadScan("listjson", "a sidecar that is a list", "ok", _values(lambda head: head), b'[{"EchoTime": 0.003}]'),
    BadScan("latinjson", "a sidecar that is not UTF-8", "ok", _values(lambda head: head), b'{"ProtocolName": "\xe9"}'),
    BadScan(
        "hostile",
        "markup, templates and formats in every string of sidecar and header",
        "ok",
        _header((DESCRIPTION, HOSTILE[0].encode())),
        HOSTILE_SIDECAR,
    ),
    BadScan("link", "a DataLad link without content", "failed", _broken_link),
    BadScan("unreadable", "no permission to read", "failed", _unreadable),
    BadScan("good", "a good scan among them", "ok", _values(lambda head: head)),
)


def write_dataset(root: Path, head: Array, affine: Array, suffix: str = "T1w") -> tuple[BadScan, ...]:
    """Write the dataset.

    Parameters
    ----------
    root : Path
        A new folder.
    head : ndarray of int16, shape (X, Y, Z)
        A good scan, the base of the bad ones.
    affine : ndarray, shape (4, 4)
    suffix : str

    Returns
    -------
    tuple of BadScan
        Those written, one subject each.
    """
    root.mkdir(parents=True)
    description = {"Name": f"Bad scans {' '.join(HOSTILE)}", "BIDSVersion": "1.10.0"}
    (root / "dataset_description.json").write_text(json.dumps(description))
    people = [["participant_id", *HOSTILE], *([f"sub-{scan.label}", *HOSTILE] for scan in BAD_SCANS)]
    (root / "participants.tsv").write_text("".join("\t".join(row) + "\n" for row in people))
    for scan in BAD_SCANS:
        folder = root / f"sub-{scan.label}" / "anat"
        folder.mkdir(parents=True)
        path = folder / f"sub-{scan.label}_{suffix}.nii.gz"
        scan.write(path, head, affine)
        if scan.sidecar is not None:
            path.with_name(path.name.replace(".nii.gz", ".json")).write_bytes(scan.sidecar)
    return BAD_SCANS
