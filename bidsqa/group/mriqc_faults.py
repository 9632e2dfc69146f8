# SPDX-License-Identifier: Apache-2.0
"""Which numbers of which version of MRIQC can't be taken over, and why: read in its source and in its own issues.

A number under our name must mean what our number means. Where a version computes something else, or writes a number
where it has none, the import leaves null with these words, and keeps the original beside it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from bidsqa.metrics import METRIC_KEYS
from bidsqa.verdict.reading import number

Version = tuple[int, int, int]

TISSUES = ("csf", "gm", "wm")
TISSUE_KEYS = (
    "cjv",
    "cnr",
    "wm2max",
    *(f"{name}_{tissue}" for name in ("snr", "snrd", "icvs", "tpm_overlap") for tissue in TISSUES),
    *(key for key in METRIC_KEYS if key.startswith(tuple(f"summary_{tissue}_" for tissue in TISSUES))),
)
AIR_KEYS = tuple(key for key in METRIC_KEYS if key.startswith(("summary_bg_", "snrd_")))
SENTINELS = ("fber", "qi_1", *(key for key in METRIC_KEYS if key.startswith("snrd_")))


@dataclass(frozen=True)
class Fault:
    """Metrics that some versions get wrong, or mean otherwise.

    Parameters
    ----------
    keys : tuple of str
    why : str
        In words, for the record; follows on "not taken over from MRIQC: ".
    since, until : tuple of int or None
        First version with it, first without; None for open.
    suffixes : tuple of str
        Where it matters; empty for everywhere.
    """

    keys: tuple[str, ...]
    why: str
    since: Version | None = None
    until: Version | None = None
    suffixes: tuple[str, ...] = ()

    def in_version(self, version: Version | None) -> bool:
        """Whether a version has it; any that may have it, where the version isn't known."""
        if version is None:
            return True
        return (self.since is None or version >= self.since) and (self.until is None or version < self.until)


FAULTS: tuple[Fault, ...] = (
    Fault(
        AIR_KEYS,
        "from 22.0 on it measures on a copy that was cut off and rounded to 256 levels; about half of its air is 0",
        since=(22, 0, 0),
    ),
    Fault(
        ("fber",),
        "from 22.0 on it measures on a copy with about half of the air at 0, which raises the ratio up to 120-fold",
        since=(22, 0, 0),
    ),
    Fault(
        ("cnr", "efc"),
        "from 22.0 on it measures on a copy that was cut off and rounded to 256 levels, which shifts this number",
        since=(22, 0, 0),
    ),
    Fault(
        ("wm2max",),
        "from 22.0 on the bright end that it divides by was cut off before",
        since=(22, 0, 0),
    ),
    Fault(
        ("qi_1",),
        "from 23.1 on it is 0 whatever the scan shows: a distance map is cleared in the wrong place",
        (23, 1, 0),
    ),
    Fault(
        ("qi_2",),
        "it fits the expected noise with place and width free, and its 0 also stands for what can't be had",
    ),
    Fault(tuple(f"rpve_{tissue}" for tissue in TISSUES), "every voxel of the background adds 1 to it"),
    Fault(
        ("inu_med", "inu_range"), "its bias field has the arbitrary scale of N4, ours is relative to the brain's mean"
    ),
    Fault(
        tuple(f"summary_{part}_n" for part in ("bg", *TISSUES)),
        "it is a sum of probabilities, ours counts voxels",
    ),
    Fault(
        TISSUE_KEYS,
        "before 23.1 it takes the tissues of T2w scans in the order of brightness on T1w, so that they are mixed up",
        until=(23, 1, 0),
        suffixes=("T2w",),
    ),
)


def parse_version(text: str) -> Version | None:
    """``23.1.0rc0`` as (23, 1, 0); None where this is no version."""
    found = re.match(r"v?(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?", text.strip())
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None


def why_not(key: str, told: Mapping[str, object], suffix: str, version: Version | None) -> str:
    """Why a number of MRIQC can't stand under our name; empty where it can.

    Parameters
    ----------
    key : str
        One of ours.
    told : mapping
        All that MRIQC tells of the scan.
    suffix : str
    version : tuple of int or None
        Of MRIQC, None where not known.
    """
    value = number(told.get(key))
    if value is None:
        return "it has no number"
    parts = [key, *(f"snrd_{tissue}" for tissue in TISSUES)] if key == "snrd_total" else [key]
    if key in SENTINELS and any(number(told.get(part)) == -1 for part in parts):
        return "it writes -1 where the number can't be had"
    low, high = METRIC_KEYS[key].bounds
    if (low is not None and value < low) or (high is not None and value > high):
        return "the number is outside of what this metric can be"
    for fault in FAULTS:
        if key in fault.keys and (not fault.suffixes or suffix in fault.suffixes) and fault.in_version(version):
            unknown = version is None and (fault.since or fault.until)
            return f"{fault.why} (its version is not known)" if unknown else fault.why
    return ""
