# SPDX-License-Identifier: Apache-2.0
"""A ruler as a folder: ``ruler.json`` (what it is), ``versions.npz`` (the images), ``ruler.png`` (to look at).

What is read comes from outside and isn't trusted: sizes are bounded before anything is unpacked, nothing is unpickled,
no name in the JSON is used as a path, and the images must have the checksum that the JSON tells.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import stat
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bidsqa.bids.writing import write_atomic
from bidsqa.errors import InputError
from bidsqa.rulers.picture import contact_sheet
from bidsqa.rulers.ruler import AUTOMATIC, NAME, SIDES, Kind, Ruler, Threshold, check_ruler
from bidsqa.rulers.scale import VERSIONS
from bidsqa.settings import RULER_FACTS

FACTS, IMAGES, PICTURE = RULER_FACTS, "versions.npz", "ruler.png"
FORMAT, FORMAT_VERSION = "bidsqa-ruler", 1
LARGEST_FACTS = 100_000
LARGEST_ARRAY = VERSIONS * SIDES[1] ** 2 * 4 + 4096
LONGEST_TEXT = 300
MOST_NOTES = 64
_MEMBER = "versions.npy"

Array = np.ndarray[Any, Any]


def write_ruler(ruler: Ruler, folder: Path) -> Ruler:
    """Write a ruler, the facts last: a folder without ``ruler.json`` holds none.

    Parameters
    ----------
    ruler : Ruler
    folder : Path
        Made where it is missing.

    Returns
    -------
    Ruler
        With the checksum of its images.

    Raises
    ------
    InputError
        When something in the ruler is not as it must be.
    OSError
        When the folder can't be written.
    """
    check_ruler(ruler)
    content = io.BytesIO()
    np.savez_compressed(content, versions=ruler.versions)
    data = _without_dates(content.getvalue())
    digest = hashlib.sha256(data).hexdigest()
    facts = facts_of(ruler, digest)
    text = json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomic(folder / IMAGES, data)
    write_atomic(folder / PICTURE, contact_sheet(ruler.versions))
    write_atomic(folder / FACTS, text)
    return read_ruler(folder)


def write_threshold(folder: Path, threshold: Threshold) -> Ruler:
    """Set the threshold of a ruler's folder and leave everything else as it is.

    Raises
    ------
    InputError
        When the folder holds no usable ruler, or the threshold is none.
    OSError
        When the folder can't be written.
    """
    ruler = check_ruler(read_ruler(folder).with_threshold(threshold))
    text = json.dumps(facts_of(ruler, ruler.sha256), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomic(folder / FACTS, text)
    return ruler


def facts_of(ruler: Ruler, digest: str) -> dict[str, Any]:
    """What ``ruler.json`` says of a ruler."""
    kind, threshold = ruler.kind, ruler.threshold
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "name": ruler.name,
        "suffix": kind.suffix,
        "dimension": kind.dimension,
        "field_strength": kind.field_strength,
        "fat_saturation": kind.fat_saturation,
        "body_part": kind.body_part,
        "pixel": kind.pixel,
        "threshold": {
            "value": threshold.value,
            "label_source": threshold.source,
            "set_by": threshold.set_by,
            "set_on": threshold.set_on,
        },
        "snr_db": list(ruler.snr_db),
        "provenance": dict(ruler.provenance),
        "images": {
            "file": IMAGES,
            "sha256": digest,
            "shape": list(ruler.versions.shape),
            "dtype": ruler.versions.dtype.name,
        },
    }


def read_ruler(folder: Path, *, shipped: bool = False) -> Ruler:
    """Read and check a ruler's folder.

    Parameters
    ----------
    folder : Path
    shipped : bool
        Whether it comes with bidsqa.

    Returns
    -------
    Ruler

    Raises
    ------
    InputError
        One clear sentence: what is missing, too large, damaged, changed or out of range.
    """
    facts = _facts(folder / FACTS)
    images = _table(facts, "images")
    data = _bytes(folder / IMAGES, LARGEST_ARRAY)
    digest = hashlib.sha256(data).hexdigest()
    if digest != images.get("sha256"):
        raise InputError(
            f"The images of the ruler {folder} are not those it was made with: the checksum differs.",
            "Take an unchanged copy, or build it again: bidsqa-ruler build SCAN OUT",
        )
    versions = _versions(data, folder)
    if list(versions.shape) != images.get("shape"):
        raise _odd(folder, "the images have another shape than ruler.json says")
    threshold = _table(facts, "threshold")
    ruler = Ruler(
        name=_text(facts, "name"),
        versions=versions,
        kind=Kind(
            suffix=_text(facts, "suffix"),
            dimension=_text(facts, "dimension"),
            field_strength=_number(facts, "field_strength"),
            fat_saturation=facts["fat_saturation"] if isinstance(facts.get("fat_saturation"), bool) else None,
            body_part=_text(facts, "body_part") or "brain",
            pixel=_number(facts, "pixel"),
        ),
        threshold=Threshold(
            value=_number(threshold, "value", math.nan),
            source=_text(threshold, "label_source") or AUTOMATIC,
            set_by=_text(threshold, "set_by"),
            set_on=_text(threshold, "set_on"),
        ),
        snr_db=tuple(_numbers(facts.get("snr_db"))),
        provenance=_notes(facts.get("provenance")),
        sha256=digest,
        shipped=shipped,
    )
    if not NAME.fullmatch(ruler.name):
        raise _odd(folder, f"it can't have the name {ruler.name[:80]!r}")
    return check_ruler(ruler)


def _facts(path: Path) -> dict[str, Any]:
    data = _bytes(path, LARGEST_FACTS)
    try:
        facts = json.loads(data.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise _odd(path.parent, f"{FACTS} is no valid JSON") from None
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise _odd(path.parent, f"{FACTS} doesn't describe a ruler")
    if facts.get("format_version") != FORMAT_VERSION:
        raise InputError(
            f"The ruler {path.parent} was written in a form that this version doesn't know.", "Use a newer bidsqa."
        )
    return facts


def _no_constant(name: str) -> float:
    raise ValueError(name)


def _bytes(path: Path, largest: int) -> bytes:
    """A regular file's content, if it isn't too large."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise _odd(path.parent, f"{path.name} is no regular file")
        if status.st_size > largest:
            raise _odd(path.parent, f"{path.name} is too large")
        with path.open("rb") as stream:
            data = stream.read(largest + 1)
    except OSError as error:
        hint = "Rulers are made by: bidsqa-ruler build SCAN OUT"
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            raise InputError(f"The folder {path.parent} holds no ruler: there is no {path.name}.", hint) from error
        raise InputError(
            f"The ruler's file {path} can't be read: {error.strerror}.", "Check its permissions."
        ) from error
    if len(data) > largest:
        raise _odd(path.parent, f"{path.name} is too large")
    return data


def _versions(data: bytes, folder: Path) -> Array:
    """The array in the file; what would unpack to more than an array of the largest size isn't unpacked."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if len(members) != 1 or members[0].filename != _MEMBER:
                raise _odd(folder, f"{IMAGES} must hold one array, named versions")
            with archive.open(members[0]) as stream:
                content = stream.read(LARGEST_ARRAY + 1)
        if len(content) > LARGEST_ARRAY:
            raise _odd(folder, f"{IMAGES} unpacks to more than a ruler can hold")
        return _array(content, folder)
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, EOFError, NotImplementedError, RuntimeError):
        raise _odd(folder, f"{IMAGES} is damaged") from None


def _array(content: bytes, folder: Path) -> Array:
    stream = io.BytesIO(content)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise _odd(folder, f"{IMAGES} has an array of an unknown form")
    shape, by_columns, dtype = np.lib.format.read_array_header_1_0(stream)
    # the header is believed only where it agrees with the bytes that are there
    if dtype.hasobject or dtype.kind not in "uf" or math.prod(shape) * dtype.itemsize != len(content) - stream.tell():
        raise _odd(folder, f"{IMAGES} holds no plain array of numbers")
    values = np.frombuffer(content, dtype=dtype, offset=stream.tell())
    return np.ascontiguousarray(values.reshape(shape, order="F" if by_columns else "C"))


def _without_dates(data: bytes) -> bytes:
    """The same archive without the time of writing: equal images give an equal file."""
    result = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as source,
        zipfile.ZipFile(result, "w", zipfile.ZIP_DEFLATED, True, 9) as kept,
    ):
        for member in source.infolist():
            kept.writestr(zipfile.ZipInfo(member.filename), source.read(member), zipfile.ZIP_DEFLATED, 9)
    return result.getvalue()


def _odd(folder: Path, problem: str) -> InputError:
    return InputError(f"The ruler {folder} can't be used: {problem}.", "Build it again: bidsqa-ruler build SCAN OUT")


def _table(facts: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = facts.get(key)
    return value if isinstance(value, dict) else {}


def _text(facts: Mapping[str, Any], key: str) -> str:
    """A text of bounded length, without what can't be shown."""
    value = facts.get(key)
    return plain_text(value) if isinstance(value, str) else ""


def plain_text(value: str) -> str:
    """Printable characters alone, bounded in length."""
    return "".join(sign for sign in value[: 4 * LONGEST_TEXT] if sign.isprintable())[:LONGEST_TEXT]


def _number(facts: Mapping[str, Any], key: str, otherwise: Any = None) -> Any:
    found = _numbers([facts.get(key)])
    return found[0] if found else otherwise


def _numbers(values: Any) -> list[float]:
    """The finite numbers of a list, of as many entries as a ruler has versions."""
    kept = values[:VERSIONS] if isinstance(values, list) else []
    plain = [value for value in kept if isinstance(value, int | float) and not isinstance(value, bool)]
    return [float(value) for value in plain if abs(value) < 1e15 and math.isfinite(value)]


def _notes(values: Any) -> dict[str, Any]:
    """Texts and numbers by name, bounded in number and length."""
    kept: dict[str, Any] = {}
    for key, value in list(values.items())[:MOST_NOTES] if isinstance(values, dict) else ():
        if isinstance(value, str):
            kept[plain_text(key)] = plain_text(value)
        elif _numbers([value]):
            kept[plain_text(key)] = value
    return kept
