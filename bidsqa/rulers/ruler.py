# SPDX-License-Identifier: Apache-2.0
"""A ruler: eight versions of one slice, the kind of scan it stands for, and from which version on scans are good."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bidsqa.errors import InputError
from bidsqa.rulers.scale import VERSIONS, check_threshold

AUTOMATIC = "automatic rule, no human"
PERSON = "a person"
DIMENSIONS = ("2D", "3D")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
SUFFIX = re.compile(r"[A-Za-z0-9]{1,32}")
SIDES = (32, 1024)
KINDS = ("uint8", "uint16", "float16", "float32")

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Kind:
    """The kind of scan that a ruler stands for, or that a scan is.

    Parameters
    ----------
    suffix : str
        BIDS suffix, e.g. ``T1w``.
    dimension : str
        ``2D`` (slices) or ``3D`` (a volume).
    field_strength : float or None
        Tesla; None where not known.
    fat_saturation : bool or None
        None where not known.
    body_part : str
        In lower case, ``brain`` for heads.
    pixel : float or None
        Mean edge of a pixel in mm; None where not known.
    """

    suffix: str
    dimension: str
    field_strength: float | None = None
    fat_saturation: bool | None = None
    body_part: str = "brain"
    pixel: float | None = None


@dataclass(frozen=True)
class Threshold:
    """From which version on scans are accepted, and who says so.

    Parameters
    ----------
    value : float
        0 to 7 in steps of 0.5.
    source : str
        ``"automatic rule, no human"`` or ``"a person"``.
    set_by : str
        Name or initials; may be empty.
    set_on : str
        ISO date; empty where not known.
    """

    value: float
    source: str = AUTOMATIC
    set_by: str = ""
    set_on: str = ""

    @property
    def by_person(self) -> bool:
        """Whether a person has set it."""
        return self.source == PERSON


@dataclass(frozen=True)
class Ruler:
    """A ruler.

    Parameters
    ----------
    name : str
        Letters, digits, dots, dashes and underscores.
    versions : ndarray, shape (8, rows, columns)
        From worst (0) to the original (7), laid out as a picture; finite, not negative.
    kind : Kind
    threshold : Threshold
    snr_db : tuple of float
        SNR of versions 0 to 6 against the original in dB, equal steps.
    provenance : dict
        Where the slice comes from and how the versions were made: texts and numbers by name.
    sha256 : str
        Of the file of the images; empty where there is none yet.
    shipped : bool
        Comes with bidsqa.
    """

    name: str
    versions: Array
    kind: Kind
    threshold: Threshold
    snr_db: tuple[float, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    sha256: str = ""
    shipped: bool = False

    def with_threshold(self, threshold: Threshold) -> Ruler:
        """The same ruler with another threshold."""
        return replace(self, threshold=threshold)


def check_ruler(ruler: Ruler) -> Ruler:
    """The ruler, if everything in it is as it must be.

    Raises
    ------
    InputError
        With the first thing that isn't.
    """
    if not NAME.fullmatch(ruler.name):
        raise InputError(
            f"A ruler can't have the name {ruler.name[:80]!r}.",
            "Use letters, digits, dots, dashes, underscores; 64 at most.",
        )
    problem = _problem_of_kind(ruler.kind) or _problem_of_versions(ruler.versions)
    if not problem:
        try:
            check_threshold(ruler.threshold.value)
        except ValueError as error:
            problem = str(error)
    if not problem and ruler.threshold.source not in (AUTOMATIC, PERSON):
        problem = f"the threshold comes from {AUTOMATIC!r} or {PERSON!r}"
    if problem:
        raise InputError(
            f"The ruler {ruler.name} can't be used: {problem}.", "Build it again: bidsqa-ruler build SCAN OUT"
        )
    return ruler


def _problem_of_kind(kind: Kind) -> str:
    if not SUFFIX.fullmatch(kind.suffix):
        return f"{kind.suffix[:40]!r} is no BIDS suffix"
    if kind.dimension not in DIMENSIONS:
        return "its dimension must be 2D or 3D"
    if kind.field_strength is not None and not 0 < kind.field_strength < 30:
        return "its field strength must lie between 0 and 30 T"
    if kind.pixel is not None and not 0.05 < kind.pixel < 20:
        return "the edge of its pixels must lie between 0.05 and 20 mm"
    return ""


def _problem_of_versions(versions: Array) -> str:
    if versions.ndim != 3 or versions.shape[0] != VERSIONS:
        return f"it must hold {VERSIONS} images of one size"
    low, high = SIDES
    if not all(low <= side <= high for side in versions.shape[1:]):
        return f"its images must have {low} to {high} rows and columns"
    if versions.dtype.name not in KINDS:
        return f"its images must be one of {', '.join(KINDS)}"
    if not bool(np.isfinite(versions).all()):
        return "its images hold values that are no finite numbers"
    if float(versions.min()) < 0:
        return "its images hold negative values"
    if any(float(image.max()) == float(image.min()) for image in versions):
        return "one of its images is empty"
    return ""
