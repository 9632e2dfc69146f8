# SPDX-License-Identifier: Apache-2.0
"""Which ruler a scan is read against: the nearest by suffix and metadata, with the reasons in words."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bidsqa.image import thick_axis
from bidsqa.image.slices import THICK_SLICE_RATIO
from bidsqa.rulers.ruler import DIMENSIONS, Kind, Ruler

SAME_FIELD_TESLA = 0.5
HEAD_WORDS = frozenset({"", "brain", "head", "skull", "neuro", "headneck"})
_FAT_WORDS = frozenset({"fs", "fatsat", "fat_sat", "sfs", "spir", "spair", "chess"})
_GAUSS = 100.0  # a field strength above this was written in gauss


@dataclass(frozen=True)
class Match:
    """A scan's ruler.

    Parameters
    ----------
    ruler : Ruler
    why : tuple of str
        What agrees and what doesn't, in words, the most important first.
    """

    ruler: Ruler
    why: tuple[str, ...]


def kind_of_scan(suffix: str, acquisition: Mapping[str, Any], spacing: Sequence[float]) -> Kind:
    """The kind of a scan, from its suffix, the sidecar's keys that the record keeps, and its voxels.

    Parameters
    ----------
    suffix : str
    acquisition : mapping
        As :func:`bidsqa.bids.acquisition` gives it; of any content.
    spacing : sequence of float
        Voxel edges in mm, RAS+ order.
    """
    axis = thick_axis(spacing)
    edges = [edge for place, edge in enumerate(spacing) if place != axis]
    said = acquisition.get("MRAcquisitionType")
    thick = "2D" if max(spacing) >= THICK_SLICE_RATIO * min(spacing) else "3D"
    return Kind(
        suffix=suffix,
        dimension=said if said in DIMENSIONS else thick,
        field_strength=_tesla(acquisition.get("MagneticFieldStrength")),
        fat_saturation=_fat_saturation(acquisition.get("ScanOptions")),
        body_part=_body_part(acquisition.get("BodyPart")),
        pixel=sum(edges) / len(edges),
    )


def match_ruler(kind: Kind, rulers: Sequence[Ruler]) -> Match | None:
    """The nearest ruler to a scan.

    Suffix and body part must agree. Then what counts, in this order: a site's own ruler before one that ships with
    bidsqa, 2D or 3D, fat saturation, field strength, a threshold set by a person, the size of the pixels, the name.

    Returns
    -------
    Match or None
        None where no ruler has the scan's suffix and body part.
    """
    fitting = [row for row in rulers if (row.kind.suffix, row.kind.body_part) == (kind.suffix, kind.body_part)]
    if not fitting:
        return None
    best = min(fitting, key=lambda row: (row.shipped, *_distance(kind, row), row.name))
    return Match(best, tuple(_reasons(kind, best)))


def _distance(kind: Kind, ruler: Ruler) -> tuple[float, ...]:
    other = ruler.kind
    pixels = 0.0
    if kind.pixel and other.pixel:
        pixels = round(abs(math.log(kind.pixel / other.pixel)), 2)
    return (
        float(kind.dimension != other.dimension),
        _apart(kind.fat_saturation, other.fat_saturation),
        1.0 if _field_differs(kind, other) else 0.5 if _unknown_field(kind, other) else 0.0,
        float(not ruler.threshold.by_person),
        pixels,
    )


def _apart(one: bool | None, other: bool | None) -> float:
    """0 where both are known and equal, 0.5 where one isn't known, 1 where they differ."""
    if one is None or other is None:
        return 0.0 if one == other else 0.5
    return float(one != other)


def _unknown_field(one: Kind, other: Kind) -> bool:
    return (one.field_strength is None) != (other.field_strength is None)


def _field_differs(one: Kind, other: Kind) -> bool:
    if one.field_strength is None or other.field_strength is None:
        return False
    return abs(one.field_strength - other.field_strength) > SAME_FIELD_TESLA


def _reasons(kind: Kind, ruler: Ruler) -> list[str]:
    """What agrees and what doesn't."""
    other = ruler.kind
    found = [
        "a ruler that ships with bidsqa" if ruler.shipped else "the site's own ruler",
        f"{kind.suffix} as the scan",
    ]
    if kind.body_part != "brain":
        found.append(f"{kind.body_part} as the scan")
    same = kind.dimension == other.dimension
    found.append(f"{other.dimension} as the scan" if same else f"{other.dimension}, the scan is {kind.dimension}")
    if kind.fat_saturation is not None and other.fat_saturation is not None:
        words = {True: "with fat saturation", False: "without fat saturation"}
        agrees = kind.fat_saturation == other.fat_saturation
        told = " as the scan" if agrees else f", the scan is {words[kind.fat_saturation]}"
        found.append(words[other.fat_saturation] + told)
    if other.field_strength is not None and kind.field_strength is not None:
        told = "as the scan" if not _field_differs(kind, other) else f"and the scan at {kind.field_strength:g} T"
        found.append(f"made at {other.field_strength:g} T {told}")
    return found


def _tesla(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e6:
        return None
    return float(value) / 10_000 if value > _GAUSS else float(value)


def _fat_saturation(options: Any) -> bool | None:
    """Whether ``ScanOptions`` speaks of fat saturation; None where there are no options."""
    texts = [options] if isinstance(options, str) else options if isinstance(options, list) else []
    words = [word for text in texts if isinstance(text, str) for word in re.split(r"[\\/,; ]+", text.lower()) if word]
    return any(word in _FAT_WORDS for word in words) if words else None


def _body_part(value: Any) -> str:
    word = re.sub(r"[^a-z]", "", value.lower()) if isinstance(value, str) else ""
    return "brain" if word in HEAD_WORDS else word
