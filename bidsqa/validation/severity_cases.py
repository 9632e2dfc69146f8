# SPDX-License-Identifier: Apache-2.0
"""Clean and degraded scans of sites not trained on, prepared once, so that a network is judged quickly."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bidsqa.image import Volume, rough_head
from bidsqa.models.severity_inputs import Prepared, prepare
from bidsqa.simulation import degrade_volume
from bidsqa.training.pool import Clean, drawn_scans, real_scans
from bidsqa.validation.baselines import BASELINES, baselines

Array = np.ndarray[Any, Any]
STRENGTHS = (1.0, 0.6, 0.75, 0.3, 0.5, 0.1)
JUDGED = ("motion", "noise", "blur", "ghosting", "bias", "anisotropy")
FAMILY_OF = {name: "blur" if name == "anisotropy" else name for name in ("none", *JUDGED)}
# Hays et al., Table 2: one severity for each kind
PAPER = {"bias": 0.1, "motion": 0.3, "anisotropy": 0.6, "ghosting": 0.8, "noise": 0.9}
# what is chosen by looking at results is chosen on these; three of the training sites stand in for unseen 3D scans
DEVELOPMENT = frozenset({"novosibirsk01", "uih01", "magdeburg01", "ljubljana04", "ljubljana20"})
DEVELOPMENT_STRENGTHS = (0.9, 0.35, 0.6)
# intensities of this site were normalised at the source
UNFIT = {("martinos", "noise"), ("martinos", "bias")}
MARGIN = 16
DRAWN, DRAWN_SEED = 8, 505
DEVELOPMENT_DRAWS = tuple(f"_draw-{number:03d}" for number in range(4))
# contrasts that no site to be tested on has: drawn from label maps not trained on, the first ones degraded too
DRAWN_CONTRASTS, CONTRASTS_SEED = ("FLAIR", "PDw"), 707
CONTRASTS_DRAWN, CONTRASTS_DEGRADED = 12, 4
CONTRAST_STRENGTHS = (0.9, 0.6)


@dataclass(frozen=True)
class Case:
    """One scan, clean or degraded, ready to be scored.

    Parameters
    ----------
    scan, subject, site, contrast, side : str
        As :class:`bidsqa.training.pool.Clean`.
    artifact : str
        ``"none"`` for the clean scan.
    strength, damage : float
        Strength 0-1 and 1 - SSIM in the head.
    prepared : Prepared
    baselines : dict of float
        Classical measures, higher is worse.
    """

    scan: str
    subject: str
    site: str
    contrast: str
    side: str
    artifact: str
    strength: float
    damage: float
    prepared: Prepared
    baselines: dict[str, float]

    @property
    def real(self) -> bool:
        """A scan, not an image drawn from a label map."""
        return self.site != "labels"

    @property
    def tested(self) -> bool:
        """A scan of a site not trained on: what the tables are about."""
        return self.real and self.side == "test"

    @property
    def family(self) -> str:
        """Kind of the artifact, ``"none"`` for clean scans."""
        return FAMILY_OF[self.artifact]


def cropped(volume: Volume) -> Volume:
    """Cut wide blanked air off, to the head and 16 voxels around it: the clean scan and all its copies alike."""
    if volume.facts.zero_fraction < 0.5:
        return volume
    head = rough_head(volume)
    boxes = [np.flatnonzero(head.any(axis=tuple(other for other in range(3) if other != axis))) for axis in range(3)]
    cut = tuple(slice(max(0, int(box[0]) - MARGIN), int(box[-1]) + 1 + MARGIN) for box in boxes)
    small = Volume.from_array(volume.data[cut], volume.spacing)
    facts = replace(small.facts, dtype=volume.facts.dtype, slope=volume.facts.slope, intercept=volume.facts.intercept)
    return replace(small, facts=facts)


def sources(data: Path) -> Iterator[Clean]:
    """All scans (those trained on serve readings without training only) and scans drawn from unseen label maps."""
    for clean in itertools.chain(real_scans(data), drawn_scans(data, DRAWN, DRAWN_SEED, ("test",))):
        yield replace(clean, volume=cropped(clean.volume))


def build_cases(data: Path, out: Path) -> None:
    """Prepare what is missing in ``out``; clean scans first, then the tested and the development scans' copies."""
    out.mkdir(parents=True, exist_ok=True)
    tested, development = [], []
    for clean in sources(data):
        path = out / f"{clean.name}_none_0.npz"
        if not is_current(path):
            _save(path, clean, "none", 0.0, clean.volume, 0.0)
        if clean.side == "test" and clean.site != "labels":
            tested.append(clean)
        elif clean.subject in DEVELOPMENT or clean.name.endswith(DEVELOPMENT_DRAWS):
            development.append(clean)
    _degrade(
        itertools.chain(
            itertools.product(STRENGTHS, tested, JUDGED),
            ((strength, clean, artifact) for artifact, strength in PAPER.items() for clean in tested),
            itertools.product(DEVELOPMENT_STRENGTHS, development, JUDGED),
        ),
        out,
    )


def build_contrasts(data: Path, out: Path) -> None:
    """Prepare scans of contrasts that the tested sites lack, drawn from label maps not trained on, and copies of some.

    They are judged, and serve neither the scale nor the model of the kinds; hence a folder of their own.
    """
    out.mkdir(parents=True, exist_ok=True)
    drawn = list(drawn_scans(data, CONTRASTS_DRAWN, CONTRASTS_SEED, ("test",), DRAWN_CONTRASTS))
    for clean in drawn:
        path = out / f"{clean.name}_none_0.npz"
        if not is_current(path):
            _save(path, clean, "none", 0.0, clean.volume, 0.0)
    _degrade(itertools.product(CONTRAST_STRENGTHS, drawn[:CONTRASTS_DEGRADED], JUDGED), out)


def _degrade(wanted: Iterable[tuple[float, Clean, str]], out: Path) -> None:
    """Prepare the copies that are missing."""
    for strength, clean, artifact in wanted:
        path = out / f"{clean.name}_{artifact}_{strength}.npz"
        if (clean.site, artifact) in UNFIT or is_current(path):
            continue
        volume, _, harm = degrade_volume(clean.volume, artifact, strength, case_seed(clean.name, artifact))
        _save(path, clean, artifact, strength, volume, harm["damage"])


def is_current(path: Path) -> bool:
    """Whether a case was prepared, with all baselines that are measured today."""
    if not path.exists():
        return False
    with np.load(path, allow_pickle=False) as file:
        return set(BASELINES) <= set(json.loads(str(file["facts"]))["baselines"])


def case_seed(scan: str, artifact: str) -> int:
    """Seed of a scan's copies with an artifact: one for all strengths, so that they differ in nothing else."""
    return int.from_bytes(f"{scan}{artifact}".encode(), "little") % 1_000_003


def _save(path: Path, clean: Clean, artifact: str, strength: float, volume: Volume, damage: float) -> None:
    prepared = prepare(volume)
    facts = {
        "scan": clean.name,
        "subject": clean.subject,
        "site": clean.site,
        "contrast": clean.contrast,
        "side": clean.side,
        "artifact": artifact,
        "strength": strength,
        "damage": damage,
        "baselines": baselines(volume),
        "volume": prepared.volume,
        "axes": [axis for axis, _, _ in prepared.planes],
    }
    arrays: dict[str, Any] = {"facts": np.array(json.dumps(facts))}
    for number, (_, indices, inputs) in enumerate(prepared.planes):
        arrays[f"indices{number}"] = indices
        arrays[f"image{number}"] = inputs["image"].astype(np.float16)
        arrays[f"head{number}"] = inputs["head"].astype(bool)
        arrays[f"scalars{number}"] = inputs["scalars"]
    part = path.with_suffix(".part")
    with part.open("wb") as handle:
        np.savez(handle, **arrays)
    part.replace(path)


def read_case(path: Path) -> Case:
    """A prepared case.

    Raises
    ------
    ValueError
        An earlier version prepared it and measured less.
    """
    with np.load(path, allow_pickle=False) as file:
        facts = json.loads(str(file["facts"]))
        missing = set(BASELINES) - set(facts["baselines"])
        if missing:
            raise ValueError(f"{path} lacks the baselines {', '.join(sorted(missing))}: it must be prepared anew")
        planes = tuple(
            (
                axis,
                file[f"indices{number}"],
                {
                    "image": file[f"image{number}"].astype(np.float32),
                    "head": file[f"head{number}"].astype(np.float32),
                    "scalars": file[f"scalars{number}"],
                },
            )
            for number, axis in enumerate(facts.pop("axes"))
        )
    return Case(prepared=Prepared(planes, facts.pop("volume")), **facts)
