# SPDX-License-Identifier: Apache-2.0
"""What one scan's assessment is given: the settings that decide its numbers, and the scan as its record names it."""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bidsqa.errors import WeightsError
from bidsqa.plain_files import read_text

DEFAULT_MODELS = ("severity", "ssim")


@dataclass(frozen=True)
class Settings:
    """What changes a record's content.

    Parameters
    ----------
    models : tuple of str
        Scores to compute, names of ``bidsqa.models.MODELS``.
    weights : tuple of (str, str)
        A model's name and the path of the user's own weights for it.
    slice_fraction : float
        Share of the head's slices that is scored, the middle ones (0-1].
    thresholds : str or None
        Path of the user's rules (TOML).
    random_seed : int
        For the steps that sample; today none of the main job's does, it is recorded for later ones.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    output_masks : bool
        Also write the brain mask and the segmentation.
    threads : int
        Threads of one step; results agree to 1e-5 for any number.
    saliency : bool
        Also draw where in the worst slices the scores come from; changes the page alone.
    """

    models: tuple[str, ...] = DEFAULT_MODELS
    weights: tuple[tuple[str, str], ...] = ()
    slice_fraction: float = 0.6
    thresholds: str | None = None
    random_seed: int = 0
    device: str = "auto"
    output_masks: bool = False
    threads: int = 1
    saliency: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Settings:
        """Inverse of :meth:`to_dict`."""
        kept = dict(values)
        kept["models"] = tuple(kept.get("models", DEFAULT_MODELS))
        kept["weights"] = tuple((name, path) for name, path in kept.get("weights", ()))
        return cls(**kept)

    def changing_numbers(self) -> dict[str, Any]:
        """The settings that change scores, metrics or verdicts; files by their checksum, not by their place."""
        return {
            "models": sorted(self.models),
            "weights": {name: _checksum(Path(path)) for name, path in sorted(self.weights)},
            "slice_fraction": self.slice_fraction,
            "thresholds": _rules_checksum(Path(self.thresholds)) if self.thresholds else None,
            "random_seed": self.random_seed,
        }


@dataclass(frozen=True)
class Source:
    """The scan as the record names it.

    Parameters
    ----------
    bids_name : str
        File name without extension.
    suffix : str
        ``T1w``, ``T2w``, ``FLAIR`` or ``PDw``.
    path : str
        Relative to the dataset where there is one; empty for an image in memory.
    size : int
        File size in bytes, 0 in memory.
    mtime : int
        Modification time, s since the epoch, 0 in memory.
    acquisition : dict
        Selected keys of the sidecar.
    warnings : tuple of str
        Noted while collecting (a broken sidecar).
    """

    bids_name: str
    suffix: str
    path: str = ""
    size: int = 0
    mtime: int = 0
    acquisition: Mapping[str, Any] | None = None
    warnings: tuple[str, ...] = ()

    def seen(self, state: FileState | None) -> Source:
        """With the size and time that the file had when it was read."""
        return self if state is None else replace(self, size=state.size, mtime=state.mtime_ns // 1_000_000_000)


@dataclass(frozen=True)
class FileState:
    """Tells whether a file is still what it was.

    Parameters
    ----------
    size : int
        Bytes.
    mtime_ns : int
        Modification time, ns since the epoch.
    inode : int
        Another one after the file was replaced.
    """

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> FileState | None:
        """The state of a file, through links; None where it can't be looked at."""
        try:
            status = os.stat(path)
        except OSError:
            return None
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)


def sidecar_digest(acquisition: Mapping[str, Any], warnings: Sequence[str]) -> str:
    """SHA-256 of what a scan's sidecars give to its record: another one means that the record is out of date.

    Parameters
    ----------
    acquisition : mapping
        The keys that the record keeps, merged from all sidecars that apply.
    warnings : sequence of str
        About sidecars that could not be used.
    """
    told = json.dumps([dict(acquisition), list(warnings)], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def _rules_checksum(path: Path) -> str | None:
    """SHA-256 of what a file of rules says about single scans; None where that is nothing, as of the cohort alone.

    Raises
    ------
    WeightsError
        When the file can't be read.
    """
    whole = _checksum(path)
    try:
        content = tomllib.loads(read_text(path))
    except (ValueError, RecursionError):
        return whole
    kept = {key: value for key, value in content.items() if key != "cohort"}
    if not set(kept) - {"version"}:
        return None
    return hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode()).hexdigest()


def _checksum(path: Path) -> str:
    """SHA-256 of a settings file.

    Raises
    ------
    WeightsError
        When the file can't be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise WeightsError(
            f"{path} can't be read: {error.strerror}", "check the path given on the command line"
        ) from error
