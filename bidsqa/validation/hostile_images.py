# SPDX-License-Identifier: Apache-2.0
"""Image files that were never meant to be read: any header field changed, gzip streams cut, mixed up or swollen.

They are drawn by hypothesis.
"""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from hypothesis import strategies as st

SHAPE = (10, 9, 8)
SWOLLEN = 200_000_000  # bytes that a file of some 200 kB expands to
INTEGERS = (0, 1, -1, 2, 7, 8, 127, 255, 352, 540, 30000, 32767, -32768, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63))
FLOATS = (0.0, -0.0, 1.0, -1.0, 352.0, 1e-45, 1e-30, 1e8, 2.0**31, 1e30, 1e38, -1e38, np.inf, -np.inf, np.nan)


@dataclass(frozen=True)
class HostileFile:
    """A file and what was done to it.

    Parameters
    ----------
    name : str
        With its extension.
    content : bytes
    what : str
        For the message when it breaks something.
    """

    name: str
    content: bytes
    what: str

    def __repr__(self) -> str:
        return f"HostileFile({self.name!r}, {len(self.content)} bytes, {self.what})"


def hostile_images() -> st.SearchStrategy[HostileFile]:
    """NIfTI files, most with one to four faults; some are fine."""
    return st.composite(_draw_image)()


def _draw_image(draw: Callable[[Any], Any]) -> HostileFile:
    second, swapped = draw(st.booleans()), draw(st.booleans())
    block, data = _good(second, swapped)
    told = ["NIfTI-2" if second else "NIfTI-1", *(["byte-swapped"] if swapped else [])]
    for _ in range(draw(st.integers(0, 4))):
        told.append(_change_field(draw, block))
    extension = draw(st.sampled_from(_EXTENSIONS))
    told += [f"extension {extension.hex()}"] if extension else []
    if extension and draw(st.booleans()):
        block["vox_offset"] = block.dtype.itemsize + 4 + len(extension)
    flag = b"\1\0\0\0" if extension else b"\0\0\0\0"
    raw = block.tobytes() + flag + extension + data
    if draw(st.integers(0, 3)) == 0:
        raw, what = draw(st.sampled_from(_BYTES))(draw, raw)
        told.append(what)
    if draw(st.booleans()):
        return HostileFile("scan.nii", raw, ", ".join(told))
    packed = gzip.compress(raw, 1, mtime=0)
    if draw(st.integers(0, 2)) == 0:
        packed, what = draw(st.sampled_from(_PACKED))(draw, raw, packed)
        told.append(what)
    return HostileFile("scan.nii.gz", packed, ", ".join(told))


@lru_cache(maxsize=4)
def _base(second: bool, swapped: bool) -> tuple[bytes, Any, bytes]:
    import nibabel

    kind = nibabel.Nifti2Image if second else nibabel.Nifti1Image
    grid = np.indices(SHAPE).sum(axis=0)
    image = kind((grid * 37 % 101).astype(np.int16), np.diag([1.5, 2.0, 2.5, 1.0]))
    header = image.header.as_byteswapped(">" if swapped else "<")
    header["vox_offset"] = len(header.binaryblock) + 4
    values = np.asarray(image.dataobj).astype(">i2" if swapped else "<i2")
    return header.binaryblock, header.structarr.dtype, values.tobytes(order="F")


def _good(second: bool, swapped: bool) -> tuple[Any, bytes]:
    block, kind, data = _base(second, swapped)
    return np.frombuffer(block, dtype=kind).copy().reshape(()), data


def _change_field(draw: Callable[[Any], Any], block: Any) -> str:
    name = draw(st.sampled_from(block.dtype.names))
    field = block.dtype[name]
    base, count = (field.subdtype[0], int(np.prod(field.subdtype[1]))) if field.subdtype else (field, 1)
    if base.kind == "S":
        value: Any = draw(st.binary(max_size=base.itemsize))
        block[name] = value
        return f"{name}={value!r}"
    at = draw(st.integers(0, count - 1))
    if base.kind == "f":
        value = draw(st.sampled_from(FLOATS) | st.floats(width=32))
    else:
        low, high = np.iinfo(base).min, np.iinfo(base).max
        value = draw(st.sampled_from([entry for entry in INTEGERS if low <= entry <= high]) | st.integers(low, high))
    with np.errstate(over="ignore", invalid="ignore"):
        if field.subdtype:
            block[name].reshape(-1)[at] = value
        else:
            block[name] = value
    return f"{name}[{at}]={value!r}"


def _extension(size: int, code: int, content: bytes = b"") -> bytes:
    return struct.pack("<ii", size, code) + content


_EXTENSIONS = (
    b"",
    b"",
    b"",
    _extension(16, 6, b"comment!"),
    _extension(16, 32, b"<CIFTI/>"),
    _extension(2**31 - 16, 4),
    _extension(-16, 4),
    _extension(0, 4),
    _extension(8, 2),
    _extension(16, 2, b"\xff" * 8),
    _extension(32, 0, b"\0" * 24) * 50,
)


def _cut(draw: Callable[[Any], Any], raw: bytes) -> tuple[bytes, str]:
    at = draw(st.integers(0, len(raw)))
    return raw[:at], f"cut at {at}"


def _flip(draw: Callable[[Any], Any], raw: bytes) -> tuple[bytes, str]:
    at, value = draw(st.integers(0, len(raw) - 1)), draw(st.integers(0, 255))
    return raw[:at] + bytes([value]) + raw[at + 1 :], f"byte {at} is {value}"


def _noise(draw: Callable[[Any], Any], raw: bytes) -> tuple[bytes, str]:
    return draw(st.binary(max_size=700)), "any bytes"


def _cut_packed(draw: Callable[[Any], Any], raw: bytes, packed: bytes) -> tuple[bytes, str]:
    cut, what = _cut(draw, packed)
    return cut, f"gzip {what}"


def _flip_packed(draw: Callable[[Any], Any], raw: bytes, packed: bytes) -> tuple[bytes, str]:
    flipped, what = _flip(draw, packed)
    return flipped, f"gzip {what}"


def _twice(draw: Callable[[Any], Any], raw: bytes, packed: bytes) -> tuple[bytes, str]:
    return gzip.compress(packed, 1, mtime=0), "gzip in gzip"


def _not_packed(draw: Callable[[Any], Any], raw: bytes, packed: bytes) -> tuple[bytes, str]:
    return raw, "no gzip inside"


def _tail(draw: Callable[[Any], Any], raw: bytes, packed: bytes) -> tuple[bytes, str]:
    return packed + draw(st.binary(min_size=1, max_size=20)), "bytes after the gzip"


def _swollen(draw: Callable[[Any], Any], raw: bytes, packed: bytes) -> tuple[bytes, str]:
    return packed + _zeros(), f"{SWOLLEN:,} zeros behind"


@lru_cache(maxsize=1)
def _zeros() -> bytes:
    return gzip.compress(bytes(SWOLLEN), 1, mtime=0)


_BYTES = (_cut, _flip, _noise)
_PACKED = (_cut_packed, _flip_packed, _twice, _not_packed, _tail, _swollen)


def swollen_images() -> dict[str, bytes]:
    """Small ``.nii.gz`` files that expand to hundreds of megabytes, each by another part of the format."""
    found = {}
    for second in (False, True):
        kind = "NIfTI-2" if second else "NIfTI-1"
        block, data = _good(second, False)
        start = block.tobytes() + bytes(4) + data
        found[f"{kind}, zeros behind the image"] = gzip.compress(start, 1) + _zeros()
        block["vox_offset"] = SWOLLEN
        found[f"{kind}, the image after {SWOLLEN:,} bytes"] = gzip.compress(block.tobytes() + bytes(4), 1) + _zeros()
        block["vox_offset"] = block.dtype.itemsize + 4 + SWOLLEN // 16 * 16
        flagged = block.tobytes() + b"\1\0\0\0" + _extension(SWOLLEN // 16 * 16, 4)
        found[f"{kind}, an extension of {SWOLLEN:,} bytes"] = gzip.compress(flagged, 1) + _zeros()
        block, data = _good(second, False)
        block["dim"] = [3, 30000, 30000, 30000, 1, 1, 1, 1]
        found[f"{kind}, a header claiming 30000 x 30000 x 30000"] = (
            gzip.compress(block.tobytes() + bytes(4), 1) + _zeros()
        )
        block["dim"] = [7, 10, 9, 8, 32767, 32767, 32767, 32767]
        found[f"{kind}, a header claiming seven axes"] = gzip.compress(block.tobytes() + bytes(4), 1) + _zeros()
    return found
