# SPDX-License-Identifier: Apache-2.0
"""One scan of a BIDS dataset: its file, its entities, its sidecar."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

JUDGED_SUFFIXES = ("T1w", "T2w", "FLAIR", "PDw")
EXTENSIONS = (".nii.gz", ".nii")

# BIDS key -> PyBIDS name, in the order that the specification gives to the parts of a file name
ENTITIES: dict[str, str] = {
    "sub": "subject",
    "ses": "session",
    "sample": "sample",
    "task": "task",
    "acq": "acquisition",
    "ce": "ceagent",
    "trc": "tracer",
    "stain": "staining",
    "rec": "reconstruction",
    "dir": "direction",
    "run": "run",
    "mod": "modality",
    "echo": "echo",
    "flip": "flip",
    "inv": "inv",
    "mt": "mt",
    "part": "part",
    "proc": "proc",
    "space": "space",
    "chunk": "chunk",
    "desc": "desc",
}
# those that a weighted anatomical image of a raw dataset may carry
RAW_ANAT_KEYS = ("sub", "ses", "task", "acq", "ce", "rec", "run", "echo", "part", "chunk")
INDEX_KEYS = ("run", "echo", "flip", "inv", "chunk")
LONGEST_NAME = 160  # without extension; names of outputs have up to 70 letters more, and file systems take 255

_KEY = re.compile(r"[a-zA-Z]{1,20}")
_LABEL = re.compile(r"[a-zA-Z0-9+]{1,100}")
_SUFFIX = re.compile(r"[a-zA-Z0-9]{1,40}")


def split_name(name: str) -> tuple[dict[str, str], str, str]:
    """Take a BIDS file name apart, strictly: labels are letters, digits and plus signs, nothing else.

    Parameters
    ----------
    name : str
        File name without folders, e.g. ``sub-01_ses-1_run-02_T1w.nii.gz``.

    Returns
    -------
    entities : dict of str to str
        BIDS key to label as written (``{"sub": "01", "run": "02"}``), in the order of the name.
    suffix : str
        ``"T1w"``.
    extension : str
        From the first dot on, ``".nii.gz"``.

    Raises
    ------
    ValueError
        With the reason in words.
    """
    stem, dot, rest = name.partition(".")
    *parts, suffix = stem.split("_")
    if not _SUFFIX.fullmatch(suffix):
        raise ValueError("the name has no BIDS suffix")
    entities: dict[str, str] = {}
    for part in parts:
        key, dash, label = part.partition("-")
        if not (dash and _KEY.fullmatch(key)):
            raise ValueError(f"{part!r} is no key-label pair")
        if not _LABEL.fullmatch(label):
            raise ValueError(f"the label of {key!r} has characters other than letters and digits")
        if key in entities:
            raise ValueError(f"{key!r} is there twice")
        entities[key] = label
    return entities, suffix, dot + rest


def name_problem(entities: dict[str, str]) -> str | None:
    """Why these entities can't stand on a raw anatomical image, or None where they can.

    Parameters
    ----------
    entities : dict of str to str
        In the order of the file name.
    """
    if next(iter(entities), None) != "sub":
        return "the name doesn't start with sub-<label>"
    foreign = [key for key in entities if key not in RAW_ANAT_KEYS]
    if foreign:
        return f"BIDS has no {foreign[0]!r} in the name of a raw anatomical image"
    if list(entities) != [key for key in RAW_ANAT_KEYS if key in entities]:
        return "the parts of the name are not in the order of BIDS"
    wrong = [key for key in INDEX_KEYS if key in entities and not entities[key].isdigit()]
    if wrong:
        return f"the label of {wrong[0]!r} is no number"
    if entities.get("part", "mag") not in ("mag", "phase", "real", "imag"):
        return "the label of 'part' is none of mag, phase, real, imag"
    return None


@dataclass(frozen=True)
class Scan:
    """One image of a dataset that can be judged.

    Parameters
    ----------
    path : Path
        The image file (may be a link whose content is absent).
    root : Path
        The dataset's root folder.
    entities : dict of str to str
        BIDS key (``sub``, ``ses``, ``acq``, ...) to label as written in the name, in the name's order.
    suffix : str
        One of `JUDGED_SUFFIXES`.
    sidecar : dict
        Merged metadata by the inheritance principle; data from outside, never trusted.
    warnings : tuple of str
        What went wrong while reading the sidecars, sentences for the record.
    """

    path: Path
    root: Path
    entities: dict[str, str]
    suffix: str
    sidecar: dict[str, Any] = field(default_factory=dict, compare=False)
    warnings: tuple[str, ...] = field(default=(), compare=False)

    @property
    def bids_name(self) -> str:
        """File name without extension, e.g. ``sub-01_ses-1_T1w``."""
        return "_".join([*(f"{key}-{label}" for key, label in self.entities.items()), self.suffix])

    @property
    def relative_path(self) -> str:
        """Path below the dataset's root with forward slashes; the file name where it lies outside."""
        try:
            return self.path.relative_to(self.root).as_posix()
        except ValueError:
            return self.path.name

    @property
    def subject(self) -> str:
        """Participant label without ``sub-``."""
        return self.entities["sub"]

    @property
    def session(self) -> str | None:
        """Session label without ``ses-``, None where there is none."""
        return self.entities.get("ses")
