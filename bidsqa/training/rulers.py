# SPDX-License-Identifier: Apache-2.0
"""The rulers that ship with bidsqa, made from the head phantom: ``python -m bidsqa.training.rulers``.

No scan of a person is in them. The same version of bidsqa gives the same files.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bidsqa.rulers import Ruler, write_ruler
from bidsqa.rulers.building import build_ruler, equal_steps
from bidsqa.rulers.shelf import SHIPPED_FOLDER
from bidsqa.simulation.phantom import Phantom, make_phantom

# head and voxels in mm, by dimension
HEADS = {"3D": (3, (1.0, 1.0, 1.0)), "2D": (5, (0.9, 0.9, 5.0))}
CONTRASTS = ("T1w", "T2w", "FLAIR", "PDw")
TESLA = 3.0
NOISE = 0.012
BITS = 8


def shipped_ruler(head: Phantom, contrast: str, dimension: str) -> Ruler:
    """The ruler of a contrast from a head.

    Parameters
    ----------
    head : Phantom
    contrast : str
        One of `CONTRASTS`.
    dimension : str
        ``2D`` or ``3D``.
    """
    volume = head.image(contrast, seed=1, noise=NOISE)
    number = CONTRASTS.index(contrast)
    return build_ruler(
        f"{contrast}-{dimension}",
        volume,
        contrast,
        {"MagneticFieldStrength": TESLA, "MRAcquisitionType": dimension},
        snr=equal_steps(),
        seed=number,
        bits=BITS,
        source=f"bidsqa's head phantom, seed {head.seed}: no person",
    )


def write_shipped(folder: Path = SHIPPED_FOLDER) -> list[Path]:
    """Write all of them; their folders."""
    written = []
    for dimension, (seed, spacing) in HEADS.items():
        head = make_phantom(seed=seed, spacing=spacing)
        for contrast in CONTRASTS:
            ruler = shipped_ruler(head, contrast, dimension)
            write_ruler(ruler, folder / ruler.name)
            written.append(folder / ruler.name)
    return written


if __name__ == "__main__":
    print(*write_shipped(Path(sys.argv[1]) if len(sys.argv) > 1 else SHIPPED_FOLDER), sep="\n")
