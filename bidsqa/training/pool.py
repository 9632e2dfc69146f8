# SPDX-License-Identifier: Apache-2.0
"""The pool of clean scans that the learned scores are trained and judged on, split by subject and site."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bidsqa.image import Volume, load_volume
from bidsqa.simulation.label_scan import draw_scan, read_table

Array = np.ndarray[Any, Any]
# fnndsc and boston come from one institution and stay together
TEST_SITES = frozenset({"amsterdam", "utah", "boston", "fnndsc", "martinos"})
WATCH_SUBJECTS = frozenset({"ljubljana04", "ljubljana20"})
# metadata of weights: the scans that they learned from, by the first digits of the SHA-256 of their image data
LEARNED = "learned_from"
DIGEST = 16
TEST_MAPS = frozenset({"training_seg_04", "training_seg_11", "training_seg_15"})


@dataclass(frozen=True)
class Clean:
    """One clean scan with its provenance.

    Parameters
    ----------
    name : str
        File name without extension, or map and draw.
    subject, site : str
        For splits; a label map is its own subject of the site ``"labels"``.
    contrast : str
    side : str
        ``"train"``, ``"watch"`` (a training site, subjects not trained on) or ``"test"`` (sites, maps not trained on).
    volume : Volume
    """

    name: str
    subject: str
    site: str
    contrast: str
    side: str
    volume: Volume


def side_of(subject: str, site: str) -> str:
    """Which side of the split a scan is on."""
    if site in TEST_SITES or subject in TEST_MAPS:
        return "test"
    return "watch" if subject in WATCH_SUBJECTS else "train"


def real_scans(data: Path, sides: tuple[str, ...] = ("train", "watch", "test")) -> Iterator[Clean]:
    """The scans of ``data/scans`` on the given sides, one at a time, in the table's order."""
    with (data / "scans" / "scans_table.tsv").open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    for row in rows:
        subject = row["participant_id"].removeprefix("sub-")
        side = side_of(subject, row["site"])
        if side in sides:
            path = data / "scans" / row["file"]
            yield Clean(path.name.removesuffix(".nii.gz"), subject, row["site"], row["suffix"], side, load_volume(path))


def learned_from(data: Path, sides: tuple[str, ...] = ("train",)) -> dict[str, str]:
    """Metadata for weights that were trained, or set in any other way, on these sides of the real scans in ``data``."""
    return {LEARNED: " ".join(sorted(clean.volume.facts.sha256[:DIGEST] for clean in real_scans(data, sides)))}


def drawn_scans(
    data: Path, count: int, seed: int, sides: tuple[str, ...] = ("train",), contrasts: tuple[str, ...] = ()
) -> Iterator[Clean]:
    """``count`` scans drawn from the label maps of the given sides in turn.

    Their contrasts are drawn too, or the given ones in turn.
    """
    folder = data / "labels"
    classes, kinds = read_table(folder)
    paths = [
        path
        for path in sorted(folder.glob("*.nii.gz"))
        if side_of(path.name.removesuffix(".nii.gz"), "labels") in sides
    ]
    loaded: dict[Path, Array] = {}
    for number in range(count):
        path = paths[number % len(paths)]
        if path not in loaded:
            loaded[path] = read_labels(path)
        subject = path.name.removesuffix(".nii.gz")
        asked = contrasts[number % len(contrasts)] if contrasts else None
        volume, contrast = draw_scan(loaded[path], classes, kinds, np.random.default_rng((seed, number)), asked)
        name = f"{subject}_{asked or 'draw'}-{number:03d}"
        yield Clean(name, subject, "labels", contrast, side_of(subject, "labels"), volume)


def read_labels(path: Path) -> Array:
    """A label map in RAS+ order, uint8."""
    import nibabel

    image: Any = nibabel.as_closest_canonical(nibabel.load(path))
    return np.ascontiguousarray(np.asarray(image.dataobj), dtype=np.uint8)
