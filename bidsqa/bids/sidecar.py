# SPDX-License-Identifier: Apache-2.0
"""Sidecar metadata: the inheritance principle, and the keys that a record keeps.

A sidecar is data from outside: a broken one costs a warning on the scans it applies to, nothing more.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from pathlib import Path
from typing import Any

from bidsqa.bids.dates import KEY as DATE_KEY
from bidsqa.bids.dates import PARTS as DATE_PARTS
from bidsqa.bids.dates import settle_date
from bidsqa.bids.scan import EXTENSIONS, split_name
from bidsqa.bids.tsv import Tsv, read_tsv
from bidsqa.plain_files import read_bytes, why_unread

LARGEST_SIDECAR = 5_000_000  # bytes; real ones have a few thousand
LONGEST_TEXT = 300
LONGEST_LIST = 64

ACQUISITION_KEYS = (
    "Manufacturer",
    "ManufacturersModelName",
    "DeviceSerialNumber",
    "StationName",
    "InstitutionName",
    "SoftwareVersions",
    "MagneticFieldStrength",
    "ReceiveCoilName",
    "ReceiveCoilActiveElements",
    "ProtocolName",
    "PulseSequenceType",
    "SequenceName",
    "ScanningSequence",
    "SequenceVariant",
    "ScanOptions",
    "MRAcquisitionType",
    "ImageType",
    "RepetitionTime",
    "EchoTime",
    "InversionTime",
    "FlipAngle",
    "SliceThickness",
    "SpacingBetweenSlices",
    "PixelBandwidth",
    "DwellTime",
    "PartialFourier",
    "ParallelReductionFactorInPlane",
    "ParallelAcquisitionTechnique",
    "PhaseEncodingDirection",
    "InPlanePhaseEncodingDirectionDICOM",
    "NonlinearGradientCorrection",
    "ContrastBolusIngredient",
    "BodyPart",
    "ConversionSoftware",
    "ConversionSoftwareVersion",
    DATE_KEY,
)
# what converters call a key of BIDS: dcm2niix has written DICOM's name of this one
OTHER_NAMES = {"BodyPart": "BodyPartExamined"}
# as BIDS has them
UNITS = {
    "MagneticFieldStrength": "T",
    "RepetitionTime": "s",
    "EchoTime": "s",
    "InversionTime": "s",
    "FlipAngle": "degrees",
    "SliceThickness": "mm",
    "SpacingBetweenSlices": "mm",
    "PixelBandwidth": "Hz",
    "DwellTime": "s",
}


class Sidecars:
    """Reads the sidecars of a dataset, each file once and each folder once.

    Parameters
    ----------
    root : Path
        The dataset's root folder; nothing above it is looked at.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folders: dict[Path, list[tuple[Path, dict[str, str], str]]] = {}
        self._shared: dict[Path, tuple[dict[str, Any], str | None]] = {}
        self._times: dict[Path, tuple[dict[str, str], tuple[str, ...]]] = {}

    def read(self, folder: Path, entities: dict[str, str], suffix: str) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Merged metadata of one image: from the root down to its folder, the nearer and the more specific file wins.

        Parameters
        ----------
        folder : Path
            Where the image lies, at or below the root.
        entities : dict of str to str
            The image's entities.
        suffix : str
            The image's suffix.

        Returns
        -------
        metadata : dict
            Merged keys.
        warnings : tuple of str
            One sentence for each sidecar that could not be used.
        """
        merged: dict[str, Any] = {}
        warnings: list[str] = []
        chain = [folder, *folder.parents]
        for level in reversed(chain[: chain.index(self._root) + 1] if self._root in chain else [folder]):
            fitting = [
                (len(wanted), path)
                for path, wanted, kind in self._list(level)
                if kind == suffix and wanted.items() <= entities.items()
            ]
            for _, path in sorted(fitting):
                values, problem = self._load(path, keep=level != folder)
                merged.update(values)
                if problem:
                    warnings.append(_unused(path, problem))
        times, odd = self._acquisition_times(folder.parent)
        name = "_".join([*(f"{key}-{label}" for key, label in entities.items()), suffix])
        if name in times:
            # the table has the last word: where dates had to be shifted, they were shifted there
            merged[DATE_KEY] = times[name]
        return merged, (*warnings, *odd, *_settle(merged))

    def _acquisition_times(self, folder: Path) -> tuple[dict[str, str], tuple[str, ...]]:
        """``acq_time`` by the scan's name, from the ``*_scans.tsv`` of a participant's or session's folder."""
        if folder in self._times:
            return self._times[folder]
        label = folder.name if folder.name.startswith("sub-") else f"{folder.parent.name}_{folder.name}"
        path = folder / f"{label}_scans.tsv"
        found: dict[str, str] = {}
        warnings: tuple[str, ...] = ()
        if folder.is_relative_to(self._root) and os.path.lexists(path):
            table: Tsv = read_tsv(path)
            warnings = tuple(f"{path.name}: {problem}." for problem in table.problems)
            for row in table.rows:
                name = row.get("filename", "").rpartition("/")[2]
                if name.endswith(EXTENSIONS) and "acq_time" in row:
                    found[name.partition(".")[0]] = row["acq_time"]
        self._times[folder] = found, warnings
        return self._times[folder]

    def _list(self, folder: Path) -> list[tuple[Path, dict[str, str], str]]:
        if folder not in self._folders:
            found = []
            try:
                with os.scandir(folder) as entries:
                    names = [entry.name for entry in entries if entry.name.endswith(".json")]
            except OSError:
                names = []
            for name in names:
                try:
                    entities, suffix, extension = split_name(name)
                except ValueError:
                    continue
                if extension == ".json":
                    found.append((folder / name, entities, suffix))
            self._folders[folder] = found
        return self._folders[folder]

    def _load(self, path: Path, keep: bool) -> tuple[dict[str, Any], str | None]:
        # only files above the image's own folder are shared by many images
        if path in self._shared:
            return self._shared[path]
        loaded = load_sidecar(path)
        if keep:
            self._shared[path] = loaded
        return loaded


def sidecars_of(path: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Metadata of a single image file: as `Sidecars` has it inside a BIDS dataset, else of the JSON file beside it.

    Parameters
    ----------
    path : Path
        The image; it lies inside a dataset where a folder above holds ``dataset_description.json`` and the image has
        its BIDS place below that.

    Returns
    -------
    metadata : dict
    warnings : tuple of str
        One sentence for each sidecar that could not be used.
    """
    place = Path(os.path.abspath(path))
    stem = place.name.removesuffix(".gz").removesuffix(".nii")
    root = next((folder for folder in place.parents if os.path.lexists(folder / "dataset_description.json")), None)
    if root is not None and place.relative_to(root).parts[0].startswith("sub-"):
        with contextlib.suppress(ValueError):
            entities, suffix, _ = split_name(stem)
            return Sidecars(root).read(place.parent, entities, suffix)
    beside = place.with_name(f"{stem}.json")
    if not os.path.lexists(beside):
        return {}, ()
    values, problem = load_sidecar(beside)
    return values, ((_unused(beside, problem),) if problem else _settle(values))


def _settle(metadata: dict[str, Any]) -> tuple[str, ...]:
    """Bring the date of acquisition into one key and form; a sentence where it is none."""
    date, problem = settle_date(metadata)
    for key in DATE_PARTS:
        metadata.pop(key, None)
    if date:
        metadata[DATE_KEY] = date
    return (problem,) if problem else ()


def _unused(path: Path, problem: str) -> str:
    return f"Sidecar {path.name} was not used: {problem}."


def load_sidecar(path: Path) -> tuple[dict[str, Any], str | None]:
    """Read one JSON file without trusting it.

    Parameters
    ----------
    path : Path
        The sidecar.

    Returns
    -------
    values : dict
        Its keys; empty where it can't be used.
    problem : str or None
        Why it can't be used, in words.
    """
    try:
        values = json.loads(read_bytes(path, LARGEST_SIDECAR, "a sidecar has a few kB").decode("utf-8-sig"))
    except FileNotFoundError:
        return {}, "its content is absent (a link that leads nowhere)"
    except OSError as error:
        return {}, why_unread(error)
    except UnicodeDecodeError:
        return {}, "it is no UTF-8 text"
    except json.JSONDecodeError as error:
        return {}, f"it is no valid JSON (line {error.lineno})"
    except (ValueError, RecursionError):
        return {}, "it is no valid JSON"
    if not isinstance(values, dict):
        return {}, "it holds no JSON object"
    return values, None


def acquisition(sidecar: dict[str, Any]) -> dict[str, Any]:
    """The keys of a sidecar that a record keeps: scanner, sequence, timing and date, nothing about the person.

    Parameters
    ----------
    sidecar : dict
        Merged metadata of a scan, of any content.

    Returns
    -------
    dict
        Keys of `ACQUISITION_KEYS` in that order; values are finite numbers, booleans, texts of at most
        300 characters or flat lists of these; anything else is left out. ``AcquisitionDateTime`` is ISO 8601. Where
        BIDS's key is absent, the converters' name for it is taken.
    """
    kept = {}
    for key in ACQUISITION_KEYS:
        told = sidecar.get(key, sidecar.get(OTHER_NAMES.get(key, key)))
        value = _plain(told) if key != DATE_KEY else settle_date(sidecar)[0] or None
        if value is not None:
            kept[key] = value
    return kept


def _plain(value: Any, nested: bool = False) -> Any:
    """A JSON-safe copy of a simple value, None for everything else."""
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return value if abs(value) < 1e15 and math.isfinite(value) else None
    if isinstance(value, str):
        # lone surrogates can't be written as UTF-8
        text = value.encode("utf-8", "replace").decode("utf-8").strip()
        return (text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…") or None
    if isinstance(value, list) and not nested:
        items = [_plain(item, nested=True) for item in value[:LONGEST_LIST]]
        return [item for item in items if item is not None] or None
    return None
