# SPDX-License-Identifier: Apache-2.0
"""The masks of one scan, on its own grid, and how far each can be trusted."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from bidsqa.errors import NotComputable

Mask = np.ndarray[Any, np.dtype[np.uint8]]
TISSUES = ("csf", "gm", "wm")
BACKGROUNDS = ("natural", "wrapped", "denoised", "zeroed", "defaced", "stripped")
_ARRAYS = ("head", "brain", "air", "hat", "frame", "dseg", "posteriors", "bias_field")


@dataclass(frozen=True)
class Anatomy:
    """Masks, tissue posteriors and the bias field of one scan.

    Parameters
    ----------
    head, brain : ndarray of uint8, shape (X, Y, Z)
        Whole head with skin; brain with the CSF around it.
    hat : ndarray of uint8, shape (X, Y, Z)
        Background above the face and neck (MRIQC's hat), without the frame.
    air : ndarray of uint8, shape (X, Y, Z)
        Hat without artifacts: where pure noise is expected.
    frame : ndarray of uint8, shape (X, Y, Z)
        Constant-valued voxels outside the head that the scanner or a tool filled in (padding, rotation, vendor mask).
    dseg : ndarray of uint8, shape (X, Y, Z)
        BIDS labels: 0 none, 1 grey matter, 2 white matter, 3 CSF.
    posteriors : ndarray of float16, shape (3, X, Y, Z)
        Probability of csf, gm, wm (the order of ``TISSUES``), zero outside the brain.
    bias_field : ndarray of float32, shape (X, Y, Z)
        Multiplicative field with mean 1 in the brain; the corrected image is data / field.
    background : str
        ``natural``, ``wrapped``, ``denoised``, ``zeroed``, ``defaced`` or ``stripped``.
    problems : dict
        Of the names ``brain``, ``head``, ``tissue``, ``air``, ``bias_field`` those that can't be trusted here, with
        the reason.
    facts : dict
        Plain numbers worth recording (volumes in ml, agreement measures).
    """

    head: Mask
    brain: Mask
    hat: Mask
    air: Mask
    frame: Mask
    dseg: Mask
    posteriors: np.ndarray[Any, np.dtype[np.float16]]
    bias_field: np.ndarray[Any, np.dtype[np.float32]]
    background: str = "natural"
    problems: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def require(self, *names: str) -> None:
        """Raise :class:`NotComputable` with the reason if one of the named masks can't be trusted."""
        for name in names:
            if name in self.problems:
                raise NotComputable(self.problems[name])

    def posterior(self, tissue: str) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Probability map of ``csf``, ``gm`` or ``wm`` as float32, shape (X, Y, Z)."""
        return self.posteriors[TISSUES.index(tissue)].astype(np.float32)

    def part(self, box: tuple[slice, slice, slice]) -> Anatomy:
        """A block of every mask; problems, facts and background stay those of the whole."""
        parts: dict[str, Any] = {name: np.ascontiguousarray(getattr(self, name)[(..., *box)]) for name in _ARRAYS}
        return replace(self, **parts)

    def within(self, shape: tuple[int, int, int], box: tuple[slice, slice, slice]) -> Anatomy:
        """The inverse of :meth:`part`: masks of a block on the whole grid, around which all is frame."""
        placed: dict[str, Any] = {}
        for name in _ARRAYS:
            inner = getattr(self, name)
            whole = np.full((*inner.shape[:-3], *shape), name in ("frame", "bias_field"), dtype=inner.dtype)
            whole[(..., *box)] = inner
            placed[name] = whole
        return replace(self, **placed)

    def save(self, path: Path) -> None:
        """Write as an uncompressed npz without pickles."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        plain = {"background": self.background, "problems": self.problems, "facts": self.facts}
        with open(path, "wb") as stream:
            np.savez(stream, _plain=np.frombuffer(json.dumps(plain).encode(), dtype=np.uint8), **arrays)

    @classmethod
    def load(cls, path: Path) -> Anatomy:
        """Inverse of :meth:`save`."""
        with np.load(path, allow_pickle=False) as stored:
            plain = json.loads(stored["_plain"].tobytes().decode())
            return cls(**{name: stored[name] for name in _ARRAYS}, **plain)
