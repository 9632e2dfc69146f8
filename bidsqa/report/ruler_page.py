# SPDX-License-Identifier: Apache-2.0
"""The page on which a person looks at a ruler and says from which version on scans are accepted."""

from __future__ import annotations

import base64
import shlex
from typing import Any

from bidsqa.report import page
from bidsqa.rulers.picture import png, windowed
from bidsqa.rulers.ruler import PERSON, Ruler
from bidsqa.rulers.scale import THRESHOLD_STEP, VERSIONS, accepted_versions

CHOICE = "bidsqa-ruler-threshold"
"""The kind of the file that the page saves."""
CHOICE_VERSION = 1
STYLES = ("page.css", "ruler.css")
LONGEST_NAME = 100


def render_ruler(ruler: Ruler, place: str) -> str:
    """The page of a ruler: one HTML file that needs nothing beside it.

    Parameters
    ----------
    ruler : Ruler
        Texts in it are data: they appear as they are.
    place : str
        How ``bidsqa-ruler set`` names the ruler: its folder, or the name of one that ships with bidsqa.

    Returns
    -------
    str
        Complete, readable and printable without JavaScript; allowed to load nothing from outside.
    """
    images = [_picture(image, version, ruler) for version, image in enumerate(windowed(ruler.versions))]
    into = " --into my-rulers" if ruler.shipped else ""
    about = {
        "kind": CHOICE,
        "version": CHOICE_VERSION,
        "ruler": ruler.name,
        "sha256": ruler.sha256,
        "threshold": ruler.threshold.value,
        "step": THRESHOLD_STEP,
        "set": ruler.threshold.by_person,
        "command": f"bidsqa-ruler set {shlex.quote(place)}",
        "into": into,
    }
    return page.render(
        "ruler.html",
        "".join(map(page.static, STYLES)),
        page.static("ruler.js"),
        ruler=ruler,
        kind=_kind(ruler),
        images=images,
        last=VERSIONS - 1,
        step=THRESHOLD_STEP,
        accepted=_accepted(ruler.threshold.value),
        by_person=ruler.threshold.source == PERSON,
        longest_name=LONGEST_NAME,
        command=f"{about['command']} {ruler.threshold.value:g}{into}",
        facts=[(key.replace("_", " "), str(value)) for key, value in ruler.provenance.items() if value != ""],
        about=page.data_block(about),
    )


def _picture(image: Any, version: int, ruler: Ruler) -> dict[str, Any]:
    """One version for the page, with its caption."""
    worst, best = " (worst)" if version == 0 else "", " (the original)" if version == VERSIONS - 1 else ""
    snr = f"signal to noise {ruler.snr_db[version]:.1f} dB" if version < len(ruler.snr_db) else ""
    rows, columns = image.shape
    return {
        "src": f"data:image/png;base64,{base64.b64encode(png(image)).decode()}",
        "width": columns,
        "height": rows,
        "version": version,
        "name": f"Version {version}{worst}{best}",
        "snr": snr,
    }


def _kind(ruler: Ruler) -> str:
    """What the ruler stands for, as one line."""
    kind = ruler.kind
    fat = {True: "with fat saturation", False: "without fat saturation", None: ""}[kind.fat_saturation]
    field = f"{kind.field_strength:g} T" if kind.field_strength else ""
    pixel = f"pixels of {kind.pixel:.2f} mm" if kind.pixel else ""
    return ", ".join(filter(None, (f"{kind.suffix} {kind.dimension}", kind.body_part, field, fat, pixel)))


def _accepted(threshold: float) -> str:
    """``versions 5 to 7``."""
    first = accepted_versions(threshold)[0]
    return f"version {first} alone" if first == VERSIONS - 1 else f"versions {first} to {VERSIONS - 1}"
